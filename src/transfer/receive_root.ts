/**
 * The folder that receives files: {@linkcode ReceiveRoot} creates them below it and nowhere else.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { rmdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { AuthError } from "../errors.ts";
import { moveNew, removeIfThere } from "../state/home.ts";
import { makeError, openError, writeAll } from "./disk.ts";
import { firstName } from "./free_name.ts";
import { type HeldFolder, lstat, notAllowed } from "./held_folder.ts";
import { HeldTree } from "./held_tree.ts";
import { checkReceivedPath, PARTIAL_FOLDER } from "./safe_path.ts";

/** What a system takes as a path, in bytes: folders that are held would let one be made by which nobody gets at it. */
const MAX_SYSTEM_PATH_BYTES = Deno.build.os === "darwin" ? 1_023 : 4_095;

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

/** How to start a file. */
export interface PartOptions {
  /** Permission bits, before the umask; the owner can always read and write, set-id bits are dropped. @default {0o666} */
  mode?: number;
  /** A name of hexadecimal digits to find it by after a restart; must be free. @default a random one */
  key?: string;
  /** Folders that are held already. @default they are looked up anew */
  tree?: HeldTree;
}

/** How to put a finished file into place. */
export interface CommitOptions {
  /** Folders that are held already. @default they are looked up anew */
  tree?: HeldTree;
  /** Takes the place of a file that is there. @default {false} */
  replace?: boolean;
  /** Modification time in milliseconds since 1970. @default {Date.now()} */
  mtimeMs?: number;
  /** Takes the next free name (`name (1).txt`) where the name is taken, instead of refusing. @default {false} */
  rename?: boolean;
}

/** Where a file is put, and whether that happens in one go with making it. */
interface Place {
  readonly tree: HeldTree;
  readonly isNew: boolean;
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
  readonly #claimed = new Set<string>();
  readonly #afterCheck: (folder: string) => void;

  private constructor(dir: string, options: ReceiveRootOptions) {
    this.dir = dir;
    this.#holds = options.hold ?? true;
    this.#afterCheck = options.afterCheck ?? (() => {});
  }

  /**
   * Opens a folder to receive into, made where there is none.
   *
   * @throws {NotFoundError} `no-path` when it cannot be one. @throws {AuthError} `not-allowed` when we may not make or use it.
   * @throws {UnsupportedError} when the program lacks a permission; the text names it.
   */
  static open(dir: string, options: ReceiveRootOptions = {}): ReceiveRoot {
    try {
      Deno.mkdirSync(dir, { recursive: true });
    } catch (cause) {
      throw makeError(dir, cause);
    }
    try {
      return new ReceiveRoot(Deno.realPathSync(dir), options);
    } catch (cause) {
      throw openError(dir, cause);
    }
  }

  /** Holds the folders that are looked up in, over several calls that are given the tree. */
  hold(): HeldTree {
    return new HeldTree(this.dir, { hold: this.#holds, afterCheck: this.#afterCheck });
  }

  /**
   * Starts the file that is to become `path`: the path, and what exists of the way to it, is checked now.
   *
   * @throws {InvalidPacketError} when the path is refused.
   * @throws {AuthError} `not-allowed` when a link or a file is where a folder must be, or the system takes no path so long.
   */
  createPart(path: string, options: PartOptions = {}): Part {
    return this.#createPart(this.#segments(path), options);
  }

  /**
   * Opens a part again after a restart, by its name or by the key that it was made with.
   *
   * @returns `undefined` when there is none of that key.
   * @throws {AuthError} `not-allowed` when there is no such plain file among the parts of this folder.
   */
  reopenPart(partPath: string): Part;
  /** The same, by its key. */
  reopenPart(by: { key: string }, tree?: HeldTree): Part | undefined;
  reopenPart(by: string | { key: string }, given?: HeldTree): Part | undefined {
    const name = typeof by === "string" ? basename(by) : partName(by.key);
    return this.#within(given, (tree) => {
      const partials = tree.find([PARTIAL_FOLDER]);
      const found = partials === undefined ? undefined : lstat(partials.join(name));
      if (found === undefined && typeof by === "object") return undefined;
      if (
        partials === undefined || found?.isFile !== true ||
        (typeof by === "string" && dirname(by) !== partials.path)
      ) {
        throw notAllowed(name, "not a partial file of this folder");
      }
      const place = { tree, isNew: false };
      return this.#openPart(place, partials, name, { read: true, write: true });
    });
  }

  /** Bytes of the part of that key, where there is one. */
  partBytes(key: string): number | undefined {
    return lstat(join(this.dir, PARTIAL_FOLDER, partName(key)))?.size;
  }

