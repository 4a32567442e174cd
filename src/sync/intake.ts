/**
 * Takes in what another replica has: which steps bring this folder there.
 *
 * Names are kept apart that some system cannot tell apart. Of two that differ in case or Unicode form, the one that is
 * first in the order of code points stays, unless the other side has just deleted it: then it is a renaming. Of a file
 * and a folder of one name, the file gets another. Whoever sees both does that, as an edit of its own; as every replica
 * gives the same thing the same name, it does not matter how many do.
 *
 * @module
 */

import { compareCodePoints } from "../wire/code_point_order.ts";
import { freePath } from "./conflict.ts";
import { sameContents, type SyncEntry, tombstoneOf } from "./entry.ts";
import { prefixesOf } from "./path.ts";
import { type IndexWrite, liveAt, type StoredEntry, type SyncIndex } from "./index.ts";
import { judgeIn, type Judgement } from "./judge.ts";
import { confirmation, creation, deletion, moveStep, noteStep, type Step } from "./steps.ts";
import { compareVersions, mergeVersions, nextVersion } from "./version_vector.ts";

/** A folder on its own, with the bits that a folder has as a rule. */
const NEW_FOLDER = {
  kind: "directory",
  deleted: false,
  size: 0,
  mode: 0o755,
  mtimeMs: 0,
  sha256: "",
  version: new Map<string, number>(),
} as const;

/** What is taken in, and from where. */
interface Intake {
  readonly index: SyncIndex;
  /** The replica that it comes from. */
  readonly source: string;
  /** What is deleted by it, by path: no names to be defended. */
  readonly doomed: ReadonlyMap<string, SyncEntry>;
}

/**
 * The steps that take entries in, which belong together: of a renaming both halves, of a folder all that is in it.
 *
 * Contents that a step writes must be at hand: see {@linkcode wantedContents}.
 *
 * @param source The replica that they come from.
 */
export function* intake(
  index: SyncIndex,
  entries: Iterable<SyncEntry>,
  source: string,
): Generator<Step> {
  const batch = [...entries];
  const doomed = batch.filter((entry) => entry.deleted && verdictOn(index, entry) === "take");
  const context = { index, source, doomed: new Map(doomed.map((entry) => [entry.path, entry])) };
  const moved = new Set<SyncEntry>();
  const isFolder = ({ kind }: SyncEntry) => kind === "directory";
  const [gone, live] = [batch.filter((entry) => entry.deleted), batch.filter((e) => !e.deleted)];
  gone.sort(byPath).reverse();
  live.sort(byPath);
  // New folders first, so that files can move into them; then the old ones can go, and leave their names.
  for (const entry of live.filter(isFolder)) yield* take(context, entry);
  for (const [from, to] of renamesIn(index, gone, live)) yield* rename(context, from, to, moved);
  const rest = [...gone, ...live.filter((entry) => !isFolder(entry))];
  for (const entry of rest) if (!moved.has(entry)) yield* take(context, entry);
}

/** Files whose contents another replica has to send before it can be taken in: those that are not here under any name. */
export function wantedContents(index: SyncIndex, entries: Iterable<SyncEntry>): SyncEntry[] {
  return [...entries].filter((entry) => {
    const comes = !entry.deleted && entry.kind === "file" &&
      ["take", "conflict"].includes(verdictOn(index, entry));
    return comes && index.withContents(entry.sha256, 1)[0]?.size !== entry.size;
  });
}

/** Files that are gone under one path and new, with the same contents, under another. */
export function renamesIn<G extends SyncEntry>(
  index: SyncIndex,
  gone: readonly G[],
  live: readonly SyncEntry[],
): [gone: G, live: SyncEntry][] {
  const byContents = new Map<string, G[]>();
  for (const entry of gone) {
    const ours = index.get(entry.path);
    if (ours === undefined || ours.deleted || ours.kind !== "file") continue;
    const others = byContents.get(contentsOf(ours));
    if (others === undefined) byContents.set(contentsOf(ours), [entry]);
    else others.push(entry);
  }
  if (byContents.size === 0) return [];
  return live.flatMap((entry): [G, SyncEntry][] => {
    if (entry.kind !== "file" || !(index.get(entry.path)?.deleted ?? true)) return [];
    const from = byContents.get(contentsOf(entry))?.shift();
    return from === undefined ? [] : [[from, entry]];
  });
}

function contentsOf({ sha256, size }: SyncEntry): string {
  return `${sha256} ${size}`;
}

