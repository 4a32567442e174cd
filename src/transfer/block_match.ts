/**
 * Which blocks of an older version of a file occur in a newer one, wherever they have moved to: who has the older one says
 * what its blocks are, who has the newer one looks for them at every byte, by a checksum that rolls.
 *
 * Source: Tridgell and Mackerras, "The rsync algorithm" (1996).
 *
 * @module
 */

import { createHash } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { CHUNK_BYTES, PIECE_BYTES } from "./steps.ts";

/** Smallest and largest block. */
const MIN_BLOCK_BYTES = 2 * 1024;
const MAX_BLOCK_BYTES = 512 * 1024;

/** Bytes of a block's rolling checksum, and of its SHA-256 that is kept: the whole file is verified in the end. */
const WEAK_BYTES = 4;
const STRONG_BYTES = 16;
const SIGN_BYTES = WEAK_BYTES + STRONG_BYTES;

/** Most blocks of one file. */
const MAX_BLOCKS = 200_000;

/**
 * Bytes that are hashed in vain, because a checksum fits and the hash does not, before the search is given up: so many, and
 * so many for each byte that is searched. By chance it is up to 23 for each; a list may also have been made to be slow.
 */
const MAX_VAIN_BYTES = 16 * 1024 * 1024;
const MAX_VAIN_RATIO = 32;

/** The blocks of an older version. */
export interface BlockList {
  /** Bytes of each; what is left at the end is in none. */
  readonly blockBytes: number;
  /** Checksum and hash of each, one behind the other. */
  readonly signs: Uint8Array;
}

/** What a newer version consists of. */
export type Match =
  | { readonly type: "copy"; readonly from: number; readonly length: number }
  | {
    /** Bytes that the older one has not; a view that is valid until the next match is asked for. */
    readonly type: "data";
    readonly data: Uint8Array;
  };

/** Block size for a file: about its root, as whoever changes little changes few blocks. */
export function blockBytesFor(size: number): number {
  const wanted = Math.max(Math.sqrt(size) * 2, size / MAX_BLOCKS, MIN_BLOCK_BYTES);
  return Math.min(2 ** Math.ceil(Math.log2(wanted)), MAX_BLOCK_BYTES);
}

/** The blocks of a file. */
export async function listBlocks(file: Deno.FsFile, size: number): Promise<BlockList> {
  const blockBytes = blockBytesFor(size);
  const count = Math.min(Math.floor(size / blockBytes), MAX_BLOCKS);
  const signs = new Uint8Array(count * SIGN_BYTES);
  const view = new DataView(signs.buffer);
  const buffer = new Uint8Array(Math.max(blockBytes, MAX_BLOCK_BYTES));
  let [filled, nth] = [0, 0];
  while (nth < count) {
    const read = await file.read(buffer.subarray(filled));
    if (read === null) break;
    filled += read;
    let at = 0;
    for (; filled - at >= blockBytes && nth < count; at += blockBytes, nth++) {
      const block = buffer.subarray(at, at + blockBytes);
      view.setUint32(nth * SIGN_BYTES, weakOf(block));
      signs.set(strongOf(block), nth * SIGN_BYTES + WEAK_BYTES);
    }
    buffer.copyWithin(0, at, filled);
    filled -= at;
  }
  return { blockBytes, signs: signs.subarray(0, nth * SIGN_BYTES) };
}

/** Reads a list that came from outside. @throws {InvalidPacketError} when it is none. */
export function parseBlocks(blockBytes: unknown, signs: unknown): BlockList {
  const isSize = typeof blockBytes === "number" && Number.isInteger(blockBytes) &&
    blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES;
  const isList = signs instanceof Uint8Array && signs.length % SIGN_BYTES === 0 &&
    signs.length <= MAX_BLOCKS * SIGN_BYTES;
  if (isSize && isList) return { blockBytes, signs };
  throw new InvalidPacketError("bad-message", "Cannot send: the receiver's blocks are no blocks", {
    details: { field: "blocks" },
  });
}

/**
 * What a newer version consists of, from its beginning to its end.
 *
 * @param read Puts the next bytes of the newer version into a buffer. @returns how many; 0 at the end.
 */
