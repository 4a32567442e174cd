/**
 * How far a subscriber has got, as a text that it can keep.
 *
 * ```
 * text   = base64url(bytes), without padding
 * bytes  = version (1) | fields (MessagePack) | first 4 bytes of SHA-256 of what stands before
 * fields = [ from ms, [ [author (20-byte bin), [first, count, gap, count, gap, count, ...]], ... ] ]
 * ```
 *
 * An author's ranges of numbers ascend: the first number, how many follow each other, how many are left out, how many
 * follow. Authors stand in the order in which they were last heard. Bits that flipped on a disk are noticed by the hash;
 * whoever writes a text on purpose only misleads itself.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { concat } from "../wire/concat.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { Ranges } from "./ranges.ts";

/** Longest text of a cursor in characters: 256 KiB. */
export const MAX_CURSOR_CHARS: number = 256 * 1024;

/** Of the format. */
const VERSION = 1;

/** Bytes of an author's id, and of the hash. */
const [ID_BYTES, HASH_BYTES] = [20, 4];

/** Most ranges of one author. */
const MAX_RANGES = 256;

/** What an author and a range take in the text at most, in bytes: with its headers, and two integers of 64 bits. */
const [AUTHOR_BYTES, RANGE_BYTES] = [30, 18];

/** What all authors may take, in bytes, so that no text is too long. */
const MAX_BYTES = MAX_CURSOR_CHARS / 4 * 3 - 64;

/** What a {@linkcode Cursor} knows a message by. */
export interface MessageName {
  /** Its author, 40 hexadecimal digits. */
  readonly from: string;
  /** Its author's number for it. */
  readonly seq: number;
}

/**
 * What a subscriber has had. A program that keeps its text and begins with it the next time gets what it missed, as far as
 * others still have that, and nothing twice.
 *
 * It is as bounded as its text. An author of whom more than 256 ranges of messages came has the smallest of its older gaps
 * closed, and does not get what belongs into it. When there are too many authors (some thousands), the one that was heard
 * of longest ago is forgotten: what it said may come again, should anybody still have it.
 *
 * @example
 * ```ts
 * import { Cursor } from "@kith/kith/gossip";
 * import { assertEquals } from "@std/assert";
 *
 * const cursor = new Cursor();
 * const from = "ab".repeat(20);
 * cursor.add({ from, seq: 7 });
 * // The next time it begins with the text that was kept.
 * const next = Cursor.parse(cursor.toString());
 * assertEquals([7, 8].map((seq) => next.has({ from, seq, createdMs: 0 })), [true, false]);
 * ```
 */
export class Cursor {
  /** Nothing that was created before is wanted, in milliseconds since 1970. */
  readonly fromMs: number;
  // In the order in which they were last heard.
  readonly #authors = new Map<string, Ranges>();
  #ranges = 0;

  /**
   * Begins where nothing has come yet.
   *
   * @param fromMs See {@linkcode Cursor.fromMs}; a fraction is dropped.
   * @throws {RangeError} when it is not a time from 1970 on.
   */
  constructor(fromMs = 0) {
    this.fromMs = Math.floor(fromMs);
    if (isWhole(this.fromMs)) return;
    throw new RangeError(`fromMs must be 0..2^53 - 1: current value is ${fromMs}`);
  }

