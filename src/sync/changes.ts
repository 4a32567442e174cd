/**
 * Tells others of a step that was carried out: as `file_changed`.
 *
 * @module
 */

import { changeOf, entryFromMessage, sameContents, type SyncEntry } from "./entry.ts";
import { liveAt, type SyncIndex } from "./index.ts";
import type { FileChanged } from "./message_types.ts";
import type { Step } from "./steps.ts";

/**
 * What a step changes, in the words of the protocol. To be asked before it is committed: the index says what was there.
 *
 * @param clientId Who has changed it.
 */
export function changesOf(index: SyncIndex, step: Step, clientId: string): FileChanged[] {
  const changes: FileChanged[] = [];
  const entries = step.writes.map(({ entry }) => entry);
  for (const [at, entry] of entries.entries()) {
    const [before, next] = [index.get(entry.path), entries[at + 1]];
    if (isFirstOfRename(index, step, entry, next)) continue;
    const last = entries[at - 1];
    const from = isFirstOfRename(index, step, last, entry) ? last : undefined;
    changes.push(changeOf(entry, clientId, { before, from }));
  }
  return changes;
}

/**
 * Whether somebody who looks at the folder sees a change, which he does not when only more is known of what is there, or is
 * not. To be asked before it is committed, too.
 */
export function isVisible(index: SyncIndex, change: FileChanged): boolean {
  const { file_path: path, old_path: oldPath, entry } = change;
  if (entry === undefined || oldPath !== undefined) return true;
  const [before, after] = [liveAt(index, path), entryFromMessage(entry)];
  if (before === undefined) return !after.deleted;
  if (!sameContents(before, after)) return true;
  return after.kind === "file" && (before.mode !== after.mode || before.mtimeMs !== after.mtimeMs);
}

/** Whether a file goes with one entry, and comes again with the next; or a folder, if it was moved as a whole. */
function isFirstOfRename(
  index: SyncIndex,
  { disk }: Step,
  gone: SyncEntry | undefined,
  live: SyncEntry | undefined,
): gone is SyncEntry {
  if (gone === undefined || live === undefined || !gone.deleted || live.deleted) return false;
  const before = index.get(gone.path);
  const isNew = index.get(live.path)?.deleted ?? true;
  if (live.kind === "directory" && disk.do !== "move") return false;
  return before !== undefined && !before.deleted && isNew && sameContents(before, live);
}
