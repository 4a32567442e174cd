/**
 * How much one transfer may bring where nothing is announced beforehand: entries and bytes come one after another.
 *
 * @module
 */

import { LimitError } from "../../errors.ts";

/** Most files and folders of one transfer, as of a native one. */
const MAX_ENTRIES = 100_000;

/** How much a transfer may bring. */
export interface AllowanceLimits {
  /** Most files and folders. @default {100_000} */
  maxEntries?: number;
  /** Most bytes of all files together. @default {Number.MAX_SAFE_INTEGER} */
  maxTotalBytes?: number;
}

/** Counts what a transfer brings. */
export class Allowance {
  readonly #maxEntries: number;
  readonly #maxTotalBytes: number;
  #entries = 0;
  #totalBytes = 0;

  /** Nothing has come yet. */
  constructor(limits: AllowanceLimits = {}) {
    const { maxEntries = MAX_ENTRIES, maxTotalBytes = Number.MAX_SAFE_INTEGER } = limits;
    this.#maxEntries = maxEntries;
    this.#maxTotalBytes = maxTotalBytes;
  }

  /** Lets a file of that size in, or a folder. @throws {LimitError} naming the limit; nothing is counted then. */
  admit(size = 0): void {
    if (this.#entries >= this.#maxEntries) throw overLimit("maxEntries", this.#maxEntries);
    if (size > this.#maxTotalBytes - this.#totalBytes) {
      throw overLimit("maxTotalBytes", this.#maxTotalBytes);
    }
    this.#entries++;
    this.#totalBytes += size;
  }
}

/** The error for a limit that is exceeded. */
export function overLimit(limit: string, max: number): LimitError {
  return new LimitError("limit", `PeerConnect transfer exceeds ${limit} ${max}`, {
    details: { limit, max },
  });
}
