/**
 * The MessagePack decoder: bytes from a stranger into values, with every limit checked before anything is allocated.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { InvalidPacketError } from "../errors.ts";
import { MAX_DEPTH } from "./encoder.ts";
import { type KeyNode, KeyTrie, MIN_SHAPE_KEYS } from "./key_trie.ts";
import { Extension, TIMESTAMP_EXTENSION } from "./msgpack_types.ts";
import { SHORT_STRING_BYTES, ShortStrings } from "./short_strings.ts";
import { MAX_SLAB_COPY_BYTES, Slabs } from "./slabs.ts";
import { timestampFromBytes } from "./timestamp.ts";

/** Most elements (array items, map keys and map values) in one value: 1,048,576, about 64 MiB of JavaScript objects. */
export const MAX_ELEMENTS = 1 << 20;

/**
 * Most entries of a map whose keys are not all strings. V8 hashes numbers without a secret, so whoever chooses them can
 * make all meet in one place of the table, where every entry costs as much as there are: 65,536 took ten seconds, this
 * many take no longer per byte than small messages do.
 */
export const MAX_MIXED_KEYS = 512;

/** Longest `str` and `bin` unless told otherwise: that of the largest frame, 16 MiB. */
export const MAX_STRING_BYTES = 16 * 1024 * 1024;

/** What a decoder accepts and how it hands out bytes. */
export interface DecoderOptions {
  /** Deepest nesting of arrays and maps. @default {64} */
  maxDepth?: number;
  /** Most elements in one value, at all levels together. @default {1048576} */
  maxElements?: number;
  /** Longest `str` in bytes. @default {16777216} */
  maxStringBytes?: number;
  /** Longest `bin` or extension in bytes. @default {16777216} */
  maxBinBytes?: number;
  /**
   * Hand out `bin` values as views of the input, which are valid only as long as the input is left alone, instead of
   * copies. @default {false}
   */
  borrow?: boolean;
  /**
   * Let copies of up to 256 bytes share buffers of 4 KiB, which stay in memory as long as one of the copies does. An
   * allocation outside the heap costs far more than copying so little. @default {false}
   */
  slabs?: boolean;
}

/** The one method of `Buffer` used here: twice as fast as `toString`, in every runtime, missing from its types. */
interface Latin1Slicer {
  latin1Slice(start: number, end: number): string;
}

const NOTHING = new Uint8Array(0);
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads MessagePack values out of buffers that others fill.
 *
 * @example
 * ```ts
 * import { Decoder, encode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const decoder = new Decoder();
 * decoder.reset(encode({ name: "bob" }));
 * assertEquals(decoder.value(), { name: "bob" });
 * decoder.end();
 * ```
 */
export class Decoder {
  /** Where the next value starts. */
  at = 0;
  readonly #maxDepth: number;
  readonly #maxElements: number;
  readonly #maxStringBytes: number;
  readonly #maxBinBytes: number;
  /** See {@linkcode DecoderOptions.borrow}; may be changed before the value that it is for. */
  borrow: boolean;
  readonly #slabs: Slabs | undefined;
  readonly #keys = new KeyTrie();
  readonly #shortStrings = new ShortStrings();
  #bytes: Uint8Array = NOTHING;
  #latin1: Latin1Slicer = slicerOf(NOTHING);
  #view: DataView = new DataView(NOTHING.buffer);
  #start = 0;
  #end = 0;
  #depth = 0;
  #elements = 0;

  /** Makes a decoder; give it input with {@linkcode Decoder.reset}. */
  constructor(options: DecoderOptions = {}) {
    const {
      maxDepth = MAX_DEPTH,
      maxElements = MAX_ELEMENTS,
      maxStringBytes = MAX_STRING_BYTES,
      maxBinBytes = MAX_STRING_BYTES,
      borrow = false,
      slabs = false,
    } = options;
    this.#maxDepth = maxDepth;
    this.#maxElements = maxElements;
    this.#maxStringBytes = maxStringBytes;
    this.#maxBinBytes = maxBinBytes;
    this.borrow = borrow;
    this.#slabs = slabs ? new Slabs() : undefined;
  }

