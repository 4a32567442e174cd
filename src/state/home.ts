/**
 * The one folder in which a peer keeps what outlives it: key, configuration, peers, partial transfers.
 *
 * Everything here is synchronous: the files are small, they are read at the start and written rarely. A file is either
 * the old one or the new one, never half of either, and what cannot be understood is set aside rather than dropped.
 *
 * @module
 */

import {
  AuthError,
  LimitError,
  NotFoundError,
  type PeerError,
  UnsupportedError,
} from "../errors.ts";
import { layerLog, type Logger, printable, silentLogger } from "../log.ts";

/** Only the owner may enter the folder. */
const FOLDER_MODE = 0o700;

/** Only the owner may read a file, unless the caller says otherwise. */
const FILE_MODE = 0o600;

/** What fails where there is no home folder and none can be made. */
const USE = "use home folder";

/** How many corrupt files of one name are kept; whoever has more has another problem. */
const MAX_SET_ASIDE = 100;

/** Names are ours, never a peer's: plain, portable, and no way out of the folder. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** What {@linkcode resolveHome} looks at instead of this process and machine. */
export interface ResolveHomeOptions {
  /** Reads an environment variable. @default {Deno.env.get} */
  env?: (name: string) => string | undefined;
  /** The operating system. @default {Deno.build.os} */
  os?: typeof Deno.build.os;
}

/**
 * The home folder: `$KITH_HOME`, else `$XDG_STATE_HOME/kith`, else where the system keeps state:
 * `~/.local/state/kith`, on macOS `~/Library/Application Support/kith`, on Windows `%LOCALAPPDATA%\kith`.
 *
 * A relative `$XDG_STATE_HOME` counts as unset, as the XDG Base Directory Specification demands.
 *
 * @example
 * ```ts
 * import { resolveHome } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const env = (name: string) => name === "HOME" ? "/home/ann" : undefined;
 * assertEquals(resolveHome({ env, os: "linux" }), "/home/ann/.local/state/kith");
 * ```
 *
 * @throws {UnsupportedError} when the environment may not be read, or says nothing that would do.
 */
export function resolveHome(options: ResolveHomeOptions = {}): string {
  const { env = Deno.env.get, os = Deno.build.os } = options;
  const set = (name: string) => env(name) || undefined;
  try {
    const own = set("KITH_HOME");
    if (own !== undefined) return own;
    const windows = os === "windows";
    const xdg = set("XDG_STATE_HOME");
    if (xdg !== undefined && (windows ? /^[A-Za-z]:[\\/]|^\\\\/ : /^\//).test(xdg)) {
      return `${xdg}${windows ? "\\" : "/"}kith`;
    }
    const user = set(windows ? "LOCALAPPDATA" : "HOME");
    if (user !== undefined) return userState(user, os);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    const flag = "--allow-env=KITH_HOME,XDG_STATE_HOME,HOME,LOCALAPPDATA";
    throw new UnsupportedError(`Cannot find the home folder: run with ${flag} or name one`, {
      cause,
    });
  }
  throw new UnsupportedError("Cannot find the home folder: set KITH_HOME to a folder of your own");
}

/** How to open a {@linkcode Home}. */
export interface HomeOptions {
  /** Told when a corrupt file is set aside. @default {silentLogger} */
  log?: Logger;
}

/** How to write a file. */
export interface WriteOptions {
  /** Permission bits of the file, before the umask. @default {0o600} */
  mode?: number;
}

/**
 * The home folder, open for reading and writing.
 *
 * @example
 * ```ts
 * import { Home } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const home = Home.open(dir);
 * home.writeAtomic("peers.json", new TextEncoder().encode("[]"));
 * assertEquals(home.read("peers.json"), new Uint8Array([0x5b, 0x5d]));
 * assertEquals(home.read("config.json"), undefined);
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class Home {
  /** The folder. */
  readonly dir: string;
  readonly #log: Logger;

  private constructor(dir: string, log: Logger) {
    this.dir = dir;
    this.#log = layerLog(log, "state");
  }

  /**
   * Opens a home folder, made with mode 0700 (as are its missing parents) where there is none.
   *
   * @throws {UnsupportedError} when it cannot be made or written to; the text says what to do.
   * @throws {AuthError} `not-allowed` when others may change what is in it.
   */
  static open(dir: string, options: HomeOptions = {}): Home {
    try {
      Deno.mkdirSync(dir, { recursive: true, mode: FOLDER_MODE });
      // Permission bits do not tell (root, read-only mounts, access lists): trying does.
      Deno.removeSync(Deno.makeTempFileSync({ dir, prefix: ".probe-" }));
    } catch (error) {
      throw unusable(USE, dir, error);
    }
    refuseOpen(dir);
    return new Home(dir, options.log ?? silentLogger);
  }

  /**
   * Where the file of that name is.
   *
   * @throws {TypeError} when the name is not plain: letters, digits, `.`, `_`, `-`, at most 100.
   */
  path(name: string): string {
    if (!PLAIN_NAME.test(name)) {
      throw new TypeError(
        `Name of a home file must be plain: current value is "${printable(name)}"`,
      );
    }
    return `${this.dir}/${name}`;
  }

  /**
   * The contents of a file, or `undefined` when there is none.
   *
   * @throws {UnsupportedError} when it is there and cannot be read.
   */
  read(name: string): Uint8Array | undefined {
    const path = this.path(name);
    try {
      return Deno.readFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw unusable("read", path, error);
    }
  }

  /**
   * Writes a file so that any reader, also after a crash, finds either the old contents or all of the new.
   *
   * @throws {UnsupportedError} when it cannot be written; the old file is then untouched.
   */
  writeAtomic(name: string, bytes: Uint8Array, options: WriteOptions = {}): void {
    this.#write(name, bytes, options, (temp, path) => {
      Deno.renameSync(temp, path);
      return true;
    });
  }

  /**
   * Writes a file that must not exist yet, as atomically as {@linkcode Home.writeAtomic}: of several processes that
   * try at once exactly one succeeds, and the others can read what it wrote.
   *
   * @returns `false` when the file is there already; nothing is changed then.
   * @throws {UnsupportedError} when it cannot be written.
   */
  writeNew(name: string, bytes: Uint8Array, options: WriteOptions = {}): boolean {
    return this.#write(name, bytes, options, moveNew);
  }

  /**
   * Renames a file that cannot be understood to `name.corrupt-<n>`, so that a fresh one can take its place and nothing
   * is lost, and logs an error that says why.
   *
   * @returns the new path.
   * @throws {NotFoundError} `no-path` when there is no such file.
   * @throws {LimitError} when 100 of that name have been set aside already.
   */
  setAside(name: string, why: string): string {
    const path = this.path(name);
    for (let n = 1; n <= MAX_SET_ASIDE; n++) {
      const kept = `${path}.corrupt-${n}`;
      if (!tryMove(path, kept)) continue;
      this.#log.error("corrupt file set aside", { path, kept, why: printable(why) });
      return kept;
    }
    throw new LimitError("limit", `Cannot set ${printable(path)} aside: ${MAX_SET_ASIDE} are`, {
      details: { limit: "maxSetAside", max: MAX_SET_ASIDE, path },
    });
  }

  #write(
    name: string,
    bytes: Uint8Array,
    options: WriteOptions,
    place: (temp: string, path: string) => boolean,
  ): boolean {
    const path = this.path(name);
    const temp = `${path}.${crypto.randomUUID()}.tmp`;
    try {
      writeTemp(temp, bytes, options.mode ?? FILE_MODE);
      const placed = place(temp, path);
      syncFolder(this.dir);
      return placed;
    } catch (error) {
      throw unusable("write", path, error);
    } finally {
      removeIfThere(temp);
    }
  }
}

