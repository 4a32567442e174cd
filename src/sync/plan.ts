/**
 * What there is to do between two replicas: the answer to a `sync_request`.
 *
 * @module
 */

import { conflictPath } from "./conflict.ts";
import { entryToMessage, type SyncEntry } from "./entry.ts";
import type { SyncIndex } from "./index.ts";
import { judgeIn } from "./judge.ts";
import type { InstructionMessage } from "./message_types.ts";
import { compareVersions } from "./version_vector.ts";

/** What the other side has said of its index. */
export interface SyncDelta {
  /** What entries of ours are said to come from that came from it. */
  readonly source: string;
  /** What changed in its index since we last acted on it. */
  readonly entries: readonly SyncEntry[];
  /** How far it knows our index. */
  readonly since: number;
}

/** What there is to do. */
export interface SyncPlan {
  /** For the other side. */
  readonly instructions: readonly InstructionMessage[];
  /** For us: entries to take in, those of files once their contents are here. */
  readonly takes: readonly SyncEntry[];
  /** How far the other side knows our index once it has done all that. */
  readonly indexSeq: number;
}

/**
 * Compares what the other side has with what we have. Nothing is changed by it: each side then takes in what the plan
 * gives it, and decides anew on what it has by then.
 */
export function planSync(index: SyncIndex, delta: SyncDelta): SyncPlan {
  const instructions: InstructionMessage[] = [];
  const takes: SyncEntry[] = [];
  for (const theirs of delta.entries) {
    const ours = index.get(theirs.path);
    const { verdict } = judgeIn(index, theirs);
    if (verdict === "equal") continue;
    if (ours !== undefined && verdict === "ours") {
      instructions.push(offer(ours, theirs));
      continue;
    }
    takes.push(theirs);
    const hasContents = theirs.kind === "file" && !theirs.deleted;
    if (!hasContents || (verdict !== "take" && verdict !== "conflict")) continue;
    instructions.push({
      action: verdict === "take" ? "send" : "conflict",
      file_path: theirs.path,
      ...(verdict === "take" || ours === undefined ? {} : {
        entry: entryToMessage(ours),
        winner: "client",
        copy_path: conflictPath(theirs.path, ours.sha256),
      }),
    });
  }
  const said = new Set(delta.entries.map(({ path }) => path));
  for (const ours of index.since(delta.since, delta.source)) {
    if (!said.has(ours.path)) instructions.push(offer(ours));
  }
  return { instructions, takes, indexSeq: index.seq };
}

/** What the other side is to do about an entry of ours. */
function offer(ours: SyncEntry, theirs?: SyncEntry): InstructionMessage {
  const { path } = ours;
  const common = { file_path: path, entry: entryToMessage(ours) };
  const isConflict = theirs !== undefined && theirs.kind === "file" && !theirs.deleted &&
    !ours.deleted && compareVersions(ours.version, theirs.version) !== "after";
  if (!isConflict) return { action: ours.deleted ? "delete" : "receive", ...common };
  const copy_path = conflictPath(path, theirs.sha256);
  return { action: "conflict", ...common, winner: "server", copy_path };
}
