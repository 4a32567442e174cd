/**
 * Version vectors: which edits a version of a file includes, so that "newer" and "in conflict" are told apart without a
 * clock.
 *
 * A version has one counter per replica that ever edited the file. An edit's counter is one more than *every* counter of
 * the version it was made on, as in Lamport's clocks, and not only than the replica's own. So the edit with the greatest
 * counter (between equal ones, of the greater replica) is the one that made the contents, and that order never contradicts
 * what includes what: whoever meets two versions picks the same one, in whatever order they arrive.
 *
 * Sources: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983); Lamport, "Time, Clocks, and
 * the Ordering of Events in a Distributed System" (1978).
 *
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";

/** The counters of a version, by replica. Never changed once made. */
export type VersionVector = ReadonlyMap<string, number>;

/** How a version stands to another. `before` is included in the other, `after` includes it. */
export type VersionOrder = "equal" | "before" | "after" | "concurrent";

/** Most replicas that edited one file: a thousand clients of a hub, and the hub. */
export const MAX_VERSION_REPLICAS = 1_024;

/** Greatest counter that is read: nobody edits a file so often, but anybody can say so. Counting ends there. */
export const MAX_VERSION_COUNTER: number = 2 ** 48;

// Begins with a letter: V8 hashes what looks like an array index by its value, which a stranger can choose.
const REPLICA = /^r[0-9a-f]{16}$/;

const NO_EDIT: Edit = { replica: "", counter: 0 };

/** One edit: who made it, and its counter. */
export interface Edit {
  /** The replica. */
  readonly replica: string;
  /** Above all that its author knew of. */
  readonly counter: number;
}

/**
 * A new replica's name: 64 random bits. It is stored with the index and never outlives it, because a replica that forgot
 * how far it had counted would give two edits one name.
 */
export function makeReplica(): string {
  return "r" + randomBytes(8).toString("hex");
}

/** Whether a text is a replica's name. */
export function isReplica(value: unknown): value is string {
  return typeof value === "string" && REPLICA.test(value);
}

/**
 * Which of two versions includes the other.
 *
 * @example
 * ```ts
 * import { compareVersions } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const first = new Map([["ann", 1]]);
 * const [anns, bobs] = [new Map([["ann", 2]]), new Map([["ann", 1], ["bob", 2]])];
 * assertEquals(compareVersions(first, anns), "before");
 * assertEquals(compareVersions(anns, bobs), "concurrent"); // both have edited the first one
 * ```
 */
export function compareVersions(a: VersionVector, b: VersionVector): VersionOrder {
  const aHasMore = hasMore(a, b);
  const bHasMore = hasMore(b, a);
  if (aHasMore) return bHasMore ? "concurrent" : "after";
  return bHasMore ? "before" : "equal";
}

/**
 * The least version that includes both. Of more replicas than others read, the least edits are forgotten: it is in
 * conflict with a version that includes them then, which costs a copy and loses nothing.
 *
 * @example
 * ```ts
 * import { compareVersions, mergeVersions } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const [anns, bobs] = [new Map([["ann", 2]]), new Map([["ann", 1], ["bob", 2]])];
 * const both = mergeVersions(anns, bobs);
 * assertEquals(both, new Map([["ann", 2], ["bob", 2]]));
 * assertEquals([compareVersions(both, anns), compareVersions(both, bobs)], ["after", "after"]);
 * ```
 */
export function mergeVersions(a: VersionVector, b: VersionVector): VersionVector {
  const merged = new Map(a);
  for (const [replica, counter] of b) {
    if (counter > (merged.get(replica) ?? 0)) merged.set(replica, counter);
  }
  return greatestEdits(merged, MAX_VERSION_REPLICAS);
}

/**
 * The version after an edit by a replica, whatever others have claimed: it can be read, and takes the place of the one
 * before. At the end of counting every edit is by a replica of its own, and of too many replicas some are forgotten as in
 * {@linkcode mergeVersions}: who fills a file's version both ways has its edits end in copies, and nobody else's.
 */
export function nextVersion(version: VersionVector, replica: string): VersionVector {
  const counter = Math.min(leadingEdit(version).counter + 1, MAX_VERSION_COUNTER);
  const name = version.get(replica) === counter ? nameAfter(version, replica) : replica;
  const room = version.has(name) ? MAX_VERSION_REPLICAS : MAX_VERSION_REPLICAS - 1;
  return new Map(greatestEdits(version, room)).set(name, counter);
}

/** The edit that made the contents of a version; counter 0 for a version that has none. */
export function leadingEdit(version: VersionVector): Edit {
  let leading = NO_EDIT;
  for (const [replica, counter] of version) {
    if (compareEdits({ replica, counter }, leading) > 0) leading = { replica, counter };
  }
  return leading;
}

/** The order of edits that every replica sees alike: negative when `a` comes first. */
export function compareEdits(a: Edit, b: Edit): number {
  if (a.counter !== b.counter) return a.counter - b.counter;
  return a.replica === b.replica ? 0 : a.replica < b.replica ? -1 : 1;
}

/** A version as plain data for JSON: counters by replica, in the order of their names. */
export function versionToJson(version: VersionVector): Record<string, number> {
  return Object.fromEntries([...version].sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * What is wrong with a version that came from outside; `undefined` when nothing is.
 */
export function versionFault(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "is not an object";
  }
  const rows = Object.entries(value);
  if (rows.length === 0) return "names no replica";
  if (rows.length > MAX_VERSION_REPLICAS) return `exceeds versionReplicas ${MAX_VERSION_REPLICAS}`;
  for (const [replica, counter] of rows) {
    if (!isReplica(replica)) return "has a key that is not a replica's name";
    if (!Number.isSafeInteger(counter) || counter < 1 || counter > MAX_VERSION_COUNTER) {
      return `has a counter that is not an integer of 1..${MAX_VERSION_COUNTER}`;
    }
  }
  return undefined;
}

/** Reads a version from plain data. @throws {InvalidPacketError} `bad-message` saying what is wrong. */
export function versionFromJson(value: unknown): VersionVector {
  const fault = versionFault(value);
  if (fault !== undefined) {
    throw new InvalidPacketError("bad-message", `Cannot decode version: it ${fault}`);
  }
  return new Map(Object.entries(value as Record<string, number>));
}

function hasMore(a: VersionVector, b: VersionVector): boolean {
  for (const [replica, counter] of a) if (counter > (b.get(replica) ?? 0)) return true;
  return false;
}

/** A name that nobody has, the same for the same edit. */
function nameAfter(version: VersionVector, replica: string): string {
  const facts = JSON.stringify([replica, versionToJson(version)]);
  return "r" + createHash("sha256").update(facts).digest("hex").slice(0, 16);
}

/** The version, or of a longer one the greatest edits of so many replicas. */
function greatestEdits(version: VersionVector, maxReplicas: number): VersionVector {
  if (version.size <= maxReplicas) return version;
  const edits = [...version].map(([replica, counter]): Edit => ({ replica, counter }));
  const greatest = edits.sort((a, b) => compareEdits(b, a)).slice(0, maxReplicas);
  return new Map(greatest.map(({ replica, counter }) => [replica, counter]));
}
