/**
 * Frames over a byte connection: `send`, `receive` and async iteration, with many frames per socket write.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { ClosedError, PeerError, TimeoutError } from "../errors.ts";
import { FrameReader, FrameWriter, MAX_FRAME_BYTES } from "../wire/frame.ts";
import type { Connection } from "./transport.ts";

/**
 * Once this much waits to be written, senders are asked to wait: large enough to fill a socket write well, small enough
 * that a slow reader costs little memory.
 */
export const HIGH_WATER_BYTES = 512 * 1024;

/** Where {@linkcode FramedConnection.hangUp} puts what nobody wants, a read at a time. */
const WASTE_BYTES = 16 * 1024;

/** How long a connection that is closed may take to say why, or to learn it. */
const LAST_WORDS_MS = 1_000;

/** How frames are carried. */
export interface FramedOptions {
  /** Largest payload in bytes, both ways. @default {16777216} */
  maxFrameBytes?: number;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/** How to wait for a frame. */
export interface ReceiveOptions {
  /** Gives up after this many milliseconds. @default {Infinity} */
  timeoutMs?: number;
  /** Gives up when aborted. */
  signal?: AbortSignal;
}

/**
 * A connection that carries frames.
 *
 * @example
 * ```ts
 * import { FramedConnection, MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const listener = await network.host("a").listen({ port: 1 });
 * const [accepted, connected] = await Promise.all([
 *   listener.accept(),
 *   network.host("b").connect({ hostname: "a", port: 1 }),
 * ]);
 * const client = new FramedConnection(connected);
 * await client.send(new TextEncoder().encode("hello"));
 * client.close();
 * if (accepted === undefined) throw new Error("unreachable");
 * for await (const frame of new FramedConnection(accepted)) {
 *   assertEquals(new TextDecoder().decode(frame), "hello");
 * }
 * listener.close();
 * ```
 */
export class FramedConnection implements AsyncDisposable {
  /** The connection underneath. */
  readonly connection: Connection;
  /** Frames coming in; for whoever reads them without {@linkcode FramedConnection.receive}. */
  readonly reader: FrameReader;
  /** The batch going out; call {@linkcode FramedConnection.flush} after adding to it. */
  readonly writer: FrameWriter;
  readonly #clock: Clock;
  #writing: Promise<void> | undefined;
  #leavingBytes = 0;
  // For those who wait until the batch is on its way and the next one can be filled.
  #room: PromiseWithResolvers<void> | undefined;
  #filling: Promise<boolean> | undefined;
  #failure: unknown;
  #closed = false;
  #hangingUp: Promise<void> | undefined;

  /** Carries frames over `connection`, which it owns from now on. */
  constructor(connection: Connection, options: FramedOptions = {}) {
    const { maxFrameBytes = MAX_FRAME_BYTES, clock = systemClock } = options;
    this.connection = connection;
    this.reader = new FrameReader({ maxFrameBytes });
    this.writer = new FrameWriter({ maxFrameBytes });
    this.#clock = clock;
  }

  /**
   * Sends one frame and waits until it is handed to the operating system; the payload is free again then.
   *
   * @throws {InvalidPacketError} `too-large` when the payload is longer than `maxFrameBytes`.
   * @throws {ClosedError} when the connection is closed or breaks.
   */
  async send(payload: Uint8Array): Promise<void> {
    this.writer.frame(payload);
    await this.flush();
  }

