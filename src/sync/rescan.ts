/**
 * Looks at a folder on the disk: at every name, and into the files that may have changed.
 *
 * What a file system says of changes is a hint at best; this is what counts. A file is looked into when its size, times,
 * permissions or number on the disk are not what they were, and once more when it was changed in the same moment. The time
 * that nobody can set is among them: some programs give a file that they have changed its old time.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { MIN_ASIDE_BYTES, sha256Aside } from "./aside.ts";
import { MAX_MTIME_MS } from "./entry.ts";
import { isSame } from "./file_facts.ts";
import { IgnoreRules } from "./ignore.ts";
import type { SyncIndex } from "./index.ts";
import { compareScan, type FoundFile, type ReadFile, type Unportable } from "./local_edits.ts";
import { folderStat } from "./mounts.ts";
import { isIn } from "./path.ts";
import { piecesOf } from "./pieces.ts";

/** The time of a file is that exact: FAT counts in steps of two seconds. What is younger may change and look the same. */
const UNSURE_MS = 2_000;

/** The time that nobody can set comes in whole seconds; and how far it may be ahead of ours while we look. */
const UNSURE_CHANGE_MS = 1_100;
const MAX_AHEAD_MS = 3_600_000;

/** Names that are looked at before others get their turn, and bytes of a file that take as long as a name. */
const NAMES_PER_TURN = 512;
const BYTES_PER_NAME = 16 * 1024;

/** Files that are looked into at once, and up to which size as a whole: while one is hashed the next is read. */
const LANES = 4;
const MAX_WHOLE_BYTES = 2 * 1024 * 1024;

const MODE_BITS = 0o777;

