/**
 * What stays on one side because somebody may not give or does not take it: that of a client that is let in to read only,
 * and that of a hub whose client leaves its own folder as it is.
 *
 * @module
 */

import { sameContents, type SyncEntry } from "./entry.ts";
import type { SyncFolder } from "./folder.ts";
import type { Withheld } from "./folder_events.ts";
import { judgeIn } from "./judge.ts";

/** Names that are said; of more, only how many there are. */
const MAX_NAMES = 5;

/** What a round has left where it is. */
export interface LeftBehind {
  /** Of ours, because we may only read. */
  readonly notGiven?: Withheld;
  /** Of theirs, because our folder is read-only. */
  readonly notTaken?: Withheld;
}

/**
 * What a hub has under the paths of ours that it is not told of: our index says only that they were edited here, which
 * does not make them others than the hub's.
 */
export class TheirPart {
  readonly #entries = new Map<string, SyncEntry>();
  #replica: string | undefined;

  /** Whether all of a hub was heard since we have begun. */
  isOf(replica: string): boolean {
    return this.#replica === replica;
  }

  /** Notes what a hub has told of, once it was taken in. @param isAll Whether that is all that it has. */
  note(
    folder: SyncFolder,
    replica: string,
    entries: readonly SyncEntry[],
    isAll: boolean,
  ): void {
    if (isAll) {
      this.#entries.clear();
      this.#replica = replica;
    }
    for (const entry of entries) {
      const ours = folder.index.get(entry.path);
      // Of what is here as it is there, nothing is to be compared.
      if (ours === undefined || ours.source === replica) this.#entries.delete(entry.path);
      else this.#entries.set(entry.path, entry);
    }
  }

  /** Which of our edits the hub does not have. */
  lacks(ours: readonly SyncEntry[]): SyncEntry[] {
    return ours.filter((entry) => {
      const theirs = this.#entries.get(entry.path);
      if (theirs !== undefined) return !sameContents(entry, theirs);
      // What came and went here alone was never known to others.
      return !entry.deleted || entry.version.size > 1;
    });
  }
}

/** Which of a hub's entries would change our folder. */
export function wantedOf(folder: SyncFolder, theirs: readonly SyncEntry[]): SyncEntry[] {
  return theirs.filter((entry) => {
    const { verdict } = judgeIn(folder.index, entry);
    const isNew = verdict === "take" || verdict === "conflict";
    return isNew && folder.shares(entry.path, entry.kind);
  });
}

/** Counts the files among entries; the folders where there is nothing else. */
export function withheldOf(entries: readonly SyncEntry[]): Withheld | undefined {
  if (entries.length === 0) return undefined;
  const files = entries.filter(({ kind }) => kind === "file");
  const counted = files.length > 0 ? files : entries;
  return { files: counted.length, paths: counted.slice(0, MAX_NAMES).map(({ path }) => path) };
}
