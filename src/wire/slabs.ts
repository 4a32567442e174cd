/**
 * Small copies side by side in larger buffers: an allocation outside the heap costs far more than copying so little.
 *
 * @module
 */

/** Longest copy that is put into a slab unless somebody knows better. */
export const MAX_SLAB_COPY_BYTES = 256;

/** Small enough that a copy that is kept for long keeps little else. */
const SLAB_BYTES = 4 * 1024;

/** Makes copies; a slab stays in memory as long as one of its copies does. */
export class Slabs {
  readonly #slabBytes: number;
  #slab = new Uint8Array(0);
  #used = 0;

  /** Has no slab yet. @param slabBytes How large each is; no copy may be larger. @default {4096} */
  constructor(slabBytes: number = SLAB_BYTES) {
    this.#slabBytes = slabBytes;
  }

  /** A copy of `bytes[at..at + count]`. */
  copy(bytes: Uint8Array, at: number, count: number): Uint8Array<ArrayBuffer> {
    if (this.#slab.length - this.#used < count) {
      this.#slab = new Uint8Array(this.#slabBytes);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used += count);
    copy.set(bytes.subarray(at, at + count));
    return copy;
  }
}