/** How to look. */
export interface RescanOptions {
  /** What is left out. @default {IgnoreRules.none} */
  readonly rules?: IgnoreRules;
  /** Milliseconds since 1970. @default {Date.now()} */
  readonly wallMs?: number;
  /** Stops it; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What was found. */
export interface Rescan {
  /** What is new or was changed, looked into: for `localEdits`. */
  readonly changed: readonly ReadFile[];
  /** What is gone: for `localEdits`. */
  readonly gone: readonly string[];
  /** What is known, and not shared any more. */
  readonly unshared: readonly string[];
  /** What was not shared, is again, and is not there. */
  readonly lost: readonly string[];
  /** What is there and is not shared: links, special files, names that not every system can store, unreadable ones. */
  readonly skipped: readonly Unportable[];
  /** How many files and folders there are. */
  readonly found: number;
}

/** What a walk has found. */
interface Walk {
  readonly root: string;
  /** The number of the disk that the root is on. */
  readonly device: number;
  readonly rules: IgnoreRules;
  readonly wallMs: number;
  readonly signal: AbortSignal | undefined;
  readonly found: FoundFile[];
  readonly skipped: Unportable[];
  names: number;
}

/**
 * Compares a folder with its index.
 *
 * @throws {NotFoundError} `no-path` when the folder is not there: nothing in it counts as deleted then.
 */
export async function rescan(
  root: string,
  index: SyncIndex,
  options: RescanOptions = {},
): Promise<Rescan> {
  const { rules = IgnoreRules.none, wallMs = Date.now(), signal } = options;
  const device = deviceOf(root);
  if (device === undefined) {
    const shown = printable(root);
    throw new NotFoundError("no-path", `Cannot find folder "${shown}"`, {
      details: { path: shown },
    });
  }
  const walk: Walk = { root, device, rules, wallMs, signal, found: [], skipped: [], names: 0 };
  await walkInto(walk, "");
  const skipped = [...walk.skipped];
  const isHidden = (path: string) => walk.skipped.some((skipped) => isIn(path, skipped.path));
  const diff = compareScan(index, walk.found, {
    absence: (path, kind) => {
      return rules.ignores(path, kind) ? "unshared" : isHidden(path) ? "hidden" : "gone";
    },
  });
  const { gone, unshared, lost } = diff;
  for (const path of diff.unmounted) skipped.push({ path, reason: "its disk is not there" });
  const changed: ReadFile[] = [];
  for (const [{ path }, read] of await readAll(walk, diff.changed)) {
    if (typeof read === "string") skipped.push({ path, reason: read });
    else changed.push(read);
  }
  // What could not be looked into is there all the same, as it is known.
  return {
    changed,
    gone,
    unshared,
    lost,
    skipped: [...skipped, ...diff.unportable],
    found: walk.found.length,
  };
}

/** What the disk says of a file. */
export function statOf(info: Deno.FileInfo): string {
  return `${factsOf(info)}/${info.ctime?.getTime() ?? 0}`;
}

/** Whether the disk says that of a file, but for what changes when it gets another name or place. */
export function hasFacts(info: Deno.FileInfo, stat: string): boolean {
  return stat.startsWith(`${factsOf(info)}/`);
}

/** Whether a file was written to a moment ago: another change at this moment may look the same. */
export function isYoung({ mtime }: Deno.FileInfo, wallMs: number): boolean {
  return Math.abs(wallMs - (mtime?.getTime() ?? 0)) < UNSURE_MS;
}

/** The same for any change to it; `wallMs` may be some time ago. */
function isJustChanged({ ctime }: Deno.FileInfo, wallMs: number): boolean {
  const aheadMs = (ctime?.getTime() ?? -Infinity) - wallMs;
  return aheadMs > -UNSURE_CHANGE_MS && aheadMs < MAX_AHEAD_MS;
}

function factsOf(info: Deno.FileInfo): string {
  return [info.size, info.mtime?.getTime() ?? 0, modeOf(info), info.ino ?? 0].join(":");
}

async function walkInto(walk: Walk, folder: string): Promise<void> {
  const names = namesIn(walk, folder);
  for (const name of names) {
    await turn(walk);
    const path = folder === "" ? name : `${folder}/${name}`;
    const info = look(walk, path);
    if (info === undefined) continue;
    const kind = info.isDirectory ? "directory" : "file";
    if (walk.rules.matches(path, kind)) continue;
    if (!info.isFile && !info.isDirectory) {
      const reason = info.isSymlink ? "symbolic link" : "special file";
      walk.skipped.push({ path, reason });
      continue;
    }
    const mtimeMs = info.isFile ? mtimeOf(info) : 0;
    const stat = info.isFile ? statOf(info) : folderStat(info.dev, walk.device);
    const size = info.isFile ? info.size : 0;
    const isUnsure = info.isFile &&
      (isYoung(info, walk.wallMs) || isJustChanged(info, walk.wallMs));
    walk.found.push({ path, kind, size, mode: modeOf(info), mtimeMs, stat, isUnsure });
    if (info.isDirectory) await walkInto(walk, path);
  }
}

function namesIn(walk: Walk, folder: string): string[] {
  try {
    return Array.from(Deno.readDirSync(join(walk.root, folder)), ({ name }) => name).sort();
  } catch (error) {
    if (folder === "") throw error;
    walk.skipped.push({ path: folder, reason: faultOf(error) });
    return [];
  }
}

/** What is at a path. @returns `undefined` when it is gone, has no Unicode name, or the disk does not say. */
function look(walk: Walk, path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(join(walk.root, path));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      walk.skipped.push({ path, reason: faultOf(error) });
    }
    return undefined;
  }
}

/** Why the disk does not tell of something, which is there all the same. @throws any error that it has no part in. */
function faultOf(error: unknown): string {
  const { NotADirectory, NotFound, PermissionDenied } = Deno.errors;
  if (error instanceof NotFound || error instanceof NotADirectory) return "gone";
  if (error instanceof PermissionDenied) return "not readable";
  if (!(error instanceof Error && "code" in error)) throw error;
  return error.code === "ENAMETOOLONG" ? "too long a path" : `not readable: ${error.code}`;
}

