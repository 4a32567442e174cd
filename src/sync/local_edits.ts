/**
 * What somebody did to the folder, as edits of this replica: the disk compared with the index.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { checkReceivedPath, foldPath } from "../transfer/safe_path.ts";
import { compareCodePoints } from "../wire/code_point_order.ts";
import { freePath } from "./conflict.ts";
import type { SyncEntry } from "./entry.ts";
import { hiddenByDisks, type OtherDisk, otherDisk } from "./mounts.ts";
import { isIn, prefixesOf } from "./path.ts";
import { type IndexWrite, liveAt, type SyncIndex } from "./index.ts";
import { renamesIn } from "./intake.ts";
import { confirmation, creation, deletion, type Step } from "./steps.ts";
import { nextVersion } from "./version_vector.ts";

/** A file or folder as the disk has it. */
export interface FoundFile {
  /** Its path below the folder, with `/`, as the disk spells it. */
  readonly path: string;
  /** What it is. */
  readonly kind: "file" | "directory";
  /** Bytes; 0 for a folder. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  /** Time of the last change in whole milliseconds since 1970. */
  readonly mtimeMs: number;
  /** What changes when the file does. */
  readonly stat: string;
  /** Whether it may change at this moment and that stays the same. @default {false} */
  readonly isUnsure?: boolean;
}

/** A file or folder that was looked into. */
export interface ReadFile extends FoundFile {
  /** What changes when the file does; empty when that cannot be relied upon. */
  readonly stat: string;
  /** SHA-256 of the contents in hexadecimal; empty for a folder. */
  readonly sha256: string;
}

/** Something that is not taken part in. */
export interface Unportable {
  /** Its path as the disk spells it. */
  readonly path: string;
  /** Why. */
  readonly reason: string;
}

/** What the index notes of a file that is known and not shared any more: should that change, it is nobody's edit. */
export const UNSHARED = "unshared";

/** What is to be made of a path that was not found. */
export type Absence = "gone" | "hidden" | "unshared";

/** How the disk differs from the index. */
export interface ScanDiff {
  /** What is new or may have changed, and has to be looked into. */
  readonly changed: readonly FoundFile[];
  /** What is there no more, by its path in the index. */
  readonly gone: readonly string[];
  /** What is not shared any more, which is to be noted as {@linkcode UNSHARED}. */
  readonly unshared: readonly string[];
  /** What was not shared, is again, and is not there: others may have it. */
  readonly lost: readonly string[];
  /** Folders that were on another disk, and all of what was in them is hidden. */
  readonly unmounted: readonly string[];
  /** What has a name that not every system can store; it stays where it is and nobody is told of it. */
  readonly unportable: readonly Unportable[];
}

/** How to compare. */
export interface CompareOptions {
  /** What is to be made of a path that was not found. @default {"gone"} */
  readonly absence?: (path: string, kind: "file" | "directory") => Absence;
}

/** Compares all that is on the disk with the index, without looking into any file. */
export function compareScan(
  index: SyncIndex,
  found: Iterable<FoundFile>,
  options: CompareOptions = {},
): ScanDiff {
  const { absence = () => "gone" } = options;
  const known = index.known();
  const seen = new Set<string>();
  const changed: FoundFile[] = [];
  const unportable: Unportable[] = [];
  const onOtherDisks = new Map<string, OtherDisk>();
  for (const file of found) {
    const before = known.get(file.path);
    if (before !== undefined) seen.add(file.path);
    if (before?.stat === file.stat && file.stat !== "" && before.kind === file.kind) continue;
    const other = otherDisk(before?.stat ?? "", file.stat);
    if (other !== undefined) onOtherDisks.set(file.path, other);
    const reason = before === undefined ? faultOf(file.path) : undefined;
    if (reason === undefined) changed.push(file);
    else unportable.push({ path: file.path, reason });
  }
  const absent = [...known].filter(([path]) => !seen.has(path));
  const unmounted = hiddenByDisks(onOtherDisks, absent.map(([path]) => path), seen);
  const isUnmounted = (path: string) => unmounted.some((folder) => isIn(path, folder));
  const lists = { gone: [] as string[], unshared: [] as string[], lost: [] as string[] };
  for (const [path, { kind, stat }] of absent) {
    const why = isUnmounted(path) ? "hidden" : absence(path, kind);
    if (why === "unshared" && stat !== UNSHARED) lists.unshared.push(path);
    if (why === "gone") (stat === UNSHARED ? lists.lost : lists.gone).push(path);
  }
  const counted = changed.filter(({ path }) => !isUnmounted(path));
  return { changed: counted, ...lists, unmounted, unportable };
}

