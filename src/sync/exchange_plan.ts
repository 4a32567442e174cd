/**
 * What a round would do, for a client that only looks: what comes is taken into a copy of the index.
 *
 * @module
 */

import type { SyncEntry } from "./entry.ts";
import { ask, request, type RoundOptions, sinceOf, soundMark, toldOf } from "./exchange_round.ts";
import type { PlannedAction } from "./folder_events.ts";
import { type IndexWrite, liveAt, type SyncIndex } from "./index.ts";
import { intake } from "./intake.ts";
import { judge } from "./judge.ts";
import { MemoryIndex } from "./memory_index.ts";
import { commitStep, type Step } from "./steps.ts";

/** What one side would do. */
export interface PlannedStep {
  /** What. */
  readonly action: PlannedAction;
  /** With which file or folder. */
  readonly path: string;
}

/** What a round would do. Nothing is changed by it, here or there. @throws as `doRound`. */
export async function planRound(options: RoundOptions): Promise<PlannedStep[]> {
  const { folder, tells } = options;
  const { index } = folder;
  const hub = await ask(options);
  const theirs = hub.replica;
  const mark = soundMark(index, hub);
  const { takes } = await request(options, theirs, sinceOf(folder, theirs, mark), []);
  const copy = copyOf(index);
  const before = copy.seq;
  const wanted = takes.filter(({ path, kind }) => folder.shares(path, kind));
  const coming = folder.readOnly ? [] : takeInto(copy, wanted, theirs);
  if (!tells) return coming;
  const ours = [...toldOf(index, theirs, mark), ...copy.since(before, theirs)];
  const told = new Map(takes.map((entry) => [entry.path, entry]));
  const planned = new Set(coming.map(({ path }) => path));
  const paths = new Set(ours.map(({ path }) => path).filter((path) => !planned.has(path)));
  const going = [...paths].flatMap((path): PlannedStep[] => {
    const action = goingOf(copy, path, told.get(path), theirs);
    return action === undefined ? [] : [{ action, path }];
  });
  return [...coming, ...going];
}

/** Takes entries in. @returns what a folder does then. */
function takeInto(copy: SyncIndex, entries: readonly SyncEntry[], source: string): PlannedStep[] {
  const steps = new Map<string, PlannedAction>();
  for (const step of intake(copy, entries, source)) {
    for (const { action, path } of comingOf(copy, step)) {
      // Of what is kept under another name, that says all.
      if (steps.get(path) !== "conflict") steps.set(path, action);
    }
    commitStep(copy, step, () => "");
  }
  return [...steps].map(([path, action]) => ({ action, path }));
}

function comingOf(copy: SyncIndex, { disk, writes }: Step): PlannedStep[] {
  const isKept = disk.do === "copy" || (disk.do === "move" && writes.every(isOurs));
  if (isKept) return [{ action: "conflict", path: disk.from }];
  if (disk.do === "nothing" || disk.do === "touch") return [];
  return writes.flatMap(({ entry: { path, deleted } }): PlannedStep[] => {
    if (deleted && liveAt(copy, path) === undefined) return [];
    return [{ action: deleted ? "delete" : "receive", path }];
  });
}

/** What the hub does with what we have under a path. @param theirs What it has there, if it has told of that. */
function goingOf(
  copy: SyncIndex,
  path: string,
  theirs: SyncEntry | undefined,
  replica: string,
): PlannedAction | undefined {
  const ours = copy.get(path);
  // What was told to it, or what it has told by now.
  if (ours === undefined || ours.source === replica) return undefined;
  const { verdict } = theirs === undefined ? { verdict: "take" } : judge(theirs, ours, replica);
  if (verdict === "conflict") return "conflict";
  if (verdict !== "take") return undefined;
  return ours.deleted ? "delete-there" : "send";
}

function isOurs({ source = "" }: IndexWrite): boolean {
  return source === "";
}

function copyOf(index: SyncIndex): SyncIndex {
  const copy = new MemoryIndex(index.replica);
  copy.put(index.since(0).map((entry) => ({ entry, stat: entry.stat, source: entry.source })));
  return copy;
}
