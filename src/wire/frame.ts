/**
 * Stream frames: how messages lie one after another in a byte stream.
 *
 * ```
 * +--------+--------+--------+--------+----------------------+
 * | length of the payload, unsigned,  | payload              |
 * | 32 bit, big-endian                | length bytes, 0 is   |
 * |                                   | legal                |
 * +--------+--------+--------+--------+----------------------+
 * ```
 *
 * Source: the PeerConnect wire protocol (`Wire.send`, `Wire.receive`). The original knows no upper bound; here
 * {@linkcode MAX_FRAME_BYTES} is checked before anything is allocated.
 *
 * Both halves are pure: a socket's owner reads into the {@linkcode FrameReader} and writes what {@linkcode FrameWriter}
 * has collected. (The seed's synchronous `send` and `receive` have no counterpart: Deno has no synchronous sockets.)
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { Encoder } from "./encoder.ts";

/** Largest payload unless told otherwise, 16 MiB: above any sane message, below what hurts a small machine. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** Bytes of a frame's length. */
export const FRAME_HEADER_BYTES = 4;

/**
 * `bin` values and payloads of at least this many bytes are written from where they are: below, copying them into the
 * batch costs less than a socket write of their own.
 */
export const SPLICE_FROM_BYTES = 64 * 1024;

/** A reader starts small, so that a thousand idle connections cost little, and grows while reads fill it. */
const INITIAL_READ_BYTES = 16 * 1024;
/** Less room than this at the end of the buffer is not worth a read: what is pending moves down first. */
const MIN_READ_BYTES = 4 * 1024;
/** As far as reads that fill it make it grow; beyond, only a frame that is larger does. */
const EAGER_BYTES = 256 * 1024;
/** Largest buffer that is kept when no frame needs it: senders in bulk use frames of up to 1 MiB, and fresh memory is slow. */
export const KEPT_BYTES: number = 1024 * 1024 + 64 * 1024;
/** While a frame this large is coming in, reads stop where it ends, so that no bytes of the next have to be moved. */
const LARGE_FRAME_BYTES = 64 * 1024;

/** How a {@linkcode FrameReader} reads. */
export interface FrameReaderOptions {
  /** Largest payload in bytes. @default {16777216} */
  maxFrameBytes?: number;
}

/**
 * Takes frames out of a byte stream, whatever pieces the bytes come in.
 *
 * Fill {@linkcode FrameReader.space}, {@linkcode FrameReader.commit} what came, then take {@linkcode FrameReader.next}
 * until it gives nothing. Frames are views of the one buffer, valid until the next call of `space` or `push`.
 *
 * @example
 * ```ts
 * import { FrameReader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = new FrameReader();
 * reader.push(new Uint8Array([0, 0, 0, 2, 104]));
 * assertEquals(reader.next(), undefined); // not whole yet
 * reader.push(new Uint8Array([105]));
 * assertEquals(reader.next(), new Uint8Array([104, 105]));
 * reader.end(); // the stream may end here
 * ```
 */
export class FrameReader {
  /** The buffer that frames lie in. */
  buffer: Uint8Array<ArrayBuffer> = new Uint8Array(INITIAL_READ_BYTES);
  /** Where the frame found by {@linkcode FrameReader.advance} starts in {@linkcode FrameReader.buffer}. */
  start = 0;
  /** Where that frame ends. */
  stop = 0;
  readonly #maxFrameBytes: number;
  // Bytes [#from, #to) of the buffer have come and are not yet taken.
  #from = 0;
  #to = 0;