  /**
   * Waits for the next frame.
   *
   * @returns its payload, a view that is valid until the next call; `undefined` at the end of the stream.
   * @throws {InvalidPacketError} `too-large`, or `bad-frame` when the stream ends inside a frame.
   * @throws {TimeoutError} after `timeoutMs`; what has come by then is not lost.
   */
  async receive(options: ReceiveOptions = {}): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { timeoutMs = Infinity, signal } = options;
    signal?.throwIfAborted();
    const deadline = this.#clock.now() + timeoutMs;
    for (;;) {
      const frame = this.reader.next();
      if (frame !== undefined) return frame;
      const filled = this.fill();
      const leftMs = deadline - this.#clock.now();
      if (!(await this.#within(filled, leftMs, signal))) return undefined;
    }
  }

  /** Every frame until the stream ends; leaving the loop closes the connection. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    try {
      for (;;) {
        const frame = await this.receive();
        if (frame === undefined) return;
        yield frame;
      }
    } finally {
      this.close();
    }
  }

  /**
   * Reads once, or waits for the read that is under way.
   *
   * @returns whether bytes came; `false` at a clean end of the stream.
   * @throws {InvalidPacketError} `bad-frame` when the stream ends inside a frame.
   * @throws {ClosedError} when the connection is closed or breaks.
   */
  fill(): Promise<boolean> {
    return this.#filling ??= this.#read();
  }

  /**
   * Writes the batch, together with whatever is added to it in the same turn and while it is being written.
   *
   * @returns when everything added so far is written. @throws {ClosedError} when the connection breaks.
   */
  flush(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#writing ??= this.#writeBatches();
  }

  /** Whether a write is under way, which will take along what is added now. */
  get flushing(): boolean {
    return this.#writing !== undefined;
  }

  /** Bytes that were sent and are not handed to the operating system yet: those being written, and those that wait. */
  get unwrittenBytes(): number {
    return this.#leavingBytes + this.writer.pendingBytes;
  }

  /** Whether senders should wait for {@linkcode FramedConnection.room} before adding more. */
  get congested(): boolean {
    return this.writer.pendingBytes >= HIGH_WATER_BYTES;
  }

  /**
   * Waits until the batch is on its way, while the one before it may still be: the next can then be filled while this
   * one is being written, which keeps both sides of a fast connection at work.
   *
   * @throws {ClosedError} when the connection breaks.
   */
  room(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.writer.pendingBytes === 0) return Promise.resolve();
    if (this.#room === undefined) {
      this.#room = Promise.withResolvers();
      // Whoever waits is told; a sender that does not wait need not be.
      this.#room.promise.catch(() => {});
      this.flush().catch(() => {});
    }
    return this.#room.promise;
  }

  /** Whether nothing can be sent any more. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Closes so that what was sent last arrives: says that no more will come and reads to the end first, for a connection
   * that is closed with bytes unread is reset, and a reset can overtake last words.
   *
   * @param limitMs How long that may take before it is closed all the same. @default {1000}
   */
  hangUp(limitMs: number = LAST_WORDS_MS): Promise<void> {
    return this.#hangingUp ??= this.#hangUp(limitMs);
  }

  async #hangUp(limitMs: number): Promise<void> {
    const giveUp = this.#clock.after(limitMs, () => this.close());
    try {
      await this.flush();
      await this.connection.closeWrite();
      await this.#filling;
      const waste = new Uint8Array(WASTE_BYTES);
      while (await this.connection.read(waste) !== null);
    } catch (error) {
      // Closed by ourselves or by the other side, which is the aim.
      if (!(error instanceof PeerError)) throw error;
    } finally {
      giveUp.cancel();
      this.close();
    }
  }

  /** Closes the connection; what was not flushed is lost. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure ??= new ClosedError("Cannot send: the connection is closed");
    this.connection.close();
  }

  /** Waits for what is being written, then closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing?.catch(() => {}); // whoever flushed has got the error
    this.close();
  }

  async #read(): Promise<boolean> {
    const count = await this.connection.read(this.reader.space());
    // After a failure it stays: a broken connection may tell only once, and then look as if it had ended in order.
    this.#filling = undefined;
    if (count === null) {
      this.reader.end();
      return false;
    }
    this.reader.commit(count);
    return true;
  }

  async #writeBatches(): Promise<void> {
    try {
      await undefined; // messages sent in the same turn leave in the same write
      while (this.writer.pendingBytes > 0) {
        this.#leavingBytes = this.writer.pendingBytes;
        const pieces = this.writer.take();
        this.#room?.resolve();
        this.#room = undefined;
        for (const piece of pieces) {
          await this.connection.write(piece);
          this.#leavingBytes -= piece.length;
        }
      }
    } catch (error) {
      this.#failure ??= error;
      this.#room?.reject(error);
      throw error;
    } finally {
      this.#writing = undefined;
    }
  }

  #within<T>(promise: Promise<T>, ms: number, signal: AbortSignal | undefined): Promise<T> {
    if (ms === Infinity && signal === undefined) return promise;
    return new Promise((resolve, reject) => {
      const onAbort = () => finish(() => reject(signal?.reason));
      const timer = ms === Infinity ? undefined : this.#clock.after(ms, () => {
        finish(() => reject(new TimeoutError("Cannot receive: no frame within the time given")));
      });
      const finish = (settle: () => void) => {
        timer?.cancel();
        signal?.removeEventListener("abort", onAbort);
        settle();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      promise.then((value) => finish(() => resolve(value)), (error) => finish(() => reject(error)));
    });
  }
}
