/**
 * What is said of a folder in the folder itself: which index it belongs to, and what of it is not shared.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { isAbsolute, join, relative, resolve } from "node:path";
import { PeerError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { openError } from "../transfer/disk.ts";
import { type HeldFolder, lstat } from "../transfer/held_folder.ts";
import type { ReceiveRoot } from "../transfer/receive_root.ts";
import { PARTIAL_FOLDER } from "../transfer/safe_path.ts";
import type { SyncIndex } from "./index.ts";
import { IGNORE_FILE, IgnoreRules, MAX_IGNORE_CHARS } from "./ignore.ts";
import { isReplica } from "./version_vector.ts";

/** Names the indexes; in a folder that is never shared. */
const MARKER = "index";
const MAX_MARKER_BYTES = 4_096;

/** Indexes that a folder belongs to, of which the last ones count. */
const MAX_INDEXES = 32;

/** Longest UTF-8 of a character is 4 bytes, of a UTF-16 unit 3. */
const MAX_IGNORE_BYTES = MAX_IGNORE_CHARS * 3;

/**
 * The name of a folder's index in the home folder: the same for every way to write the folder's path.
 *
 * @example
 * ```ts
 * import { indexNameOf } from "@kith/kith/sync";
 * import { assertEquals, assertMatch } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * assertMatch(indexNameOf(dir), /^sync-[0-9a-f]{16}\.sqlite$/);
 * assertEquals(indexNameOf(`${dir}/.`), indexNameOf(dir));
 * await Deno.remove(dir);
 * ```
 */
export function indexNameOf(dir: string): string {
  const path = realPathOf(dir);
  return `sync-${createHash("sha256").update(path).digest("hex").slice(0, 16)}.sqlite`;
}

/**
 * The file in a folder that says which indexes it belongs to: of each home that keeps it alike, one; and during which of its
 * openings it said so last.
 */
export class FolderMark {
  readonly #root: ReceiveRoot;
  readonly #index: Pick<SyncIndex, "id" | "openings">;

  /** Looks at nothing yet. */
  constructor(root: ReceiveRoot, index: Pick<SyncIndex, "id" | "openings">) {
    this.#root = root;
    this.#index = index;
  }

  /** Whether the folder says that it belongs to the index. @throws {AuthError} when a link is in the way. */
  isThere(): boolean {
    using tree = this.#root.hold();
    const partials = tree.find([PARTIAL_FOLDER]);
    return partials !== undefined && indexesIn(partials).has(this.#index.id);
  }

  /** Whether the index is older than the folder, as from a backup: it was open when it knows nothing of. */
  isNewer(): boolean {
    using tree = this.#root.hold();
    const partials = tree.find([PARTIAL_FOLDER]);
    const opening = partials && indexesIn(partials).get(this.#index.id);
    if (opening === undefined || opening === "") return false;
    return !this.#index.openings.some(({ name }) => name === opening);
  }

  /** Has the folder say so. @throws {AuthError} `not-allowed` when we may not write there, or a link is in the way. */
  put(): void {
    try {
      using tree = this.#root.hold();
      const partials = tree.find([PARTIAL_FOLDER], 0o700);
      if (partials === undefined) return;
      const { id, openings } = this.#index;
      const others = [...indexesIn(partials)].filter(([name]) => name !== id);
      const lines = [...others.slice(1 - MAX_INDEXES), [id, openings.at(-1)?.name ?? ""]]
        .map((names) => names.join(" ").trim());
      const temp = partials.join(`${crypto.randomUUID()}.part`);
      Deno.writeTextFileSync(temp, `${lines.join("\n")}\n`, { createNew: true, mode: 0o600 });
      Deno.renameSync(temp, partials.join(MARKER));
    } catch (cause) {
      throw openError(this.#root.dir, cause);
    }
  }

  /** Whether it could be said in this folder. */
  canBePut(): boolean {
    try {
      using tree = this.#root.hold();
      return tree.find([PARTIAL_FOLDER], 0o700) !== undefined;
    } catch {
      return false;
    }
  }

  /** The error for a folder that does not say so, and wants files: it may be another one, or none. */
  fault(missing: number): UnsupportedError {
    const shown = printable(this.#root.dir, 400);
    const way = `add the line ${this.#index.id} to ${PARTIAL_FOLDER}/${MARKER} in it`;
    return new UnsupportedError(
      `Cannot compare folder "${shown}": ${missing} of its files are not there, and its mark is not either; ` +
        `is its disk mounted? If you have deleted them, ${way}`,
      { details: { path: shown, missing } },
    );
  }
}

/** The indexes that the folder says it belongs to, and their openings; empty where it does not say. */
function indexesIn(partials: HeldFolder): Map<string, string> {
  const path = partials.join(MARKER);
  const found = lstat(path);
  if (!found?.isFile || found.size > MAX_MARKER_BYTES) return new Map();
  const lines = Deno.readTextFileSync(path).split("\n").map((line) => line.trim().split(/\s+/));
  return new Map(lines.flatMap(([id, opening = ""]) => isReplica(id) ? [[id, opening]] : []));
}

/**
 * The folder's rules; none where there is no file of rules.
 *
 * @throws {InvalidPacketError} when they cannot be understood. @throws {UnsupportedError} when they cannot be read.
 */
export function readRules(dir: string): IgnoreRules {
  const path = join(dir, IGNORE_FILE);
  let found: Deno.FileInfo | undefined;
  try {
    found = lstat(path);
    if (found === undefined) return IgnoreRules.none;
    if (found.isFile && found.size <= MAX_IGNORE_BYTES) {
      return IgnoreRules.parse(Deno.readTextFileSync(path));
    }
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return IgnoreRules.none;
    if (cause instanceof PeerError) throw cause;
    throw unreadable("it may not be read", cause);
  }
  throw unreadable(found.isFile ? `it exceeds ${MAX_IGNORE_BYTES} bytes` : "it is no plain file");
}

// What would be told without its rules may be what nobody is to see.
function unreadable(why: string, cause?: unknown): UnsupportedError {
  return new UnsupportedError(`Cannot read ${IGNORE_FILE}: ${why}`, { cause });
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
