/**
 * Reading what a peerpy peer writes: headers of 128 bytes, and bodies of as many bytes as the header before them says,
 * however TCP has cut them.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { ClosedError, InvalidPacketError } from "../errors.ts";
import type { Connection } from "../transport/transport.ts";
import { decodeTextHeader, TEXT_HEADER_BYTES, type TextHeader } from "../wire/text_header.ts";

/**
 * Silence that ends a first header without padding, in milliseconds: more than the shortest time in which TCP sends
 * something again (200 ms on Linux), much less than a caller waits for its answer (2 s).
 */
export const UNPADDED_SILENCE_MS = 250;

const BUFFER_BYTES = 64 * 1024;

/** What is at least that long is read to where it belongs, not by way of the buffer. */
const DIRECT_BYTES = 16 * 1024;

const PAD = 0x7c;

/** Reads bytes of a connection in the portions that are asked for. */
export class TextReader {
  readonly #connection: Connection;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #start = 0;
  #stop: number;
  #filling: Promise<boolean> | undefined;
  // Padding of a first header that was taken without it: it may come after all.
  #latePadding = 0;

  /** Reads `connection`, of which `first` was read already: a few hundred bytes at most. */
  constructor(connection: Connection, first: Uint8Array = new Uint8Array(0)) {
    this.#connection = connection;
    this.#buffer.set(first);
    this.#stop = first.length;
  }

  /** What has come and was not taken: a view until the next call of anything else. */
  get pending(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#stop);
  }

  /** Waits for more than is pending. @returns whether there is more; `false` at the end. @throws {ClosedError} */
  fill(): Promise<boolean> {
    return this.#filling ??= this.#fill();
  }

  /** Takes bytes that are pending. */
  skip(count: number): void {
    this.#start = Math.min(this.#start + count, this.#stop);
  }

  /** Waits until so many bytes are pending: a few. @returns a view of them; of fewer at the end. @throws {ClosedError} */
  async peek(count: number): Promise<Uint8Array> {
    while (this.pending.length < count && await this.fill());
    return this.pending.subarray(0, count);
  }

  /** Fills `into`. @returns how many bytes came; fewer than asked for at the end. @throws {ClosedError} */
  async readInto(into: Uint8Array): Promise<number> {
    let got = 0;
    while (got < into.length) {
      const ready = this.pending.subarray(0, into.length - got);
      into.set(ready, got);
      this.skip(ready.length);
      got += ready.length;
      if (ready.length > 0) continue;
      if (into.length - got < DIRECT_BYTES || this.#filling !== undefined) {
        if (!await this.fill()) break;
      } else {
        const count = await this.#connection.read(into.subarray(got));
        if (count === null) break;
        got += count;
      }
    }
    return got;
  }

  /**
   * A header.
   *
   * @returns `undefined` when the stream ends before it.
   * @throws {InvalidPacketError} when it ends within it, or what comes is none. @throws {ClosedError}
   */
  async readHeader(): Promise<TextHeader | undefined> {
    for (; this.#latePadding > 0 && (await this.peek(1))[0] === PAD; this.#latePadding--) {
      this.skip(1);
    }
    this.#latePadding = 0;
    const bytes = await this.peek(TEXT_HEADER_BYTES);
    if (bytes.length === 0) return undefined;
    if (bytes.length < TEXT_HEADER_BYTES) throw endsWithin(bytes.length, TEXT_HEADER_BYTES);
    const header = decodeTextHeader(bytes);
    this.skip(TEXT_HEADER_BYTES);
    return header;
  }

  /**
   * The first header, which may lack its padding, as the peerpy document shows it and its program takes it.
   *
   * With padding it ends where all headers do, after 128 bytes. Without, nothing but silence tells that it is whole: what
   * has come is taken for it when it makes sense, does not end in padding and nothing follows for
   * {@linkcode UNPADDED_SILENCE_MS}. Padding that comes late after all is skipped: no header begins with it. What makes
   * no sense yet is waited for, as long as the caller lets it.
   *
   * @param parse Makes sense of it, or throws.
   * @throws {InvalidPacketError} when 128 bytes make no sense. @throws {ClosedError} when the stream ends first.
   */
  async readFirst<T>(clock: Clock, parse: (header: TextHeader) => T): Promise<T> {
    for (;;) {
      const { pending } = this;
      if (pending.length >= TEXT_HEADER_BYTES) {
        const parsed = parse(decodeTextHeader(pending.subarray(0, TEXT_HEADER_BYTES)));
        this.skip(TEXT_HEADER_BYTES);
        return parsed;
      }
      const parsed = pending.at(-1) === PAD
        ? undefined
        : attempt(() => parse(decodeTextHeader(pending)));
      const length = pending.length;
      const more = this.fill();
      if (parsed !== undefined && await isSilent(more, clock)) {
        this.skip(length);
        this.#latePadding = TEXT_HEADER_BYTES - length;
        return parsed.value;
      }
      if (!await more) {
        throw new ClosedError(`The connection ended after ${length} bytes of a header`);
      }
    }
  }

  async #fill(): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#stop);
    this.#stop -= this.#start;
    this.#start = 0;
    const count = await this.#connection.read(this.#buffer.subarray(this.#stop));
    // After a failure or the end it stays: there is nothing more to read.
    if (count === null) return false;
    this.#filling = undefined;
    this.#stop += count;
    return true;
  }
}

/** The stream ends where more was announced. */
export function endsWithin(got: number, size: number): InvalidPacketError {
  return new InvalidPacketError(
    "bad-frame",
    `Cannot decode peerpy data: the stream ends after ${got} of ${size} bytes`,
    { details: { got, size } },
  );
}

/** What comes of it, or `undefined` where it makes no sense. */
function attempt<T>(parse: () => T): { value: T } | undefined {
  try {
    return { value: parse() };
  } catch (error) {
    if (error instanceof InvalidPacketError) return undefined; // more bytes may make it whole
    throw error;
  }
}

async function isSilent(more: Promise<boolean>, clock: Clock): Promise<boolean> {
  const silence = Promise.withResolvers<boolean>();
  const timer = clock.after(UNPADDED_SILENCE_MS, () => silence.resolve(true));
  try {
    return await Promise.race([more.then(() => false), silence.promise]);
  } finally {
    timer.cancel();
  }
}
