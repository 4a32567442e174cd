/**
 * A folder of live-sync as users have it: with its index in a file, and watched.
 *
 * @module
 */

import { Home } from "../../src/state/home.ts";
import { SyncFolder } from "../../src/sync/folder.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";

/** How to open a {@linkcode KeptFolder}. */
export interface KeptFolderOptions {
  /** Whether it is looked at whenever something may have changed. @default {true} */
  readonly watch?: boolean;
}

/** See the module. */
export class KeptFolder implements AsyncDisposable {
  /** The folder, looked at. */
  readonly folder: SyncFolder;
  readonly #index: SqliteIndex;
  readonly #watching: Promise<void> | undefined;

  private constructor(folder: SyncFolder, index: SqliteIndex, watch: boolean) {
    this.folder = folder;
    this.#index = index;
    this.#watching = watch ? folder.watch() : undefined;
  }

  /** Opens a folder; its index is in another one, `DIR.index`. */
  static async open(dir: string, { watch = true }: KeptFolderOptions = {}): Promise<KeptFolder> {
    const index = SqliteIndex.open(Home.open(`${dir}.index`), "sync.sqlite");
    return new KeptFolder(await SyncFolder.open({ dir, index }), index, watch);
  }

  /** Keeps it no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder.close();
    await this.#watching;
    this.#index[Symbol.dispose]();
  }
}
