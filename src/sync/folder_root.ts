/**
 * What is said of a folder in the folder itself: which index it belongs to, and what of it is not shared.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { isAbsolute, join, relative, resolve } from "node:path";
import { InvalidPacketError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { openError } from "../transfer/disk.ts";
import { PARTIAL_FOLDER } from "../transfer/safe_path.ts";
import { IGNORE_FILE, IgnoreRules, MAX_IGNORE_CHARS } from "./ignore.ts";

/** Names the index; in a folder that is never shared. */
const MARKER = "index";

/** Longest UTF-8 of a character is 4 bytes, of a UTF-16 unit 3. */
const MAX_IGNORE_BYTES = MAX_IGNORE_CHARS * 3;

/** The name of a folder's index in the home folder: the same for every way to write the folder's path. */
export function indexNameOf(dir: string): string {
  const path = realPathOf(dir);
  return `sync-${createHash("sha256").update(path).digest("hex").slice(0, 16)}.sqlite`;
}

/** The error for a folder that seems to be another one, or none: what is missing in it must not count as deleted. */
export function notThatFolder(dir: string): UnsupportedError {
  const shown = printable(dir, 400);
  return new UnsupportedError(
    `Cannot compare folder "${shown}": none of its files is there; is its disk mounted?`,
    { details: { path: shown } },
  );
}

/** Whether the folder says that it belongs to this index. */
export function isMarked(dir: string, replica: string): boolean {
  return readText(join(dir, PARTIAL_FOLDER, MARKER), 100) === replica;
}

/**
 * Says in the folder that it belongs to this index.
 *
 * @param readOnly Where it cannot be said, it is not.
 * @throws {AuthError} `not-allowed` when we may not write there.
 */
export function markFolder(
  dir: string,
  replica: string,
  { readOnly = false }: { readOnly?: boolean } = {},
): void {
  try {
    putMark(dir, replica);
  } catch (cause) {
    if (!readOnly) throw openError(dir, cause);
  }
}

function putMark(dir: string, replica: string): void {
  const partials = join(dir, PARTIAL_FOLDER);
  Deno.mkdirSync(partials, { recursive: true, mode: 0o700 });
  const temp = join(partials, `${crypto.randomUUID()}.part`);
  Deno.writeTextFileSync(temp, replica, { createNew: true, mode: 0o600 });
  Deno.renameSync(temp, join(partials, MARKER));
}

/** Rules, and a number that is another for other rules; 0 for none. */
export interface FolderRules {
  /** What is not shared. */
  readonly rules: IgnoreRules;
  /** Their number. */
  readonly number: number;
}

/** No rules. */
export const NO_RULES: FolderRules = { rules: IgnoreRules.none, number: 0 };

/** The folder's rules. @throws {InvalidPacketError} when they cannot be understood. */
export function readRules(dir: string): FolderRules {
  const text = readText(join(dir, IGNORE_FILE), MAX_IGNORE_BYTES);
  if (text === undefined) return NO_RULES;
  const number = createHash("sha256").update(text).digest().readUIntBE(0, 6);
  return { rules: IgnoreRules.parse(text), number };
}

/**
 * The path of a folder below another one, if it is below that.
 *
 * @throws {UnsupportedError} for what nobody can mean to share: all there is, devices too, and our own keys.
 */
export function partBelow(dir: string, homeDir: string | undefined): string | undefined {
  const way = homeDir === undefined ? ".." : relative(dir, Deno.realPathSync(homeDir));
  const why = dir === "/" ? "it is the root of all folders" : way === "" ? "it holds our keys" : "";
  if (why !== "") throw new UnsupportedError(`Cannot keep "${printable(dir, 400)}" alike: ${why}`);
  return way.startsWith("..") || isAbsolute(way) ? undefined : way.replaceAll("\\", "/");
}

/** Whether there is such a folder. */
export function isFolderThere(dir: string): boolean {
  try {
    return Deno.statSync(dir).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function realPathOf(dir: string): string {
  try {
    return Deno.realPathSync(dir);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return resolve(dir);
    throw error;
  }
}

/** The text of a plain file; `undefined` when there is none. */
function readText(path: string, maxBytes: number): string | undefined {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    if (!isFile) return undefined;
    if (size <= maxBytes) return Deno.readTextFileSync(path);
    const text = `Cannot read ${printable(path, 400)}: ${size} bytes exceed maxBytes ${maxBytes}`;
    throw new InvalidPacketError("too-large", text, {
      details: { limit: "maxBytes", max: maxBytes },
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
