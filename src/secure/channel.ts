/**
 * A connection that nobody on the way can read, change, cut or replay unnoticed.
 *
 * After the handshake (see `channel_handshake.ts`) everything travels in records, both ways:
 *
 * ```
 * length (2 bytes, big-endian) | ciphertext and its 16-byte tag         length <= 65,535
 * ```
 *
 * A record holds whatever is written at once, up to 65,519 bytes of it: many messages share one. Its nonce is its number,
 * so that none can be left out, repeated or put elsewhere. An empty record says that the sender goes on with a new key
 * (the framework's REKEY), which it does after a gigabyte or two minutes; a second empty one right behind it says that
 * nothing more will come. So an end that was not meant is told from one that was.
 *
 * Source: the Noise Protocol Framework, revision 34, sections 3, 4.2, 11.3 and 13.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { ClosedError, IntegrityError } from "../errors.ts";
import { type Address, type Connection, formatAddress } from "../transport/transport.ts";
import { TAG_BYTES } from "./aead.ts";
import { MAX_NOISE_BYTES, type NoiseCiphers } from "./noise.ts";

/** Bytes before a record that tell its length. */
export const RECORD_HEADER_BYTES = 2;

/** Most bytes of plaintext in a record. */
export const MAX_RECORD_BYTES: number = MAX_NOISE_BYTES - TAG_BYTES;

/** Bytes after which a sender changes its key. */
const REKEY_BYTES = 2 ** 30;

/** Milliseconds after which it does so, with the next bytes: those of WireGuard. */
const REKEY_MS = 120_000;

/** Records that are written at once: enough for few calls, little enough for both sides to be at work. */
const RECORDS_A_WRITE = 4;

/** Bytes of these. */
const WRITE_BYTES = RECORDS_A_WRITE * (RECORD_HEADER_BYTES + MAX_NOISE_BYTES);

/** Buffers for small writes belong to their connection; large ones are shared, and this many are kept. */
const SMALL_WRITE_BYTES = 16 * 1024;
const KEPT_BUFFERS = 4;

/** A connection's read buffer at first and at most: two of the largest records. */
const FIRST_READ_BYTES = 4 * 1024;
const MAX_READ_BYTES = 2 * (RECORD_HEADER_BYTES + MAX_NOISE_BYTES);

/** Records that one read decrypts before others have a turn. */
const RECORDS_A_READ = 16;

const NOTHING: Uint8Array = new Uint8Array(0);

/** How a {@linkcode SecureConnection} is made. */
export interface SecureConnectionOptions {
  /** The ciphers that the handshake ended with. */
  ciphers: NoiseCiphers;
  /** What was read from the connection beyond the handshake. */
  rest: Uint8Array;
  /** Tells when it is time for a new key. */
  clock: Clock;
  /** Bytes after which the key is changed. @default {1073741824} */
  rekeyBytes?: number;
}

/** A connection inside a connection; see the module. */
export class SecureConnection implements Connection {
  readonly #inner: Connection;
  readonly #options: SecureConnectionOptions;
  readonly #rekeyBytes: number;
  #small = NOTHING;
  #sentBytes = 0;
  #rekeyedMs: number;
  #writing = false;
  #writeEnded = false;
  // What has come and is not decrypted yet: bytes [#from, #to) of the buffer.
  #buffer: Uint8Array<ArrayBuffer>;
  #from = 0;
  #to: number;
  // What is decrypted and did not fit where it was to go.
  #plaintext = NOTHING;
  #wasEmpty = false;
  #ended = false;
  #failure: unknown;

  /** Goes on where a handshake ended; the connection underneath belongs to it from now on. */
  constructor(inner: Connection, options: SecureConnectionOptions) {
    const { rest, clock, rekeyBytes = REKEY_BYTES } = options;
    this.#inner = inner;
    this.#options = options;
    this.#rekeyBytes = rekeyBytes;
    this.#rekeyedMs = clock.now();
    this.#buffer = new Uint8Array(Math.max(FIRST_READ_BYTES, rest.length));
    this.#buffer.set(rest);
    this.#to = rest.length;
  }