  /** Starts on `bytes[start..end]`; offsets in errors count from `start`. */
  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#latin1 = slicerOf(bytes);
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    this.#start = start;
    this.#end = end;
    this.#depth = 0;
    this.#elements = 0;
    this.at = start;
  }

  /** Lets go of the input, so that its memory can be freed. */
  release(): void {
    this.reset(NOTHING);
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#end - this.at;
  }

  /** Checks that nothing follows. @throws {InvalidPacketError} `bad-message` naming the offset. */
  end(): void {
    if (this.at !== this.#end) {
      throw this.#error(`${this.#end - this.at} bytes after the value`);
    }
  }

  /**
   * Reads one value: integers as `number` where that is exact, else `bigint`; `bin` as `Uint8Array`; maps as plain
   * objects, or as `Map` where a key is not a string, of at most 512 entries; timestamps as `Date`.
   *
   * @throws {InvalidPacketError} `bad-message` for what is not MessagePack, `too-large` naming the limit; both with
   * `details.offset`.
   */
  value(): unknown {
    if (this.at >= this.#end) throw this.#truncated();
    const bytes = this.#bytes;
    const type = bytes[this.at++] as number;
    if (type < 0x80) return type;
    if (type >= 0xe0) return type - 0x100;
    if (type < 0x90) return this.#map(type & 0x0f);
    if (type < 0xa0) return this.#array(type & 0x0f);
    if (type < 0xc0) return this.#string(type & 0x1f);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#bin(this.#uint8());
      case 0xc5:
        return this.#bin(this.#uint16());
      case 0xc6:
        return this.#bin(this.#uint32());
      case 0xc7:
        return this.#extension(this.#uint8());
      case 0xc8:
        return this.#extension(this.#uint16());
      case 0xc9:
        return this.#extension(this.#uint32());
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
        return this.#uint8();
      case 0xcd:
        return this.#uint16();
      case 0xce:
        return this.#uint32();
      case 0xcf:
        return exactInteger(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return exactInteger(this.#view.getBigInt64(this.#skip(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (type - 0xd4));
      case 0xd9:
        return this.#string(this.#uint8());
      case 0xda:
        return this.#string(this.#uint16());
      case 0xdb:
        return this.#string(this.#uint32());
      case 0xdc:
        return this.#array(this.#uint16());
      case 0xdd:
        return this.#array(this.#uint32());
      case 0xde:
        return this.#map(this.#uint16());
      case 0xdf:
        return this.#map(this.#uint32());
    }
    this.at--;
    throw this.#error(`0x${type.toString(16)} is not a MessagePack type`);
  }

  /** Reads the header of an array. @returns how many values follow, or -1 when something else stands there. */
  arrayHeader(): number {
    const type = this.at < this.#end ? this.#bytes[this.at] as number : 0;
    if (type >= 0x90 && type < 0xa0) {
      this.at++;
      return type & 0x0f;
    }
    if (type !== 0xdc && type !== 0xdd) return -1;
    this.at++;
    return type === 0xdc ? this.#uint16() : this.#uint32();
  }

  #uint8(): number {
    return this.#bytes[this.#skip(1)] as number;
  }

  #uint16(): number {
    return this.#view.getUint16(this.#skip(2));
  }

  #uint32(): number {
    return this.#view.getUint32(this.#skip(4));
  }

  #skip(count: number): number {
    const at = this.at;
    if (at + count > this.#end) throw this.#truncated();
    this.at = at + count;
    return at;
  }

  #string(count: number): string {
    if (count > this.#maxStringBytes) {
      throw this.#tooLarge("maxStringBytes", this.#maxStringBytes, count);
    }
    const at = this.#skip(count);
    if (count <= SHORT_STRING_BYTES) {
      const text = this.#shortStrings.read(this.#bytes, at, count);
      if (text !== undefined) return text;
    } else if (this.#isAscii(at, count)) {
      return this.#latin1.latin1Slice(at, at + count);
    }
    try {
      return textDecoder.decode(this.#bytes.subarray(at, at + count));
    } catch (cause) {
      this.at = at;
      throw this.#error("a string is not UTF-8", cause);
    }
  }

  #isAscii(at: number, count: number): boolean {
    const view = this.#view;
    const end = at + count;
    const wordsEnd = end - 3;
    let seen = 0;
    let i = at;
    for (; i < wordsEnd; i += 4) seen |= view.getInt32(i);
    for (; i < end; i++) seen |= (this.#bytes[i] as number) << 24 >> 24;
    return (seen & 0x80808080) === 0;
  }

  #bin(count: number): Uint8Array {
    if (count > this.#maxBinBytes) throw this.#tooLarge("maxBinBytes", this.#maxBinBytes, count);
    const at = this.#skip(count);
    if (this.borrow) return this.#bytes.subarray(at, at + count);
    return this.#slabs !== undefined && count <= MAX_SLAB_COPY_BYTES
      ? this.#slabs.copy(this.#bytes, at, count)
      : this.#bytes.slice(at, at + count);
  }

  // Pushing is faster for the short arrays that messages hold, one allocation for longer ones (measured).
  #array(count: number): unknown[] {
    this.#enter(count, 1);
    let array: unknown[];
    if (count <= 16) {
      array = [];
      for (let i = 0; i < count; i++) array.push(this.value());
    } else {
      array = new Array(count);
      for (let i = 0; i < count; i++) array[i] = this.value();
    }
    this.#depth--;
    return array;
  }

  #map(count: number): unknown {
    this.#enter(count, 2);
    const object: Record<string, unknown> = {};
    const keys = this.#keys;
    let node: KeyNode | undefined = keys.root;
    for (let i = 0; i < count; i++) {
      const keyAt = this.at;
      if (node !== undefined) {
        const known: KeyNode | undefined = keys.follow(node, this.#bytes, keyAt, this.#end);
        if (known !== undefined) {
          this.at = keyAt + known.bytes.length;
          node = known;
          if (known.special) define(object, known.key, this.value());
          else object[known.key] = this.value();
          continue;
        }
      }
      const key = this.value();
      if (typeof key !== "string") return this.#generalMap(object, key, count - i, keyAt);
      if (Object.hasOwn(object, key)) throw this.#duplicateKey(keyAt);
      if (node !== undefined) {
        node = keys.remember(node, key, this.#bytes.subarray(keyAt, this.at));
      }
      if (key === "__proto__") define(object, key, this.value());
      else object[key] = this.value();
    }
    if (count >= MIN_SHAPE_KEYS && node !== undefined) keys.keepShape(node, object);
    this.#depth--;
    return object;
  }

  #generalMap(
    object: Record<string, unknown>,
    firstOther: unknown,
    left: number,
    firstAt: number,
  ): Map<unknown, unknown> {
    const entries = Object.entries(object);
    const count = entries.length + left;
    if (count > MAX_MIXED_KEYS) throw this.#tooLarge("maxMixedKeys", MAX_MIXED_KEYS, count);
    const map = new Map<unknown, unknown>(entries);
    let key = firstOther;
    let keyAt = firstAt;
    for (let i = 0; i < left; i++) {
      if (i > 0) {
        keyAt = this.at;
        key = this.value();
      }
      if (map.has(key)) throw this.#duplicateKey(keyAt);
      map.set(key, this.value());
    }
    this.#depth--;
    return map;
  }

  /** Goes one level down, into `count` items of at least `bytesEach` bytes: more than the input can hold is refused. */
  #enter(count: number, bytesEach: number): void {
    if (count * bytesEach > this.#end - this.at) throw this.#truncated();
    this.#elements += count * bytesEach;
    if (this.#elements > this.#maxElements) {
      throw this.#tooLarge("maxElements", this.#maxElements, this.#elements);
    }
    if (++this.#depth > this.#maxDepth) {
      throw this.#tooLarge("maxDepth", this.#maxDepth, this.#depth);
    }
  }

  #extension(count: number): unknown {
    if (count > this.#maxBinBytes) throw this.#tooLarge("maxBinBytes", this.#maxBinBytes, count);
    const type = this.#view.getInt8(this.#skip(1));
    const at = this.#skip(count);
    const data = this.#bytes.slice(at, at + count);
    if (type !== TIMESTAMP_EXTENSION) return new Extension(type, data);
    const date = timestampFromBytes(data);
    if (date !== undefined) return date;
    this.at = at;
    throw this.#error("a timestamp is not valid");
  }

  #truncated(): InvalidPacketError {
    return this.#error("the input ends inside a value");
  }

  #duplicateKey(at: number): InvalidPacketError {
    this.at = at;
    return this.#error("a map has the same key twice");
  }

  #error(what: string, cause?: unknown): InvalidPacketError {
    const offset = this.at - this.#start;
    return new InvalidPacketError(
      "bad-message",
      `Cannot decode MessagePack: ${what}, at byte ${offset}`,
      { details: { offset }, cause },
    );
  }

  #tooLarge(limit: string, max: number, got: number): InvalidPacketError {
    const offset = this.at - this.#start;
    return new InvalidPacketError(
      "too-large",
      `Cannot decode MessagePack: ${got} exceeds ${limit} ${max}, at byte ${offset}`,
      { details: { limit, max, got, offset } },
    );
  }
}

function slicerOf(bytes: Uint8Array): Latin1Slicer {
  const buffer: unknown = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer as Latin1Slicer;
}

// `__proto__` as an own property: assignment would change the prototype instead.
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function exactInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
