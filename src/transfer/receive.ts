/**
 * The receiving side of file transfer.
 *
 * | message          | body                    | answer                                                    |
 * |------------------|-------------------------|-----------------------------------------------------------|
 * | `transfer.offer` | `{ manifest }`          | `{ id }`, once the offer is accepted                      |
 * | `transfer.run`   | `{ id }`                | `{ files, bytes, sha256 }`, once everything is verified   |
 * | `transfer.data`  | `{ id, index, data }`   | none: bytes of the file at that index of the manifest     |
 * | `transfer.end`   | `{ id, index, sha256 }` | none: the file is complete                                |
 *
 * `transfer.run` waits from the first byte to the last, so that a failure on either side reaches the other at once: as
 * its error, or as its cancellation.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../clock.ts";
import { Channel } from "../channel.ts";
import { linkOf, type RequestContext } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import type { StoredBytes } from "../endpoint/resources.ts";
import {
  AuthError,
  ClosedError,
  InvalidPacketError,
  LimitError,
  PeerError,
  TimeoutError,
} from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import type { MessageBody } from "../wire/message.ts";
import { Incoming, type ReceivedFile, type TransferSummary } from "./incoming.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import { freeBytes, ReceiveRoot } from "./receive_root.ts";

/** Transfers that come in at the same time; each has a file open. More are refused with `limit`. */
export const MAX_TRANSFERS = 16;

/** Events that wait to be read before the senders are slowed down. */
const EVENT_CAPACITY = 256;

/** A transfer that brings nothing for so long is given up; a person who moves between two networks takes less. */
const STALL_MS = 60_000;

/** Somebody wants to send something. */
export interface Offer {
  /** Who. */
  readonly from: PeerInfo;
  /** Who and where, for people. Safe to print. */
  readonly label: string;
  /** What. */
  readonly manifest: Manifest;
}

/** What happens while receiving. */
export type ReceiveEvent =
  | ({ readonly type: "received"; readonly from: PeerInfo } & ReceivedFile)
  | ({ readonly type: "done"; readonly from: PeerInfo; readonly seconds: number } & TransferSummary)
  | { readonly type: "failed"; readonly from: PeerInfo; readonly error: unknown };

/** How to receive. */
export interface ReceiverOptions {
  /** The folder; made where it is missing. */
  dir: string;
  /** Decides about an offer. @default refuses everything */
  accept?: (offer: Offer) => boolean | Promise<boolean>;
  /** Most bytes of one transfer. @default no limit but the free space */
  maxTotalBytes?: number;
  /** What all that is stored counts for. @default that of the endpoint, by its `maxStoredBytes` */
  stored?: StoredBytes;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
}

/** A transfer under way, for showing its progress. */
export interface TransferProgress {
  /** Who sends. */
  readonly from: PeerInfo;
  /** Bytes that have come. */
  readonly bytes: number;
  /** Bytes in all. */
  readonly totalBytes: number;
}

interface Active {
  readonly id: number;
  readonly incoming: Incoming;
  readonly link: Link;
  readonly startedMs: number;
  /** Settles the answer of `transfer.run`. */
  readonly result: PromiseWithResolvers<TransferSummary>;
  /** Resolves when that answer has been given, or nobody is left to take it. */
  readonly answered: PromiseWithResolvers<void>;
  /** Looks whether the sender is still at work. */
  watch: Timer | undefined;
}

/**
 * Receives files into a folder. Iterate over it to learn what comes; the events wait, and slow the senders down, while
 * nobody does.
 */
export class Receiver implements AsyncIterable<ReceiveEvent>, AsyncDisposable {
  readonly #root: ReceiveRoot;
  readonly #accept: (offer: Offer) => boolean | Promise<boolean>;
  readonly #maxTotalBytes: number;
  readonly #stored: StoredBytes;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events = new Channel<ReceiveEvent>(EVENT_CAPACITY);
  readonly #handlers = new DisposableStack();
  readonly #active = new Map<number, Active>();
  #deciding = 0;
  #lastId = 0;