  /** Our end. */
  get local(): Address {
    return this.#inner.local;
  }

  /** The other end. */
  get remote(): Address {
    return this.#inner.remote;
  }

  /**
   * Reads what has come; see `Connection`.
   *
   * @throws {IntegrityError} `bad-signature` when a record is not what the other side sent; the connection is closed.
   * @throws {ClosedError} when the connection breaks, or ends without the other side having said so.
   */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#failure !== undefined) throw this.#failure;
    if (into.length === 0) return 0;
    try {
      for (;;) {
        const count = this.#takeOut(into);
        if (count > 0) return count;
        if (this.#ended) return null;
        await this.#fill();
      }
    } catch (error) {
      this.#failure = error;
      if (error instanceof IntegrityError) this.#inner.close();
      throw error;
    }
  }

  /** Writes all of `bytes`, encrypted; see `Connection`. */
  async write(bytes: Uint8Array): Promise<void> {
    // Before anything is sealed: a record that does not leave would be missing.
    if (this.#writing) throw new TypeError("Cannot write: another write is under way");
    this.#writing = true;
    try {
      await this.#writeAll(bytes);
    } finally {
      this.#writing = false;
    }
  }

  /** Says that nothing more will come, so that both sides know it was meant; see `Connection`. */
  async closeWrite(): Promise<void> {
    if (this.#writeEnded) return;
    this.#writeEnded = true;
    await this.#writeEmpty();
    await this.#writeEmpty();
    await this.#inner.closeWrite();
  }

  /** Closes both directions at once; see `Connection`. */
  close(): void {
    this.#inner.close();
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    const { clock } = this.#options;
    let at = 0;
    do {
      const part = bytes.subarray(at, at += RECORDS_A_WRITE * MAX_RECORD_BYTES);
      // Not before nothing: two empty records in a row would be the end.
      if (part.length > 0 && this.#wantsNewKey(clock.now())) await this.#writeEmpty();
      await this.#writePart(part);
    } while (at < bytes.length);
  }

  #wantsNewKey(nowMs: number): boolean {
    return this.#sentBytes >= this.#rekeyBytes || nowMs - this.#rekeyedMs >= REKEY_MS;
  }

  async #writePart(part: Uint8Array): Promise<void> {
    const records = Math.ceil(part.length / MAX_RECORD_BYTES);
    const buffer = this.#bufferFor(part.length + records * (RECORD_HEADER_BYTES + TAG_BYTES));
    let end = 0;
    for (let at = 0; at < part.length; at += MAX_RECORD_BYTES) {
      end = this.#seal(buffer, end, part.subarray(at, at + MAX_RECORD_BYTES));
    }
    this.#sentBytes += part.length;
    try {
      await this.#inner.write(buffer.subarray(0, end));
    } finally {
      giveBack(buffer);
    }
  }

  /** Says that there is a new key, and takes it. */
  async #writeEmpty(): Promise<void> {
    const record = new Uint8Array(RECORD_HEADER_BYTES + TAG_BYTES);
    this.#seal(record, 0, NOTHING);
    const { send } = this.#options.ciphers;
    send.rekey();
    this.#sentBytes = 0;
    this.#rekeyedMs = this.#options.clock.now();
    await this.#inner.write(record);
  }