/** Looks into files. @returns each with its hash, or why there is none, in their order. */
async function readAll(
  walk: Walk,
  files: readonly FoundFile[],
): Promise<[FoundFile, ReadFile | string][]> {
  const all: [FoundFile, ReadFile | string][] = [];
  const queue = files.entries();
  const lane = async () => {
    const buffer = new WholeBuffer();
    for (const [at, file] of queue) {
      await turn(walk);
      const isFile = file.kind === "file";
      all[at] = [file, isFile ? await readFile(walk.root, file, buffer) : { ...file, sha256: "" }];
      walk.names += Math.floor(file.size / BYTES_PER_NAME);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return all;
}

/** The file with its hash, or why there is none. */
async function readFile(
  root: string,
  found: FoundFile,
  buffer: WholeBuffer,
): Promise<ReadFile | string> {
  const path = join(root, found.path);
  try {
    const before = Deno.lstatSync(path);
    // A pipe that was put in its place would be waited for, and a link leads to somebody else's file.
    if (!before.isFile) return "changed while it was read";
    using file = Deno.openSync(path);
    const info = file.statSync();
    if (!isSame(info, before)) return "changed while it was read";
    const { sha256, size } = await hashOf(file, info.size, buffer);
    const after = file.statSync();
    const isStill = size === found.size && statOf(after) === found.stat && !found.isUnsure;
    return { ...found, size, sha256, stat: isStill ? found.stat : "" };
  } catch (error) {
    return faultOf(error);
  }
}

/** The hash of a file, and how much of it there was: it may grow while it is read. */
async function hashOf(
  file: Deno.FsFile,
  bytes: number,
  buffer: WholeBuffer,
): Promise<{ readonly sha256: string; readonly size: number }> {
  const isWhole = bytes >= MIN_ASIDE_BYTES && bytes <= MAX_WHOLE_BYTES;
  const whole = isWhole ? buffer.read(file) : undefined;
  if (whole !== undefined) return { sha256: await sha256Aside(whole), size: whole.length };
  const hash = createHash("sha256");
  let size = 0;
  file.seekSync(0, Deno.SeekMode.Start);
  for await (const piece of piecesOf(file)) {
    hash.update(piece);
    size += piece.length;
  }
  return { sha256: hash.digest("hex"), size };
}

/** Reads files as a whole, one after the other into the same memory. */
class WholeBuffer {
  #bytes: Uint8Array | undefined;

  /** What is in a file, valid until the next; `undefined` when that is too much by now. */
  read(file: Deno.FsFile): Uint8Array | undefined {
    const bytes = this.#bytes ??= new Uint8Array(MAX_WHOLE_BYTES + 1); // one more, to see the end
    let filled = 0;
    while (filled < bytes.length) {
      const count = file.readSync(bytes.subarray(filled));
      if (count === null) return bytes.subarray(0, filled);
      filled += count;
    }
    return undefined;
  }
}

/** A time that can be told to others. */
function mtimeOf({ mtime }: Deno.FileInfo): number {
  const mtimeMs = Math.floor(mtime?.getTime() ?? 0);
  // Beyond what a date can say it is none.
  return Number.isNaN(mtimeMs) ? MAX_MTIME_MS : Math.min(Math.max(0, mtimeMs), MAX_MTIME_MS);
}

function modeOf(info: Deno.FileInfo): number {
  // Windows has no such bits.
  return (info.mode ?? (info.isDirectory ? 0o755 : 0o644)) & MODE_BITS;
}

/** The number of the disk that a folder is on; `undefined` when it is none. */
function deviceOf(path: string): number | undefined {
  try {
    const { isDirectory, dev } = Deno.statSync(path);
    return isDirectory ? dev : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Lets others have their turn now and then: what is done here is synchronous, as that is four times as fast. */
async function turn(walk: Walk): Promise<void> {
  if (++walk.names < NAMES_PER_TURN) return;
  walk.names = 0;
  walk.signal?.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, 0));
}
