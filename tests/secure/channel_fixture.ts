/**
 * Secure channels without a network: what one side writes, as bytes that a test may change before the other reads them.
 *
 * @module
 */

import { type Clock, systemClock } from "../../src/clock.ts";
import { RECORD_HEADER_BYTES, SecureConnection } from "../../src/secure/channel.ts";
import { CipherState, type NoiseCiphers } from "../../src/secure/noise.ts";
import type { Address, Connection } from "../../src/transport/transport.ts";
import { concat } from "../fuzz/generate.ts";

const HERE: Address = { hostname: "here", port: 1 };
const THERE: Address = { hostname: "there", port: 2 };

/** Bytes of a record with nothing in it. */
export const EMPTY_RECORD_BYTES = 18;

/** A connection that plays bytes, then ends; what is written to it is kept. */
export class Played implements Connection {
  readonly local = HERE;
  readonly remote = THERE;
  readonly written: Uint8Array[] = [];
  /** The largest buffer that was there to be read into. */
  largestRead = 0;
  closed = false;
  writeClosed = false;
  readonly #bytes: Uint8Array;
  readonly #pieceBytes: () => number;
  #at = 0;

  /** @param pieceBytes How much arrives with every read, at most. */
  constructor(bytes: Uint8Array, pieceBytes: number | (() => number) = Infinity) {
    this.#bytes = bytes;
    this.#pieceBytes = typeof pieceBytes === "number" ? () => pieceBytes : pieceBytes;
  }

  /** Bytes that were taken. */
  get taken(): number {
    return this.#at;
  }

  read(into: Uint8Array): Promise<number | null> {
    this.largestRead = Math.max(this.largestRead, into.length);
    const left = this.#bytes.length - this.#at;
    if (left === 0) return Promise.resolve(null);
    const count = Math.min(left, into.length, this.#pieceBytes());
    into.set(this.#bytes.subarray(this.#at, this.#at += count));
    return Promise.resolve(count);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes.slice());
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    this.writeClosed = true;
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
  }
}

/** The ciphers of both ends of a connection. @param number Other keys for another number. */
export function cipherPair(number = 1): [NoiseCiphers, NoiseCiphers] {
  const cipher = (salt: number) => new CipherState(new Uint8Array(32).fill(2 * number + salt));
  return [
    { send: cipher(0), receive: cipher(1) },
    { send: cipher(1), receive: cipher(0) },
  ];
}

/** How a channel is made, where it matters. */
export interface ChannelSettings {
  ciphers?: NoiseCiphers;
  rest?: Uint8Array;
  clock?: Clock;
  rekeyBytes?: number;
}

/** The end of a channel that writes. */
export function sender(
  inner: Connection,
  settings: ChannelSettings = {},
): SecureConnection {
  const [ciphers] = cipherPair();
  return channelOf(inner, { ciphers, ...settings });
}

/** The end of a channel that reads what {@linkcode sender} writes. */
export function receiver(
  inner: Connection,
  settings: ChannelSettings = {},
): SecureConnection {
  const [, ciphers] = cipherPair();
  return channelOf(inner, { ciphers, ...settings });
}

function channelOf(
  inner: Connection,
  settings: ChannelSettings & { ciphers: NoiseCiphers },
): SecureConnection {
  const { rest = new Uint8Array(0), clock = systemClock, ...more } = settings;
  return new SecureConnection(inner, { ...more, rest, clock });
}

/** What the sender puts on the wire for these writes and, unless told otherwise, the end. */
export async function sealed(
  plaintexts: readonly Uint8Array[],
  settings: ChannelSettings & { end?: boolean } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { end = true, ...more } = settings;
  const wire = new Played(new Uint8Array(0));
  const channel = sender(wire, more);
  for (const plaintext of plaintexts) await channel.write(plaintext);
  if (end) await channel.closeWrite();
  return concat(...wire.written);
}

/** What was read, and what ended it: `undefined` for an end in order. */
export interface Outcome {
  readonly bytes: Uint8Array;
  readonly error?: unknown;
}

/** Reads until there is nothing more. @param intoBytes How much one read may give. */
export async function readAll(
  connection: Connection,
  intoBytes: number | (() => number) = 64 * 1024,
): Promise<Outcome> {
  const pieces: Uint8Array[] = [];
  try {
    for (;;) {
      const into = new Uint8Array(typeof intoBytes === "number" ? intoBytes : intoBytes());
      const count = await connection.read(into);
      if (count === null) return { bytes: concat(...pieces) };
      pieces.push(into.subarray(0, count));
    }
  } catch (error) {
    return { bytes: concat(...pieces), error };
  }
}

/** What the receiver makes of bytes. */
export async function opened(
  bytes: Uint8Array,
  settings: ChannelSettings = {},
): Promise<Outcome & { inner: Played }> {
  const inner = new Played(bytes);
  return { ...await readAll(receiver(inner, settings)), inner };
}

/** The records in bytes. */
export function recordsOf(bytes: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = (bytes[at] ?? 0) << 8 | (bytes[at + 1] ?? 0);
    records.push(bytes.slice(at, at += RECORD_HEADER_BYTES + length));
  }
  return records;
}

/** The same bytes with one bit turned over. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

/** Bytes that show when a piece of them is out of place. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 7 + (at >> 8) * 13) & 0xff;
  return bytes;
}
