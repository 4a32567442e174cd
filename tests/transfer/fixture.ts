/**
 * A sender and a receiver on a network in memory, and a scratch folder that both use.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { dirname } from "node:path";
import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  buildManifest,
  type BuiltManifest,
  type ManifestEntry,
  type TransferSummary,
} from "../../src/transfer/manifest.ts";
import { encodeManifest } from "../../src/transfer/manifest_codec.ts";
import { type ReceiveEvent, Receiver, type ReceiverOptions } from "../../src/transfer/receive.ts";
import { TOKEN_BYTES } from "../../src/transfer/offer.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import type { SendEvent, SendOptions } from "../../src/transfer/send_options.ts";
import {
  type Connection,
  MemoryNetwork,
  type MemoryNetworkOptions,
  type Transport,
} from "../../src/transport/mod.ts";
import { identityOf, infoOf } from "../endpoint/fixture.ts";

const PORT = 3485;

/** How to open an {@linkcode Exchange}. */
export interface ExchangeOptions {
  /** How to receive; everything is accepted unless this says otherwise. */
  receiver?: Partial<ReceiverOptions>;
  /** What the network is like. */
  network?: MemoryNetworkOptions;
  /** Do not receive: the test handles the messages by itself. */
  noReceiver?: boolean;
}

/** The scene of a transfer. */
export class Exchange implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network: MemoryNetwork;
  /** The scratch folder; `in` below it is received into. */
  readonly dir: string;
  /** Bytes that those who send have put on the wire. */
  crossed = 0;
  readonly #parts = new AsyncDisposableStack();
  #endpoint: Endpoint | undefined;
  #receiver: Receiver | undefined;

  private constructor(options: ExchangeOptions) {
    this.network = new MemoryNetwork(options.network);
    this.dir = Deno.realPathSync(Deno.makeTempDirSync());
    this.#parts.defer(() => Deno.remove(this.dir, { recursive: true }));
  }

  static async open(options: ExchangeOptions = {}): Promise<Exchange> {
    const exchange = new Exchange(options);
    exchange.#endpoint = await exchange.#open("receiver", PORT);
    if (!options.noReceiver) exchange.receive(options.receiver);
    return exchange;
  }

  /** The receiving end. */
  get endpoint(): Endpoint {
    if (this.#endpoint === undefined) throw new Error("It is not open");
    return this.#endpoint;
  }

  get receiver(): Receiver {
    if (this.#receiver === undefined) throw new Error("There is none");
    return this.#receiver;
  }

  /** The folder that is received into. */
  get inbox(): string {
    return `${this.dir}/in`;
  }

  receive(options: Partial<ReceiverOptions> = {}): Receiver {
    const { clock, inbox: dir } = this;
    const receiver = Receiver.open(this.endpoint, { dir, clock, accept: () => true, ...options });
    this.#parts.use(receiver);
    return this.#receiver = receiver;
  }

  /** A new link of somebody who sends. */
  async link(name = "sender"): Promise<Link> {
    const sender = await this.#open(name, undefined);
    return await sender.connect({ hostname: "receiver", port: PORT });
  }

  /** Makes files below the scratch folder, and the manifest of what they begin with. */
  async build(files: Readonly<Record<string, Uint8Array | null>>): Promise<BuiltManifest> {
    const tops = new Set<string>();
    for (const [path, bytes] of Object.entries(files)) {
      const full = `${this.dir}/out/${path}`;
      tops.add(`${this.dir}/out/${path.split("/", 1)[0]}`);
      Deno.mkdirSync(bytes === null ? full : dirname(full), { recursive: true });
      if (bytes !== null) Deno.writeFileSync(full, bytes);
    }
    return await buildManifest([...tops]);
  }

  /** Everything received, `path/` or `path`, sorted; nothing where nothing was. */
  received(): string[] {
    return listing(this.inbox);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }

  async #open(name: string, port: number | undefined): Promise<Endpoint> {
    const { clock } = this;
    const endpoint = await Endpoint.open({
      transport: counted(this.network.host(name), (bytes) => this.crossed += bytes),
      hostname: name,
      identity: identityOf(name),
      self: infoOf(name),
      clock,
      port,
      clientOnly: port === undefined,
    });
    return this.#parts.use(endpoint);
  }
}

/** Tells of every byte that is written to connections that are opened over a transport. */
function counted(transport: Transport, tell: (bytes: number) => void): Transport {
  return {
    listen: (options) => transport.listen(options),
    datagram: (options) => transport.datagram(options),
    async connect(to, options): Promise<Connection> {
      const connection = await transport.connect(to, options);
      return {
        local: connection.local,
        remote: connection.remote,
        read: (into) => connection.read(into),
        write: (bytes) => {
          tell(bytes.length);
          return connection.write(bytes);
        },
        closeWrite: () => connection.closeWrite(),
        close: () => connection.close(),
      };
    },
  };
}

/** Sends, and collects what happens. */
export async function collect(
  link: Link,
  built: BuiltManifest,
  options: SendOptions = {},
): Promise<SendEvent[]> {
  const events: SendEvent[] = [];
  for await (const event of sendFiles(link, built, options)) events.push(event);
  return events;
}

/** Sends to the end. @returns how it ended. */
export async function sendAll(
  link: Link,
  built: BuiltManifest,
  options: SendOptions = {},
): Promise<Extract<SendEvent, { type: "done" }>> {
  const last = (await collect(link, built, options)).at(-1);
  if (last?.type !== "done") throw new Error(`It ended with ${last?.type}`);
  return last;
}

