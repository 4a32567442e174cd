/**
 * Files of ours as they are sent: what changes meanwhile is found out.
 *
 * @module
 */

import { IntegrityError } from "../errors.ts";
import { printable } from "../log.ts";
import { type ManifestEntry, mtimeOf, readError } from "./manifest.ts";

/** A file that is being sent. */
export class SourceFile implements Disposable {
  /** What was offered. */
  readonly entry: ManifestEntry;
  /** The file; where it stands is where {@linkcode SourceFile.read} goes on. */
  readonly file: Deno.FsFile;

  /**
   * Opens a file.
   *
   * @throws {NotFoundError} when it has gone. @throws {AuthError} when it may not be read.
   * @throws {IntegrityError} when it is not what was offered any more.
   */
  constructor(entry: ManifestEntry, path: string) {
    this.entry = entry;
    try {
      this.file = Deno.openSync(path);
    } catch (error) {
      throw readError(path, error);
    }
    try {
      this.check();
    } catch (error) {
      this.file.close();
      throw error;
    }
  }

  /** Fills a buffer with what comes next. @throws {IntegrityError} when there is less. */
  read(into: Uint8Array): void {
    if (this.readSome(into) < into.length) throw changed(this.entry);
  }

  /** Fills a buffer as far as the file goes. @returns how many bytes came. */
  readSome(into: Uint8Array): number {
    let count = 0;
    while (count < into.length) {
      const read = this.file.readSync(into.subarray(count));
      if (read === null) break;
      count += read;
    }
    return count;
  }

  /** Makes sure that the file is what was offered. @throws {IntegrityError} when its size or time has changed. */
  check(): void {
    const info = this.file.statSync();
    const { size, mtimeMs } = this.entry;
    if (info.size !== size || mtimeOf(info) !== mtimeMs) throw changed(this.entry);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.file.close();
  }
}

/** The contents of a small file. @throws as `SourceFile`. */
export function readSmall(entry: ManifestEntry, path: string): Uint8Array {
  try {
    const data = Deno.readFileSync(path);
    if (data.length === entry.size) return data;
  } catch (error) {
    throw readError(path, error);
  }
  throw changed(entry);
}

function changed({ path }: ManifestEntry): IntegrityError {
  const text = `Cannot send "${printable(path)}": it changed while it was being read`;
  return new IntegrityError("bad-hash", text);
}
