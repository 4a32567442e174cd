/**
 * What a transfer consists of: {@linkcode buildManifest} lists the files and folders that a user names,
 * {@linkcode parseManifest} reads such a list from a stranger, and {@linkcode manifestRoot} is one hash over all of it.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import {
  AuthError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  UnsupportedError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { compareCodePoints } from "../wire/code_point_order.ts";
import { checkPath, checkReceivedPath, findCollision } from "./safe_path.ts";

/** Most entries of a manifest: with names of common length about 10 MB, which fits one frame. */
const MAX_ENTRIES = 100_000;

/** The end of the year 9999 in milliseconds since 1970: `Date` and the usual file systems take it. */
const MAX_MTIME_MS = 253_402_300_799_999;

/** Permission bits; set-user-id, set-group-id and sticky are not among them. */
const MODE_BITS = 0o777;

/** What {@linkcode manifestRoot} hashes first, so that no other hash of kith can be taken for one. */
const ROOT_DOMAIN = "kith manifest 1";

const utf8 = new TextEncoder();

/** One file or folder. */
export interface ManifestEntry {
  /** Portable relative path, as `checkPath` returns it. */
  readonly path: string;
  /** What it is. */
  readonly kind: "file" | "directory";
  /** Bytes of the file; 0 for a folder. */
  readonly size: number;
  /** Permission bits, 0..0o777. */
  readonly mode: number;
  /** Modification time in whole milliseconds since 1970. */
  readonly mtimeMs: number;
}

/** Everything that one transfer carries. */
export interface Manifest {
  /** The files and folders; `buildManifest` sorts them by code point, which puts a folder before what is in it. */
  readonly entries: readonly ManifestEntry[];
  /** How many of the entries are files. */
  readonly files: number;
  /** The sum of their sizes. */
  readonly totalBytes: number;
}

/** Something that was found and is not sent. */
export interface SkippedPath {
  /** The local path. */
  readonly path: string;
  /** Why not. */
  readonly reason: "symbolic link" | "special file" | "gone, or its name is not Unicode";
}

/** A manifest and where its entries are on this machine. */
export interface BuiltManifest {
  /** What is to be sent. */
  readonly manifest: Manifest;
  /** What was found and is not, in the order of the walk. */
  readonly skipped: readonly SkippedPath[];
  /** The local path of an entry. @throws {RangeError} when there is no entry of that number. */
  source(index: number): string;
}

/** How to build a manifest. */
export interface BuildManifestOptions {
  /** Stops the walk; the call rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Most entries. @default {100_000} */
  maxEntries?: number;
}

/**
 * Lists files and folders as a user names them. A folder `photos/` becomes `photos/...`; `.` and `..` get the folder's
 * real name. A link that the user names is followed; links inside folders, and what is neither file nor folder, are
 * skipped. Whatever is wrong with a name is an error here, before the first byte is sent.
 *
 * @throws {NotFoundError} `no-path` when a path does not exist.
 * @throws {AuthError} `not-allowed` when something may not be read.
 * @throws {InvalidPacketError} `bad-message` when a name is not portable or two collide; the text has the local path.
 * @throws {LimitError} when there are more than `maxEntries`.
 */
export async function buildManifest(
  paths: readonly string[],
  options: BuildManifestOptions = {},
): Promise<BuiltManifest> {
  const { signal, maxEntries = MAX_ENTRIES } = options;
  const walk: Walk = { found: [], skipped: [], maxEntries, signal };
  for (const path of paths) {
    await addNamed(walk, path).catch((cause) => {
      throw readError(path, cause);
    });
  }
  const { found, skipped } = walk;
  found.sort((a, b) => compareCodePoints(a.entry.path, b.entry.path));
  const entries = found.map(({ entry }) => entry);
  const pair = findCollision(entries);
  if (pair !== undefined) {
    const both = found.filter(({ entry }) => pair.includes(entry.path));
    throw collisionError("send", both.slice(0, 2).map(({ source }) => source));
  }
  return {
    manifest: manifestOf(entries),
    skipped,
    source(index) {
      const at = found[index];
      if (at === undefined) throw new RangeError(`Manifest has no entry ${index}`);
      return at.source;
    },
  };
}

/** A manifest as plain data for MessagePack: `{ entries: [[path, isFolder, size, mode, mtimeMs], ...] }`. */
export function encodeManifest(manifest: Manifest): unknown {
  const rows = manifest.entries.map((entry) => {
    const { path, kind, size, mode, mtimeMs } = entry;
    return [path, kind === "directory", size, mode, mtimeMs];
  });
  return { entries: rows };
}