  /** Writes a record into a buffer. @returns where it ends. */
  #seal(buffer: Uint8Array, at: number, plaintext: Uint8Array): number {
    const length = plaintext.length + TAG_BYTES;
    buffer[at] = length >>> 8;
    buffer[at + 1] = length & 0xff;
    return this.#options.ciphers.send.encryptInto(buffer, at + RECORD_HEADER_BYTES, plaintext);
  }

  #bufferFor(bytes: number): Uint8Array {
    if (bytes > SMALL_WRITE_BYTES) return borrow();
    if (this.#small.length < bytes) {
      this.#small = new Uint8Array(Math.min(SMALL_WRITE_BYTES, Math.max(bytes * 2, 256)));
    }
    return this.#small;
  }

  /** Decrypts into a buffer as much as has come and fits. @returns how many bytes. */
  #takeOut(into: Uint8Array): number {
    let count = this.#takeRest(into);
    for (let records = 0; records < RECORDS_A_READ && count < into.length; records++) {
      const plaintext = this.#nextRecord(count === 0 ? Infinity : into.length - count);
      if (plaintext === undefined) break;
      if (plaintext.length <= into.length - count) {
        into.set(plaintext, count);
        count += plaintext.length;
      } else {
        this.#plaintext = plaintext;
        count += this.#takeRest(into);
      }
    }
    return count;
  }

  #takeRest(into: Uint8Array): number {
    const count = Math.min(into.length, this.#plaintext.length);
    if (count === 0) return 0;
    into.set(this.#plaintext.subarray(0, count));
    this.#plaintext = this.#plaintext.subarray(count);
    return count;
  }

  /** The next record's plaintext, if the record has come and is no longer than that. */
  #nextRecord(maxBytes: number): Uint8Array | undefined {
    for (;;) {
      if (this.#ended || this.#to - this.#from < RECORD_HEADER_BYTES) return undefined;
      const length = this.#recordLength();
      if (length < TAG_BYTES) throw this.#notAuthentic(`it has only ${length} bytes`);
      const start = this.#from + RECORD_HEADER_BYTES;
      if (this.#to - start < length || length - TAG_BYTES > maxBytes) return undefined;
      const { receive } = this.#options.ciphers;
      const plaintext = receive.decrypt(this.#buffer.subarray(start, start + length));
      if (plaintext === undefined) throw this.#notAuthentic("its tag is wrong");
      this.#from = start + length;
      if (plaintext.length > 0) {
        this.#wasEmpty = false;
        return plaintext;
      }
      this.#ended = this.#wasEmpty;
      this.#wasEmpty = true;
      receive.rekey();
    }
  }

  async #fill(): Promise<void> {
    this.#makeRoom();
    const count = await this.#inner.read(this.#buffer.subarray(this.#to));
    if (count === null) throw this.#cut();
    this.#to += count;
  }

  /** Makes room for the whole record that is coming in, or for more than was read last time. */
  #makeRoom(): void {
    const waiting = this.#buffer.subarray(this.#from, this.#to);
    const wanted = waiting.length < RECORD_HEADER_BYTES
      ? RECORD_HEADER_BYTES
      : RECORD_HEADER_BYTES + this.#recordLength();
    const wasFull = this.#to === this.#buffer.length;
    if (wanted > this.#buffer.length || (wasFull && this.#buffer.length < MAX_READ_BYTES)) {
      const size = Math.min(MAX_READ_BYTES, Math.max(wanted, this.#buffer.length * 2));
      const larger = new Uint8Array(size);
      larger.set(waiting);
      this.#buffer = larger;
    } else {
      this.#buffer.copyWithin(0, this.#from, this.#to);
    }
    this.#from = 0;
    this.#to = waiting.length;
  }

  #recordLength(): number {
    return (this.#buffer[this.#from] ?? 0) << 8 | (this.#buffer[this.#from + 1] ?? 0);
  }

  #notAuthentic(why: string): IntegrityError {
    const record = this.#options.ciphers.receive.count;
    const from = formatAddress(this.remote);
    return new IntegrityError(
      "bad-signature",
      `Cannot read from ${from}: record ${record} is not what was sent, ${why}`,
      { details: { record } },
    );
  }

  #cut(): ClosedError {
    const from = formatAddress(this.remote);
    return new ClosedError(`The connection to ${from} was cut: nobody said that it ends`, {
      details: { cut: true },
    });
  }
}

// Buffers for large writes, of which a connection needs one only as long as it writes.
const spare: Uint8Array[] = [];

function borrow(): Uint8Array {
  return spare.pop() ?? new Uint8Array(WRITE_BYTES);
}

function giveBack(buffer: Uint8Array): void {
  if (buffer.length === WRITE_BYTES && spare.length < KEPT_BUFFERS) spare.push(buffer);
}
