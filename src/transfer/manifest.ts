/**
 * What a transfer consists of: {@linkcode buildManifest} lists the files and folders that a user names,
 * {@linkcode parseManifest} reads such a list from a stranger, and {@linkcode manifestRoot} is one hash over all of it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
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
import { lstat } from "./held_folder.ts";
import { checkPath, findCollision } from "./safe_path.ts";

/** Most entries of a manifest. */
export const MAX_ENTRIES = 250_000;

/** The end of the year 9999 in milliseconds since 1970: `Date` and the usual file systems take it. */
export const MAX_MTIME_MS = 253_402_300_799_999;

/** Permission bits; set-user-id, set-group-id and sticky are not among them. */
export const MODE_BITS = 0o777;

/** What {@linkcode manifestRoot} hashes first, so that no other hash of kith can be taken for one. */
const ROOT_DOMAIN = "kith manifest 1";

/** Most bytes of UTF-8 that a UTF-16 unit becomes. */
const MAX_UNIT_BYTES = 3;

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
  /** Most entries. @default {250_000} */
  maxEntries?: number;
}

/**
 * Lists files and folders as a user names them. A folder `photos/` becomes `photos/...`; `.` and `..` get the folder's
 * real name. A link that the user names is followed; links inside folders, and what is neither file nor folder, are
 * skipped. Whatever is wrong with a name is an error here, before the first byte is sent.
 *
 * @example
 * ```ts
 * import { buildManifest } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.mkdir(`${dir}/photos`);
 * await Deno.writeTextFile(`${dir}/photos/cat.txt`, "meow");
 * const { manifest, source } = await buildManifest([`${dir}/photos`]);
 * assertEquals(manifest.entries.map(({ path }) => path), ["photos", "photos/cat.txt"]);
 * assertEquals([manifest.totalBytes, source(1)], [4, `${dir}/photos/cat.txt`]);
 * await Deno.remove(dir, { recursive: true });
 * ```
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
    root.update(rowOf(path, size, sha256));
  }
  return root.digest("hex");
}

/** A finished transfer. */
export interface TransferSummary {
  /** How many files. */
  readonly files: number;
  /** Their size together. */
  readonly bytes: number;
  /** SHA-256 of the file, or, unless it is exactly one, of the manifest's root. */
  readonly sha256: string;
}

/** What a list of files comes to. */
export function summarize(files: readonly HashedEntry[]): TransferSummary {
  const [only] = files;
  return {
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    sha256: files.length === 1 && only !== undefined ? only.sha256 : manifestRoot(files),
  };
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
  // A folder is listed beside other work; what is in it is looked at in one go, which takes a tenth of the time.
  for (const name of await readdir(source)) {
    const inside = join(source, name);
    const found = lstat(inside);
    if (found !== undefined) await add(walk, inside, `${entry.path}/${name}`, found);
    else walk.skipped.push({ path: inside, reason: "gone, or its name is not Unicode" });
  }
}

function entryOf(source: string, path: string, info: Deno.FileInfo): ManifestEntry {
  const { isDirectory } = info;
  return {
    path: portable(source, path),
    kind: isDirectory ? "directory" : "file",
    size: isDirectory ? 0 : info.size,
    // Windows has no such bits.
    mode: (info.mode ?? (isDirectory ? 0o755 : 0o644)) & MODE_BITS,
    mtimeMs: mtimeOf(info),
  };
}

/** When a file was changed last, as a manifest says it. */
export function mtimeOf({ mtime }: Deno.FileInfo): number {
  return Math.min(Math.max(mtime?.getTime() ?? 0, 0), MAX_MTIME_MS);
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

/** A manifest of these entries. */
export function manifestOf(entries: readonly ManifestEntry[]): Manifest {
  const files = entries.filter(({ kind }) => kind === "file");
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  return { entries, files: files.length, totalBytes };
}

/** The error for two paths that cannot both be stored. */
export function collisionError(doing: string, pair: readonly string[]): InvalidPacketError {
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

/** What is hashed of one file, in one piece: there may be very many. */
function rowOf(path: string, size: number, sha256: string): Uint8Array {
  const row = Buffer.allocUnsafe(4 + path.length * MAX_UNIT_BYTES + 8 + 32);
  const length = row.write(path, 4);
  row.writeUInt32BE(length, 0);
  row.writeUInt32BE(Math.floor(size / 2 ** 32), 4 + length);
  row.writeUInt32BE(size >>> 0, 8 + length);
  row.set(Uint8Array.fromHex(sha256), 12 + length);
  return row.subarray(0, 12 + length + 32);
}

/** The error for a manifest that is too large. */
export function overLimit(limit: string, max: number): LimitError {
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
