/**
 * Some of the entries of a manifest, as they travel: `[start, count, start, count, ...]`, ascending.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";

/** Indexes as runs. @param indexes Ascending, without repetition. */
export function encodeRuns(indexes: Iterable<number>): number[] {
  const runs: number[] = [];
  for (const index of indexes) {
    const [start = 0, count = 0] = runs.slice(-2);
    if (runs.length > 0 && start + count === index) runs[runs.length - 1] = count + 1;
    else runs.push(index, 1);
  }
  return runs;
}

/**
 * Reads runs that came from outside.
 *
 * @param size How many entries there are. @returns the indexes.
 * @throws {InvalidPacketError} `bad-message` when they are not ascending runs of those.
 */
export function parseRuns(value: unknown, size: number, field: string): Set<number> {
  const indexes = new Set<number>();
  if (!Array.isArray(value) || value.length % 2 !== 0) throw bad(field);
  let least = 0;
  for (let at = 0; at < value.length; at += 2) {
    const [start, count]: readonly unknown[] = value.slice(at, at + 2);
    if (!isIndex(start) || !isIndex(count)) throw bad(field);
    if (start < least || count < 1 || start + count > size) throw bad(field);
    least = start + count + 1; // runs that touch would be one
    for (let index = start; index < start + count; index++) indexes.add(index);
  }
  return indexes;
}

function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function bad(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot transfer: ${field} is no list of entries`, {
    details: { field },
  });
}