/** How much {@linkcode parseManifest} accepts. */
export interface ManifestLimits {
  /** Most entries. @default {100_000} */
  maxEntries?: number;
  /** Most bytes of all files together. @default {Number.MAX_SAFE_INTEGER} */
  maxTotalBytes?: number;
}

/**
 * Reads a manifest that came from outside: every path passes `checkPath` and leads to no partial file of ours, no two
 * collide, sizes and their sum are safe integers, and of the mode only the permission bits are kept.
 *
 * @example
 * ```ts
 * import { encodeManifest, parseManifest } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const manifest = parseManifest({ entries: [["a.txt", false, 5, 0o4755, 0]] });
 * assertEquals(manifest.totalBytes, 5);
 * assertEquals(encodeManifest(manifest), { entries: [["a.txt", false, 5, 0o755, 0]] });
 * ```
 *
 * @throws {InvalidPacketError} `bad-message`, naming the entry and the field, or `too-large` for a path.
 * @throws {LimitError} when there are too many entries or bytes.
 */
export function parseManifest(value: unknown, limits: ManifestLimits = {}): Manifest {
  const { maxEntries = MAX_ENTRIES, maxTotalBytes = Number.MAX_SAFE_INTEGER } = limits;
  const isObject = typeof value === "object" && value !== null;
  const rows = isObject && "entries" in value ? value.entries : undefined;
  if (!Array.isArray(rows)) throw badManifest("entries is not an array");
  if (rows.length > maxEntries) throw overLimit("maxEntries", maxEntries);
  const entries = rows.map(parseEntry);
  const pair = findCollision(entries);
  if (pair !== undefined) throw collisionError("accept", pair);
  const manifest = manifestOf(entries);
  if (manifest.totalBytes > maxTotalBytes) throw overLimit("maxTotalBytes", maxTotalBytes);
  return manifest;
}

/** A file of a manifest whose contents are known. */
export interface HashedEntry {
  /** Its path in the manifest. */
  readonly path: string;
  /** Its bytes. */
  readonly size: number;
  /** SHA-256 of its contents, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/**
 * One SHA-256, in hexadecimal, over paths, sizes and contents of the files of a manifest, in its order. Folders,
 * permissions and times do not count: the same files have the same root on every system.
 *
 * ```
 * "kith manifest 1" | u32 number of files | per file: u32 bytes of path | path (UTF-8) | u64 size | 32 bytes SHA-256
 * ```
 *
 * Integers are big-endian, and whatever varies in length follows its length, so different lists give different bytes.
 *
 * @example
 * ```ts
 * import { manifestRoot } from "@kith/kith";
 * import { assertNotEquals } from "@std/assert";
 *
 * const sha256 = "00".repeat(32);
 * assertNotEquals(manifestRoot([{ path: "a", size: 1, sha256 }]), manifestRoot([]));
 * ```
 *
 * @throws {TypeError} when a hash is not 64 lower-case digits or a path has lone surrogates.
 * @throws {RangeError} when a size is not a safe integer of 0 or more.
 */
export function manifestRoot(files: readonly HashedEntry[]): string {
  const root = createHash("sha256").update(ROOT_DOMAIN).update(bigEndian(files.length, 4));
  for (const { path, size, sha256 } of files) {
    // Lone surrogates all become U+FFFD in UTF-8: two paths would hash alike.
    if (!path.isWellFormed()) throw new TypeError(`Path has lone surrogates: ${printable(path)}`);
    if (!/^[0-9a-f]{64}$/.test(sha256)) {
      throw new TypeError("Hash must be 64 lower-case hex digits");
    }
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(`Size must be a safe integer of 0 or more: current value is ${size}`);
    }
    const name = utf8.encode(path);
    root.update(bigEndian(name.length, 4)).update(name);
    root.update(bigEndian(size, 8)).update(Uint8Array.fromHex(sha256));
  }
  return root.digest("hex");
}

interface Walk {
  readonly found: { readonly entry: ManifestEntry; readonly source: string }[];
  readonly skipped: SkippedPath[];
  readonly maxEntries: number;
  readonly signal: AbortSignal | undefined;
}

async function addNamed(walk: Walk, path: string): Promise<void> {
  const info = await Deno.stat(path);
  if (!info.isFile && !info.isDirectory) {
    const shown = printable(path);
    throw new NotFoundError(
      "no-path",
      `Cannot send "${shown}": it is neither a file nor a folder`,
      {
        details: { path: shown },
      },
    );
  }
  const own = basename(path);
  const isName = own !== "" && own !== "." && own !== "..";
  await add(walk, path, isName ? own : basename(await Deno.realPath(path)), info);
}

