/**
 * The MessagePack encoder: values into one growable buffer, many after one another, nothing allocated per value.
 *
 * A connection owns one {@linkcode Encoder} and encodes each message straight into the batch that its next socket write
 * takes (see `frame.ts`). Large `bin` values are not copied into the batch: they are noted as splices, and the writer
 * sends them from where they are.
 *
 * Source: the MessagePack specification; integers take their shortest form, floats are float64, `str` and `bin` are
 * different types, as in all of kith's dialects.
 *
 * @module
 */

import { compareCodePoints } from "./code_point_order.ts";
import { Extension, Float64, LateBytes, TIMESTAMP_EXTENSION } from "./msgpack_types.ts";
import { timestampToBytes } from "./timestamp.ts";

/** Deepest nesting of arrays and maps that is written, and by default read: more is a mistake or an attack. */
export const MAX_DEPTH = 64;

/** Bytes a new encoder can take before it grows. */
const INITIAL_BYTES = 4096;

/** Strings up to this many UTF-16 units are written by our own loop, longer ones by `encodeInto` (measured crossover). */
const SHORT_STRING_CHARS = 48;

/** How much of a spliced `bin` is copied behind its header. */
const SPLICE_LEAD_BYTES = 4096;

const textEncoder = new TextEncoder();

/** A `bin` value that stays where it is: it belongs between `bytes[..at]` and `bytes[at..]` of the encoder. */
export interface Splice {
  /** Position in the encoder's bytes. */
  readonly at: number;
  /** The caller's bytes, not to be changed until they are sent. */
  readonly bytes: Uint8Array;
}

/** How an {@linkcode Encoder} writes. */
export interface EncoderOptions {
  /** Sort map keys by code point, so that equal values give equal bytes; for what is signed. @default {false} */
  canonical?: boolean;
  /** `bin` values of at least this many bytes are spliced, not copied. @default {Infinity} */
  spliceFromBytes?: number;
  /** Bytes to start with. @default {4096} */
  initialBytes?: number;
}

/**
 * Writes MessagePack into a buffer that it owns and grows.
 *
 * @example
 * ```ts
 * import { Encoder } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const encoder = new Encoder();
 * encoder.value(["a", 1]);
 * assertEquals(encoder.take(), new Uint8Array([0x92, 0xa1, 0x61, 0x01]));
 * ```
 */
export class Encoder {
  /** The buffer; the first {@linkcode Encoder.length} bytes are written. Replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  /** How many bytes are written, splices not counted. */
  length = 0;
  /** Values left where they are, in order. */
  splices: Splice[] = [];
  /** Bytes of all splices together. */
  splicedBytes = 0;
  readonly #canonical: boolean;
  readonly #spliceFromBytes: number;
  #view: DataView;
  #depth = 0;

  /** Makes an empty encoder. */
  constructor(options: EncoderOptions = {}) {
    const { canonical = false, spliceFromBytes = Infinity, initialBytes = INITIAL_BYTES } = options;
    this.#canonical = canonical;
    this.#spliceFromBytes = spliceFromBytes;
    this.bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** Goes on in another, empty buffer: what was written stays with whoever took the old one. */
  replaceBuffer(bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.truncate(0);
  }

  /** Forgets everything written after position `length`, so that a failed message leaves no trace. */
  truncate(length: number): void {
    this.length = length;
    this.#depth = 0;
    while (this.splices.length > 0 && (this.splices.at(-1)?.at ?? 0) > length) {
      this.splicedBytes -= this.splices.pop()?.bytes.length ?? 0;
    }
  }

  /** A copy of what was written; the encoder is empty afterwards. @throws {TypeError} when something was spliced. */
  take(): Uint8Array<ArrayBuffer> {
    if (this.splices.length > 0) throw new TypeError("Cannot take: spliced bytes are not in here");
    const taken = this.bytes.slice(0, this.length);
    this.truncate(0);
    return taken;
  }

  /** Overwrites four bytes at `at` with an unsigned big-endian integer: how a frame's length is patched in. */
  patchUint32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  /** Writes one byte as it is. */
  byte(byte: number): void {
    if (this.length === this.bytes.length) this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  /** Writes bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /**
   * Writes any value: nil (also for `undefined`), boolean, number, bigint, string, `Uint8Array`, array, plain object,
   * `Map`, `Date`, {@linkcode Float64}, {@linkcode LateBytes}, {@linkcode Extension}.
   *
   * @throws {TypeError} for what MessagePack has no form for (functions, symbols, class instances).
   * @throws {RangeError} for integers beyond 64 bits and for nesting deeper than {@linkcode MAX_DEPTH}.
   */
  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        return this.string(value);
      case "number":
        return this.number(value);
      case "boolean":
        return this.byte(value ? 0xc3 : 0xc2);
      case "undefined":
        return this.byte(0xc0);
      case "bigint":
        return this.bigint(value);
      case "object":
        return value === null ? this.byte(0xc0) : this.#object(value);
      default:
        throw new TypeError(`Cannot encode a ${typeof value} as MessagePack`);
    }
  }

