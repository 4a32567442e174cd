/**
 * The chunks that were needed last: what comes is passed on at once to whoever has room, and read back for the others soon
 * after.
 *
 * @module
 */

interface Slot {
  readonly buffer: Uint8Array;
  index: number;
  size: number;
}

/** So many chunks are kept, in buffers that are used again. */
const MOST_SLOTS = 8;
const LEAST_SLOTS = 2;

/** Fewer of them, where they would take more memory than this. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Nothing is in a slot. */
const NONE = -1;

/** Some chunks in memory. */
export class ChunkCache {
  readonly #chunkBytes: number;
  readonly #slots: Slot[] = [];
  readonly #count: number;
  #next = 0;

  /** Has none. @param chunkBytes Bytes of the largest. */
  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.#count = Math.max(LEAST_SLOTS, Math.min(MOST_SLOTS, Math.floor(MAX_BYTES / chunkBytes)));
  }

  /** A chunk, as a view that is valid until another one is kept; `undefined` when it is not here. */
  get(index: number): Uint8Array | undefined {
    const slot = this.#slots.find((slot) => slot.index === index);
    return slot?.buffer.subarray(0, slot.size);
  }

  /** Keeps a copy of a chunk. */
  put(index: number, data: Uint8Array): void {
    this.fill(index, data.length, (into) => into.set(data));
  }

  /** Keeps a chunk that `read` fetches. @returns it, as a view. @throws what `read` throws; nothing is kept then */
  fill(index: number, size: number, read: (into: Uint8Array) => void): Uint8Array {
    const slot = this.#slots[this.#next] ??= {
      buffer: new Uint8Array(this.#chunkBytes),
      index: NONE,
      size: 0,
    };
    slot.index = NONE;
    slot.size = size;
    const chunk = slot.buffer.subarray(0, size);
    read(chunk);
    slot.index = index;
    this.#next = (this.#next + 1) % this.#count;
    return chunk;
  }
}
