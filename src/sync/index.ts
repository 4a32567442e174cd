/**
 * The index of a folder: what this replica has, and had, under each path. It says only what is on the disk, so that what
 * others are told of it is never a promise.
 *
 * Every change gets the next number of the index. Who knows the index up to a number is told what changed since.
 *
 * @module
 */

import type { SyncEntry } from "./entry.ts";
import { nextVersion } from "./version_vector.ts";

/** An entry and what this replica knows of it for itself. */
export interface StoredEntry extends SyncEntry {
  /** The number of its last change. */
  readonly seq: number;
  /** What the disk said of the file when it was last looked into; empty when it is to be looked into again. */
  readonly stat: string;
  /** The replica that it came from exactly as it is; empty when that is this one. */
  readonly source: string;
}

/** What is to be written. */
export interface IndexWrite {
  /** Takes the place of what is under its path. */
  readonly entry: SyncEntry;
  /** What the disk says of the file. @default what was known before */
  readonly stat?: string | undefined;
  /** The replica that it came from exactly as it is. @default {""} */
  readonly source?: string | undefined;
}

/** How far two indexes know each other. */
export interface SyncMark {
  /** The other side has acted on ours up to this number. */
  readonly ours: number;
  /** We have acted on theirs up to this one. */
  readonly theirs: number;
  /** During which opening of theirs. @default {""} */
  readonly opening?: string | undefined;
}

/** A time during which an index is open. What it counts up to ends where the next one began. */
export interface Opening {
  /** A random name. */
  readonly name: string;
  /** The number of the last change before it. */
  readonly began: number;
}

/** How far an index had counted, during which opening. */
export interface IndexPoint {
  /** The opening's name. */
  readonly opening: string;
  /** The number. */
  readonly seq: number;
}

/** What to compare a file on the disk with. */
export interface KnownFile {
  /** What it is. */
  readonly kind: "file" | "directory";
  /** See {@linkcode StoredEntry.stat}. */
  readonly stat: string;
}

/** An index. All that it gives is a copy, which later changes leave alone. */
export interface SyncIndex {
  /** The index' own name, as old as it is. */
  readonly id: string;
  /** This replica's name, which edits are signed with. */
  readonly replica: string;
  /**
   * When it was open, as far as is known, and since when now. One that comes back from a backup, or is used twice, does not
   * know what was counted elsewhere: see {@linkcode wasAt}.
   */
  readonly openings: readonly Opening[];
  /** The number of the last change; 0 when there was none. */
  readonly seq: number;
  /** What is under a path. */
  get(path: string): StoredEntry | undefined;
  /** Writes entries, all or none, each with the next number. */
  put(writes: Iterable<IndexWrite>): void;
  /** Does work that waits for nothing. A program that dies meanwhile has written all that the work writes, or none of it. */
  together<T>(work: () => T): T;
  /** Notes what the disk says of files whose contents are what is known. That is no change. */
  noteStats(stats: Iterable<readonly [path: string, stat: string]>): void;
  /** Everything that is there, to compare the disk with. */
  known(): Map<string, KnownFile>;
  /** What changed after a number, in the order of the changes. @param except Leaves out what came from that replica as it is. */
  since(seq: number, except?: string): StoredEntry[];
  /** What is there below a folder, in the order of code points: a folder before what is in it. */
  within(folder: string): StoredEntry[];
  /** What is there under other spellings of a path, which not every system tells apart. */
  alike(path: string): StoredEntry[];
  /** Some files that are there with these contents, in the order of their paths. @param limit How many. @default {16} */
  withContents(sha256: string, limit?: number): StoredEntry[];
  /** How far this index and that of another replica know each other. */
  mark(replica: string): SyncMark;
  /** Notes it. */
  setMark(replica: string, mark: SyncMark): void;
  /**
   * Takes a new replica's name, because edits were signed with the old one that this index does not know. Its own edits
   * after a number may have the names of such, and are signed anew: they are in conflict with what they may be mixed up with.
   */
  renew(after: number): void;
}

/** Nobody knows anything yet. */
export const NO_MARK: SyncMark = { ours: 0, theirs: 0 };

/** Openings that are remembered. Who knows an index from before them is told everything. */
export const MAX_OPENINGS = 64;

/** Files with the same contents that are looked for: the first one is as good as any, if it is still there. */
export const MAX_SAME_CONTENTS = 16;

/** Whether an index with these openings has ever been at a point. @param seq How far it is now. */
export function wasAt(openings: readonly Opening[], seq: number, point: IndexPoint): boolean {
  const at = openings.findIndex(({ name }) => name === point.opening);
  return at >= 0 && point.seq <= (openings[at + 1]?.began ?? seq);
}

/** Entries of a replica's own, signed with another name; what they are edits of is not known any more. */
export function signedAnew(
  entries: readonly StoredEntry[],
  from: string,
  to: string,
): IndexWrite[] {
  return entries.filter(({ source }) => source === "").map((entry) => {
    const version = new Map(nextVersion(entry.version, to));
    version.delete(from);
    return { entry: { ...entry, version }, stat: entry.stat };
  });
}

/** What is there under a path; `undefined` when nothing is. */
export function liveAt(index: SyncIndex, path: string): StoredEntry | undefined {
  const entry = index.get(path);
  return entry === undefined || entry.deleted ? undefined : entry;
}