export function* matchBlocks(
  { blockBytes, signs }: BlockList,
  read: (into: Uint8Array) => number,
): Generator<Match, void, void> {
  const known = new BlockIndex(signs);
  const buffer = new Uint8Array(PIECE_BYTES + 2 * blockBytes);
  let [begin, at, end] = [0, 0, 0]; // what was not matched, where we look, what was read
  let copy: { from: number; length: number } | undefined;
  let isEnd = false;
  for (;;) {
    if (!isEnd && end - at < blockBytes) {
      buffer.copyWithin(0, begin, end);
      [at, end, begin] = [at - begin, end - begin, 0];
      while (!isEnd && end < buffer.length) {
        const count = read(buffer.subarray(end));
        if (count === 0) isEnd = true;
        end += count;
      }
    }
    if (end - at < blockBytes || known.exhausted) break;
    // Rolls on until a block is found, or there is enough for a piece.
    const stop = Math.min(end - blockBytes, begin + PIECE_BYTES - 1);
    const found = known.search(buffer, at, stop, blockBytes);
    if (found.at > begin || found.block === undefined) {
      if (copy !== undefined && found.at > begin) {
        yield { type: "copy", ...copy };
        copy = undefined;
      }
      at = found.at;
      if (at > begin && (found.block !== undefined || at - begin >= PIECE_BYTES)) {
        yield { type: "data", data: buffer.subarray(begin, at) };
        begin = at;
      }
    }
    if (found.block === undefined) {
      if (isEnd && at >= end - blockBytes) break;
      continue;
    }
    const from = found.block * blockBytes;
    if (copy !== undefined && copy.from + copy.length === from && copy.length < CHUNK_BYTES) {
      copy.length += blockBytes;
    } else {
      if (copy !== undefined) yield { type: "copy", ...copy };
      copy = { from, length: blockBytes };
    }
    begin = at = found.at + blockBytes;
  }
  if (copy !== undefined) yield { type: "copy", ...copy };
  for (; begin < end; begin += PIECE_BYTES) {
    yield { type: "data", data: buffer.subarray(begin, Math.min(end, begin + PIECE_BYTES)) };
  }
  for (;;) { // where the search was given up
    const count = isEnd ? 0 : read(buffer.subarray(0, PIECE_BYTES));
    if (count === 0) return;
    yield { type: "data", data: buffer.subarray(0, count) };
  }
}

/** Blocks by their checksums. */
class BlockIndex {
  readonly #signs: Uint8Array;
  readonly #byWeak = new Map<number, number[]>();
  // One byte for each value of the checksum's lower half: most positions need no more than that.
  readonly #filter = new Uint8Array(1 << 16);
  // Bytes that may still be hashed in vain.
  #credit = MAX_VAIN_BYTES;

  constructor(signs: Uint8Array) {
    this.#signs = signs;
    const view = new DataView(signs.buffer, signs.byteOffset, signs.byteLength);
    for (let nth = 0; nth * SIGN_BYTES < signs.length; nth++) {
      const weak = view.getUint32(nth * SIGN_BYTES);
      this.#filter[weak & 0xffff] = 1;
      const same = this.#byWeak.get(weak);
      if (same === undefined) this.#byWeak.set(weak, [nth]);
      else if (same.length < 8) same.push(nth); // blocks that are all alike need not all be known
    }
  }

  /** Whether there is nothing to search for any more. */
  get exhausted(): boolean {
    return this.#byWeak.size === 0 || this.#credit < 0;
  }

  /** The first position up to `stop` at which a block begins. @returns `stop` + 1 at most where there is none. */
  search(
    data: Uint8Array,
    start: number,
    stop: number,
    blockBytes: number,
  ): { at: number; block?: number } {
    const weak = weakOf(data.subarray(start, start + blockBytes));
    let [low, high] = [weak & 0xffff, weak >>> 16];
    for (let at = start; at <= stop; at++) {
      if (this.#filter[low] === 1) {
        const block = this.#find(((high << 16) | low) >>> 0, data.subarray(at, at + blockBytes));
        if (block !== undefined || this.exhausted) {
          this.#earn(at - start);
          return block === undefined ? { at } : { at, block };
        }
      }
      const leaving = data[at] ?? 0;
      const coming = data[at + blockBytes] ?? 0;
      low = (low - leaving + coming) & 0xffff;
      high = (high - blockBytes * leaving + low) & 0xffff;
    }
    this.#earn(stop + 1 - start);
    return { at: stop + 1 };
  }

  #earn(bytes: number): void {
    if (this.#credit < 0) return;
    this.#credit = Math.min(this.#credit + bytes * MAX_VAIN_RATIO, MAX_VAIN_BYTES);
  }

  #find(weak: number, block: Uint8Array): number | undefined {
    const candidates = this.#byWeak.get(weak);
    if (candidates === undefined) return undefined;
    const strong = strongOf(block);
    const found = candidates.find((nth) => {
      const at = nth * SIGN_BYTES + WEAK_BYTES;
      return strong.every((byte, i) => byte === this.#signs[at + i]);
    });
    if (found === undefined) this.#credit -= block.length;
    return found;
  }
}

/** The checksum that rolls: sums of bytes, and of sums, modulo 65,536. */
function weakOf(block: Uint8Array): number {
  let [low, high] = [0, 0];
  for (let at = 0; at < block.length; at++) {
    low += block[at] ?? 0;
    high = (high + low) | 0;
  }
  return (((high & 0xffff) << 16) | (low & 0xffff)) >>> 0;
}

function strongOf(block: Uint8Array): Uint8Array {
  return createHash("sha256").update(block).digest().subarray(0, STRONG_BYTES);
}