  private constructor(stored: StoredBytes, options: ReceiverOptions) {
    const { dir, accept = () => false, maxTotalBytes = Number.MAX_SAFE_INTEGER } = options;
    const { clock = systemClock, log = silentLogger } = options;
    this.#root = ReceiveRoot.open(dir);
    this.#accept = accept;
    this.#maxTotalBytes = maxTotalBytes;
    this.#stored = stored;
    this.#clock = clock;
    this.#log = log;
  }

  /** Starts to take offers that come in on an endpoint. @throws {TypeError} when the endpoint has a receiver. */
  static open(endpoint: Endpoint, options: ReceiverOptions): Receiver {
    const { stored = endpoint.resources.stored } = options;
    const receiver = new Receiver(stored, options);
    const handlers = receiver.#handlers;
    // Whoever may offer may do the rest: it belongs to an offer that was accepted.
    const open = { access: "public" } as const;
    const inline = { ...open, inline: true };
    handlers.use(
      endpoint.handle("transfer.offer", (body, call) => receiver.#offer(body, call), {
        scope: "send",
      }),
    );
    handlers.use(endpoint.handle("transfer.run", (body, call) => receiver.#run(body, call), open));
    handlers.use(
      endpoint.handle("transfer.data", (body, call) => receiver.#data(body, linkOf(call)), inline),
    );
    handlers.use(
      endpoint.handle("transfer.end", (body, call) => receiver.#end(body, linkOf(call)), inline),
    );
    return receiver;
  }

  /** Transfers under way. */
  get progress(): TransferProgress[] {
    return [...this.#active.values()].map(({ incoming, link }) => ({
      from: link.peer,
      bytes: incoming.bytes,
      totalBytes: incoming.manifest.totalBytes,
    }));
  }

  /** What happens, until the receiver is closed; leaving the loop stops the events, not the receiver. */
  [Symbol.asyncIterator](): AsyncIterator<ReceiveEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** Takes no more offers and gives up what is under way; incomplete files are removed. */
  close(): void {
    this.#handlers.dispose();
    for (const active of this.#active.values()) this.#giveUp(active, closed());
    this.#root.tidy();
    this.#events.close();
  }

  /** The same as {@linkcode Receiver.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  async #offer({ manifest: value }: MessageBody, call: RequestContext): Promise<MessageBody> {
    const { signal } = call;
    const link = linkOf(call);
    const manifest = parseManifest(value, { maxTotalBytes: this.#maxTotalBytes });
    this.#checkRoom(manifest);
    if (!await this.#decide({ from: link.peer, label: link.label, manifest })) {
      throw new AuthError("not-allowed", "The offer was refused");
    }
    // Much may have happened while a person was thinking.
    signal.throwIfAborted();
    if (this.#handlers.disposed) throw closed();
    this.#checkRoom(manifest);
    return { id: this.#begin(link, new Incoming(this.#root, manifest, this.#stored)) };
  }

  async #decide(offer: Offer): Promise<boolean> {
    this.#deciding++;
    try {
      return await this.#accept(offer);
    } finally {
      this.#deciding--;
    }
  }

  #checkRoom(manifest: Manifest): void {
    if (this.#active.size + this.#deciding >= MAX_TRANSFERS) {
      throw new LimitError("limit", `There are ${MAX_TRANSFERS} transfers already (maxTransfers)`, {
        details: { limit: "maxTransfers", max: MAX_TRANSFERS },
      });
    }
    this.#stored.check(manifest.totalBytes);
    const free = freeBytes(this.#root.dir);
    if (free === undefined) return;
    let promised = 0;
    for (const { incoming } of this.#active.values()) {
      promised += incoming.manifest.totalBytes - incoming.bytes;
    }
    if (manifest.totalBytes > free - promised) {
      throw new LimitError(
        "limit",
        `Not enough free space: ${manifest.totalBytes} bytes are offered, ${
          Math.max(0, free - promised)
        } are free`,
        { details: { limit: "freeBytes", max: Math.max(0, free - promised) } },
      );
    }
  }

  #begin(link: Link, incoming: Incoming): number {
    incoming.begin();
    const id = ++this.#lastId;
    const result = Promise.withResolvers<TransferSummary>();
    result.promise.catch(() => {}); // `transfer.run` may never ask
    const answered = Promise.withResolvers<void>();
    const startedMs = this.#clock.now();
    const active: Active = { id, incoming, link, startedMs, result, answered, watch: undefined };
    this.#active.set(id, active);
    this.#watch(active);
    void link.closed.then(() => {
      this.#giveUp(active, closed());
      this.#active.delete(id);
      answered.resolve();
    });
    if (incoming.over) this.#finish(active);
    return id;
  }

  /** Gives up a transfer that brings nothing any more: its sender may be gone without a word. */
  #watch(active: Active, stepsBefore = -1): void {
    const { over, steps } = active.incoming;
    if (over) return;
    if (steps > stepsBefore) {
      active.watch = this.#clock.after(STALL_MS, () => this.#watch(active, steps));
      return;
    }
    const text = `Nothing came for ${STALL_MS / 1000} s`;
    this.#giveUp(active, new TimeoutError(text, { details: { limit: "stallMs", max: STALL_MS } }));
    this.#active.delete(active.id);
  }

  async #run({ id }: MessageBody, call: RequestContext): Promise<MessageBody> {
    const { signal } = call;
    const active = this.#find(id, linkOf(call));
    if (active === undefined) throw badField("id");
    const giveUp = () => this.#giveUp(active, signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return { ...await active.result.promise };
    } finally {
      signal.removeEventListener("abort", giveUp);
      this.#active.delete(id as number);
      active.answered.resolve();
    }
  }

  #data({ id, index, data }: MessageBody, link: Link): void {
    const active = this.#find(id, link);
    if (active === undefined || active.incoming.over) return; // given up: the rest still arrives
    try {
      if (!(data instanceof Uint8Array)) throw badField("data");
      active.incoming.write(indexOf(index), data);
    } catch (error) {
      this.#giveUp(active, error);
    }
  }

  async #end({ id, index, sha256 }: MessageBody, link: Link): Promise<void> {
    const active = this.#find(id, link);
    if (active === undefined || active.incoming.over) return;
    try {
      const file = await active.incoming.end(indexOf(index), sha256);
      await this.#events.push({ type: "received", from: link.peer, ...file });
      if (active.incoming.over) this.#finish(active);
    } catch (error) {
      this.#giveUp(active, error);
    }
  }

  #finish({ incoming, link, startedMs, result, answered, watch }: Active): void {
    watch?.cancel();
    const summary = incoming.summary();
    const seconds = (this.#clock.now() - startedMs) / 1000;
    result.resolve(summary);
    // Who stops at `done` must not close the link before the sender has its answer.
    void answered.promise.then(() => {
      void this.#events.push({ type: "done", from: link.peer, seconds, ...summary });
    });
  }

  /** Ends a transfer that is not over: its incomplete file goes, the sender learns why. */
  #giveUp({ incoming, link, result, watch }: Active, error: unknown): void {
    if (incoming.over) return;
    watch?.cancel();
    incoming.abort();
    result.reject(asPeerError(error));
    this.#log.warn("a transfer failed", { from: link.label, why: String(error) });
    void this.#events.push({ type: "failed", from: link.peer, error });
  }

  #find(id: unknown, link: Link): Active | undefined {
    const active = typeof id === "number" ? this.#active.get(id) : undefined;
    return active?.link === link ? active : undefined;
  }
}

function indexOf(index: unknown): number {
  if (typeof index === "number" && Number.isInteger(index) && index >= 0) return index;
  throw badField("index");
}

function badField(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot receive: bad ${field}`, {
    details: { field },
  });
}

function closed(): ClosedError {
  return new ClosedError("The transfer was given up");
}

/** A full disk or a refused file is for the sender to know; where our folder is, is not. */
function asPeerError(error: unknown): PeerError {
  if (error instanceof PeerError) return error;
  const why = error instanceof Error ? error.name : "unknown";
  return new LimitError("limit", `The receiver could not store the file (${why})`, {
    cause: error,
  });
}
