/**
 * A folder that stays the same one whatever becomes of its path.
 *
 * A path is looked up anew by every call, and whoever may write to a folder on the way can put a symbolic link in its
 * place between two of them. POSIX has `openat()` against that: names are looked up in a folder that is already open.
 * Deno has no `openat()`, but on Linux a path that begins with `/proc/self/fd/N` is looked up from what is open as N,
 * which is the same. Deno leaves `/proc` to programs with every permission (`-A`). Everywhere else a folder is no more
 * than its path, `isHeld` says so, and who works in it has to look afterwards where things went.
 *
 * @module
 */

import { closeSync, constants, openSync } from "node:fs";
import { join, sep } from "node:path";
import { AuthError } from "../errors.ts";
import { printable } from "../log.ts";

/** Where Linux shows what this process has open. */
const DESCRIPTORS = "/proc/self/fd";

/** Linux's flag to open a folder only to look names up in, which needs no right to list it. */
const O_PATH = 0o10000000;

/**
 * How often a path is looked at where folders cannot be held. Between two looks it may have been bent and straightened
 * again; each look more is one more swap that must come at the right moment.
 */
const LOOKS = 4;

/** How often a file that went astray is looked for: who keeps swapping a folder shows soon where it leads to. */
const SEARCHES = 200;

/**
 * A folder to look names up in; see the module.
 *
 * @example
 * ```ts
 * import { ReceiveRoot } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   using tree = ReceiveRoot.open(dir).hold();
 *   const folder = tree.find(["notes"], 0o755);
 *   if (folder !== undefined) await Deno.writeTextFile(folder.join("today.txt"), "hello");
 * }
 * assertEquals(await Deno.readTextFile(`${dir}/notes/today.txt`), "hello");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class HeldFolder implements Disposable {
  /** Where it was when it was opened. */
  readonly path: string;
  /** Whether names are looked up in the folder itself, and not along its path. */
  readonly isHeld: boolean;
  /** The number of the disk that it is on. */
  readonly device: number;
  readonly #descriptor: number;
  #isOpen: boolean;

  private constructor(path: string, descriptor: number | undefined, device: number) {
    this.path = path;
    this.device = device;
    this.isHeld = descriptor !== undefined;
    this.#descriptor = descriptor ?? -1;
    this.#isOpen = this.isHeld;
  }

  /**
   * Opens a folder by its real path.
   *
   * @param options `hold`: whether to hold it where that is possible. @default {true}
   * @throws {AuthError} `not-allowed` when a link leads there by now. @throws {Deno.errors.NotFound} when it is gone.
   */
  static open(path: string, options: { hold?: boolean } = {}): HeldFolder {
    const { dev } = Deno.lstatSync(path); // says so when it is gone
    if (!(options.hold ?? true) || !canHold()) return new HeldFolder(path, undefined, dev);
    const descriptor = openFolder(path, ".");
    if (pathOf(descriptor) === path) return new HeldFolder(path, descriptor, dev);
    closeSync(descriptor);
    throw notAllowed(".", "replaced by a link"); // where our folder is, is not for others to know
  }

  /** The path by which to reach a name in this folder. @throws {TypeError} when the folder was let go of. */
  join(name: string): string {
    if (!this.isHeld) return join(this.path, name);
    if (!this.#isOpen) throw new TypeError("The folder was let go of"); // the number may be another's by now
    return `${DESCRIPTORS}/${this.#descriptor}/${name}`;
  }

  /**
   * Opens a folder in this one.
   *
   * @param way What errors call it.
   * @param makeMode Makes it first, with these permission bits, unless it is there.
   * @returns `undefined` when there is none.
   * @throws {AuthError} `not-allowed` when a link or a file is there.
   */
  enter(name: string, way: string, makeMode?: number): HeldFolder | undefined {
    const at = this.join(name);
    let found = lstat(at);
    if (found === undefined && makeMode !== undefined) {
      makeFolder(at, makeMode);
      found = lstat(at);
    }
    if (found === undefined) return undefined;
    if (found.isSymlink) throw notAllowed(way, "is a link");
    if (!found.isDirectory) throw notAllowed(way, "is not a folder");
    const descriptor = this.isHeld ? openFolder(at, way) : undefined;
    return new HeldFolder(join(this.path, name), descriptor, found.dev);
  }

  /** Whether its path leads to `root`, or below it, as the path is now. */
  isBelow(root: string): boolean {
    const real = realPath(this.path);
    return real !== undefined && isWithin(real, root);
  }

  /** Whether it is held, and who goes to its path now finds that very folder, and finds it below `root`. */
  isInPlace(root: string): boolean {
    if (!this.isHeld) return false;
    const real = realPath(this.path);
    if (real === undefined || !isWithin(real, root)) return false;
    const [here, there] = [Deno.statSync(this.join(".")), lstat(real)];
    return here.ino !== null && here.ino === there?.ino && here.dev === there.dev;
  }

  /** Whether who goes to its path now finds that very file under that name, and finds it below `root`. */
  shows(file: Deno.FsFile, name: string, root: string): boolean {
    for (let look = 0; look < (this.isHeld ? 1 : LOOKS); look++) {
      const real = realPath(this.path);
      if (real === undefined || !isWithin(real, root)) return false;
      if (!isSameFile(file, join(real, name))) return false;
    }
    return true;
  }

  /**
   * Removes that very file wherever that name leads to. Another file of the name is left alone.
   *
   * @returns whether it was found. Where the folder is held it is found if it is there; else it may be where the path
   * led to for a moment, and does no longer.
   */
  remove(file: Deno.FsFile, name: string): boolean {
    if (this.isHeld) return removeSame(file, this.join(name));
    for (let search = 0; search < SEARCHES; search++) {
      // By the real path, because another swap could redirect any other.
      const real = realPath(this.path);
      if (real !== undefined && removeSame(file, join(real, name))) return true;
    }
    return false;
  }

  /** Lets go of it. Harmless the second time. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#descriptor);
  }
}

/** What is there, links not followed; `undefined` where nothing is. */
export function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return undefined;
    throw error;
  }
}

