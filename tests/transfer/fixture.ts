/**
 * A sender and a receiver on a network in memory, and a scratch folder that both use.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  buildManifest,
  type BuiltManifest,
  encodeManifest,
  type ManifestEntry,
} from "../../src/transfer/manifest.ts";
import { type ReceiveEvent, Receiver, type ReceiverOptions } from "../../src/transfer/receive.ts";
import { MemoryNetwork, type MemoryNetworkOptions } from "../../src/transport/mod.ts";
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
      transport: this.network.host(name),
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

/** Offers files of these sizes. @returns the transfer's id. */
export async function offer(
  link: Link,
  sizes: Readonly<Record<string, number>>,
  options: { folders?: readonly string[]; signal?: AbortSignal; timeoutMs?: number } = {},
): Promise<number> {
  const { folders = [], signal, timeoutMs = Infinity } = options;
  const entries = [
    ...Object.entries(sizes).map(([path, size]) => entryOf(path, size)),
    ...folders.map((path) => ({ ...entryOf(path, 0), kind: "directory" as const })),
  ];
  const manifest = encodeManifest({ entries, files: 0, totalBytes: 0 });
  const withSignal = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  const answer = await link.request("transfer.offer", { manifest }, withSignal);
  const { id } = answer as { id: unknown };
  if (typeof id !== "number") throw new InvalidPacketError("bad-message", "No id");
  return id;
}

/** Sends the contents of files 0, 1, ... of a transfer. */
export async function sendByHand(
  link: Link,
  id: number,
  files: readonly Uint8Array[],
): Promise<void> {
  for (const [index, data] of files.entries()) {
    link.post("transfer.data", { id, index, data });
    link.post("transfer.end", { id, index, sha256: sha256(data) });
  }
  await link.flush();
}

/** A file of a manifest. */
export function entryOf(path: string, size: number): ManifestEntry {
  return { path, kind: "file", size, mode: 0o644, mtimeMs: 0 };
}
