/**
 * What one replica makes of another's version of a file: the one decision that everything else follows from.
 *
 * Whoever would lose contents keeps them: the replica that *has* the losing contents makes the copy, before it takes the
 * winner. The other side does nothing until it hears of it. So no contents are gone while two replicas talk, wherever
 * they are cut off, and the outcome is the same whoever is asked first.
 *
 * @module
 */

import { sameContents, type SyncEntry } from "./entry.ts";
import type { SyncIndex } from "./index.ts";
import { compareEdits, compareVersions, leadingEdit, mergeVersions } from "./version_vector.ts";

/** What to do about another side's version. */
export type Judgement =
  /** Both have the same. */
  | { readonly verdict: "equal" }
  /** Ours is newer, or wins: the other side has to act. */
  | { readonly verdict: "ours" }
  /** The contents are here already: `entry` is what the index has to say of them. */
  | { readonly verdict: "adopt"; readonly entry: SyncEntry }
  /** Theirs takes the place of ours, which it includes. */
  | { readonly verdict: "take"; readonly entry: SyncEntry }
  /** Theirs takes the place of ours, which is to be kept under another name first. */
  | { readonly verdict: "conflict"; readonly entry: SyncEntry }
  /** They have deleted what was changed here: ours stays, as a new edit on top of `entry.version`. */
  | { readonly verdict: "revive"; readonly entry: SyncEntry };

/** Compares what an index has under the path of another replica's entry with that. */
export function judgeIn(index: SyncIndex, theirs: SyncEntry): Judgement {
  return judge(index.get(theirs.path), theirs, index.replica);
}

/**
 * Compares what is here under a path with what another replica has there.
 *
 * @param replica This replica, which may have forgotten edits of its own. @default unknown
 */
export function judge(
  ours: SyncEntry | undefined,
  theirs: SyncEntry,
  replica?: string,
): Judgement {
  if (ours === undefined) return { verdict: theirs.deleted ? "adopt" : "take", entry: theirs };
  const same = sameContents(ours, theirs);
  const order = compareVersions(ours.version, theirs.version);
  if (order === "after") return { verdict: "ours" };
  const isIncluded = order === "before" && !isForgetful(ours, theirs, replica);
  if (isIncluded) return { verdict: same ? "adopt" : "take", entry: theirs };
  if (order === "equal" && same) return { verdict: "equal" };
  // An equal version of other contents is an edit that a replica forgot in a power cut, and made anew.
  const version = mergeVersions(ours.version, theirs.version);
  const oursWins = wins(ours, theirs);
  if (same) return { verdict: "adopt", entry: { ...(oursWins ? ours : theirs), version } };
  if (oursWins) return { verdict: "ours" };
  if (ours.deleted) return { verdict: "take", entry: { ...theirs, version } };
  if (theirs.deleted) return { verdict: "revive", entry: { ...ours, version } };
  return { verdict: "conflict", entry: { ...theirs, version } };
}

/** Whether theirs has a later edit of ours than our own last one: as after a backup, ours is not what that was made on. */
function isForgetful(ours: SyncEntry, theirs: SyncEntry, replica: string | undefined): boolean {
  const last = leadingEdit(ours.version);
  return last.replica === replica && (theirs.version.get(last.replica) ?? 0) > last.counter;
}

/** Whether, of two versions in conflict, the first is the one that every replica leaves in place. */
export function wins(a: SyncEntry, b: SyncEntry): boolean {
  const order = compareEdits(leadingEdit(a.version), leadingEdit(b.version));
  return order === 0 ? a.sha256 > b.sha256 : order > 0;
}