/** The error for something that is in the way, or not what it was. */
export function notAllowed(path: string, reason: string, cause?: unknown): AuthError {
  const shown = printable(path);
  return new AuthError("not-allowed", `Cannot receive "${shown}": ${reason}`, {
    cause,
    details: { path: shown, reason },
  });
}

let holdable: boolean | undefined;

/** Whether folders can be held here. Asked once: it does not change while a program runs. */
function canHold(): boolean {
  return holdable ??= tryToHold();
}

function tryToHold(): boolean {
  if (Deno.build.os !== "linux") return false;
  // To try without having it would make Deno ask whoever sits at the terminal.
  const { state } = Deno.permissions.querySync({ name: "read", path: DESCRIPTORS });
  if (state !== "granted") return false;
  let descriptor: number | undefined;
  try {
    descriptor = openFolder("/", "/");
    return pathOf(descriptor) === "/" && !canOpen("/proc/self/root"); // which is a link
  } catch {
    return false; // some permission is missing, or there is no /proc
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function canOpen(path: string): boolean {
  try {
    closeSync(openFolder(path, path));
    return true;
  } catch {
    return false;
  }
}

/** Opens a folder, and no link to one. @throws {AuthError} when something else is there. */
function openFolder(path: string, way: string): number {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (cause) {
    throw notAllowed(way, "replaced while it was being opened", cause);
  }
}

function pathOf(descriptor: number): string {
  return Deno.readLinkSync(`${DESCRIPTORS}/${descriptor}`);
}

function makeFolder(path: string, mode: number): void {
  try {
    Deno.mkdirSync(path, { mode });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Where a path leads to, or `undefined` where it leads nowhere. */
function realPath(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return undefined;
    throw error;
  }
}

function removeSame(file: Deno.FsFile, path: string): boolean {
  if (!isSameFile(file, path)) return false;
  try {
    Deno.removeSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false; // swapped again
    throw error;
  }
}

// Where the system has no inodes (`null`), the path alone decides.
function isSameFile(file: Deno.FsFile, path: string): boolean {
  const [open, found] = [file.statSync(), lstat(path)];
  return found?.isFile === true && found.dev === open.dev && found.ino === open.ino;
}

function isWithin(real: string, root: string): boolean {
  return real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
}
