/**
 * Names for what is kept beside a file that won: made of the path and the contents alone, so that every replica that
 * keeps the same thing gives it the same name, and the copies are one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { checkReceivedPath, MAX_SEGMENT_BYTES } from "../transfer/safe_path.ts";
import { sameContents, type SyncEntry } from "./entry.ts";
import { parentOf } from "./path.ts";
import { liveAt, type StoredEntry, type SyncIndex } from "./index.ts";

/** Hexadecimal digits of a hash in a name, shortest first: more where a name is taken. */
const MARK_DIGITS: readonly number[] = [8, 16, 32, 64];

/** A name of a conflict has so much room at least: a mark of all digits, and the ending. */
const MIN_CONFLICT_BYTES = 160;

const MAX_PATH_BYTES = 4_096;

/** What is kept is called so when its name does not fit. */
const NO_NAME = "file";

/** Folders of one name that are kept beside each other. */
const MAX_FOLDERS = 1_000;

// What an earlier conflict has added: a copy of a copy is not called by both.
const MARK = / \(conflict [0-9a-f]{8,64}\)$/;

/**
 * The name under which contents are kept that lost their place: `notes.txt` becomes `notes (conflict 9f86d081).txt`.
 *
 * @param mark Hexadecimal: as a rule the SHA-256 of the contents.
 * @param digits How much of it. @default {8}
 */
export function conflictPath(path: string, mark: string, digits = 8): string {
  let folder = parentOf(path);
  const name = folder === "" ? path : path.slice(folder.length + 1);
  // A name that begins with its only dot has no ending: ".profile".
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const added = ` (conflict ${mark.slice(0, digits)})${shortened(ending, 64)}`;
  // Where the path of the folder is so long that nothing more has room in it, another one is near.
  while (folder !== "" && roomIn(folder) < MIN_CONFLICT_BYTES) folder = parentOf(folder);
  const way = folder === "" ? "" : folder + "/";
  const room = roomIn(folder) - Buffer.byteLength(added);
  const kept = [shortened(stem.replace(MARK, ""), room), NO_NAME].map((one) => way + one + added);
  return kept.find(isAccepted) ?? `${way}${NO_NAME} (conflict ${mark.slice(0, digits)})`;
}

/** Bytes of a name in a folder. */
function roomIn(folder: string): number {
  return Math.min(MAX_SEGMENT_BYTES, MAX_PATH_BYTES - Buffer.byteLength(folder) - 1);
}

function isAccepted(path: string): boolean {
  try {
    return checkReceivedPath(path) === path;
  } catch (error) {
    if (error instanceof InvalidPacketError) return false;
    throw error;
  }
}

/**
 * A path to keep an entry under, on which nothing is in any spelling.
 *
 * @returns the path; or the file that is under such a path already, and has these contents.
 * @throws {RangeError} when all are taken, by contents whose hashes begin alike: nobody can make such.
 */
export function freePath(index: SyncIndex, entry: SyncEntry): string | StoredEntry {
  for (const path of candidatesFor(entry)) {
    const there = [liveAt(index, path) ?? [], index.alike(path)].flat();
    if (there.length === 0) return path;
    if (entry.kind === "directory") continue;
    const kept = there.find((other) => sameContents(other, entry));
    if (kept !== undefined) return kept;
  }
  throw new RangeError("Every name for a conflict is taken");
}

/** A folder has no contents of its own: it is marked by its path, and how many were. */
function* candidatesFor({ path, kind, sha256 }: SyncEntry): Generator<string> {
  if (kind === "file") {
    for (const digits of MARK_DIGITS) yield conflictPath(path, sha256, digits);
    return;
  }
  for (let count = 0; count < MAX_FOLDERS; count++) {
    yield conflictPath(path, createHash("sha256").update(`${count}/${path}`).digest("hex"));
  }
}

/** A name of so many bytes of UTF-8 at most, without half of what is seen as one character at its end. */
function shortened(name: string, maxBytes: number): string {
  if (Buffer.byteLength(name) <= maxBytes) return name;
  let kept = "";
  let bytes = 0;
  for (const { segment } of new Intl.Segmenter().segment(name)) {
    bytes += Buffer.byteLength(segment);
    if (bytes > maxBytes) break;
    kept += segment;
  }
  return kept.trimEnd();
}