function* rename(
  context: Intake,
  gone: SyncEntry,
  live: SyncEntry,
  moved: Set<SyncEntry>,
): Generator<Step> {
  const { index } = context;
  const from = index.get(gone.path);
  const others = index.alike(live.path).filter(({ path }) => path !== gone.path);
  if (from === undefined || others.length > 0) return;
  // The folders on the way may be wanting, or lead elsewhere.
  if ((yield* makeFolders(context, live)) !== live.path) return;
  const [goes, comes] = [judgeIn(index, gone), judgeIn(index, live)];
  if (goes.verdict !== "take" || comes.verdict !== "take") return;
  moved.add(gone).add(live);
  yield {
    disk: { do: "move", from: gone.path, to: live.path },
    writes: [
      taken(context, gone, goes.entry),
      { ...taken(context, live, comes.entry), stat: from.stat },
    ],
  };
}

function* take(context: Intake, theirs: SyncEntry): Generator<Step> {
  const { index } = context;
  const ours = index.get(theirs.path);
  const judgement = judgeIn(index, theirs);
  switch (judgement.verdict) {
    case "equal":
    case "ours":
      return;
    case "adopt":
      return yield adoption(context, theirs, ours, judgement.entry);
    case "revive":
      return yield noteStep({ entry: edited(index, judgement.entry) });
    case "take":
    case "conflict":
      if (theirs.deleted) yield* remove(context, theirs, judgement.entry);
      else yield* place(context, theirs);
      return;
    default:
      judgement satisfies never;
  }
}

function adoption(
  context: Intake,
  theirs: SyncEntry,
  ours: StoredEntry | undefined,
  entry: SyncEntry,
): Step {
  const write = taken(context, theirs, entry);
  const isOther = ours !== undefined && !entry.deleted &&
    (ours.mode !== entry.mode || ours.mtimeMs !== entry.mtimeMs);
  const disk = isOther ? { do: "touch", path: entry.path, entry } as const : undefined;
  return disk === undefined ? noteStep(write) : { disk, writes: [write] };
}

function* remove(context: Intake, theirs: SyncEntry, entry: SyncEntry): Generator<Step> {
  const { index } = context;
  const ours = index.get(theirs.path);
  if (ours !== undefined && index.within(theirs.path).length > 0) {
    // Something was put into it that they did not know of.
    yield noteStep({ entry: edited(index, { ...ours, version: entry.version }) });
  } else {
    const write = taken(context, theirs, entry);
    yield { disk: { do: "remove", path: theirs.path }, writes: [write] };
  }
}

/** Brings to its path what is there at another replica and not, or not so, here. */
function* place(context: Intake, theirs: SyncEntry): Generator<Step> {
  const { index } = context;
  const { path } = theirs;
  const way = yield* makeWay(context, theirs);
  if (way !== path) return yield* placeElsewhere(context, theirs, way);
  const ours = index.get(path);
  const judgement = judgeIn(index, theirs); // making way may have changed it
  if (judgement.verdict !== "take" && judgement.verdict !== "conflict") {
    return yield* take(context, theirs);
  }
  if (ours !== undefined && !ours.deleted) {
    if (judgement.verdict === "conflict" && ours.kind === "file") yield* keep(index, ours);
    // A folder that is empty, or a file where a folder comes.
    if (ours.kind !== theirs.kind) yield { disk: { do: "remove", path }, writes: [] };
  }
  const { entry } = judgement;
  const writes = [taken(context, theirs, entry)];
  yield entry.kind === "directory"
    ? { disk: { do: "folder", path }, writes }
    : { disk: { do: "write", path, entry }, writes };
}

/** Keeps the contents of a file of ours that theirs is about to replace. */
function* keep(index: SyncIndex, ours: StoredEntry): Generator<Step> {
  const to = freePath(index, ours);
  if (typeof to !== "string") return yield confirmation(index, to);
  const writes = [{ entry: creation(index, ours, to) }];
  yield { disk: { do: "copy", from: ours.path, to }, writes };
}

/** Moves a file of ours out of the way of something that has more right to its name. */
function* moveAside(index: SyncIndex, ours: StoredEntry): Generator<Step> {
  const to = freePath(index, ours);
  if (typeof to === "string") return yield moveStep(index, ours, to);
  yield confirmation(index, to);
  yield { disk: { do: "remove", path: ours.path }, writes: [deletion(index, ours)] };
}

/**
 * Takes theirs in under another path than it has there, which is an edit of ours.
 *
 * @param to The other path, or what is here already that is the same.
 */
