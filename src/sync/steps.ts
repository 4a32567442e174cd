/**
 * Steps: what is to be done on the disk, and what the index says once it is done.
 *
 * Steps are asked for one at a time, because each is decided by what the index says after the last. Who carries them out
 * does what `disk` says, then calls {@linkcode commitStep}; a program that dies in between finds out at the next rescan.
 * Before that it looks whether the files that {@linkcode conditionsOf} names are as the index knows them. When somebody
 * has changed one in the meantime, the rest is dropped: the change is noted first, and what was to be done asked for anew.
 *
 * What a step removes or replaces, a later one may want as contents: it is kept aside until the last one is done.
 *
 * @module
 */

import { type SyncEntry, tombstoneOf } from "./entry.ts";
import { type IndexWrite, liveAt, type StoredEntry, type SyncIndex } from "./index.ts";
import { nextVersion } from "./version_vector.ts";

/** One thing to do below the folder; paths are relative to it. */
export type DiskAction =
  /** Nothing; only the index changes. */
  | { readonly do: "nothing" }
  /** Make a folder, unless it is there. */
  | { readonly do: "folder"; readonly path: string }
  /** Put the contents of an entry into a file, whole or not at all, in the place of a file that is there. */
  | { readonly do: "write"; readonly path: string; readonly entry: SyncEntry }
  /** Copy a file to where nothing is. */
  | { readonly do: "copy"; readonly from: string; readonly to: string }
  /** Rename a file, or a folder with all that is in it, to where nothing is but itself. */
  | { readonly do: "move"; readonly from: string; readonly to: string }
  /** Remove a file, or a folder that is empty. `found` is what was found there, where the index does not know of it. */
  | { readonly do: "remove"; readonly path: string; readonly found?: SyncEntry }
  /** Set permissions and time. */
  | { readonly do: "touch"; readonly path: string; readonly entry: SyncEntry };

/** One step. */
export interface Step {
  /** What is to be done. */
  readonly disk: DiskAction;
  /** What is written when it is done. */
  readonly writes: readonly IndexWrite[];
}

/** What must hold on the disk before an action, so that nobody's work is lost. */
export interface Conditions {
  /**
   * As the index knows them: `stat` is the same, or nothing is there where it knows of nothing. A `stat` that is empty
   * says nothing; then the contents are to be compared.
   */
  readonly unchanged: readonly string[];
  /** Nothing is there, or, where case is ignored, only what is to be renamed. */
  readonly absent: readonly string[];
}

/** What must hold before an action. */
export function conditionsOf(index: SyncIndex, action: DiskAction): Conditions {
  switch (action.do) {
    case "write":
    case "touch":
      return { unchanged: [action.path], absent: [] };
    case "remove":
      return { unchanged: known(index, action.path), absent: [] };
    case "copy":
    case "move":
      return { unchanged: known(index, action.from), absent: [action.to] };
    case "folder":
    case "nothing":
      return { unchanged: [], absent: [] };
  }
}

// A name that no index can have is known to none.
function known(index: SyncIndex, path: string): string[] {
  return liveAt(index, path) === undefined ? [] : [path];
}

/**
 * Writes what a step says into the index.
 *
 * @param statOf What the disk says of a path now; it is asked of what the action has written. Of what was only moved it says
 * nothing unless that is surely what the index knows.
 */
export function commitStep(
  index: SyncIndex,
  { disk, writes }: Step,
  statOf: (path: string) => string | undefined,
): void {
  const written = disk.do === "copy" || disk.do === "move"
    ? disk.to
    : disk.do === "write" || disk.do === "touch" || disk.do === "folder"
    ? disk.path
    : undefined;
  index.put(
    writes.map((write) =>
      write.entry.path === written ? { ...write, stat: statOf(written) ?? write.stat } : write
    ),
  );
}

/** A step that changes only the index. */
export function noteStep(...writes: IndexWrite[]): Step {
  return { disk: { do: "nothing" }, writes };
}

/** A tombstone for what is here, as an edit of ours. */
export function deletion(index: SyncIndex, entry: SyncEntry): IndexWrite {
  return { entry: tombstoneOf(entry, nextVersion(entry.version, index.replica)) };
}

/** An entry under a path, as an edit of ours on what was there. */
export function creation(index: SyncIndex, entry: SyncEntry, path: string): SyncEntry {
  const before = index.get(path)?.version ?? new Map();
  return { ...entry, path, version: nextVersion(before, index.replica) };
}

/**
 * Confirms that something stays, as an edit of ours: for who lets go of the same contents elsewhere because of it.
 *
 * Another replica may have deleted it just now, and even because of what is let go of here: as one half of a renaming, of
 * which the other half was heard first. After this, that deletion is one of something that was changed in the meantime.
 */
export function confirmation(index: SyncIndex, entry: SyncEntry): Step {
  return noteStep({ entry: { ...entry, version: nextVersion(entry.version, index.replica) } });
}

/** Renames a file, or a folder with all that is in it, as an edit of ours. */
export function moveStep(index: SyncIndex, ours: StoredEntry, to: string): Step {
  const moved = [ours, ...ours.kind === "directory" ? index.within(ours.path) : []];
  const writes = moved.flatMap((entry): IndexWrite[] => {
    const path = to + entry.path.slice(ours.path.length);
    return [deletion(index, entry), { entry: creation(index, entry, path), stat: entry.stat }];
  });
  return { disk: { do: "move", from: ours.path, to }, writes };
}
