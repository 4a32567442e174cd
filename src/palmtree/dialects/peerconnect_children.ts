/**
 * The links of a palm tree of originals that one participant opens: to each child first which files come, then their
 * contents, one behind the other.
 *
 * ```
 * connect -> stream link -> OK -> list of files -> pause -> contents -> the child hangs up
 * ```
 *
 * @module
 */

import { type Clock, sleep } from "../../clock.ts";
import { InvalidPacketError, TimeoutError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { PatientStream } from "../../transfer/dialects/peerconnect_driver_stream.ts";
import { withLength } from "../../transfer/dialects/peerconnect_records.ts";
import type { Transport } from "../../transport/transport.ts";
import { concat } from "../../wire/concat.ts";
import type { ChunkSource } from "../chunk_list.ts";
import { encodeStreamLink, LINK_OK } from "../control.ts";
import type { Participant } from "../participant.ts";
import type { Relay } from "../relay.ts";
import type { PalmTreeSession } from "../session.ts";
import type { UploadLimit } from "../upload_limit.ts";

/** Between the list of files and their contents, in milliseconds: an original takes what it receives first for the list. */
export const METADATA_PAUSE_MS = 200;

/** A frame that takes a link. */
export const OK_FRAME: Uint8Array<ArrayBuffer> = withLength(LINK_OK);

/** Bytes read at a time: a child has nothing to say. */
const READ_BYTES = 1024;

/** What {@linkcode RawChildren} need. */
export interface RawChildrenOptions {
  /** The network. */
  readonly transport: Transport;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what went wrong. */
  readonly log: Logger;
  /** The session. */
  readonly session: PalmTreeSession;
  /** Who we are. */
  readonly self: Participant;
  /** Whom to tell what happens. */
  readonly relay: () => Relay;
  /** Where chunks are read from. */
  readonly source: ChunkSource;
  /** Holds chunks back where they are to leave slowly. */
  readonly limit: UploadLimit;
  /** A chunk that is to be given could not be read. */
  readonly unreadable: (error: unknown) => void;
  /** A child has taken everything, as far as our machine can tell. @default nothing */
  readonly delivered?: ((peerId: string) => void) | undefined;
}

interface Child {
  readonly stream: PatientStream;
  /** Chunks that are to be given. */
  readonly queue: number[];
  /** Whether it knows what comes. */
  isTold: boolean;
  isServed: boolean;
  /** Bytes of chunks that were written. */
  bytes: number;
  /** Whether everything was written. */
  isDone: boolean;
}

/** What comes, as children are told. */
interface Announced {
  readonly metadata: Uint8Array;
  readonly chunks: number;
  readonly sizeOf: (index: number) => number;
}

/** See the module. Peers are named in decimal here. */
export class RawChildren implements Disposable {
  readonly #options: RawChildrenOptions;
  readonly #children = new Map<string, Child>();
  readonly #closing = new AbortController();
  #announced: Announced | undefined;
  #writtenBytes = 0;

  /** Has none. */
  constructor(options: RawChildrenOptions) {
    this.#options = options;
  }

  /** Bytes of chunks that were written, whatever became of them. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Whether somebody has not hung up. */
  get size(): number {
    return this.#children.size;
  }

  /** Whether somebody has not been given everything. */
  get isGiving(): boolean {
    return [...this.#children.values()].some(({ isDone }) => !isDone);
  }

  /** Bytes of chunks that were written to somebody; 0 for who is no child. */
  bytesTo(peerId: string): number {
    return this.#children.get(peerId)?.bytes ?? 0;
  }

  /** Says which files come; children wait for that. */
  announce(announced: Announced): void {
    this.#announced = announced;
    for (const [peerId, child] of this.#children) this.#serve(peerId, child);
  }

  /** Opens a link; the relay learns what comes of it. */
  connect(to: Participant): void {
    this.#connect(to).catch((error) => {
      if (this.#closing.signal.aborted) return;
      const { log, relay, clock } = this.#options;
      log.debug("a palm tree link could not be opened", { why: String(error) });
      relay().linkFailed(to.peerId, clock.now());
    });
  }

  /** Gives a chunk, behind those that wait. */
  give(peerId: string, index: number): void {
    const child = this.#children.get(peerId);
    if (child === undefined) return;
    child.queue.push(index);
    this.#serve(peerId, child);
  }

  /** Closes the link with somebody. @returns whether there was one */
  close(peerId: string): boolean {
    const child = this.#children.get(peerId);
    child?.stream.close();
    return this.#children.delete(peerId);
  }

  /** Closes all links, and gives up those that are being opened. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#closing.abort();
    for (const peerId of [...this.#children.keys()]) this.close(peerId);
  }

  async #connect(to: Participant): Promise<void> {
    const { clock, relay } = this.#options;
    const stream = await this.#dial(to);
    const child = { stream, queue: [], isTold: false, isServed: false, isDone: false, bytes: 0 };
    try {
      await this.#greet(stream);
    } catch (error) {
      stream.close();
      throw error;
    }
    this.#children.set(to.peerId, child);
    relay().linkUp(to.peerId, clock.now());
    this.#serve(to.peerId, child);
    await this.#watch(to.peerId, child);
  }

  async #dial({ active }: Participant): Promise<PatientStream> {
    const { transport, clock, session: { linkWaitMs } } = this.#options;
    const { signal } = this.#closing;
    const late = new AbortController();
    const timer = clock.after(linkWaitMs, () => {
      late.abort(new TimeoutError(`A child does not answer within ${linkWaitMs} ms`));
    });
    try {
      const either = AbortSignal.any([signal, late.signal]);
      const connection = await transport.connect(active, { signal: either });
      return new PatientStream(connection, { clock, signal, readBytes: READ_BYTES });
    } finally {
      timer.cancel();
    }
  }

  /** @throws {ClosedError} when the link is not wanted: then it is closed. */
  async #greet(stream: PatientStream): Promise<void> {
    const { session: { sessionId, linkWaitMs }, self } = this.#options;
    const link = { kind: "file", from: self.peerId, sessionId, passive: self.passive } as const;
    await stream.write(withLength(encodeStreamLink(link)));
    let answer: Uint8Array = new Uint8Array(0);
    while (answer.length < OK_FRAME.length) {
      const bytes = await stream.read({ limitMs: linkWaitMs, limit: "linkWaitMs" });
      if (bytes === undefined) throw bad("OK", "the connection was closed instead");
      answer = concat(answer, bytes);
    }
    if (answer.some((byte, at) => at < OK_FRAME.length && byte !== OK_FRAME[at])) {
      throw bad("OK", "something else came");
    }
  }

  /** Waits for the end. Whatever a child says means nothing. */
  async #watch(peerId: string, child: Child): Promise<void> {
    try {
      while (await child.stream.read({ limitMs: Infinity }) !== undefined);
    } catch (error) {
      this.#options.log.debug("a palm tree link broke", { why: String(error) });
    }
    this.#lose(peerId, child);
  }

  #lose(peerId: string, child: Child): void {
    child.stream.close();
    if (this.#children.get(peerId) !== child) return;
    this.#children.delete(peerId);
    this.#options.relay().linkDown(peerId, this.#options.clock.now());
  }

  /** Writes what there is for a child, unless that is being done. */
  #serve(peerId: string, child: Child): void {
    if (child.isServed || this.#announced === undefined) return;
    child.isServed = true;
    const served = () => {
      child.isServed = false;
      if (child.queue.length > 0) this.#serve(peerId, child);
    };
    this.#write(peerId, child, this.#announced).then(served, (error) => {
      this.#options.log.debug("a palm tree link broke", { why: String(error) });
      this.#lose(peerId, child);
    });
  }

  async #write(peerId: string, child: Child, announced: Announced): Promise<void> {
    const { relay, clock, delivered } = this.#options;
    const { stream, queue } = child;
    if (!child.isTold) {
      await stream.write(announced.metadata);
      child.isTold = true;
      if (announced.chunks > 0) {
        await sleep(clock, METADATA_PAUSE_MS, { signal: this.#closing.signal });
      }
    }
    let last = -1;
    for (let index = queue.shift(); index !== undefined; index = queue.shift()) {
      const chunk = await this.#read(index, announced.sizeOf(index));
      if (chunk === undefined) return;
      await stream.write(chunk);
      this.#writtenBytes += chunk.length;
      child.bytes += chunk.length;
      relay().sent(peerId, last = index, clock.now()); // which may queue more
    }
    // An original is given everything in its order.
    if (last < announced.chunks - 1 || child.isDone) return;
    child.isDone = true;
    delivered?.(peerId);
  }

  /** A chunk once it may leave; `undefined` when there is none. */
  async #read(index: number, size: number): Promise<Uint8Array | undefined> {
    const { limit, source, unreadable } = this.#options;
    const turn = Promise.withResolvers<void>();
    limit.take(size, turn.resolve);
    await turn.promise;
    try {
      return source.read(index).slice(); // it is a view
    } catch (error) {
      unreadable(error);
      return undefined;
    }
  }
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot open palm tree link: ${field}: ${why}`, {
    details: { field },
  });
}
