/**
 * What two neighbours compare, to find what one of them lacks: all that is kept, in short; then the ids of what differs.
 *
 * ```
 * digest = [ [bucket, count, sum], ... ]     by bucket, ascending
 * ids    = [ [author, [seq, ...]], ... ]     author 20-byte bin
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

/** Most ids in one list. */
export const MAX_LISTED_IDS = 4_096;

/** Marks, and sums of them, are below. */
export const MARKS: number = 2 ** 48;

/** Bytes of a peer id. */
const ID_BYTES = 20;

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
  if (!Array.isArray(value)) throw bad("digest", "it is no array");
  if (value.length > MAX_DIGEST_ROWS) {
    throw tooLarge("digest", "rows", MAX_DIGEST_ROWS, value.length);
  }
  let before = -1;
  return value.map((row: unknown, at) => {
    const [bucket, count, sum, ...more]: readonly unknown[] = Array.isArray(row) ? row : [];
    if (!isWhole(bucket) || bucket <= before) throw bad("digest", `bad bucket in row ${at}`);
    if (!isWhole(count) || count === 0) throw bad("digest", `bad count in row ${at}`);
    if (!isWhole(sum) || sum >= MARKS) throw bad("digest", `bad sum in row ${at}`);
    if (more.length > 0) throw bad("digest", `more than three numbers in row ${at}`);
    before = bucket;
    return [bucket, count, sum];
  });
}

/**
 * Reads ids. No author stands there twice, or without a number.
 *
 * @param max Most ids that are taken, of all authors together.
 * @throws {InvalidPacketError} `too-large` for more ids; `bad-message` naming what is wrong, and in which group.
 */
export function parseIds(value: unknown, max: number = MAX_LISTED_IDS): IdsByAuthor {
  if (!Array.isArray(value)) throw bad("ids", "they are no array");
  // Each group has an id at least: what is longer need not be looked at.
  if (value.length > max) throw tooLarge("ids", "ids", max, value.length);
  const groups = new Map<string, readonly number[]>();
  let count = 0;
  value.forEach((group: unknown, at) => {
    const [author, seqs, ...more]: readonly unknown[] = Array.isArray(group) ? group : [];
    if (!(author instanceof Uint8Array) || author.length !== ID_BYTES) {
      throw bad("ids", `bad author in group ${at}`);
    }
    if (!Array.isArray(seqs) || seqs.length === 0) throw bad("ids", `no numbers in group ${at}`);
    count += seqs.length;
    if (count > max) throw tooLarge("ids", "ids", max, count);
    if (!seqs.every(isWhole)) throw bad("ids", `bad number in group ${at}`);
    if (more.length > 0) throw bad("ids", `more than two items in group ${at}`);
    groups.set(author.toHex(), seqs);
    if (groups.size !== at + 1) throw bad("ids", `the author of group ${at} again`);
  });
  return [...groups];
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function bad(what: "digest" | "ids", why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read ${what}: ${why}`, {
    details: { field: what },
  });
}

function tooLarge(what: string, limit: string, max: number, got: number): InvalidPacketError {
  return new InvalidPacketError("too-large", `Cannot read ${what}: ${got} ${limit} exceed ${max}`, {
    details: { limit, max, got },
  });
}
