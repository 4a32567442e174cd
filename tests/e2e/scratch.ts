/**
 * A folder for one test, and what is in a folder.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";

/** A temporary folder, removed with everything in it. */
export class Scratch implements AsyncDisposable {
  /** Its real path. */
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Makes one. */
  static async make(): Promise<Scratch> {
    return new Scratch(await Deno.realPath(await Deno.makeTempDir({ prefix: "kith-e2e-" })));
  }

  /** A path in it. */
  path(...names: string[]): string {
    return join(this.dir, ...names);
  }

  /** Writes a file, with the folders on the way. @returns its path. */
  async write(name: string, contents: string | Uint8Array = ""): Promise<string> {
    const path = this.path(name);
    await Deno.mkdir(dirname(path), { recursive: true });
    if (typeof contents === "string") await Deno.writeTextFile(path, contents);
    else await Deno.writeFile(path, contents);
    return path;
  }

  /** Makes a file of that many zeros, which takes no room on the disk. @returns its path. */
  async writeZeros(name: string, bytes: number): Promise<string> {
    const path = await this.write(name);
    await Deno.truncate(path, bytes);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** One file or folder, as two folders are compared by. */
export interface Listed {
  /** Below the folder; a folder ends in `/`. */
  readonly path: string;
  /** Permission bits of a file. */
  readonly mode?: number;
  /** Modification time of a file in milliseconds. */
  readonly mtimeMs?: number | undefined;
  /** SHA-256 of a file. */
  readonly sha256?: string;
}

/** Everything below a folder, sorted; nothing when there is no such folder. */
export function listing(dir: string): Listed[] {
  return paths(dir).map((path): Listed => {
    if (path.endsWith("/")) return { path };
    const { mode, mtime } = Deno.lstatSync(join(dir, path));
    const sha256 = sha256Of(Deno.readFileSync(join(dir, path)));
    return { path, mode: (mode ?? 0) & 0o777, mtimeMs: mtime?.getTime(), sha256 };
  });
}

/** The paths below a folder, sorted. */
export function paths(dir: string, prefix = ""): string[] {
  return entriesOf(dir).flatMap(({ name, isDirectory }) => {
    const path = prefix + name;
    return isDirectory ? [`${path}/`, ...paths(join(dir, name), `${path}/`)] : [path];
  }).sort();
}

/** Hexadecimal SHA-256. */
export function sha256Of(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function entriesOf(dir: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
