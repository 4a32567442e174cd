/**
 * Folders of a peer that are kept alike with others.
 *
 * @module
 */

import type { Endpoint } from "./endpoint/endpoint.ts";
import type { WebPort } from "./endpoint/web.ts";
import { layerLog } from "./log.ts";
import type { Access } from "./secure/access.ts";
import type { Home } from "./state/home.ts";
import { indexNameOf } from "./sync/folder_root.ts";
import { FolderSync, type FolderSyncOptions } from "./sync/folder_sync.ts";
import { SqliteIndex } from "./sync/sqlite_index.ts";

/** The peer, as far as its folders have to do with it. */
export interface FolderHost {
  /** Its name, clock, log and counters. */
  readonly endpoint: Endpoint;
  /** The invites and keys that it gives away. */
  readonly access: Access;
}

/** Opens a folder. @param home Where its index is kept; without one it is forgotten. @throws as `FolderSync.open`. */
export function openFolder(
  dir: string,
  { endpoint, access }: FolderHost,
  { home, web }: { home: Home | undefined; web: WebPort | undefined },
  options: FolderSyncOptions,
): Promise<FolderSync> {
  const { clock, metrics, self: { name } } = endpoint;
  const log = layerLog(endpoint.log, "sync");
  const index = openIndex(dir, home);
  return FolderSync.open(
    dir,
    { index, homeDir: home?.dir, web, access, name, clock, log, metrics },
    options,
  );
}

/**
 * The index of a folder.
 *
 * @param isForLook Whether it stays as it is, whatever is put into it.
 * @throws {UnsupportedError} when another process has it open.
 */
export function openIndex(dir: string, home: Home | undefined, isForLook = false): SqliteIndex {
  if (home === undefined) return SqliteIndex.inMemory();
  const name = indexNameOf(dir);
  return isForLook ? SqliteIndex.openForLook(home, name) : SqliteIndex.open(home, name);
}
