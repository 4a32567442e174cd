/**
 * The contents of what is sent to a PeerConnect node, read straight from the files.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { IntegrityError } from "../../errors.ts";
import { printable } from "../../log.ts";
import {
  type BuiltManifest,
  type ManifestEntry,
  readError,
  summarize,
  type TransferSummary,
} from "../manifest.ts";

interface Reading {
  readonly index: number;
  readonly file: Deno.FsFile;
}

interface Progress {
  readonly hash: Hash;
  /** Bytes from the beginning on that are hashed: each once, however often they are sent. */
  hashed: number;
}

/** Reads the files of a manifest, one at a time, and hashes what is read. */
export class OutgoingContents implements Disposable {
  readonly #built: BuiltManifest;
  readonly #progress = new Map<number, Progress>();
  #reading: Reading | undefined;
  #buffer = new Uint8Array(0);
  #bytes = 0;
  #sentBytes = 0;

  /** Nothing is read yet. */
  constructor(built: BuiltManifest) {
    this.#built = built;
  }

  /** Bytes that were read for the first time. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that were read again. */
  get resentBytes(): number {
    return this.#sentBytes - this.#bytes;
  }

  /** Bytes that were read in all. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /**
   * Bytes of the file at an index of the manifest.
   *
   * @returns a view, valid until the next call.
   * @throws {IntegrityError} when the file has changed. @throws {NotFoundError} when it has gone. @throws {AuthError}
   */
  read(index: number, offset: number, length: number): Uint8Array {
    const entry = this.#entry(index);
    const file = this.#open(index);
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const chunk = this.#buffer.subarray(0, length);
    file.seekSync(offset, Deno.SeekMode.Start);
    if (readInto(file, chunk) < length) throw changed(entry);
    if (offset + length === entry.size && readInto(file, new Uint8Array(1)) > 0) {
      throw changed(entry);
    }
    this.#take(index, offset, chunk);
    return chunk;
  }

  /** What was sent, once all of it was. */
  summary(): TransferSummary {
    const { entries } = this.#built.manifest;
    return summarize(entries.flatMap(({ path, kind, size }, index) => {
      return kind === "file" ? [{ path, size, sha256: this.#of(index).hash.digest("hex") }] : [];
    }));
  }

  /** Closes the file that is open. */
  [Symbol.dispose](): void {
    this.#reading?.file.close();
    this.#reading = undefined;
  }

  #take(index: number, offset: number, chunk: Uint8Array): void {
    const progress = this.#of(index);
    const fresh = chunk.subarray(Math.min(chunk.length, progress.hashed - offset));
    progress.hash.update(fresh);
    progress.hashed += fresh.length;
    this.#bytes += fresh.length;
    this.#sentBytes += chunk.length;
  }

  #open(index: number): Deno.FsFile {
    if (this.#reading?.index === index) return this.#reading.file;
    this[Symbol.dispose]();
    const path = this.#built.source(index);
    try {
      const file = Deno.openSync(path);
      this.#reading = { index, file };
      return file;
    } catch (error) {
      throw readError(path, error);
    }
  }

  #of(index: number): Progress {
    const known = this.#progress.get(index);
    if (known !== undefined) return known;
    const progress = { hash: createHash("sha256"), hashed: 0 };
    this.#progress.set(index, progress);
    return progress;
  }

  #entry(index: number): ManifestEntry {
    const entry = this.#built.manifest.entries[index];
    if (entry === undefined) throw new RangeError(`Manifest has no entry ${index}`);
    return entry;
  }
}

/** Reads until the buffer is full or the file ends. */
function readInto(file: Deno.FsFile, buffer: Uint8Array): number {
  let count = 0;
  while (count < buffer.length) {
    const read = file.readSync(buffer.subarray(count));
    if (read === null) break;
    count += read;
  }
  return count;
}

function changed({ path }: ManifestEntry): IntegrityError {
  return new IntegrityError(
    "bad-hash",
    `Cannot send "${printable(path)}": it changed while it was being read`,
  );
}
