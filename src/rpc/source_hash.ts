/**
 * The hash of a program's sources, by which witch-core nodes tell whether they run the same program: a node ignores
 * announcements whose hash is not its own.
 *
 * ```
 * a.py      x=1\n   ->  eaa189c6c4e43d67 \
 * sub/b.py  y=2\n   ->  2cf60bde5c9c3e20  >  XXH3-64 of the concatenated digits = the source hash
 * ```
 *
 * Paths decide the order of the hashes and are not hashed themselves. It tells versions apart, not friend from foe:
 * anybody can announce any hash.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { compareCodePoints } from "../wire/code_point_order.ts";
import { xxh3 } from "../wire/xxh3.ts";

/**
 * What counts as a source unless told otherwise. The witch-core network module counts `.py` alone, so that a folder
 * with no other sources has the same hash there and here.
 */
export const SOURCE_EXTENSIONS: readonly string[] = [".js", ".py", ".ts"];

/** The hash of a folder without sources. */
export const EMPTY_SOURCE_HASH = "2d06800538d394c2";

const SKIPPED_FOLDERS: ReadonlySet<string> = new Set(["__pycache__", ".git", ".svn"]);
const SKIPPED_FILES: ReadonlySet<string> = new Set(["__init__.py"]);

/** How {@linkcode hashSources} chooses files, and what stops it. */
export interface HashSourcesOptions {
  /**
   * The ends of the names that count, each with its dot. `[".py"]` gives the hash of the witch-core network module.
   *
   * @default {SOURCE_EXTENSIONS}
   */
  extensions?: readonly string[];
  /** Stops between files; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * The hash of the sources below a folder, by the rule of the witch-core network module: 16 hexadecimal digits.
 *
 * Files named `__init__.py` and everything in folders named `__pycache__`, `.git` or `.svn` are left out. The order is
 * that of the relative paths by code point, with the separator of this system: a tree can hash differently on Windows,
 * as it does in the original. Symbolic links are not followed, neither to folders nor to files.
 *
 * @example
 * ```ts
 * import { hashSources } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/a.py`, "x=1\n");
 * await Deno.writeTextFile(`${dir}/note.txt`, "not a source");
 * assertEquals(await hashSources(dir), "46ee89dcc030e6e2");
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @param dir The folder: a path or a `file:` URL. Folders of dependencies inside it count too; name the one of sources.
 * @throws {NotFoundError} `no-path` when there is no such folder, or a file of it goes away meanwhile.
 * @throws {RangeError} for an extension without its dot, and for none at all, which would make all programs equal.
 */
export async function hashSources(
  dir: string | URL,
  options: HashSourcesOptions = {},
): Promise<string> {
  const { extensions = SOURCE_EXTENSIONS, signal } = options;
  checkExtensions(extensions);
  const root = typeof dir === "string" ? dir : fileURLToPath(dir);
  try {
    const paths = await Array.fromAsync(findSources(root, "", extensions, signal));
    let hashes = "";
    for (const path of paths.sort(compareCodePoints)) {
      signal?.throwIfAborted();
      hashes += xxh3(await Deno.readFile(join(root, path)));
    }
    return xxh3(new TextEncoder().encode(hashes));
  } catch (cause) {
    if (!isAbsence(cause)) throw cause;
    const shown = printable(root);
    throw new NotFoundError(
      "no-path",
      `Cannot hash the sources of "${shown}": ${printable(cause.message)}`,
      { cause, details: { path: shown } },
    );
  }
}

function checkExtensions(extensions: readonly string[]): void {
  if (extensions.length === 0) throw new RangeError("Extensions must name at least one");
  const bad = extensions.find((extension) => !/^\../.test(extension));
  if (bad !== undefined) {
    throw new RangeError(`Extension must begin with a dot: current value is "${printable(bad)}"`);
  }
}

async function* findSources(
  root: string,
  folder: string,
  extensions: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<string> {
  signal?.throwIfAborted();
  for await (const { name, isDirectory, isFile } of Deno.readDir(join(root, folder))) {
    const path = join(folder, name);
    if (isDirectory && !SKIPPED_FOLDERS.has(name)) {
      yield* findSources(root, path, extensions, signal);
    } else if (isFile && !SKIPPED_FILES.has(name) && extensions.some((end) => name.endsWith(end))) {
      yield path;
    }
  }
}

function isAbsence(error: unknown): error is Error {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
