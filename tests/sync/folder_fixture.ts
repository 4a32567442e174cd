/**
 * Folders on the disk, for tests.
 *
 * @module
 */

import { join } from "node:path";
import { SyncFolder, type SyncFolderOptions } from "../../src/sync/folder.ts";
import type { SyncIndex } from "../../src/sync/index.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { PARTIAL_FOLDER } from "../../src/transfer/safe_path.ts";

/** Before any test: such files look the same only if they are. */
export const LONG_AGO = new Date(Date.UTC(2026, 0, 2));

/** A place for folders that is removed in the end. */
export class Scratch implements AsyncDisposable {
  readonly dir = Deno.realPathSync(Deno.makeTempDirSync());
  readonly #stack = new AsyncDisposableStack();

  /** Opens a folder in it. */
  async folder(
    name: string,
    options: Partial<SyncFolderOptions> & { index?: SyncIndex } = {},
  ): Promise<SyncFolder> {
    const index = options.index ?? this.use(SqliteIndex.inMemory());
    return this.#stack.use(await SyncFolder.open({ dir: join(this.dir, name), ...options, index }));
  }

  /** Disposes of something in the end. */
  use<T extends AsyncDisposable | Disposable>(thing: T): T {
    return this.#stack.use(thing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** Writes a file, with the folders on the way. */
export function write(
  dir: string,
  path: string,
  contents: string | Uint8Array,
  mtime?: Date,
): void {
  const at = join(dir, path);
  Deno.mkdirSync(join(at, ".."), { recursive: true });
  Deno.writeFileSync(
    at,
    typeof contents === "string" ? new TextEncoder().encode(contents) : contents,
  );
  if (mtime !== undefined) Deno.utimeSync(at, mtime, mtime);
}

/** What is in a folder: `path = contents`, or `path/`; not what is unfinished. */
export function treeOf(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory, isFile }) => {
    if (prefix === "" && name === PARTIAL_FOLDER) return [];
    const path = prefix + name;
    if (isDirectory) return [`${path}/`, ...treeOf(join(dir, name), `${path}/`)];
    return [`${path} = ${isFile ? Deno.readTextFileSync(join(dir, name)) : "no plain file"}`];
  }).sort();
}
