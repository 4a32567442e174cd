/**
 * Which chunks are there already, of a broadcast that was interrupted and comes again.
 *
 * @module
 */

import { nextTurn } from "../endpoint/turns.ts";
import type { ChunkList } from "./chunk_list.ts";
import { ChunkSet } from "./chunk_set.ts";
import type { ContentLayout, Piece } from "./content_layout.ts";

/** A file of which something is there. */
export interface HeldFile {
  /** Whether it is in its place: then all of it is there, or nothing of it counts. */
  readonly isWhole: boolean;
  /** Reads from it. @returns whether there was enough */
  read(offset: number, into: Uint8Array): boolean;
}

/**
 * Looks at files of which something is there, letting others have their turn between two chunks.
 *
 * @param files By their number in the manifest.
 * @param verified Hears of every piece of a chunk that is right, in order.
 */
export async function findChunks(
  chunks: ChunkList,
  layout: ContentLayout,
  files: ReadonlyMap<number, HeldFile>,
  verified: (piece: Piece, bytes: Uint8Array) => void,
): Promise<ChunkSet> {
  const found = new Set<number>();
  const buffer = new Uint8Array(files.size === 0 ? 0 : chunks.chunkBytes);
  for (let index = 0; files.size > 0 && index < chunks.count; index++) {
    const chunk = buffer.subarray(0, chunks.sizeOf(index));
    const pieces = layout.pieces(index * chunks.chunkBytes, chunk.length);
    const bytesOf = ({ from, length }: Piece) => chunk.subarray(from, from + length);
    const isThere = pieces.every((piece) => {
      return files.get(piece.file)?.read(piece.fileOffset, bytesOf(piece)) ?? false;
    });
    if (!isThere) continue; // costs nothing: nobody else waits
    if (chunks.verify(index, chunk)) {
      found.add(index);
      for (const piece of pieces) verified(piece, bytesOf(piece));
    }
    await nextTurn();
  }
  dropTorn(found, chunks, layout, files);
  const set = new ChunkSet(chunks.count);
  for (const index of found) set.add(index);
  return set;
}

/** Of a file in its place nothing is written again, so all of its chunks are there or none is; and so on for its neighbours. */
function dropTorn(
  found: Set<number>,
  chunks: ChunkList,
  layout: ContentLayout,
  files: ReadonlyMap<number, HeldFile>,
): void {
  const { chunkBytes, count } = chunks;
  const wholes = [...files].filter(([, { isWhole }]) => isWhole).map(([file]) => file);
  for (let isStable = false; !isStable;) {
    isStable = true;
    for (const file of wholes) {
      const { start, end } = layout.rangeOf(file);
      const [first, last] = [Math.floor(start / chunkBytes), Math.ceil(end / chunkBytes)];
      const own = Array.from({ length: Math.min(last, count) - first }, (_, at) => first + at);
      const there = own.filter((index) => found.has(index));
      if (there.length === 0 || there.length === own.length) continue;
      for (const index of there) found.delete(index);
      isStable = false;
    }
  }
}
