/**
 * What somebody keeps, as ranges: an author's numbers follow each other, so that ten thousand ids may be one range.
 *
 * ```
 * [ [author, [from, to, from, to, ...]], ... ]      author 20-byte bin, `to` included
 * ```
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { PEER_ID_BYTES } from "../wire/message.ts";
import type { MessageId } from "./id_list.ts";

/** Most ranges in one packet. */
export const MAX_RANGES = 4_096;

/** Most ids that are looked at of one packet, whatever its ranges say. */
const MAX_LOOKED_AT = 16_384;

/** Ranges of numbers by author: from, to, from, to, and so on. */
export type RangeList = readonly (readonly [author: string, bounds: readonly number[]])[];

/** Ranges of ids, as many as fit. @returns them, and whether all of them did. */
export function rangesOf(
  ids: readonly (readonly [author: string, seqs: readonly number[]])[],
  most: number = MAX_RANGES,
): { ranges: RangeList; count: number; isWhole: boolean } {
  const ranges: [string, number[]][] = [];
  let count = 0;
  for (const [author, seqs] of ids) {
    const bounds: number[] = [];
    for (const seq of seqs.toSorted((a, b) => a - b)) {
      const last = bounds.at(-1);
      if (last !== undefined && seq <= last + 1) bounds[bounds.length - 1] = seq;
      else if (count < most) {
        bounds.push(seq, seq);
        count++;
      } else {
        if (bounds.length > 0) ranges.push([author, bounds]);
        return { ranges, count, isWhole: false };
      }
    }
    if (bounds.length > 0) ranges.push([author, bounds]);
  }
  return { ranges, count, isWhole: true };
}

/** The ids of ranges; not more than can be looked at in a moment. */
export function* idsOf(ranges: RangeList): Generator<MessageId, void, void> {
  let left = MAX_LOOKED_AT;
  for (const [author, bounds] of ranges) {
    for (let at = 0; at < bounds.length; at += 2) {
      const to = bounds[at + 1] ?? -1;
      for (let seq = bounds[at] ?? 0; seq <= to; seq++) {
        if (left-- <= 0) return;
        yield { author, seq };
      }
    }
  }
}

/** Ranges as they stand in packets. */
export function writeRanges(ranges: RangeList): unknown[] {
  return ranges.map(([author, bounds]) => [Uint8Array.fromHex(author), bounds]);
}

/** Reads ranges. @throws {InvalidPacketError} `bad-message` saying what is wrong. */
export function readRanges(value: unknown): RangeList {
  if (!Array.isArray(value)) throw bad("they are no array");
  let left = MAX_RANGES;
  return value.map((group) => {
    const [id, bounds, ...more]: readonly unknown[] = Array.isArray(group) ? group : [];
    if (!(id instanceof Uint8Array) || id.length !== PEER_ID_BYTES || more.length > 0) {
      throw bad(`an author is not ${PEER_ID_BYTES} bytes, or more follows than belongs to it`);
    }
    if (!isBounds(bounds)) throw bad("they do not rise, or one has no end");
    left -= bounds.length / 2;
    if (left < 0 || bounds.length === 0) throw bad(`there are not 1 to ${MAX_RANGES} of them`);
    return [id.toHex(), bounds] as const;
  });
}

function isBounds(value: unknown): value is number[] {
  return Array.isArray(value) && value.length % 2 === 0 &&
    value.every((bound, at) => {
      const least = at === 0 ? 0 : at % 2 === 0 ? value[at - 1] + 1 : value[at - 1];
      return Number.isSafeInteger(bound) && bound >= least;
    });
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode message ranges: ${why}`, {
    details: { element: "i" },
  });
}