  /** Whether a message has come, or is too old to be wanted. */
  has({ from, seq, createdMs }: MessageName & { readonly createdMs: number }): boolean {
    return createdMs < this.fromMs || (this.#authors.get(from)?.has(seq) ?? false);
  }

  /**
   * Takes note of a message that has come.
   *
   * @throws {TypeError} when the author is not 40 hexadecimal digits, lower-case.
   * @throws {RangeError} when the number is not a whole one from 0 to 2^53 - 1.
   */
  add({ from, seq }: MessageName): void {
    const ranges = this.#authors.get(from) ?? newAuthor(from);
    const { size } = ranges;
    if (!ranges.add(seq)) return;
    this.#ranges += ranges.size - size;
    this.#authors.delete(from);
    this.#authors.set(from, ranges);
    while (this.#maxBytes > MAX_BYTES) this.#forgetOldest();
  }

  /** The text to keep, of at most 256 KiB. */
  toString(): string {
    const authors = [...this.#authors].map(([author, ranges]) => {
      return [Uint8Array.fromHex(author), numbersOf(ranges)];
    });
    const body = concat(Uint8Array.of(VERSION), encode([this.fromMs, authors]));
    return toText(concat(body, hashOf(body)));
  }

  /**
   * Reads a text that was kept.
   *
   * @throws {InvalidPacketError} `too-large`, `bad-version` for one of a later version; `bad-message` naming what is wrong.
   */
  static parse(text: string): Cursor {
    const fields = fieldsOf(bytesOf(text));
    const [fromMs, authors, ...more] = Array.isArray(fields) ? fields : [];
    if (!isWhole(fromMs)) throw bad("bad time");
    if (!Array.isArray(authors)) throw bad("no list of authors");
    if (more.length > 0) throw bad("more than two fields");
    const cursor = new Cursor(fromMs);
    authors.forEach((author: unknown, at) => cursor.#restore(author, at));
    return cursor;
  }

  #restore(value: unknown, at: number): void {
    const [id, numbers, ...more]: readonly unknown[] = Array.isArray(value) ? value : [];
    if (!(id instanceof Uint8Array) || id.length !== ID_BYTES) throw bad(`bad id of author ${at}`);
    const author = id.toHex();
    if (this.#authors.has(author)) throw bad(`author ${at} stands there twice`);
    const ranges = rangesOf(numbers);
    if (ranges === undefined || more.length > 0) throw bad(`bad ranges of author ${at}`);
    this.#authors.set(author, ranges);
    this.#ranges += ranges.size;
    if (this.#maxBytes > MAX_BYTES) throw bad("more authors and ranges than there may be");
  }

  get #maxBytes(): number {
    return this.#authors.size * AUTHOR_BYTES + this.#ranges * RANGE_BYTES;
  }

  #forgetOldest(): void {
    const [oldest = ""] = this.#authors.keys();
    this.#ranges -= this.#authors.get(oldest)?.size ?? 0;
    this.#authors.delete(oldest);
  }
}

function newAuthor(id: string): Ranges {
  if (/^[0-9a-f]{40}$/.test(id)) return new Ranges(MAX_RANGES);
  throw new TypeError(`An author must be 40 hexadecimal digits: current value is ${printable(id)}`);
}

/** First number, count, gap, count, ...; see the module. */
function numbersOf(ranges: Ranges): number[] {
  const numbers: number[] = [];
  let next = 0;
  for (const [from, to] of ranges) {
    numbers.push(from - next, to - from + 1);
    next = to + 1;
  }
  return numbers;
}

/** The ranges that numbers stand for; `undefined` where these make no sense. */
function rangesOf(numbers: unknown): Ranges | undefined {
  if (!Array.isArray(numbers) || numbers.length === 0) return undefined;
  const ranges = new Ranges(MAX_RANGES);
  let next = 0;
  for (let at = 0; at < numbers.length; at += 2) {
    const [gap, count]: readonly unknown[] = numbers.slice(at, at + 2);
    if (!isWhole(gap) || !isWhole(count)) return undefined;
    const from = next + gap;
    const to = from + (count - 1);
    // Not empty, not touching the one before, not beyond 2^53 - 1.
    if (!isWhole(from) || !isWhole(to) || !ranges.append(from, to)) return undefined;
    next = to + 1;
  }
  return ranges;
}

/** What the hash stands behind. */
function bytesOf(text: string): Uint8Array {
  if (text.length > MAX_CURSOR_CHARS) {
    const details = { limit: "maxCursorChars", max: MAX_CURSOR_CHARS, got: text.length };
    const what = `${text.length} characters exceed ${MAX_CURSOR_CHARS}`;
    throw new InvalidPacketError("too-large", `Cannot read cursor: ${what}`, { details });
  }
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw bad("it is not base64url");
  const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
  // One text for the same bytes: the last character has bits to spare.
  if (toText(bytes) !== text) throw bad("it is damaged at its end");
  const [body, hash] = [bytes.subarray(0, -HASH_BYTES), bytes.subarray(-HASH_BYTES)];
  if (hashOf(body).toHex() !== hash.toHex()) throw bad("it is damaged: its hash does not fit");
  return body;
}

function fieldsOf(body: Uint8Array): unknown {
  const [version] = body;
  if (version === VERSION) return decode(body.subarray(1));
  throw new InvalidPacketError("bad-version", `Cannot read cursor: version ${version}, not 1`, {
    details: { version, known: VERSION },
  });
}

function toText(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function hashOf(body: Uint8Array): Uint8Array {
  return createHash("sha256").update(body).digest().subarray(0, HASH_BYTES);
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read cursor: ${why}`);
}