  /** Makes an empty reader. */
  constructor(options: FrameReaderOptions = {}) {
    const { maxFrameBytes = MAX_FRAME_BYTES } = options;
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes that have come and belong to no frame yet taken. */
  get pendingBytes(): number {
    return this.#to - this.#from;
  }

  /**
   * Room for the next read; never empty. Views handed out before are no longer valid.
   *
   * The buffer grows to at most twice of what has really come, so that a length alone makes nobody allocate.
   */
  space(): Uint8Array<ArrayBuffer> {
    const pending = this.#to - this.#from;
    if (pending === 0) {
      this.#from = this.#to = 0;
      if (this.buffer.length > KEPT_BYTES) this.buffer = new Uint8Array(KEPT_BYTES);
    }
    const frameBytes = this.#frameBytes();
    const fits = frameBytes <= this.buffer.length - this.#from;
    if (this.#from > 0 && (!fits || this.buffer.length - this.#to < MIN_READ_BYTES)) {
      this.#moveDown(this.buffer);
    }
    if (this.#to === this.buffer.length) {
      // Where whole frames wait already, the length of the first says nothing about what is coming.
      const enough = frameBytes > pending ? frameBytes + MIN_READ_BYTES : Infinity;
      this.#moveDown(new Uint8Array(Math.min(this.#to * 2, Math.max(enough, this.#to + 1))));
    }
    const frameEnd = this.#from + frameBytes + FRAME_HEADER_BYTES;
    const stopThere = frameBytes >= LARGE_FRAME_BYTES && frameEnd > this.#to;
    return this.buffer.subarray(this.#to, stopThere ? frameEnd : this.buffer.length);
  }

  /** Says that `count` bytes have been put into {@linkcode FrameReader.space}. */
  commit(count: number): void {
    this.#to += count;
    // A read that filled a small buffer: more is waiting, and larger reads cost fewer calls.
    if (this.#to === this.buffer.length && this.#from === 0 && this.#to < EAGER_BYTES) {
      this.#moveDown(new Uint8Array(this.buffer.length * 2));
    }
  }

  /** Copies bytes in, for sources that cannot read into a buffer. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const space = this.space();
      const count = Math.min(space.length, bytes.length - at);
      space.set(bytes.subarray(at, at + count));
      this.commit(count);
      at += count;
    }
  }

  /**
   * Goes to the next frame: it lies at `buffer[start..stop]`. The way for hot paths, which make no view of it.
   *
   * @returns whether a whole frame has come.
   * @throws {InvalidPacketError} `too-large` naming `maxFrameBytes`, as soon as the length has come.
   */
  advance(): boolean {
    if (this.#to - this.#from < FRAME_HEADER_BYTES) return false;
    const payloadBytes = this.#payloadBytes();
    if (payloadBytes > this.#maxFrameBytes) {
      throw new InvalidPacketError(
        "too-large",
        `Cannot read frame: length ${payloadBytes} exceeds maxFrameBytes ${this.#maxFrameBytes}`,
        { details: { limit: "maxFrameBytes", max: this.#maxFrameBytes, got: payloadBytes } },
      );
    }
    const start = this.#from + FRAME_HEADER_BYTES;
    if (this.#to - start < payloadBytes) return false;
    this.start = start;
    this.stop = this.#from = start + payloadBytes;
    return true;
  }

  /**
   * The next whole frame's payload, as a view.
   *
   * @throws {InvalidPacketError} `too-large` naming `maxFrameBytes`, as soon as the length has come.
   */
  next(): Uint8Array<ArrayBuffer> | undefined {
    return this.advance() ? this.buffer.subarray(this.start, this.stop) : undefined;
  }

  /** The stream has ended. @throws {InvalidPacketError} `bad-frame` when it ended inside a frame. */
  end(): void {
    const pending = this.pendingBytes;
    if (pending === 0) return;
    const wanted = pending < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : this.#frameBytes();
    throw new InvalidPacketError(
      "bad-frame",
      `Cannot read frame: the stream ended after ${pending} of ${wanted} bytes`,
      { details: { got: pending, wanted } },
    );
  }

  #payloadBytes(): number {
    const { buffer } = this;
    const at = this.#from;
    return (buffer[at] as number) * 0x1000000 +
      ((buffer[at + 1] as number) << 16 | (buffer[at + 2] as number) << 8 |
        (buffer[at + 3] as number));
  }

  /** Bytes of the frame that is coming in, header included; 0 while its length is unknown or not allowed. */
  #frameBytes(): number {
    if (this.#to - this.#from < FRAME_HEADER_BYTES) return 0;
    const payloadBytes = this.#payloadBytes();
    return payloadBytes > this.#maxFrameBytes ? 0 : payloadBytes + FRAME_HEADER_BYTES;
  }

  #moveDown(target: Uint8Array<ArrayBuffer>): void {
    if (target === this.buffer) target.copyWithin(0, this.#from, this.#to);
    else target.set(this.buffer.subarray(this.#from, this.#to));
    this.buffer = target;
    this.#to -= this.#from;
    this.#from = 0;
  }
}

/** How a {@linkcode FrameWriter} writes. */
export interface FrameWriterOptions {
  /** Largest payload in bytes. @default {16777216} */
  maxFrameBytes?: number;
}

/**
 * Collects frames into a batch that goes out in one socket write.
 *
 * A message is encoded in place: {@linkcode FrameWriter.begin} leaves room for the length, the encoder writes the
 * payload behind it, {@linkcode FrameWriter.end} patches the length in. Two buffers take turns, so that the next batch
 * fills while the last one is being written.
 *
 * @example
 * ```ts
 * import { FrameWriter } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const writer = new FrameWriter();
 * writer.begin();
 * writer.encoder.value("hi");
 * writer.end();
 * writer.frame(new Uint8Array([7]));
 * assertEquals(writer.take(), [new Uint8Array([0, 0, 0, 3, 0xa2, 104, 105, 0, 0, 0, 1, 7])]);
 * ```
 */
export class FrameWriter {
  /** Where payloads are encoded, between `begin` and `end`. */
  readonly encoder: Encoder;
  readonly #maxFrameBytes: number;
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #start = 0;
  #splicedBefore = 0;

  /** Makes a writer with nothing in it. */
  constructor(options: FrameWriterOptions = {}) {
    const { maxFrameBytes = MAX_FRAME_BYTES } = options;
    this.#maxFrameBytes = maxFrameBytes;
    this.encoder = new Encoder({ spliceFromBytes: SPLICE_FROM_BYTES });
  }

  /** Bytes in the batch, spliced ones included. */
  get pendingBytes(): number {
    return this.encoder.length + this.encoder.splicedBytes;
  }

  /** Opens a frame. */
  begin(): void {
    const { encoder } = this;
    this.#start = encoder.length;
    this.#splicedBefore = encoder.splicedBytes;
    encoder.reserve(FRAME_HEADER_BYTES);
    encoder.length += FRAME_HEADER_BYTES;
  }

  /** Closes the frame. @throws {InvalidPacketError} `too-large`; the frame is dropped, the ones before it stay. */
  end(): void {
    const { encoder } = this;
    const payloadBytes = encoder.length - this.#start - FRAME_HEADER_BYTES +
      encoder.splicedBytes - this.#splicedBefore;
    if (payloadBytes > this.#maxFrameBytes) {
      this.abort();
      throw new InvalidPacketError(
        "too-large",
        `Cannot write frame: length ${payloadBytes} exceeds maxFrameBytes ${this.#maxFrameBytes}`,
        { details: { limit: "maxFrameBytes", max: this.#maxFrameBytes, got: payloadBytes } },
      );
    }
    encoder.patchUint32(this.#start, payloadBytes);
  }

  /** Drops the open frame; the ones before it stay. */
  abort(): void {
    this.encoder.truncate(this.#start);
  }

  /** Adds a frame whose payload is at hand; a large one is not copied and must be left alone until it is sent. */
  frame(payload: Uint8Array): void {
    this.begin();
    if (payload.length >= SPLICE_FROM_BYTES) this.encoder.splice(payload);
    else this.encoder.raw(payload);
    this.end();
  }

  /**
   * Takes the batch, as the pieces to write in order. They are valid until the next `take`, which therefore comes only
   * when they have been written.
   */
  take(): Uint8Array<ArrayBufferLike>[] {
    const { encoder } = this;
    const { bytes, length, splices } = encoder;
    const pieces: Uint8Array[] = [];
    let at = 0;
    for (const splice of splices) {
      pieces.push(bytes.subarray(at, splice.at), splice.bytes);
      at = splice.at;
    }
    if (at < length) pieces.push(bytes.subarray(at, length));
    const next = this.#spare ?? new Uint8Array(INITIAL_READ_BYTES);
    this.#spare = bytes.length > KEPT_BYTES ? undefined : bytes;
    encoder.replaceBuffer(next);
    return pieces;
  }
}
