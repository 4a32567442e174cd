/**
 * Which chunks are there already, of a broadcast that was interrupted and comes again.
 *
 * @module
 */

import { nextTurn } from "../endpoint/turns.ts";
import type { ChunkList } from "./chunk_list.ts";
import { ChunkSet } from "./chunk_set.ts";
import type { ContentLayout, Piece } from "./content_layout.ts";

/** Files that are looked at in one go. */
const FILES_A_TURN = 512;

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
  await dropTorn(found, chunks, layout, files);
  const set = new ChunkSet(chunks.count);
  for (const index of found) set.add(index);
  return set;
}

/**
 * Of a file in its place nothing is written again, so all of its chunks are there or none is. A chunk that goes may belong to
 * its neighbours, too: they are looked at again, and nobody else is.
 */
async function dropTorn(
  found: Set<number>,
  { chunkBytes, count }: ChunkList,
  layout: ContentLayout,
  files: ReadonlyMap<number, HeldFile>,
): Promise<void> {
  const waiting = new Set<number>();
  for (const [file, { isWhole }] of files) if (isWhole) waiting.add(file);
  let looked = 0;
  for (const file of waiting) { // also those that are added meanwhile
    waiting.delete(file);
    if (++looked % FILES_A_TURN === 0) await nextTurn();
    const { start, end } = layout.rangeOf(file);
    const [first, last] = [Math.floor(start / chunkBytes), Math.ceil(end / chunkBytes)];
    const own = Array.from({ length: Math.min(last, count) - first }, (_, at) => first + at);
    const there = own.filter((index) => found.has(index));
    if (there.length === own.length) continue;
    for (const index of there) {
      found.delete(index);
      for (const { file: neighbor } of layout.pieces(index * chunkBytes, chunkBytes)) {
        if (files.get(neighbor)?.isWhole) waiting.add(neighbor);
      }
    }
  }
}