  /** Whether there are parts at all. */
  hasParts(): boolean {
    return lstat(join(this.dir, PARTIAL_FOLDER)) !== undefined;
  }

  /** Keeps a part's key for one user at a time, until what is returned is disposed of; `undefined` while another has it. */
  claim(key: string): Disposable | undefined {
    if (this.#claimed.has(key)) return undefined;
    this.#claimed.add(key);
    return { [Symbol.dispose]: () => void this.#claimed.delete(key) };
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
    const time = timeOf(options);
    await part.file.utime(time, time);
    await part.file.sync();
    // Nothing waits from here on, so no other task of this program comes between check and use.
    return this.#commit(part, this.#segments(path), options);
  }

  /**
   * The same for a part whose contents are on the disk already, and whose time stays: at once, so that what its caller has
   * just looked at is still so. Where a tree is given, folders are not looked at again for each file.
   *
   * @throws as {@linkcode ReceiveRoot.commit}.
   */
  place(part: Part, path: string, options: Omit<CommitOptions, "mtimeMs"> = {}): string {
    return this.#commit(part, this.#segments(path), options, options.tree !== undefined);
  }

  /**
   * Writes a whole small file: in one go, without waiting for the disk. Where a tree is given, folders are not looked at
   * again for each file.
   *
   * @returns the path it has now. @throws as `createPart` and {@linkcode ReceiveRoot.commit}; nothing of it stays then.
   */
  put(path: string, data: Uint8Array, options: PartOptions & CommitOptions = {}): string {
    const time = timeOf(options);
    const segments = this.#segments(path);
    return this.#within(options.tree, (tree) => {
      const part = this.#createPart(segments, { ...options, tree });
      try {
        writeAll(part.file, data);
        part.file.utimeSync(time, time);
        return this.#commit(part, segments, { ...options, tree }, true);
      } catch (error) {
        this.discard(part);
        throw error;
      }
    });
  }

  /** Gives a part up: closes and removes it. Harmless when it has been committed. */
  discard(part: Part): void {
    closePart(part);
    removeIfThere(part.partPath);
  }

  /** Closes a part that is to be gone on with another time. Harmless when it is closed. */
  leave(part: Part): void {
    closePart(part);
  }