function* placeElsewhere(
  context: Intake,
  theirs: SyncEntry,
  to: string | StoredEntry,
): Generator<Step> {
  const { index } = context;
  // Not gone before it is elsewhere: cut off between the two, it is asked for again.
  if (typeof to === "string") yield* placeAt(context, { ...theirs, path: to });
  else yield confirmation(index, to);
  const version = mergeVersions(index.get(theirs.path)?.version ?? new Map(), theirs.version);
  const stays = liveAt(index, theirs.path);
  const entry = stays === undefined ? tombstoneOf(theirs, version) : { ...stays, version };
  yield noteStep({ entry: edited(index, entry) });
}

/** Takes an entry in under its path, or beside what is there, as an edit of ours. */
function* placeAt(context: Intake, entry: SyncEntry): Generator<Step> {
  const { index } = context;
  const there = liveAt(index, entry.path);
  if (there?.kind === "file" && entry.kind === "directory") yield* moveAside(index, there);
  const blocked = liveAt(index, entry.path);
  const isSame = blocked !== undefined && sameContents(blocked, entry);
  const to = blocked === undefined ? entry.path : isSame ? blocked : freePath(index, entry);
  if (typeof to !== "string") return yield confirmation(index, to);
  yield* place({ ...context, source: "" }, creation(index, entry, to));
}

/**
 * Makes sure that nothing of another spelling or kind is where an entry is to be.
 *
 * @returns the path that it is to have: its own, or another where its own has to give way; or what is here already that
 * is the same.
 */
function* makeWay(context: Intake, entry: SyncEntry): Generator<Step, string | StoredEntry> {
  const { index, doomed } = context;
  const { path } = entry;
  const way = yield* makeFolders(context, entry);
  if (way !== path) return way;
  for (const found of index.alike(path)) {
    const deletion = found.kind === "file" ? doomed.get(found.path) : undefined;
    if (deletion !== undefined) yield* take(context, deletion);
    const other = liveAt(index, found.path);
    if (other === undefined) continue;
    const isSame = entry.kind === "directory" || sameContents(other, entry);
    if (other.kind !== entry.kind && entry.kind === "file") return freePath(index, entry);
    else if (other.kind !== entry.kind) yield* moveAside(index, other);
    else if (!givesWay(context, other, path)) return isSame ? other : freePath(index, entry);
    else if (isSame) yield moveStep(index, other, path);
    else yield* moveAside(index, other);
  }
  const isInTheWay = entry.kind === "file" && index.within(path).length > 0;
  return isInTheWay ? freePath(index, entry) : path;
}

/** Makes the folders on the way to an entry. @returns its path, in the spelling of those that are there. */
function* makeFolders(context: Intake, entry: SyncEntry): Generator<Step, string> {
  const { index } = context;
  for (const folder of prefixesOf(entry.path)) {
    if (folder === entry.path) break;
    for (const other of index.alike(folder)) {
      if (other.kind === "file") yield* moveAside(index, other);
      else if (givesWay(context, other, folder)) yield moveStep(index, other, folder);
      else return other.path + entry.path.slice(folder.length);
    }
    const there = liveAt(index, folder);
    if (there?.kind === "directory") continue;
    if (there !== undefined) yield* moveAside(index, there);
    const made = creation(index, { ...NEW_FOLDER, path: folder }, folder);
    yield { disk: { do: "folder", path: folder }, writes: [{ entry: made }] };
  }
  return entry.path;
}

/** Whether what is here under one spelling makes way for another spelling of its name. */
function givesWay({ doomed }: Intake, ours: StoredEntry, path: string): boolean {
  return doomed.has(ours.path) || compareCodePoints(path, ours.path) < 0;
}

/** The index' row for what was taken in: it is as it was sent unless it had to be merged with ours. */
function taken({ source }: Intake, theirs: SyncEntry, entry: SyncEntry): IndexWrite {
  const isTheirs = compareVersions(theirs.version, entry.version) === "equal";
  return isTheirs ? { entry, source } : { entry };
}

function edited(index: SyncIndex, entry: SyncEntry): SyncEntry {
  return { ...entry, version: nextVersion(entry.version, index.replica) };
}

function verdictOn(index: SyncIndex, theirs: SyncEntry): Judgement["verdict"] {
  return judgeIn(index, theirs).verdict;
}

function byPath(a: SyncEntry, b: SyncEntry): number {
  return compareCodePoints(a.path, b.path);
}
