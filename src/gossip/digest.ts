/**
 * What two peers compare, to find what one of them lacks: all that is kept, in short.
 *
 * ```
 * digest = [ [bucket, count, sum], ... ]   by bucket, ascending
 * ```
 *
 * A bucket is a stretch of time in which messages were created, and `sum` the sum of their marks modulo 2^48. The sum tells
 * chance apart, not malice: who knows the marks can make other messages of the same sum, and hides no more by it than by
 * keeping silent.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";

/** Most rows of a digest. */
export const MAX_DIGEST_ROWS = 512;

/** Marks, and sums of them, are below. */
export const MARKS: number = 2 ** 48;

/** What is kept of one bucket. */
export type DigestRow = readonly [bucket: number, count: number, sum: number];

/** Ids by author, of 40 hexadecimal digits. */
export type IdsByAuthor = readonly (readonly [author: string, seqs: readonly number[]])[];

/**
 * Reads a digest.
 *
 * @throws {InvalidPacketError} `too-large` for more than 512 rows; `bad-message` naming what is wrong, and in which row.
 */
export function parseDigest(value: unknown): DigestRow[] {
  if (!Array.isArray(value)) throw bad("it is no array");
  if (value.length > MAX_DIGEST_ROWS) {
    throw tooLarge(value.length);
  }
  let before = -1;
  return value.map((row: unknown, at) => {
    const [bucket, count, sum, ...more]: readonly unknown[] = Array.isArray(row) ? row : [];
    if (!isWhole(bucket) || bucket <= before) throw bad(`bad bucket in row ${at}`);
    if (!isWhole(count) || count === 0) throw bad(`bad count in row ${at}`);
    if (!isWhole(sum) || sum >= MARKS) throw bad(`bad sum in row ${at}`);
    if (more.length > 0) throw bad(`more than three numbers in row ${at}`);
    before = bucket;
    return [bucket, count, sum];
  });
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read digest: ${why}`, {
    details: { field: "digest" },
  });
}

function tooLarge(got: number): InvalidPacketError {
  const max = MAX_DIGEST_ROWS;
  return new InvalidPacketError("too-large", `Cannot read digest: ${got} rows exceed ${max}`, {
    details: { limit: "rows", max, got },
  });
}