/**
 * Moves a file to a name that must be free, without ever overwriting what is there.
 *
 * A hard link does both in one step. Where there are none (FAT, some network folders) an empty file claims the name and
 * the rename replaces that: a reader may then see it empty for a moment.
 *
 * @returns `false` when the name is taken; the file stays where it was.
 */
export function moveNew(from: string, to: string): boolean {
  try {
    Deno.linkSync(from, to);
  } catch (error) {
    return error instanceof Deno.errors.AlreadyExists ? false : claimAndMove(from, to);
  }
  Deno.removeSync(from);
  return true;
}

/** Removes a file; it is no error when there is none. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function claimAndMove(from: string, to: string): boolean {
  try {
    Deno.openSync(to, { createNew: true, write: true }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    Deno.removeSync(to);
    throw error;
  }
  return true;
}

function tryMove(from: string, to: string): boolean {
  try {
    return moveNew(from, to);
  } catch (error) {
    throw unusable("set aside", from, error);
  }
}

function writeTemp(path: string, bytes: Uint8Array, mode: number): void {
  using file = Deno.openSync(path, { createNew: true, write: true, mode });
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  file.syncSync();
}

// A rename is only on the disk once its folder is; Windows neither needs nor allows it.
function syncFolder(dir: string): void {
  if (Deno.build.os === "windows") return;
  using folder = Deno.openSync(dir);
  folder.syncSync();
}

/** Who may put files into the folder may put others in the place of ours. */
function refuseOpen(dir: string): void {
  const { mode } = Deno.statSync(dir);
  // Windows has no such bits; there the profile folder protects what is in it.
  if (Deno.build.os === "windows" || mode === null || (mode & 0o022) === 0) return;
  const shown = printable(dir, 400);
  const bits = (mode & 0o7777).toString(8).padStart(4, "0");
  throw new AuthError(
    "not-allowed",
    `Cannot use home folder ${shown}: others may change it (mode ${bits}); run: chmod go-w ${shown}`,
    { details: { path: dir, mode: bits } },
  );
}

function userState(user: string, os: typeof Deno.build.os): string {
  if (os === "windows") return `${user}\\kith`;
  return os === "darwin" ? `${user}/Library/Application Support/kith` : `${user}/.local/state/kith`;
}

function unusable(doing: string, path: string, cause: unknown): PeerError {
  const shown = printable(path, 400);
  if (cause instanceof Deno.errors.NotFound && doing !== USE) {
    return new NotFoundError("no-path", `Cannot ${doing} ${shown}: not found`, { cause });
  }
  const [why, remedy] = cause instanceof Deno.errors.NotCapable
    ? ["not permitted", "run with --allow-read and --allow-write for that folder"]
    : [reason(cause), remedyFor(cause)];
  return new UnsupportedError(`Cannot ${doing} ${shown}: ${why}; ${remedy}`, { cause });
}

function remedyFor(cause: unknown): string {
  const remedy = "or name another folder with KITH_HOME or --home";
  const isFull = /no space left|quota/i.test(String(cause));
  return `${isFull ? "make room on that disk" : "make it writable"} ${remedy}`;
}

// Deno's texts read "Permission denied (os error 13): mkdir '/x'": the fact is in front.
function reason(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return printable(text.replace(/ \(os error \d+\).*$/s, "").toLowerCase());
}
