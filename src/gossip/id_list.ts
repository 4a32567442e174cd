/**
 * Lists of message ids, as peers tell each other: grouped by author, because many messages have the same.
 *
 * ```
 * [ [author, [seq, ...]], ... ]              author 20-byte bin
 * [ [author, [seq, ...], [hops, ...]], ... ]  where it matters by how many hops each came
 * ```
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { PEER_ID_BYTES } from "../wire/message.ts";

/** Most ids in one packet. */
export const MAX_IDS = 1_024;

/** Most hops that are believed. */
const MAX_HOPS = 255;

/** Names a message. */
export interface MessageId {
  /** Its author, 40 hexadecimal digits. */
  readonly author: string;
  /** Its author's number for it. */
  readonly seq: number;
  /** By how many hops it came, where that was told. */
  readonly hops?: number;
}

/** Ids, in any order. */
export type IdList = readonly MessageId[];

/** A message's id as one text, for maps. */
export function keyOf(author: string, seq: number): string {
  return `${author}${seq}`;
}

/** Ids as they stand in packets. */
export function writeIds(ids: IdList, withHops = false): unknown[] {
  const groups = new Map<string, [seqs: number[], hops: number[]]>();
  for (const { author, seq, hops = 0 } of ids) {
    let group = groups.get(author);
    if (group === undefined) groups.set(author, group = [[], []]);
    group[0].push(seq);
    group[1].push(Math.min(hops, MAX_HOPS));
  }
  return [...groups].map(([author, [seqs, hops]]) => {
    const id = Uint8Array.fromHex(author);
    return withHops ? [id, seqs, hops] : [id, seqs];
  });
}

/** Reads ids. @throws {InvalidPacketError} `bad-message` saying what is wrong, or that there are more than `most`. */
export function readIds(value: unknown, most: number, withHops = false): MessageId[] {
  if (!Array.isArray(value)) throw bad("they are no array");
  const ids: MessageId[] = [];
  for (const group of value) {
    const [id, seqs, hops, ...more]: readonly unknown[] = Array.isArray(group) ? group : [];
    if (!(id instanceof Uint8Array) || id.length !== PEER_ID_BYTES || more.length > 0) {
      throw bad(`an author is not ${PEER_ID_BYTES} bytes, or more follows than belongs to it`);
    }
    if (!isNumbers(seqs, Number.MAX_SAFE_INTEGER)) throw bad("a sequence number is none");
    if (withHops ? !isNumbers(hops, MAX_HOPS) || hops.length !== seqs.length : hops !== undefined) {
      throw bad("the hops do not fit the sequence numbers");
    }
    if (ids.length + seqs.length > most || seqs.length === 0) {
      throw bad(`there are not 1 to ${most} of them`);
    }
    const author = id.toHex();
    const counts = isNumbers(hops, MAX_HOPS) ? hops : [];
    seqs.forEach((seq, at) => ids.push({ author, seq, hops: counts[at] ?? 0 }));
  }
  return ids;
}

function isNumbers(value: unknown, most: number): value is number[] {
  return Array.isArray(value) &&
    value.every((one) => Number.isSafeInteger(one) && one >= 0 && one <= most);
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode message ids: ${why}`, {
    details: { element: "i" },
  });
}
