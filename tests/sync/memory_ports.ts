/**
 * Two ports that lead to each other, in memory, and can be cut as connections are.
 *
 * @module
 */

import { Channel } from "../../src/channel.ts";
import { ClosedError } from "../../src/errors.ts";
import type { WebSocketMessage } from "../../src/sync/message_types.ts";
import type { SyncInput, SyncPeer, SyncPort } from "../../src/sync/port.ts";
import { type Capability, encodeMessage, readMessage } from "../../src/sync/protocol.ts";

/** Who may what. */
export interface PairOptions {
  readonly clientId?: string;
  readonly canWrite?: boolean;
  readonly capabilities?: readonly Capability[];
}

/** One end. */
export class MemoryPort implements SyncPort {
  readonly peer: SyncPeer;
  readonly writable: boolean;
  readonly closed: Promise<Error | undefined>;
  readonly receive = new Channel<SyncInput>(Infinity);
  /** Bytes of what it has sent. */
  sentBytes = 0;
  other: MemoryPort | undefined;
  readonly #from: "client" | "server";
  readonly #clientId: string | undefined;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  #way: { input: SyncInput; done: () => void; cut: () => void }[] = [];
  #isOpen = true;
  #carrying: ReturnType<typeof setTimeout> | undefined;

  constructor(from: "client" | "server", peer: SyncPeer, writable: boolean, clientId?: string) {
    this.#from = from;
    this.peer = peer;
    this.writable = writable;
    this.#clientId = clientId;
    this.closed = this.#ended.promise;
  }

  get author(): SyncPort["author"] {
    const wallMs = Date.now();
    return this.#clientId === undefined ? { wallMs } : { wallMs, clientId: this.#clientId };
  }

  send(message: WebSocketMessage): boolean {
    if (!this.#isOpen) return false;
    const text = encodeMessage(message);
    this.sentBytes += text.length;
    // As it is on the wire, and looked at there.
    const read = readMessage(JSON.parse(text), this.#from);
    this.#carry({ type: "message", message: read });
    return true;
  }

  sendContent(bytes: Uint8Array): Promise<void> {
    if (!this.#isOpen) return Promise.reject(new ClosedError("The port is closed"));
    this.sentBytes += bytes.length;
    return this.#carry({ type: "content", bytes: bytes.slice() });
  }

  /** The connection is cut and there again. */
  cut(type: "resumed" | "resync"): void {
    for (const end of [this, this.other]) end?.loseWay(type);
    for (const end of [this, this.other]) void end?.receive.push({ type });
  }

  /** What is on its way is lost; with all messages if they are. */
  loseWay(type: "resumed" | "resync"): void {
    const way = this.#way;
    this.#way = [];
    for (const { input, done, cut } of way) {
      if (input.type === "content") cut();
      else if (type === "resumed") void this.other?.receive.push(input), done();
      else done();
    }
  }

  close(why?: Error): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#carrying);
    for (const { cut } of this.#way) cut();
    this.#way = [];
    this.receive.close();
    this.#ended.resolve(why);
    this.other?.close();
  }

  #carry(input: SyncInput): Promise<void> {
    const { promise, resolve: done, reject } = Promise.withResolvers<void>();
    // Whether a message arrives is told by what comes after.
    const cut = input.type === "message" ? done : () => reject(new ClosedError("It was cut"));
    this.#way.push({ input, done, cut });
    this.#carrying ??= setTimeout(() => this.#arrive(), 0);
    return promise;
  }

  #arrive(): void {
    this.#carrying = undefined;
    const way = this.#way;
    this.#way = [];
    for (const { input, done } of way) {
      void this.other?.receive.push(input);
      done();
    }
  }
}

/** Both ends. */
export function portPair(options: PairOptions = {}): [client: MemoryPort, hub: MemoryPort] {
  const { clientId = "ann", canWrite = true } = options;
  const { capabilities = ["index", "resume", "batch", "deflate"] } = options;
  const server = { clientId: "server", label: "room", canWrite: true, capabilities };
  const peer = { clientId, label: "folder", canWrite, capabilities };
  const client = new MemoryPort("client", server, canWrite, clientId);
  const hub = new MemoryPort("server", peer, true);
  client.other = hub;
  hub.other = client;
  return [client, hub];
}
