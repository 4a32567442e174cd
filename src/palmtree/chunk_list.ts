/**
 * What a session's chunks are: how large, how many, and the SHA-256 of each, so that every chunk is verified before anybody
 * keeps it or passes it on.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { InvalidPacketError, LimitError } from "../errors.ts";
import { MAX_CHUNK_BYTES } from "./session.ts";

/** Bytes of a SHA-256. */
const HASH_BYTES = 32;

/** Most chunks of one content: 256 GiB in chunks of 256 KiB; their hashes are 32 MiB. */
export const MAX_CHUNKS: number = 1 << 20;

/** Separates the root from every other hash. */
const ROOT_DOMAIN = "kith chunks 1";

/** Where chunks are read from. */
export interface ChunkSource {
  /** The bytes of a chunk that is there; may be a view that is valid until the next call. */
  read(index: number): Uint8Array;
}

/** Where verified chunks are put. */
export interface ChunkSink {
  /** Keeps a chunk; it has been written, and can be read, when this returns. @throws whatever keeps it from that */
  write(index: number, data: Uint8Array): void;
}

/**
 * Sizes and hashes of the chunks of one content; see the module.
 *
 * @example
 * ```ts
 * import { ChunkList } from "@kith/kith/palmtree";
 * import { assertEquals } from "@std/assert";
 *
 * const data = new TextEncoder().encode("do re mi");
 * const read = (index: number) => data.subarray(3 * index, 3 * index + 3);
 * const chunks = ChunkList.of(data.length, 3, { read });
 * assertEquals([chunks.count, chunks.sizeOf(2)], [3, 2]);
 * assertEquals([chunks.verify(0, read(0)), chunks.verify(1, read(0))], [true, false]);
 * ```
 */
export class ChunkList {
  /** Bytes of all chunks together. */
  readonly totalBytes: number;
  /** Bytes of each chunk but the last, which may be shorter. */
  readonly chunkBytes: number;
  /** How many chunks. */
  readonly count: number;
  readonly #hashes: Uint8Array | undefined;

  /**
   * Makes a list.
   *
   * @param hashes SHA-256 of each chunk, one behind the other; without them, as in sessions of the originals, every chunk of
   * the right size is taken.
   * @throws {RangeError} when a size is out of bounds or there are not as many hashes as chunks.
   */
  constructor(totalBytes: number, chunkBytes: number, hashes?: Uint8Array) {
    if (!Number.isSafeInteger(totalBytes) || totalBytes < 0) {
      throw new RangeError(
        `Size must be a safe integer of 0 or more: current value is ${totalBytes}`,
      );
    }
    if (!Number.isInteger(chunkBytes) || chunkBytes < 1 || chunkBytes > MAX_CHUNK_BYTES) {
      throw new RangeError(
        `Chunk must be 1..${MAX_CHUNK_BYTES} bytes: current value is ${chunkBytes}`,
      );
    }
    const count = Math.ceil(totalBytes / chunkBytes);
    if (count > MAX_CHUNKS) {
      throw new RangeError(`Chunks must be at most ${MAX_CHUNKS}: there are ${count}`);
    }
    if (hashes !== undefined && hashes.length !== HASH_BYTES * count) {
      throw new RangeError(
        `Hashes must be ${HASH_BYTES * count} bytes: there are ${hashes.length}`,
      );
    }
    this.totalBytes = totalBytes;
    this.chunkBytes = chunkBytes;
    this.count = count;
    this.#hashes = hashes;
  }

  /** The list of a content that can be read. */
  static of(totalBytes: number, chunkBytes: number, source: ChunkSource): ChunkList {
    const { count } = new ChunkList(totalBytes, chunkBytes);
    const hashes = new Uint8Array(HASH_BYTES * count);
    for (let index = 0; index < count; index++) {
      hashes.set(sha256(source.read(index)), HASH_BYTES * index);
    }
    return new ChunkList(totalBytes, chunkBytes, hashes);
  }

  /**
   * Reads a list that MessagePack gave.
   *
   * @throws {InvalidPacketError} `bad-message` when it is none. @throws {LimitError} when there are too many chunks.
   */
  static parse(value: unknown): ChunkList {
    if (!Array.isArray(value) || value.length !== 3) throw bad("it is not an array of 3");
    const [totalBytes, chunkBytes, hashes]: readonly unknown[] = value;
    if (!isInteger(totalBytes, 0, Number.MAX_SAFE_INTEGER)) throw bad("total size out of bounds");
    if (!isInteger(chunkBytes, 1, MAX_CHUNK_BYTES)) throw bad("chunk size out of bounds");
    const count = Math.ceil(totalBytes / chunkBytes);
    if (count > MAX_CHUNKS) {
      throw new LimitError("limit", `Cannot take ${count} chunks: maxChunks is ${MAX_CHUNKS}`, {
        details: { limit: "maxChunks", max: MAX_CHUNKS },
      });
    }
    if (!(hashes instanceof Uint8Array) || hashes.length !== HASH_BYTES * count) {
      throw bad(`the hashes are not ${HASH_BYTES * count} bytes`);
    }
    return new ChunkList(totalBytes, chunkBytes, hashes);
  }

  /** The list as plain data for MessagePack: `[totalBytes, chunkBytes, hashes]`; it must have hashes. */
  toValue(): [totalBytes: number, chunkBytes: number, hashes: Uint8Array] {
    if (this.#hashes === undefined) throw new TypeError("Chunks without hashes cannot be listed");
    return [this.totalBytes, this.chunkBytes, this.#hashes];
  }

  /** Whether chunks can be verified, and not only measured. */
  get isVerifiable(): boolean {
    return this.#hashes !== undefined;
  }

  /** One SHA-256, in hexadecimal, over sizes and hashes: the name of the content. */
  get root(): string {
    const [totalBytes, chunkBytes, hashes] = this.toValue();
    const sizes = new DataView(new ArrayBuffer(12));
    sizes.setBigUint64(0, BigInt(totalBytes));
    sizes.setUint32(8, chunkBytes);
    const head = new Uint8Array(sizes.buffer);
    return createHash("sha256").update(ROOT_DOMAIN).update(head).update(hashes).digest("hex");
  }

  /** Bytes of a chunk; 0 where there is no such chunk. */
  sizeOf(index: number): number {
    return Math.max(0, Math.min(this.chunkBytes, this.totalBytes - index * this.chunkBytes));
  }

  /** Whether that is the chunk: it has its size and its hash. */
  verify(index: number, data: Uint8Array): boolean {
    if (!isInteger(index, 0, this.count - 1) || data.length !== this.sizeOf(index)) return false;
    if (this.#hashes === undefined) return true;
    const at = HASH_BYTES * index;
    return timingSafeEqual(sha256(data), this.#hashes.subarray(at, at + HASH_BYTES));
  }
}

function sha256(data: Uint8Array): Uint8Array {
  return createHash("sha256").update(data).digest();
}

function isInteger(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read list of chunks: ${why}`, {
    details: { field: "chunks" },
  });
}