/** Whether two files are the same; a thousand times faster than to compare them byte by byte for a report. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Collects the events of a receiver, from now on. */
export class Events {
  readonly all: ReceiveEvent[] = [];
  #wake = Promise.withResolvers<void>();
  /** Resolves when the receiver is closed. */
  readonly over: Promise<void>;

  constructor(receiver: Receiver) {
    this.over = this.#collect(receiver);
  }

  get types(): string[] {
    return this.all.map(({ type }) => type);
  }

  /** Waits for the next event of that type, or the one that has come already. */
  async next<T extends ReceiveEvent["type"]>(
    type: T,
  ): Promise<Extract<ReceiveEvent, { type: T }>> {
    for (;;) {
      const found = this.all.find((event) => event.type === type);
      if (found !== undefined) return found as Extract<ReceiveEvent, { type: T }>;
      await this.#wake.promise;
    }
  }

  async #collect(receiver: Receiver): Promise<void> {
    for await (const event of receiver) {
      this.all.push(event);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    }
  }
}

/** Everything below a folder. */
export function listing(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? [`${prefix}${name}/`, ...listing(`${dir}/${name}`, `${prefix}${name}/`)]
      : [`${prefix}${name}`]
  ).sort();
}

/** Bytes that show when a piece of them is out of place. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(length);
  for (let at = 0; at < length; at++) made[at] = (at * 7 + (at >> 10)) % 251;
  return made;
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

/** What an offer by hand says beside the files. */
export interface OfferByHand {
  folders?: readonly string[];
  update?: boolean;
  openEnded?: boolean;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/** Offers files of these sizes. @returns the transfer's id. */
export async function offer(
  link: Link,
  sizes: Readonly<Record<string, number>>,
  options: OfferByHand = {},
): Promise<number> {
  const { folders = [], signal, timeoutMs = Infinity, ...terms } = options;
  const entries = [
    ...Object.entries(sizes).map(([path, size]) => entryOf(path, size)),
    ...folders.map((path) => ({ ...entryOf(path, 0), kind: "directory" as const })),
  ];
  const manifest = encodeManifest({ entries, files: 0, totalBytes: 0 });
  const withSignal = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  const body = { manifest, token: freshToken(), ...terms };
  const answer = await link.request("transfer.offer", body, withSignal);
  const { id } = answer as { id: unknown };
  if (typeof id !== "number") throw new InvalidPacketError("bad-message", "No id");
  return id;
}

/** What names a transfer that has not been tried before. */
export function freshToken(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
}

/** Asks for the news of a transfer until it is over. @returns what has come. @throws what ended it. */
export async function run(
  link: Link,
  id: unknown,
  options: { signal?: AbortSignal } = {},
): Promise<TransferSummary> {
  const news = link.stream("transfer.run", { id }, { timeoutMs: Infinity, ...options });
  for await (const one of news) {
    const { done } = one as { done?: TransferSummary };
    if (done !== undefined) return done;
  }
  throw new InvalidPacketError("bad-message", "It ended without a word");
}

/** The steps of a transfer, written by hand, with the numbers and digests that they must have. */
export class Steps {
  readonly #link: Link;
  readonly #id: number;
  readonly #files = new Map<number, { hash: Hash; offset: number }>();
  #seq = 0;

  /** None was sent. */
  constructor(link: Link, id: number) {
    this.#link = link;
    this.#id = id;
  }

  /** Posts the next bytes of a file. @param wrong What is to be said instead. */
  data(
    index: number,
    data: Uint8Array,
    wrong: Record<string, unknown> = {},
  ): Promise<void> | undefined {
    const file = this.#files.get(index) ?? { hash: createHash("sha256"), offset: 0 };
    this.#files.set(index, file);
    const { offset } = file;
    file.offset += data.length;
    const digest = file.hash.update(data).copy().digest();
    return this.post("data", { index, offset, data, digest, ...wrong });
  }

  /** Posts whole small files. */
  files(rows: readonly (readonly [index: number, data: Uint8Array])[]): void {
    this.post("files", { files: rows.map(([index, data]) => [index, data, sha256(data)]) });
  }

  /** Posts any step. */
  post(what: string, body: Record<string, unknown>): Promise<void> | undefined {
    return this.#link.post(`transfer.${what}`, { id: this.#id, seq: this.#seq++, ...body });
  }
}

/** Sends the contents of files 0, 1, ... of a transfer. */
export async function sendByHand(
  link: Link,
  id: number,
  files: readonly Uint8Array[],
): Promise<void> {
  const steps = new Steps(link, id);
  for (const [index, data] of files.entries()) steps.data(index, data);
  await link.flush();
}

/** The unfinished files of a folder that is received into, with their sizes; random names are shown as such. */
export function parts(inbox: string): Record<string, number> {
  const found = listing(inbox).filter((path) => path.endsWith(".part"));
  return Object.fromEntries(found.map((path) => [path, Deno.statSync(`${inbox}/${path}`).size]));
}

/** The whole files of such a folder, sorted. */
export function wholes(inbox: string): string[] {
  return listing(inbox).filter((path) => !path.endsWith("/") && !path.endsWith(".part"));
}

/** A file of a manifest. */
export function entryOf(path: string, size: number): ManifestEntry {
  return { path, kind: "file", size, mode: 0o644, mtimeMs: 0 };
}
