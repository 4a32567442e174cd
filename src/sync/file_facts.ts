/**
 * What the disk says of a file, and is told of one.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { closeSync, constants, fchmodSync, fstatSync, futimesSync, openSync } from "node:fs";

/** Whether two are one file. */
export function isSame(a: Deno.FileInfo | undefined, b: Deno.FileInfo | undefined): boolean {
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** Whether two are one file, with the same contents as far as its size and the time of its last change tell. */
export function hasSameFacts(a: Deno.FileInfo, b: Deno.FileInfo): boolean {
  return isSame(a, b) && a.size === b.size && a.mode === b.mode &&
    a.mtime?.getTime() === b.mtime?.getTime();
}

/** The hash of a file that is held to be so long; another one if it is longer. */
export function hashOf(file: Deno.FsFile, size: number): string {
  const bytes = new Uint8Array(size + 1); // one more, to see the end
  let filled = 0;
  for (
    let count: number | null = 1;
    count !== null && filled < bytes.length;
    filled += count ?? 0
  ) {
    count = file.readSync(bytes.subarray(filled));
  }
  return createHash("sha256").update(bytes.subarray(0, filled)).digest("hex");
}

/** What the disk says of a file; after any change to it, something else. */
export function momentOf({ mtime, ctime, ino, size }: Deno.FileInfo): string {
  return [mtime?.getTime(), ctime?.getTime(), ino, size].join(":");
}

/** Sets permissions and time of a file, and of no file that a link leads to. */
export function setFacts(path: string, facts: { mode: number; mtimeMs?: number }): void {
  const { mode, mtimeMs } = facts;
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const info = fstatSync(descriptor);
    if (!info.isFile()) return;
    if (!hasMode(info, mode)) fchmodSync(descriptor, mode);
    if (mtimeMs !== undefined) futimesSync(descriptor, new Date(mtimeMs), new Date(mtimeMs));
  } finally {
    closeSync(descriptor);
  }
}

/** Whether a file has these permissions; Windows has no such bits. */
export function hasMode(info: { readonly mode: number | null }, mode: number): boolean {
  return Deno.build.os === "windows" || info.mode === null || (info.mode & 0o777) === mode;
}