  /** Writes a number: an integer in its shortest form where it is a safe one, else a float64. */
  number(value: number): void {
    if ((value | 0) !== value) {
      if (!Number.isSafeInteger(value)) return this.float64(value);
    } else if (value === 0 && 1 / value < 0) {
      return this.float64(value); // -0 has no integer form
    }
    if (this.length + 9 > this.bytes.length) this.reserve(9);
    if (value >= 0) this.#unsigned(value);
    else this.#negative(value);
  }

  /** Writes a float64, also for whole numbers. */
  float64(value: number): void {
    this.reserve(9);
    this.bytes[this.length] = 0xcb;
    // An engine may carry a NaN's payload along; equal values must give equal bytes.
    this.#view.setFloat64(this.length + 1, Number.isNaN(value) ? NaN : value);
    this.length += 9;
  }

  /** Writes a bigint in the shortest integer form. @throws {RangeError} beyond 64 bits. */
  bigint(value: bigint): void {
    if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) {
      return this.number(Number(value));
    }
    this.reserve(9);
    if (BigInt.asUintN(64, value) === value) {
      this.bytes[this.length] = 0xcf;
      this.#view.setBigUint64(this.length + 1, value);
    } else if (BigInt.asIntN(64, value) === value) {
      this.bytes[this.length] = 0xd3;
      this.#view.setBigInt64(this.length + 1, value);
    } else {
      throw new RangeError("Cannot encode a bigint as MessagePack: it needs more than 64 bits");
    }
    this.length += 9;
  }

  /** Writes a `str`. Lone surrogates become U+FFFD, as in every UTF-8 encoder of the platform. */
  string(text: string): void {
    const chars = text.length;
    if (chars > SHORT_STRING_CHARS) return this.#longString(text);
    if (this.length + chars + 2 > this.bytes.length) this.reserve(chars + 2);
    const bytes = this.bytes;
    const start = this.length;
    let at = start;
    if (chars < 32) {
      bytes[at++] = 0xa0 | chars;
    } else {
      bytes[at++] = 0xd9;
      bytes[at++] = chars;
    }
    for (let i = 0; i < chars; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return this.#longString(text);
      bytes[at++] = unit;
    }
    this.length = at;
  }

  /** Writes a `bin`; from `spliceFromBytes` on without copying it. */
  bin(bytes: Uint8Array): void {
    const count = bytes.length;
    this.reserve(count < this.#spliceFromBytes ? count + 5 : 5);
    this.#lengthHeader(count, 0xc4, 0xc5, 0xc6);
    if (count >= this.#spliceFromBytes) {
      this.splice(bytes);
    } else {
      this.bytes.set(bytes, this.length);
      this.length += count;
    }
  }

  /**
   * Notes bytes that belong here and stay where they are; not to be changed until they are sent. Their beginning is
   * copied all the same: alone, the few bytes before it would be a packet of their own that wakes the other side.
   */
  splice(bytes: Uint8Array): void {
    const rest = bytes.subarray(SPLICE_LEAD_BYTES);
    this.raw(bytes.subarray(0, SPLICE_LEAD_BYTES));
    if (rest.length === 0) return;
    this.splices.push({ at: this.length, bytes: rest });
    this.splicedBytes += rest.length;
  }

  /** Writes the header of an array; `count` values must follow. */
  arrayHeader(count: number): void {
    this.reserve(5);
    this.#containerHeader(count, 0x90, 0xdc, 0xdd);
  }

  /** Writes the header of a map; `count` keys and values must follow. */
  mapHeader(count: number): void {
    this.reserve(5);
    this.#containerHeader(count, 0x80, 0xde, 0xdf);
  }

  #object(value: object): void {
    if (this.#depth >= MAX_DEPTH) {
      throw new RangeError(`Cannot encode MessagePack: nesting exceeds ${MAX_DEPTH}`);
    }
    this.#depth++;
    if (Array.isArray(value)) this.#array(value);
    else this.#nonArray(value);
    this.#depth--;
  }

  #array(values: readonly unknown[]): void {
    this.arrayHeader(values.length);
    for (let i = 0; i < values.length; i++) this.value(values[i]);
  }

  #nonArray(value: object): void {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) {
      if (this.#canonical || isPrototypePolluted()) this.#entries(Object.entries(value));
      else this.#plainObject(value as Record<string, unknown>);
    } else if (value instanceof Uint8Array) {
      this.bin(value);
    } else if (value instanceof Map) {
      this.#entries([...value]);
    } else if (value instanceof LateBytes) {
      this.#lateBin(value);
    } else if (value instanceof Float64) {
      this.float64(value.value);
    } else if (value instanceof Extension) {
      this.#extension(value.type, value.data);
    } else if (value instanceof Date) {
      this.#extension(TIMESTAMP_EXTENSION, timestampToBytes(value));
    } else {
      const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
      throw new TypeError(`Cannot encode an instance of ${String(name)} as MessagePack`);
    }
  }

  // `for in` lets V8 read the fields by index, but the count is only known at the end: it is patched in, and a map of
  // more than 15 keys moves up by two bytes. Counting first costs more for the small maps that messages are made of.
  #plainObject(object: Record<string, unknown>): void {
    const start = this.length;
    const splicesBefore = this.splices.length;
    this.byte(0x80);
    let count = 0;
    for (const key in object) {
      count++;
      this.string(key);
      this.value(object[key]);
    }
    if (count <= 15) this.bytes[start] = 0x80 | count;
    else this.#widenMapHeader(start, count, splicesBefore);
  }

  #widenMapHeader(start: number, count: number, splicesBefore: number): void {
    const extra = count < 0x10000 ? 2 : 4;
    this.reserve(extra);
    this.bytes.copyWithin(start + 1 + extra, start + 1, this.length);
    this.bytes[start] = extra === 2 ? 0xde : 0xdf;
    if (extra === 2) this.#view.setUint16(start + 1, count);
    else this.#view.setUint32(start + 1, count);
    this.length += extra;
    for (let i = splicesBefore; i < this.splices.length; i++) {
      const splice = this.splices[i];
      if (splice) this.splices[i] = { at: splice.at + extra, bytes: splice.bytes };
    }
  }

  #entries(entries: [unknown, unknown][]): void {
    if (this.#canonical) entries.sort(([a], [b]) => compareKeys(a, b));
    this.mapHeader(entries.length);
    for (const [key, value] of entries) {
      this.value(key);
      this.value(value);
    }
  }

  #unsigned(value: number): void {
    const bytes = this.bytes;
    let at = this.length;
    if (value < 0x80) {
      bytes[at++] = value;
    } else if (value < 0x100) {
      bytes[at++] = 0xcc;
      bytes[at++] = value;
    } else if (value < 0x10000) {
      bytes[at++] = 0xcd;
      bytes[at++] = value >>> 8;
      bytes[at++] = value;
    } else if (value < 0x100000000) {
      bytes[at] = 0xce;
      this.#view.setUint32(at + 1, value);
      at += 5;
    } else {
      bytes[at] = 0xcf;
      this.#view.setUint32(at + 1, Math.floor(value / 0x100000000));
      this.#view.setUint32(at + 5, value >>> 0);
      at += 9;
    }
    this.length = at;
  }

  #negative(value: number): void {
    const bytes = this.bytes;
    let at = this.length;
    if (value >= -0x20) {
      bytes[at++] = value;
    } else if (value >= -0x80) {
      bytes[at++] = 0xd0;
      bytes[at++] = value;
    } else if (value >= -0x8000) {
      bytes[at] = 0xd1;
      this.#view.setInt16(at + 1, value);
      at += 3;
    } else if (value >= -0x80000000) {
      bytes[at] = 0xd2;
      this.#view.setInt32(at + 1, value);
      at += 5;
    } else {
      bytes[at] = 0xd3;
      this.#view.setBigInt64(at + 1, BigInt(value));
      at += 9;
    }
    this.length = at;
  }

  // The header's size depends on the UTF-8 length, which is known only afterwards: the text is written behind the
  // longest header it could need and moved down where a shorter one does.
  #longString(text: string): void {
    const worstBytes = text.length * 3;
    this.reserve(worstBytes + 5);
    const headroom = worstBytes < 32 ? 1 : worstBytes < 0x100 ? 2 : worstBytes < 0x10000 ? 3 : 5;
    const textAt = this.length + headroom;
    const { written } = textEncoder.encodeInto(text, this.bytes.subarray(textAt));
    if (written < 32) this.bytes[this.length++] = 0xa0 | written;
    else this.#lengthHeader(written, 0xd9, 0xda, 0xdb);
    if (this.length !== textAt) this.bytes.copyWithin(this.length, textAt, textAt + written);
    this.length += written;
  }

  #lengthHeader(count: number, byte8: number, byte16: number, byte32: number): void {
    const bytes = this.bytes;
    const at = this.length;
    if (count < 0x100) {
      bytes[at] = byte8;
      bytes[at + 1] = count;
      this.length = at + 2;
    } else if (count < 0x10000) {
      bytes[at] = byte16;
      bytes[at + 1] = count >>> 8;
      bytes[at + 2] = count;
      this.length = at + 3;
    } else {
      bytes[at] = byte32;
      this.#view.setUint32(at + 1, count);
      this.length = at + 5;
    }
  }

  #containerHeader(count: number, fix: number, byte16: number, byte32: number): void {
    const at = this.length;
    if (count <= 15) {
      this.bytes[at] = fix | count;
      this.length = at + 1;
    } else if (count < 0x10000) {
      this.bytes[at] = byte16;
      this.#view.setUint16(at + 1, count);
      this.length = at + 3;
    } else {
      this.bytes[at] = byte32;
      this.#view.setUint32(at + 1, count);
      this.length = at + 5;
    }
  }

  #lateBin({ length, fill }: LateBytes): void {
    this.reserve(length + 5);
    this.#lengthHeader(length, 0xc4, 0xc5, 0xc6);
    fill(this.bytes.subarray(this.length, this.length + length));
    this.length += length;
  }

  #extension(type: number, data: Uint8Array): void {
    const count = data.length;
    this.reserve(count + 6);
    const fix = FIXED_EXTENSION.indexOf(count);
    if (fix >= 0) this.bytes[this.length++] = 0xd4 + fix;
    else this.#lengthHeader(count, 0xc7, 0xc8, 0xc9);
    this.bytes[this.length++] = type;
    this.bytes.set(data, this.length);
    this.length += count;
  }
}

/** Payload sizes that have a header of their own, in the order of their type bytes. */
const FIXED_EXTENSION = [1, 2, 4, 8, 16];

function compareKeys(a: unknown, b: unknown): number {
  if (typeof a === "string" && typeof b === "string") return compareCodePoints(a, b);
  throw new TypeError("Cannot encode canonically: every map key must be a string");
}

const EMPTY = {};

// `for in` also gives what somebody made enumerable on `Object.prototype`. Looking at an empty object for it costs a
// few nanoseconds, asking every key whether it is the object's own a third of the encoding (measured).
function isPrototypePolluted(): boolean {
  for (const _ in EMPTY) return true;
  return false;
}
