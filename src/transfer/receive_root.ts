/**
 * The folder that receives files: {@linkcode ReceiveRoot} creates them below it and nowhere else.
 *
 * @module
 */

import { statfsSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { AuthError, LimitError, NotFoundError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { moveNew, removeIfThere } from "../state/home.ts";
import { checkPath, fold, MAX_SEGMENT_BYTES, refused } from "./safe_path.ts";

/** Where partial files are: below the root, so that putting one into place is a link and not a copy. */
const PARTIAL_FOLDER = ".kith-partial";

/** How many of `name (1)`, `name (2)`, ... are tried. */
const MAX_NAME_TRIES = 1000;

/** An extension longer than this, with its dot, is part of the name. */
const MAX_EXTENSION_CHARS = 16;

const utf8 = new TextEncoder();

/** A file that is being received. */
export interface Part {
  /** Open for reading and writing; `commit` and `discard` close it. */
  readonly file: Deno.FsFile;
  /** Where it is until it is committed; enough to go on after a restart. */
  readonly partPath: string;
}

/** How to open a {@linkcode ReceiveRoot}. */
export interface ReceiveRootOptions {
  /** For tests: called with a folder between its check and its use, which is when an attacker would swap it. */
  afterCheck?: (folder: string) => void;
}

/** How to put a finished file into place. */
export interface CommitOptions {
  /** Modification time in milliseconds since 1970. @default {Date.now()} */
  mtimeMs?: number;
  /** Takes the next free name (`name (1).txt`) where the name is taken, instead of refusing. @default {false} */
  rename?: boolean;
}

/**
 * The folder that receives files, and the only way to make one there from a stranger's path.
 *
 * A file grows under a random name in `.kith-partial` and gets its own name when it is complete: nothing unfinished
 * shows among the user's files, all that is left of broken transfers is in one place, and a long name has no trouble
 * with a suffix.
 *
 * **Links.** No symbolic link below the folder is followed: one that is in the way is refused. Deno has no `openat()`,
 * so whoever else may write to the folder can swap a directory for a link between check and use (and
 * `--allow-write=DIR` does not help: it does not resolve links). Therefore every new file is looked up again by real
 * path and inode before anything is written to it; one that is not where it must be is emptied and, if it can be found,
 * removed, and the call fails. Nothing that exists is ever overwritten. What such a swap can still get: for an instant
 * a finished file outside, and for good an empty file or folder, always under a name that was free.
 *
 * @example
 * ```ts
 * import { ReceiveRoot } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const root = ReceiveRoot.open(dir);
 * const part = root.createPart("notes/today.txt");
 * await part.file.write(new TextEncoder().encode("hello"));
 * assertEquals(await root.commit(part, "notes/today.txt"), "notes/today.txt");
 * assertEquals(await Deno.readTextFile(`${dir}/notes/today.txt`), "hello");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class ReceiveRoot {
  /** The folder's real path: links on the way *to* it are the user's own. */
  readonly dir: string;
  readonly #partials: string;
  readonly #afterCheck: (folder: string) => void;

  private constructor(dir: string, options: ReceiveRootOptions) {
    this.dir = dir;
    this.#partials = join(dir, PARTIAL_FOLDER);
    this.#afterCheck = options.afterCheck ?? (() => {});
  }

  /**
   * Opens a folder to receive into, made where there is none.
   *
   * @throws {NotFoundError} `no-path` when it cannot be one. @throws {AuthError} `not-allowed` when we may not use it.
   * @throws {UnsupportedError} when the program lacks a permission; the text names it.
   */
  static open(dir: string, options: ReceiveRootOptions = {}): ReceiveRoot {
    try {
      Deno.mkdirSync(dir, { recursive: true });
      return new ReceiveRoot(Deno.realPathSync(dir), options);
    } catch (cause) {
      throw openError(dir, cause);
    }
  }

  /**
   * Starts the file that is to become `path`: the path, and what exists of the way to it, is checked now.
   *
   * @param options `mode`: permission bits, before the umask; the owner can always read and write, and set-id bits are
   * dropped.
   * @throws {InvalidPacketError} when the path is refused.
   * @throws {AuthError} `not-allowed` when a link or a file is where a folder must be.
   */
  createPart(path: string, options: { mode?: number } = {}): Part {
    const mode = (options.mode ?? 0o666) & 0o777 | 0o600;
    this.#folder(this.#segments(path).slice(0, -1), { make: false });
    const folder = this.#folder([PARTIAL_FOLDER], { make: true, mode: 0o700 });
    const partPath = join(folder, `${crypto.randomUUID()}.part`);
    return this.#openPart(partPath, { createNew: true, read: true, write: true, mode });
  }

  /**
   * Opens a part again after a restart.
   *
   * @throws {AuthError} `not-allowed` when there is no such plain file among the parts of this folder.
   */
  reopenPart(partPath: string): Part {
    this.#folder([PARTIAL_FOLDER], { make: false });
    if (dirname(partPath) !== this.#partials || lstat(partPath)?.isFile !== true) {
      throw notAllowed(basename(partPath), "not a partial file of this folder");
    }
    return this.#openPart(partPath, { read: true, write: true });
  }

  /**
   * Gives a finished part its name, which must be free, once its contents are on the disk, and closes it. Folders that
   * are missing are made. The name appears in one step; only where there are no hard links (FAT) it is empty for a
   * moment. After a failure the part is still open: commit it under another path, or discard it.
   *
   * @returns the path it has now: `path`, or the free name it took instead.
   * @throws {AuthError} `not-allowed` when the name is taken (`details.reason` is `exists`), or a link or a file is
   * where a folder must be.
   * @throws {LimitError} when `rename` finds 1000 names taken.
   */
  async commit(part: Part, path: string, options: CommitOptions = {}): Promise<string> {
    const { mtimeMs = Date.now(), rename = false } = options;
    const segments = this.#segments(path);
    await part.file.utime(mtimeMs / 1000, mtimeMs / 1000);
    await part.file.sync();
    // Nothing waits from here on, so no other task of this program comes between check and use.
    const folder = this.#folder(segments.slice(0, -1), { make: true });
    this.#verify(part.file, part.partPath, { created: false });
    const name = segments.join("/");
    const place = (candidate: string) => moveNew(part.partPath, join(folder, basename(candidate)));
    const taken = rename ? firstName(name, place) : name;
    if (!rename && !place(name)) throw notAllowed(path, "exists");
    this.#verify(part.file, join(folder, basename(taken)), { created: true });
    part.file.close();
    return taken;
  }

  /** Gives a part up: closes and removes it. Harmless when it has been committed. */
  discard(part: Part): void {
    try {
      part.file.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    removeIfThere(part.partPath);
  }

  /**
   * Makes a folder and those on the way to it; it may be there.
   *
   * @throws {InvalidPacketError} when the path is refused.
   * @throws {AuthError} `not-allowed` when a link or a file is in the way.
   */
  createFolder(path: string): void {
    const folder = this.#folder(this.#segments(path), { make: true });
    if (!this.#contains(Deno.realPathSync(folder))) throw notAllowed(path, "replaced by a link");
  }

  /**
   * The path itself where it is free, else with ` (1)`, ` (2)` ... before the extension. It may be taken a moment
   * later: `commit` has `rename` for that.
   *
   * @throws {LimitError} when 1000 names are taken.
   */
  freeName(path: string): string {
    const name = this.#segments(path).join("/");
    return firstName(name, (candidate) => lstat(join(this.dir, candidate)) === undefined);
  }

  /** Removes the folder of partial files if it is empty. */
  tidy(): void {
    try {
      Deno.removeSync(this.#partials);
    } catch {
      // There are parts still, or there never were any.
    }
  }

  #segments(path: string): string[] {
    const segments = checkPath(path).split("/");
    if (fold(segments[0] ?? "") === fold(PARTIAL_FOLDER)) throw refused(path, "reserved folder");
    return segments;
  }

  // Goes down from the root one folder at a time, so that no link is followed on the way.
  #folder(segments: readonly string[], options: { make: boolean; mode?: number }): string {
    const { make, mode = 0o777 } = options;
    let folder = this.dir;
    for (const [depth, segment] of segments.entries()) {
      folder = join(folder, segment);
      if (make) makeFolder(folder, mode);
      const found = lstat(folder);
      if (found === undefined) break;
      const way = segments.slice(0, depth + 1).join("/");
      if (found.isSymlink) throw notAllowed(way, "is a link");
      if (!found.isDirectory) throw notAllowed(way, "is not a folder");
    }
    this.#afterCheck(folder);
    return folder;
  }

  #openPart(partPath: string, options: Deno.OpenOptions): Part {
    const file = Deno.openSync(partPath, options);
    try {
      this.#verify(file, partPath, { created: options.createNew === true });
      return { file, partPath };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  // The second look: the open file must be what is at the real path of `path`, and that must be below the root.
  #verify(file: Deno.FsFile, path: string, options: { created: boolean }): void {
    const real = join(Deno.realPathSync(dirname(path)), basename(path));
    const ours = isSameFile(file.statSync(), lstat(real));
    if (ours && this.#contains(real)) return;
    // Emptied through the open file, because a second swap can hide where it is; removed by the real path only,
    // because a second swap could redirect any other.
    if (options.created) file.truncateSync();
    if (options.created && ours) removeIfThere(real);
    throw notAllowed(basename(path), "replaced by a link");
  }

  #contains(real: string): boolean {
    return real === this.dir || real.startsWith(this.dir.endsWith(sep) ? this.dir : this.dir + sep);
  }
}

/**
 * The bytes that are free for us on the disk of a folder, or `undefined` where that cannot be found out: without
 * `--allow-sys=statfs`, or on a file system that does not say.
 */
export function freeBytes(dir: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

// The path, or the first `name (1).ext`, `name (2).ext` ... that is accepted, cut where the number makes it too long.
function firstName(path: string, accepts: (candidate: string) => boolean): string {
  if (accepts(path)) return path;
  const name = basename(path);
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 && name.length - dot <= MAX_EXTENSION_CHARS ? name.slice(dot) : "";
  const stem = name.slice(0, name.length - extension.length);
  for (let n = 1; n < MAX_NAME_TRIES; n++) {
    const ending = ` (${n})${extension}`;
    const room = new Uint8Array(MAX_SEGMENT_BYTES - utf8.encode(ending).length);
    const { read } = utf8.encodeInto(stem, room);
    const candidate = path.slice(0, -name.length) + stem.slice(0, read) + ending;
    if (accepts(candidate)) return candidate;
  }
  const shown = printable(path);
  throw new LimitError("limit", `Cannot receive "${shown}": ${MAX_NAME_TRIES} names are taken`, {
    details: { path: shown, limit: "maxNameTries", max: MAX_NAME_TRIES },
  });
}

function openError(dir: string, cause: unknown): unknown {
  const shown = printable(dir);
  const details = { path: shown };
  const { AlreadyExists, NotADirectory, NotCapable, NotFound, PermissionDenied } = Deno.errors;
  if (
    cause instanceof AlreadyExists || cause instanceof NotADirectory || cause instanceof NotFound
  ) {
    return new NotFoundError("no-path", `Cannot receive into "${shown}": it is no folder`, {
      cause,
      details,
    });
  }
  if (cause instanceof PermissionDenied) {
    return new AuthError("not-allowed", `Cannot receive into "${shown}": no right to write there`, {
      cause,
      details,
    });
  }
  if (!(cause instanceof NotCapable)) return cause;
  const flags = `--allow-read=${shown} --allow-write=${shown}`;
  return new UnsupportedError(`Cannot receive into "${shown}": run with ${flags}`, {
    cause,
    details,
  });
}

function makeFolder(path: string, mode: number): void {
  try {
    Deno.mkdirSync(path, { mode });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return undefined;
    throw error;
  }
}

// Where the system has no inodes (`null`), the real path alone decides.
function isSameFile(open: Deno.FileInfo, found: Deno.FileInfo | undefined): boolean {
  return found?.isFile === true && found.dev === open.dev && found.ino === open.ino;
}

function notAllowed(path: string, reason: string): AuthError {
  const shown = printable(path);
  return new AuthError("not-allowed", `Cannot receive "${shown}": ${reason}`, {
    details: { path: shown, reason },
  });
}
