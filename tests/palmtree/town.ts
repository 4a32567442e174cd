/**
 * A sender and some receivers on the sockets of this machine, each with a folder of its own.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Broadcast } from "../../src/palmtree/broadcast.ts";
import type {
  BroadcastEvent,
  BroadcastOptions,
  BroadcastTarget,
} from "../../src/palmtree/broadcast_options.ts";
import type { PalmPorts } from "../../src/palmtree/relay_driver.ts";
import { TreeReceiver, type TreeReceiverOptions } from "../../src/palmtree/tree_receiver.ts";
import { buildManifest } from "../../src/transfer/manifest.ts";
import { type ReceiveEvent, Receiver, type ReceiverOptions } from "../../src/transfer/receive.ts";
import { netTransport } from "../../src/transport/net.ts";

const hostname = "127.0.0.1";

/** Chunks in these tests: small, so that there are many. */
export const CHUNK_BYTES = 16 * 1024;

/** Times of a machine on which nothing gets lost. */
const TUNING = { beatMs: 200, joinMs: 300 };

/** Somebody who receives. */
export interface Neighbor extends BroadcastTarget {
  readonly endpoint: Endpoint;
  readonly dir: string;
  readonly events: ReceiveEvent[];
  /** Waits until something has happened. */
  next(type: ReceiveEvent["type"]): Promise<ReceiveEvent>;
  readonly trees: TreeReceiver;
  /** Closes it, as if its process had ended. */
  leave(): Promise<void>;
}

/** How somebody receives. */
export interface NeighborOptions
  extends Partial<Pick<TreeReceiverOptions, "beforeGive" | "maxBytesPerSecond" | "tuning">> {
  accept?: ReceiverOptions["accept"];
}

/** See the module. */
export class Town implements AsyncDisposable {
  readonly dir: string = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "kith-palm-" }));
  readonly #parts = new AsyncDisposableStack();
  readonly #sender: Endpoint;

  private constructor(sender: Endpoint) {
    this.#sender = this.#parts.use(sender);
  }

  static async open(): Promise<Town> {
    return new Town(await openEndpoint("sender", true));
  }

  /** The peer id of the sender. */
  get senderId(): string {
    return this.#sender.self.peerId;
  }

  /** So many receivers, named `r0`, `r1` ... */
  async add(count: number, options: NeighborOptions = {}): Promise<Neighbor[]> {
    const first = this.#count;
    this.#count += count;
    return await Promise.all(
      Array.from({ length: count }, (_, at) => this.#open(`r${first + at}`, options)),
    );
  }

  /** Writes a file to send. @returns its path */
  async write(name: string, data: Uint8Array): Promise<string> {
    const path = `${this.dir}/out/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(path, data);
    return path;
  }

  /** Begins to send files. */
  async send(
    paths: readonly string[],
    to: readonly BroadcastTarget[],
    options: BroadcastOptions & Pick<PalmPorts, "maxBytesPerSecond"> = {},
  ): Promise<Broadcast> {
    const { maxBytesPerSecond, ...rest } = options;
    const ports = {
      endpoint: this.#sender,
      transport: netTransport,
      hostname,
      tuning: TUNING,
      maxBytesPerSecond,
    };
    const built = await buildManifest(paths);
    const sending = new Broadcast(ports, built, to, { chunkBytes: CHUNK_BYTES, ...rest });
    return this.#parts.use(sending);
  }

  /** Closes all connections of the sender, as if its process had ended. */
  async cutSender(): Promise<void> {
    await this.#sender.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    await Deno.remove(this.dir, { recursive: true });
  }

  #count = 0;

  async #open(name: string, options: NeighborOptions): Promise<Neighbor> {
    const { accept = () => true, ...rest } = options;
    const endpoint = await openEndpoint(name, false);
    const dir = `${this.dir}/${name}`;
    const receiver = Receiver.open(endpoint, { dir, accept });
    const trees = TreeReceiver.open({
      endpoint,
      transport: netTransport,
      hostname,
      desk: receiver,
      tuning: TUNING,
      senderGoneMs: 300,
      ...rest,
    });
    const events: ReceiveEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const reading = (async () => {
      for await (const event of receiver) {
        events.push(event);
        wake.resolve();
        wake = Promise.withResolvers();
      }
    })();
    const next = async (type: ReceiveEvent["type"]) => {
      for (;;) {
        const found = events.find((event) => event.type === type);
        if (found !== undefined) return found;
        await wake.promise;
      }
    };
    const leave = async () => {
      await endpoint.close();
      await trees.close();
      receiver.close();
      await reading;
    };
    this.#parts.defer(leave);
    const sender = this.#sender;
    const port = endpoint.address?.port ?? 0;
    const connect = (signal: AbortSignal) => sender.connect({ hostname, port }, { signal });
    return { name, endpoint, dir, events, next, trees, leave, connect };
  }
}

/** Everything that happens until it is over. */
export async function eventsOf(sending: Broadcast): Promise<BroadcastEvent[]> {
  const events: BroadcastEvent[] = [];
  for await (const event of sending) events.push(event);
  return events;
}

/** Everything below a folder, `path/` or `path`, sorted. */
export function listing(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) => {
    const path = prefix + name;
    return isDirectory ? [`${path}/`, ...listing(`${dir}/${name}`, `${path}/`)] : [path];
  }).sort();
}

/** Bytes of which no two chunks are alike. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

async function openEndpoint(name: string, clientOnly: boolean): Promise<Endpoint> {
  return await Endpoint.open({
    transport: netTransport,
    identity: Identity.generate(),
    self: { name, capabilities: [], agent: "test/0" },
    hostname,
    port: 0,
    clientOnly,
  });
}
