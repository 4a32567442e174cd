/**
 * Files that are copied from memory to memory (tmpfs), so that no disk is measured.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, type Hash, randomFillSync } from "node:crypto";
import { statfsSync } from "node:fs";
import { Unavailable } from "./question.ts";

const TMPFS = "/dev/shm";
const BLOCK_BYTES = 1024 * 1024;
/** What a file takes besides its bytes: the rest of its last page, and an inode. */
const FILE_OVERHEAD_BYTES = 6 * 1024;

/** What is to be copied. */
export interface Amount {
  readonly files: number;
  /** Of all of them together. */
  readonly bytes: number;
}

/** A new folder in memory; it does not outlive the run. */
export class MemoryFolder implements Disposable {
  /** Where it is. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
    globalThis.addEventListener("unload", this.#remove);
  }

  /** Makes one. @throws {Unavailable} where there is no room for `amount`, its copy, and as much for everybody else. */
  static make(amount: Amount): MemoryFolder {
    const why = missingRoom(amount);
    if (why !== undefined) throw new Unavailable(why);
    return new MemoryFolder(Deno.makeTempDirSync({ dir: TMPFS, prefix: "kith-bench-" }));
  }

  /** Removes it with all that is in it. */
  [Symbol.dispose](): void {
    globalThis.removeEventListener("unload", this.#remove);
    this.#remove();
  }

  readonly #remove = (): void => {
    Deno.removeSync(this.path, { recursive: true });
  };
}

/** Makes a file that is random throughout: nothing in it can be left out. */
export function makeFile(path: string, bytes: number): void {
  using file = Deno.openSync(path, { write: true, createNew: true });
  const block = Buffer.alloc(Math.min(bytes, BLOCK_BYTES));
  for (let left = bytes; left > 0;) {
    const part = randomFillSync(block).subarray(0, left);
    for (let at = 0; at < part.length;) at += file.writeSync(part.subarray(at));
    left -= part.length;
  }
}

/** SHA-256 of a file's contents; of a folder's names and contents, in order. */
export function digestOf(path: string): string {
  const hash = createHash("sha256");
  addTo(hash, path);
  return hash.digest("hex");
}

/** Removes what is in a folder. */
export function empty(folder: string): void {
  for (const { name } of [...Deno.readDirSync(folder)]) {
    Deno.removeSync(`${folder}/${name}`, { recursive: true });
  }
}

const block = new Uint8Array(BLOCK_BYTES);

function addTo(hash: Hash, path: string): void {
  if (Deno.statSync(path).isDirectory) {
    const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
    hash.update(JSON.stringify(names));
    for (const name of names) addTo(hash, `${path}/${name}`);
  } else {
    using file = Deno.openSync(path);
    for (let count = file.readSync(block); count !== null; count = file.readSync(block)) {
      hash.update(block.subarray(0, count));
    }
  }
}

function missingRoom({ files, bytes }: Amount): string | undefined {
  let room: { freeBytes: number; freeFiles: number };
  try {
    const { bavail, bsize, ffree } = statfsSync(TMPFS);
    const { available } = Deno.systemMemoryInfo();
    room = { freeBytes: Math.min(bavail * bsize, available), freeFiles: ffree };
  } catch {
    return `there is no ${TMPFS}`;
  }
  const neededBytes = 3 * (bytes + files * FILE_OVERHEAD_BYTES);
  if (room.freeBytes < neededBytes) {
    return `${TMPFS} has ${room.freeBytes} of the ${neededBytes} bytes needed`;
  }
  if (room.freeFiles < 3 * files) return `${TMPFS} has no room for ${3 * files} files`;
  return undefined;
}