  /**
   * Makes a folder and those on the way to it; it may be there.
   *
   * @throws {InvalidPacketError} when the path is refused.
   * @throws {AuthError} `not-allowed` when a link or a file is in the way.
   */
  createFolder(path: string, given?: HeldTree): void {
    const segments = this.#segments(path);
    this.#within(given, (tree) => {
      if (!find(tree, segments, 0o777).isBelow(this.dir)) throw replaced(path);
    });
  }

  /**
   * Opens a file that is there, to read it. Where a tree is given, folders are not looked at again for each file.
   *
   * @returns `undefined` when nothing is there. @throws {AuthError} `not-allowed` when something else is there.
   */
  openFile(path: string, given?: HeldTree): Deno.FsFile | undefined {
    const segments = this.#segments(path);
    const name = segments.at(-1) ?? "";
    return this.#within(given, (tree) => {
      const folder = tree.find(segments.slice(0, -1));
      const found = folder === undefined ? undefined : lstat(folder.join(name));
      if (folder === undefined || found === undefined) return undefined;
      if (!found.isFile) throw notAllowed(path, found.isSymlink ? "is a link" : "is not a file");
      const file = Deno.openSync(folder.join(name));
      const isIt = given !== undefined && tree.isInPlace(folder)
        ? isSameInode(file.statSync(), found)
        : folder.shows(file, name, this.dir);
      if (isIt) return file;
      file.close();
      throw replaced(path);
    });
  }

  /** What is at a path, links not followed; `undefined` where nothing is, or a link is on the way. */
  lstat(path: string, given?: HeldTree): Deno.FileInfo | undefined {
    const segments = this.#segments(path);
    try {
      return this.#within(given, (tree) => {
        const folder = tree.find(segments.slice(0, -1));
        return folder === undefined ? undefined : lstat(folder.join(segments.at(-1) ?? ""));
      });
    } catch (error) {
      if (error instanceof AuthError) return undefined;
      throw error;
    }
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

  /** Removes parts that nobody has written to for so long. */
  forgetParts(olderThanMs: number): void {
    using tree = this.hold();
    const partials = tree.find([PARTIAL_FOLDER]);
    if (partials === undefined) return;
    for (const { name } of Deno.readDirSync(partials.join("."))) {
      const { isFile, mtime } = lstat(partials.join(name)) ?? {};
      const isOld = Date.now() - (mtime?.getTime() ?? Infinity) > olderThanMs;
      if (isFile && isOld && name.endsWith(".part")) removeIfThere(partials.join(name));
    }
  }

  /** Removes the folder of partial files if it is empty. */
  tidy(): void {
    try {
      rmdirSync(join(this.dir, PARTIAL_FOLDER));
    } catch {
      // There are parts still, or there never were any.
    }
  }

  #within<T>(tree: HeldTree | undefined, work: (tree: HeldTree) => T): T {
    if (tree !== undefined) return work(tree);
    using own = this.hold();
    return work(own);
  }

  #segments(path: string): string[] {
    const name = checkReceivedPath(path);
    const bytes = Buffer.byteLength(this.dir) + 1 + Buffer.byteLength(name);
    if (bytes > MAX_SYSTEM_PATH_BYTES) throw notAllowed(path, "too long a path for this folder");
    return name.split("/");
  }

  #createPart(segments: readonly string[], options: PartOptions): Part {
    const name = options.key === undefined ? `${crypto.randomUUID()}.part` : partName(options.key);
    const mode = fileMode(options.mode);
    return this.#within(options.tree, (tree) => {
      tree.find(segments.slice(0, -1));
      const partials = find(tree, [PARTIAL_FOLDER], 0o700);
      const place = { tree, isNew: true };
      const how = { createNew: true, read: true, write: true, mode };
      return this.#openPart(place, partials, name, how);
    });
  }

  #commit(
    part: Part,
    segments: readonly string[],
    options: CommitOptions,
    isNew = false,
  ): string {
    const { rename = false, replace = false } = options;
    return this.#within(options.tree, (tree) => {
      const partials = tree.find([PARTIAL_FOLDER]);
      const partName = basename(part.partPath);
      const where = { tree, isNew };
      if (partials === undefined || !this.#shows(where, partials, part.file, partName)) {
        throw replaced(partName);
      }
      const from = partials.join(partName);
      const folder = find(tree, segments.slice(0, -1), 0o777);
      const name = segments.join("/");
      const move = replace ? moveOver : moveNew;
      const place = (to: string) => this.#place(where, part, from, folder, basename(to), move);
      const taken = rename && !replace ? firstName(name, place) : name;
      if ((replace || !rename) && !place(name)) throw notAllowed(name, "exists");
      part.file.close();
      return taken;
    });
  }

  // A file that was made a moment ago in a folder that is held, and in its place, is there.
  #shows(place: Place, folder: HeldFolder, file: Deno.FsFile, name: string): boolean {
    if (place.isNew && place.tree.isInPlace(folder)) return true;
    return folder.shows(file, name, this.dir);
  }

  #openPart(place: Place, partials: HeldFolder, name: string, options: Deno.OpenOptions): Part {
    const file = Deno.openSync(partials.join(name), options);
    try {
      if (!this.#shows(place, partials, file, name)) throw replaced(name);
      return { file, partPath: join(partials.path, name) };
    } catch (error) {
      if (options.createNew === true) withdraw(file, partials, name);
      else file.close();
      throw error;
    }
  }

  // @returns whether the name was free.
  #place(
    where: Place,
    { file }: Part,
    from: string,
    folder: HeldFolder,
    name: string,
    move: (from: string, to: string) => boolean,
  ): boolean {
    try {
      if (!move(from, folder.join(name))) return false;
    } catch (error) {
      folder.remove(file, name); // the part is still where it was, and whole
      throw error;
    }
    try {
      if (!this.#shows(where, folder, file, name)) throw replaced(name);
      return true;
    } catch (error) {
      withdraw(file, folder, name);
      throw error;
    }
  }
}

function isSameInode(a: Deno.FileInfo, b: Deno.FileInfo): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** A folder, made where it is missing. */
function find(tree: HeldTree, segments: readonly string[], makeMode: number): HeldFolder {
  const folder = tree.find(segments, makeMode);
  if (folder === undefined) throw replaced(segments.join("/"));
  return folder;
}

function partName(key: string): string {
  if (!/^[0-9a-f]{1,64}$/.test(key)) throw new TypeError("Key must be 1 to 64 hexadecimal digits");
  return `${key}.part`;
}

// A number of seconds would lose a millisecond now and then, and the file would look changed.
function timeOf({ mtimeMs = Date.now() }: CommitOptions): Date {
  return new Date(mtimeMs);
}

function fileMode(mode = 0o666): number {
  return mode & 0o777 | 0o600;
}

function closePart({ file }: Part): void {
  try {
    file.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

// A link that is there is replaced itself; a folder stays.
function moveOver(from: string, to: string): boolean {
  if (lstat(to)?.isDirectory) return false;
  Deno.renameSync(from, to);
  return true;
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