/**
 * The steps that note what was done to the folder. Only where two names are one on some system, or one is not in normal
 * form C, is anything done on the disk: the newcomer is renamed. What is in a folder that was renamed so is noted after
 * the next scan.
 *
 * @param changed What {@linkcode compareScan} has found changed, looked into.
 * @param gone What it has found gone.
 */
export function* localEdits(
  index: SyncIndex,
  changed: Iterable<ReadFile>,
  gone: Iterable<string>,
): Generator<Step> {
  const all = [...changed].sort((a, b) => compareCodePoints(a.path, b.path));
  // What is in normal form has more right to its name.
  const files = [...all.filter(isNormal), ...all.filter((file) => !isNormal(file))];
  const deletions = [...gone].flatMap((path) => liveAt(index, path) ?? []);
  const { fitting, misfits } = sorted(index, files, new Set(deletions.map(({ path }) => path)));
  const edits = fitting.flatMap((file) => editOf(index, file) ?? []);
  const renames = renamesIn(index, deletions, edits.map(({ entry }) => entry));
  const from = new Map(renames.map(([gone, live]) => [live.path, gone]));
  const rest = new Set(deletions);
  for (const [gone] of renames) rest.delete(gone);
  const writes = [
    ...[...rest].sort((a, b) => compareCodePoints(b.path, a.path)).map((entry) =>
      deletion(index, entry)
    ),
    ...edits.flatMap((edit) => {
      const old = from.get(edit.entry.path);
      return old === undefined ? [edit] : [deletion(index, old), edit];
    }),
  ];
  const edited = new Set(edits.map(({ entry }) => entry.path));
  const same = fitting.filter(({ path }) => !edited.has(path));
  index.noteStats(same.map(({ path, stat }) => [path, stat]));
  if (writes.length > 0) yield { disk: { do: "nothing" }, writes };
  for (const misfit of misfits) yield* renamed(index, misfit);
}

/** What can be noted as it is, and what has to be renamed; nothing of what is in a folder that has to be. */
function sorted(
  index: SyncIndex,
  files: readonly ReadFile[],
  gone: ReadonlySet<string>,
): { fitting: ReadFile[]; misfits: ReadFile[] } {
  const fitting: ReadFile[] = [];
  const misfits = new Map<string, ReadFile>();
  const spellings = new Map<string, string>();
  for (const file of files) {
    const { path } = file;
    if ([...prefixesOf(path)].some((folder) => misfits.has(folder))) continue;
    const fold = foldPath(path);
    const isNew = liveAt(index, path) === undefined;
    const hasOther = spellings.has(fold) ||
      index.alike(path).some((other) => !gone.has(other.path));
    if (!isNormal(file) || (isNew && hasOther)) misfits.set(path, file);
    else fitting.push(file);
    spellings.set(fold, path);
  }
  return { fitting, misfits: [...misfits.values()] };
}

/** The edit that a file is; `undefined` when it is what the index says. */
function editOf(index: SyncIndex, file: ReadFile): IndexWrite | undefined {
  const { path, kind, sha256, stat } = file;
  const before = liveAt(index, path);
  const entry = entryOf(file, path);
  if (before === undefined) return { entry: creation(index, entry, path), stat };
  const isSame = before.kind === kind && before.sha256 === sha256 &&
    (before.mode === entry.mode || kind === "directory");
  if (isSame) return undefined;
  return { entry: { ...entry, version: nextVersion(before.version, index.replica) }, stat };
}

function* renamed(index: SyncIndex, file: ReadFile): Generator<Step> {
  const path = file.path.normalize("NFC");
  const isFree = liveAt(index, path) === undefined && index.alike(path).length === 0;
  const to = isFree ? path : freePath(index, entryOf(file, path));
  if (typeof to !== "string") {
    yield confirmation(index, to);
    yield { disk: { do: "remove", path: file.path, found: entryOf(file, file.path) }, writes: [] };
  } else {
    const entry = creation(index, entryOf(file, to), to);
    yield { disk: { do: "move", from: file.path, to }, writes: [{ entry, stat: file.stat }] };
  }
}

function entryOf(file: ReadFile, path: string): SyncEntry {
  const { kind, size, mode, mtimeMs, sha256 } = file;
  const facts = kind === "file" ? { size, mtimeMs, sha256 } : { size: 0, mtimeMs: 0, sha256: "" };
  return { path, kind, deleted: false, mode, ...facts, version: new Map() };
}

function isNormal({ path }: FoundFile): boolean {
  return path === path.normalize("NFC");
}

function faultOf(path: string): string | undefined {
  try {
    checkReceivedPath(path);
    return undefined;
  } catch (error) {
    if (error instanceof InvalidPacketError) return String(error.details.reason);
    throw error;
  }
}
