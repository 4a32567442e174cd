/**
 * Disks that are mounted below a folder: what was on one that is away is not deleted.
 *
 * The index notes of a folder whether it is on the disk of the root, or on which other one. The number of another one is its
 * only as long as the system runs, so other numbers alone say nothing.
 *
 * @module
 */

import { isIn, parentOf } from "./path.ts";

const ON_ROOT = "d";

/** What is noted of a folder. @param device The number of its disk. @param rootDevice That of the root's. */
export function folderStat(device: number, rootDevice: number): string {
  return device === rootDevice ? ON_ROOT : `${ON_ROOT}:${device}`;
}

/** A folder that is on another disk than it was. */
export interface OtherDisk {
  /** What was noted of it. */
  readonly before: string;
  /** What would be noted now. */
  readonly now: string;
}

/** Whether a folder is on another disk than was noted. */
export function otherDisk(before: string, now: string): OtherDisk | undefined {
  const isKnown = isFolderStat(before) && isFolderStat(now);
  return isKnown && before !== now ? { before, now } : undefined;
}

/**
 * The folders of which something is missing because of their disks.
 *
 * A disk that was mounted or unmounted hides what is missing, until all of it is there again. One that is mounted in place
 * of another may be the same one under another number: it is, if anything of what is known is on it.
 *
 * @param moved Folders that are on other disks.
 * @param absent What is missing.
 * @param seen What was found.
 */
export function hiddenByDisks(
  moved: ReadonlyMap<string, OtherDisk>,
  absent: readonly string[],
  seen: ReadonlySet<string>,
): string[] {
  if (absent.length === 0) return [];
  return [...moved].filter(([folder, { before, now }]) => {
    const above = moved.get(parentOf(folder));
    // It is on the disk of the folder above, which tells more.
    if (above?.before === before && above.now === now) return false;
    if (!absent.some((path) => isIn(path, folder))) return false;
    const isExchanged = before !== ON_ROOT && now !== ON_ROOT;
    return !isExchanged || ![...seen].some((path) => path !== folder && isIn(path, folder));
  }).map(([folder]) => folder);
}

function isFolderStat(stat: string): boolean {
  return stat === ON_ROOT || stat.startsWith(`${ON_ROOT}:`);
}
