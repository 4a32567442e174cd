/**
 * Files that are read from here and there, a few of them open at once.
 *
 * @module
 */

/** Files that are open at once; the one that was needed longest ago is closed first. */
const MAX_OPEN = 16;

/** Files by their number. */
export class OpenFiles implements Disposable {
  readonly #open: (file: number) => Deno.FsFile;
  // The one needed last at the end: maps keep their order.
  readonly #files = new Map<number, Deno.FsFile>();

  /** Has none open. @param open Opens a file to read it. */
  constructor(open: (file: number) => Deno.FsFile) {
    this.#open = open;
  }

  /** Reads from a file. @returns how many bytes, fewer than there is room for only at its end. @throws what `open` throws */
  read(file: number, offset: number, into: Uint8Array): number {
    const handle = this.#get(file);
    handle.seekSync(offset, Deno.SeekMode.Start);
    return readFull(handle, into);
  }

  /** Closes all of them. They are opened again if they are needed. */
  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #get(number: number): Deno.FsFile {
    const file = this.#files.get(number) ?? this.#open(number);
    this.#files.delete(number);
    this.#files.set(number, file);
    if (this.#files.size <= MAX_OPEN) return file;
    const [oldest] = this.#files;
    if (oldest === undefined) return file;
    this.#files.delete(oldest[0]);
    oldest[1].close();
    return file;
  }
}

/** Reads until there is no more room or the file ends. @returns how many bytes. */
export function readFull(file: Deno.FsFile, into: Uint8Array): number {
  let count = 0;
  while (count < into.length) {
    const read = file.readSync(into.subarray(count));
    if (read === null) break;
    count += read;
  }
  return count;
}
