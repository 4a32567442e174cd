/**
 * Which chunks are there: one bit for each, the first chunk in the lowest bit of the first byte.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";

const WORD_BITS = 32;

/** A set of chunks of a content that has `size` of them. */
export class ChunkSet {
  #size: number;
  #count = 0;
  #words: Uint32Array;

  /** An empty set. @param size @default it is said later, by `bound` */
  constructor(size = Infinity) {
    this.#size = size;
    this.#words = wordsFor(size);
  }

  /** The set of all chunks. */
  static full(size: number): ChunkSet {
    const set = new ChunkSet(size);
    for (let index = 0; index < size; index++) set.add(index);
    return set;
  }

  /**
   * Reads a set.
   *
   * @throws {InvalidPacketError} `bad-message` when it has another length than `size` asks for, or bits beyond it.
   */
  static fromBytes(bytes: Uint8Array, size: number): ChunkSet {
    const set = new ChunkSet(size);
    const length = Math.ceil(size / 8);
    if (bytes.length !== length) {
      throw bad(`${bytes.length} bytes instead of ${length} for ${size} chunks`);
    }
    if (size % 8 > 0 && (bytes[length - 1] ?? 0) >> (size % 8) > 0) {
      throw bad(`bits beyond chunk ${size - 1}`);
    }
    bytes.forEach((byte, at) => {
      set.#words[at >> 2] = word(set.#words, at >> 2) | (byte << (8 * (at & 3)));
      set.#count += popcount(byte);
    });
    return set;
  }

  /** How many chunks there can be; `Infinity` while that is not known, and nothing is in it. */
  get size(): number {
    return this.#size;
  }

  /** Says how many chunks there can be. @throws {TypeError} when that is known. */
  bound(size: number): void {
    if (this.#size !== Infinity) throw new TypeError(`Set is of ${this.#size} chunks already`);
    this.#size = size;
    this.#words = wordsFor(size);
  }

  /** How many are in it. */
  get count(): number {
    return this.#count;
  }

  /** Whether all are in it. */
  get isFull(): boolean {
    return this.#count === this.size;
  }

  /** Whether a chunk is in it. */
  has(index: number): boolean {
    return ((word(this.#words, index >> 5) >>> (index & 31)) & 1) === 1;
  }

  /** Puts a chunk in. @throws {RangeError} when there is no such chunk. */
  add(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.size) {
      throw new RangeError(`Chunk must be 0..${this.size - 1}: current value is ${index}`);
    }
    if (this.has(index)) return;
    this.#words[index >> 5] = word(this.#words, index >> 5) | (1 << (index & 31));
    this.#count++;
  }

  /** The first chunk from `from` on that is in this set and not in `other`; -1 where there is none. */
  firstWithout(other: ChunkSet, from = 0): number {
    for (let at = from >> 5; at < this.#words.length; at++) {
      let bits = word(this.#words, at) & ~word(other.#words, at);
      if (at === from >> 5) bits &= -1 << (from & 31);
      if (bits !== 0) return WORD_BITS * at + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  /** How many are in this set and not in `other`. */
  countWithout(other: ChunkSet): number {
    let count = 0;
    for (let at = 0; at < this.#words.length; at++) {
      count += popcount(word(this.#words, at) & ~word(other.#words, at));
    }
    return count;
  }

  /** The set as bytes. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const length = this.size === Infinity ? 0 : Math.ceil(this.size / 8);
    return Uint8Array.from(
      { length },
      (_, at) => word(this.#words, at >> 2) >>> (8 * (at & 3)),
    );
  }

  /** A copy. */
  clone(): ChunkSet {
    const copy = new ChunkSet(this.size);
    copy.#words.set(this.#words);
    copy.#count = this.#count;
    return copy;
  }
}

function wordsFor(size: number): Uint32Array {
  return new Uint32Array(size === Infinity ? 0 : Math.ceil(size / WORD_BITS));
}

function word(words: Uint32Array, at: number): number {
  return words[at] ?? 0;
}

// The number of ones, for 32 bits at a time (Warren, Hacker's Delight, 5-1).
function popcount(bits: number): number {
  let n = bits - ((bits >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read set of chunks: ${why}`, {
    details: { field: "bits" },
  });
}