// Depth is bounded by the segments that a portable path may have.
async function add(walk: Walk, source: string, path: string, info: Deno.FileInfo): Promise<void> {
  walk.signal?.throwIfAborted();
  if (!info.isFile && !info.isDirectory) {
    const reason = info.isSymlink ? "symbolic link" : "special file";
    walk.skipped.push({ path: source, reason });
    return;
  }
  if (walk.found.length >= walk.maxEntries) throw overLimit("maxEntries", walk.maxEntries);
  const entry = entryOf(source, path, info);
  walk.found.push({ entry, source });
  if (info.isFile) return;
  for await (const { name } of Deno.readDir(source)) {
    const inside = join(source, name);
    const found = await lstat(inside);
    if (found !== undefined) await add(walk, inside, `${entry.path}/${name}`, found);
    else walk.skipped.push({ path: inside, reason: "gone, or its name is not Unicode" });
  }
}

function entryOf(source: string, path: string, info: Deno.FileInfo): ManifestEntry {
  const { isDirectory, mtime } = info;
  return {
    path: portable(source, path),
    kind: isDirectory ? "directory" : "file",
    size: isDirectory ? 0 : info.size,
    // Windows has no such bits.
    mode: (info.mode ?? (isDirectory ? 0o755 : 0o644)) & MODE_BITS,
    mtimeMs: Math.min(Math.max(mtime?.getTime() ?? 0, 0), MAX_MTIME_MS),
  };
}

function portable(source: string, path: string): string {
  try {
    return checkPath(path);
  } catch (cause) {
    if (!(cause instanceof InvalidPacketError)) throw cause;
    const { reason } = cause.details;
    const shown = printable(source);
    throw new InvalidPacketError("bad-message", `Cannot send "${shown}": ${reason}`, {
      cause,
      details: { path: shown, reason },
    });
  }
}

async function lstat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function parseEntry(row: unknown, index: number): ManifestEntry {
  if (!Array.isArray(row) || row.length !== 5) {
    throw badManifest(`entry ${index} is not an array of 5`);
  }
  const [path, isFolder, size, mode, mtimeMs]: readonly unknown[] = row;
  if (typeof path !== "string") throw badManifest(`path of entry ${index} is not a string`);
  if (typeof isFolder !== "boolean") throw badManifest(`kind of entry ${index} is not a boolean`);
  const maxSize = isFolder ? 0 : Number.MAX_SAFE_INTEGER;
  return {
    path: checkReceivedPath(path),
    kind: isFolder ? "directory" : "file",
    size: parseInteger(size, maxSize, `size of entry ${index}`),
    mode: parseInteger(mode, 0xffffffff, `mode of entry ${index}`) & MODE_BITS,
    mtimeMs: parseInteger(mtimeMs, MAX_MTIME_MS, `mtimeMs of entry ${index}`),
  };
}

function parseInteger(value: unknown, max: number, what: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) {
    // Also makes 0 of -0.
    return value + 0;
  }
  throw badManifest(`${what} is not an integer of 0..${max}`);
}

function manifestOf(entries: readonly ManifestEntry[]): Manifest {
  const files = entries.filter(({ kind }) => kind === "file");
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  return { entries, files: files.length, totalBytes };
}

function collisionError(doing: string, pair: readonly string[]): InvalidPacketError {
  const paths = pair.map((path) => printable(path));
  const names = paths.map((path) => `"${path}"`).join(" and ");
  const text = `Cannot ${doing} ${names}: not every system can store both`;
  return new InvalidPacketError("bad-message", text, { details: { paths } });
}

function bigEndian(value: number, bytes: 4 | 8): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value));
  return new Uint8Array(view.buffer, 8 - bytes);
}

function badManifest(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot accept manifest: ${why}`);
}

function overLimit(limit: string, max: number): LimitError {
  return new LimitError("limit", `Manifest exceeds ${limit} ${max}`, { details: { limit, max } });
}

/** The error for a path of ours that cannot be read, by what the runtime threw. */
export function readError(path: string, cause: unknown): unknown {
  const shown = printable(path);
  // The text of the system names the file below `path` that it is about.
  const why = cause instanceof Error ? printable(cause.message, 400) : "";
  if (cause instanceof Deno.errors.NotFound) {
    return new NotFoundError("no-path", `Cannot find "${shown}": ${why}`, {
      cause,
      details: { path: shown },
    });
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new AuthError("not-allowed", `Cannot read "${shown}": ${why}`, { cause });
  }
  return cause instanceof Deno.errors.NotCapable
    ? new UnsupportedError(`Cannot read "${shown}": run with --allow-read=${shown}`, { cause })
    : cause;
}
