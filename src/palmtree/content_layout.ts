/**
 * Where in the files of a manifest a chunk lies. The content is the files one behind the other, in the manifest's order, with
 * nothing between them.
 *
 * @module
 */

import type { Manifest, ManifestEntry } from "../transfer/manifest.ts";

const KIB = 1024;

/** Chunks are so large at least; and at most, unless there would be too many. */
const MIN_CHUNK_BYTES = 256 * KIB;
const MAX_USUAL_CHUNK_BYTES = 1024 * KIB;

/** Content of more chunks than this gets larger ones: what goes through several hands is delayed by one chunk in each. */
const USUAL_CHUNKS = 2_048;

/** Most chunks before they become larger than usual: their hashes are 4 MiB, which is sent to everybody. */
const MANY_CHUNKS = 131_072;

/** How large the chunks of a content are to be, in bytes: a power of two, from 256 KiB on. */
export function chunkBytesFor(totalBytes: number): number {
  let chunkBytes = MIN_CHUNK_BYTES;
  while (chunkBytes < MAX_USUAL_CHUNK_BYTES && totalBytes > USUAL_CHUNKS * chunkBytes) {
    chunkBytes *= 2;
  }
  while (totalBytes > MANY_CHUNKS * chunkBytes) chunkBytes *= 2;
  return chunkBytes;
}

/** A part of one file. */
export interface Piece {
  /** The file's number in the manifest. */
  readonly file: number;
  /** The file. */
  readonly entry: ManifestEntry;
  /** Where in the file it begins. */
  readonly fileOffset: number;
  /** Where it begins in the range of the content that was asked for. */
  readonly from: number;
  /** Bytes, at least 1. */
  readonly length: number;
}

interface Place {
  readonly file: number;
  readonly entry: ManifestEntry;
  readonly start: number;
}

/** See the module. */
export class ContentLayout {
  /** Bytes of all files. */
  readonly totalBytes: number;
  // Files that are not empty, in their order.
  readonly #files: Place[] = [];
  readonly #places = new Map<number, Place>();

  /** The layout of a manifest's files. */
  constructor({ entries, totalBytes }: Manifest) {
    this.totalBytes = totalBytes;
    let start = 0;
    for (const [file, entry] of entries.entries()) {
      if (entry.kind !== "file" || entry.size === 0) continue;
      const place = { file, entry, start };
      this.#files.push(place);
      this.#places.set(file, place);
      start += entry.size;
    }
  }

  /** What of which files a range of the content is, in its order. */
  pieces(start: number, length: number): Piece[] {
    const end = Math.min(start + length, this.totalBytes);
    const pieces: Piece[] = [];
    if (start >= end) return pieces;
    for (let at = this.#fileAt(start); at < this.#files.length; at++) {
      const found = this.#files[at];
      if (found === undefined || found.start >= end) break;
      const { file, entry } = found;
      const begin = Math.max(start, found.start);
      const stop = Math.min(end, found.start + entry.size);
      const fileOffset = begin - found.start;
      pieces.push({ file, entry, fileOffset, from: begin - start, length: stop - begin });
    }
    return pieces;
  }

  /** Where a file begins and ends in the content; nowhere if it is empty. */
  rangeOf(file: number): { readonly start: number; readonly end: number } {
    const found = this.#places.get(file);
    return {
      start: found?.start ?? 0,
      end: found === undefined ? 0 : found.start + found.entry.size,
    };
  }

  /** The file that has the byte at an offset, by binary search: there may be 100,000. */
  #fileAt(offset: number): number {
    let [low, high] = [0, this.#files.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#files[middle]?.start ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
