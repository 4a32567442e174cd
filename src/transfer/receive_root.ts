/**
 * The folder that receives files: {@linkcode ReceiveRoot} creates them below it and nowhere else.
 *
 * @module
 */

import { rmdirSync, statfsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { AuthError, LimitError, NotFoundError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { moveNew, removeIfThere } from "../state/home.ts";
import { HeldFolder, lstat, notAllowed } from "./held_folder.ts";
import { checkReceivedPath, MAX_SEGMENT_BYTES, PARTIAL_FOLDER } from "./safe_path.ts";

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
  /** For tests: `false` works with paths alone, as where folders cannot be held. @default {true} */
  hold?: boolean;
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
 * with a suffix. It is below the root, so that putting a file into place is a link and not a copy.
 *
 * **Links.** No symbolic link below the folder is followed: one that is in the way is refused. Whoever else may write
 * to the folder can swap a directory for a link between check and use. On Linux, with all permissions (`-A`), that gets
 * nothing: every folder on the way is held open, and names are looked up in it and not along a path.
 *
 * Elsewhere, and with less than all permissions, there is no such thing (`--allow-write=DIR` does not help: it does not
 * resolve links). There every new file is looked up again by real path and inode before anything is written to it; one
 * that is not where it must be is emptied and, if it can be found, removed, and the call fails. What such a swap can
 * still get, always under a name that was free: for an instant a finished file outside, for good an empty file or folder,
 * and a whole file if, within microseconds, it is also undone and redone for each of several looks. Nothing that exists
 * is ever overwritten. Who receives into a folder that others may write to wants the former.
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
  readonly #holds: boolean;
  readonly #afterCheck: (folder: string) => void;

  private constructor(dir: string, options: ReceiveRootOptions) {
    this.dir = dir;
    this.#holds = options.hold ?? true;
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
    const segments = this.#segments(path);
    using root = this.#hold();
    using _way = this.#down(root, segments.slice(0, -1));
    using partials = this.#make(root, [PARTIAL_FOLDER], 0o700);
    const name = `${crypto.randomUUID()}.part`;
    return this.#openPart(partials, name, { createNew: true, read: true, write: true, mode });
  }

  /**
   * Opens a part again after a restart.
   *
   * @throws {AuthError} `not-allowed` when there is no such plain file among the parts of this folder.
   */
  reopenPart(partPath: string): Part {
    using root = this.#hold();
    using partials = this.#down(root, [PARTIAL_FOLDER]);
    const name = basename(partPath);
    if (
      partials === undefined || dirname(partPath) !== partials.path ||
      lstat(partials.join(name))?.isFile !== true
    ) {
      throw notAllowed(name, "not a partial file of this folder");
    }
    return this.#openPart(partials, name, { read: true, write: true });
  }

  /**
   * Gives a finished part its name, which must be free, once its contents are on the disk, and closes it. Folders that
   * are missing are made. The name appears in one step; only where there are no hard links (FAT) it is empty for a
   * moment.
   *
   * @returns the path it has now: `path`, or the free name it took instead.
   * @throws {AuthError} `not-allowed` when the name is taken (`details.reason` is `exists`), or a link or a file is
   * where a folder must be. The part is still open then, to be committed under another path or discarded. Also when a
   * folder is swapped under our hands: the part is emptied and closed then.
   * @throws {LimitError} when `rename` finds 1000 names taken.
   */
  async commit(part: Part, path: string, options: CommitOptions = {}): Promise<string> {
    const { mtimeMs = Date.now(), rename = false } = options;
    const segments = this.#segments(path);
    await part.file.utime(mtimeMs / 1000, mtimeMs / 1000);
    await part.file.sync();
    // Nothing waits from here on, so no other task of this program comes between check and use.
    using root = this.#hold();
    using partials = this.#down(root, [PARTIAL_FOLDER]);
    const partName = basename(part.partPath);
    if (!partials?.shows(part.file, partName, this.dir)) throw replaced(partName);
    const from = partials.join(partName);
    using folder = this.#make(root, segments.slice(0, -1), 0o777);
    const name = segments.join("/");
    const place = (candidate: string) => this.#place(part, from, folder, basename(candidate));
    const taken = rename ? firstName(name, place) : name;
    if (!rename && !place(name)) throw notAllowed(path, "exists");
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
    const segments = this.#segments(path);
    using root = this.#hold();
    using folder = this.#make(root, segments, 0o777);
    if (!folder.isBelow(this.dir)) throw replaced(path);
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
      rmdirSync(join(this.dir, PARTIAL_FOLDER));
    } catch {
      // There are parts still, or there never were any.
    }
  }

  #segments(path: string): string[] {
    return checkReceivedPath(path).split("/");
  }

  #hold(): HeldFolder {
    return HeldFolder.open(this.dir, { hold: this.#holds });
  }

  // Goes down from the root one folder at a time, so that no link is followed on the way.
  #down(root: HeldFolder, segments: readonly string[], makeMode?: number): HeldFolder | undefined {
    let folder = root;
    for (const [depth, segment] of segments.entries()) {
      using _parent = folder === root ? undefined : folder;
      const next = folder.enter(segment, segments.slice(0, depth + 1).join("/"), makeMode);
      if (next === undefined) return undefined;
      folder = next;
    }
    this.#afterCheck(folder.path);
    return folder;
  }

  // The same, with what is missing made.
  #make(root: HeldFolder, segments: readonly string[], mode: number): HeldFolder {
    const folder = this.#down(root, segments, mode);
    if (folder === undefined) throw replaced(segments.join("/"));
    return folder;
  }

  #openPart(partials: HeldFolder, name: string, options: Deno.OpenOptions): Part {
    const file = Deno.openSync(partials.join(name), options);
    try {
      if (!partials.shows(file, name, this.dir)) throw replaced(name);
      return { file, partPath: join(partials.path, name) };
    } catch (error) {
      if (options.createNew === true) withdraw(file, partials, name);
      else file.close();
      throw error;
    }
  }

  // @returns whether the name was free.
  #place({ file }: Part, from: string, folder: HeldFolder, name: string): boolean {
    try {
      if (!moveNew(from, folder.join(name))) return false;
    } catch (error) {
      folder.remove(file, name); // the part is still where it was, and whole
      throw error;
    }
    try {
      if (!folder.shows(file, name, this.dir)) throw replaced(name);
      return true;
    } catch (error) {
      withdraw(file, folder, name);
      throw error;
    }
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

// Takes back a file that may have been let out, and closes it. Emptied first, because it may not be found.
function withdraw(file: Deno.FsFile, folder: HeldFolder, name: string): void {
  try {
    file.truncateSync();
    folder.remove(file, name);
  } finally {
    file.close();
  }
}

function replaced(path: string): AuthError {
  return notAllowed(path, "replaced by a link");
}
