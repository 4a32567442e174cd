/**
 * The files that a receiver makes of chunks, which come in about any order, and the chunks that it reads back for others.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import type { StoredBytes } from "../endpoint/resources.ts";
import { nextTurn } from "../endpoint/turns.ts";
import { ClosedError, IntegrityError } from "../errors.ts";
import { printable } from "../log.ts";
import {
  type Manifest,
  type ManifestEntry,
  summarize,
  type TransferSummary,
} from "../transfer/manifest.ts";
import { Placement, type ReceivedFile } from "../transfer/placement.ts";
import { writeAll } from "../transfer/disk.ts";
import type { Part, ReceiveRoot } from "../transfer/receive_root.ts";
import { ChunkCache } from "./chunk_cache.ts";
import type { ChunkList, ChunkSink, ChunkSource } from "./chunk_list.ts";
import type { ChunkSet } from "./chunk_set.ts";
import { ContentLayout, type Piece } from "./content_layout.ts";
import { findChunks, type HeldFile } from "./held_chunks.ts";
import { OpenFiles, readFull } from "./open_files.ts";
import { OpenParts } from "./open_parts.ts";

/** Files that wait to be put into place before more chunks are taken. */
const MAX_WAITING = 32;

/** Bytes that are hashed in one go where a file's chunks did not come in order. */
const HASH_STEP_BYTES = 1024 * 1024;

/** Empty files that are made in one go. */
const FILES_A_TURN = 64;

const EMPTY_SHA256 = createHash("sha256").digest("hex");

/** How to take files. */
export interface IncomingFilesOptions {
  /** Who sends: only the same sender goes on with what was interrupted. */
  readonly owner: string;
  /** What the files count for. */
  readonly stored: StoredBytes;
  /** Hears of a file that is in its place; it may slow down what comes. */
  readonly placed: (file: ReceivedFile) => Promise<void>;
  /** A file could not be put into place: nothing more comes of it. */
  readonly failed: (error: unknown) => void;
  /** Whether parts of files that are not complete are kept: somebody may go on with them. @default {true} */
  readonly keepsParts?: boolean;
}

/** A file some of whose bytes have come. */
interface Growing {
  readonly part: Part;
  /** Bytes that have not come. */
  left: number;
  readonly hash: Hash;
  /** Everything before is hashed. */
  hashedTo: number;
}

/** See the module. */
export class IncomingFiles implements ChunkSource, ChunkSink {
  readonly #manifest: Manifest;
  readonly #chunks: ChunkList;
  readonly #options: IncomingFilesOptions;
  readonly #placement: Placement;
  readonly #layout: ContentLayout;
  readonly #cache: ChunkCache;
  readonly #growing = new Map<number, Growing>();
  readonly #digests = new Map<number, string>();
  // Where files are; those that are not here are where they were to be.
  readonly #paths = new Map<number, string>();
  readonly #files: OpenFiles;
  readonly #parts: OpenParts;
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;
  #isOver = false;

  /** Takes nothing yet. */
  constructor(
    root: ReceiveRoot,
    manifest: Manifest,
    chunks: ChunkList,
    options: IncomingFilesOptions,
  ) {
    const { owner, stored } = options;
    this.#manifest = manifest;
    this.#chunks = chunks;
    this.#options = options;
    this.#placement = new Placement(root, manifest, { owner, stored });
    this.#layout = new ContentLayout(manifest);
    this.#cache = new ChunkCache(chunks.chunkBytes);
    this.#files = new OpenFiles((file) => this.#openPlaced(file));
    this.#parts = new OpenParts(root);
  }

  /**
   * Sets room aside, makes the folders, and begins to make the files that are empty.
   *
   * @throws {LimitError} when all that has been stored and promised would be more than may be.
   * @throws {AuthError} `not-allowed` when something is in the way.
   */
  async begin(): Promise<void> {
    await this.#placement.begin();
    this.#later(() => this.#makeEmpty());
  }

  /** Which chunks are there already, of the same files from the same sender. To be called once, after `begin`. */
  async resume(): Promise<ChunkSet> {
    const held = new Map<number, HeldFile>();
    for (const [file, entry] of this.#manifest.entries.entries()) {
      if (entry.kind !== "file" || entry.size === 0) continue;
      const kind = this.#placement.held(entry);
      if (kind === "part") this.#growing.set(file, this.#newPart(entry));
      if (kind === undefined) continue;
      const read = (offset: number, into: Uint8Array) => this.#readHeld(file, offset, into);
      held.set(file, { isWhole: kind === "whole", read });
    }
    const hashes = new Map<number, { readonly hash: Hash; to: number }>();
    const set = await findChunks(this.#chunks, this.#layout, held, (piece, bytes) => {
      const { file, fileOffset, length } = piece;
      const growing = this.#growing.get(file);
      if (growing !== undefined) return addTo(growing, piece, bytes);
      const whole = hashes.get(file) ?? { hash: createHash("sha256"), to: 0 };
      hashes.set(file, whole);
      if (whole.to !== fileOffset) return;
      whole.hash.update(bytes);
      whole.to += length;
    });
    for (const [file, { hash, to }] of hashes) {
      if (this.#isThere(file, set) && to === this.#manifest.entries[file]?.size) {
        this.#digests.set(file, hash.digest("hex"));
      }
    }
    for (const [file, growing] of this.#growing) {
      const entry = this.#manifest.entries[file];
      if (entry === undefined) continue;
      growing.left = entry.size - this.#bytesThere(file, set);
      if (growing.left === 0) this.#later(() => this.#commit(file, entry, growing));
    }
    return set;
  }

  /** Keeps a chunk that was verified. @throws what the file system throws, or `ReceiveRoot` */
  write(index: number, data: Uint8Array): void {
    if (this.#isOver) throw new ClosedError("The transfer was given up");
    this.#placement.lookAgain();
    for (const piece of this.#layout.pieces(index * this.#chunks.chunkBytes, data.length)) {
      const bytes = data.subarray(piece.from, piece.from + piece.length);
      if (piece.length === piece.entry.size) this.#put(piece.file, piece.entry, bytes);
      else this.#grow(piece, bytes);
    }
    this.#cache.put(index, data);
  }

  /** A chunk that has come, verified once more, as a view that is valid until the next call. @throws {IntegrityError} */
  read(index: number): Uint8Array {
    return this.#cache.get(index) ?? this.#cache.fill(index, this.#chunks.sizeOf(index), (into) => {
      const pieces = this.#layout.pieces(index * this.#chunks.chunkBytes, into.length);
      for (const piece of pieces) {
        this.#read(piece, into.subarray(piece.from, piece.from + piece.length));
      }
      if (!this.#chunks.verify(index, into)) throw changed(pieces[0]?.entry);
    });
  }

  /** What to wait for before more chunks are taken, where many files wait to be put into place. */
  room(): Promise<void> | undefined {
    return this.#waiting > MAX_WAITING ? this.#work : undefined;
  }

  /** Waits until all files are in their places, once all chunks have come. Chunks can still be read. */
  async finish(): Promise<TransferSummary> {
    await this.#work;
    const hashed = this.#manifest.entries.flatMap(({ path, size, kind }, file) => {
      const sha256 = this.#digests.get(file);
      return kind === "file" && sha256 !== undefined ? [{ path, size, sha256 }] : [];
    });
    if (this.#isOver || hashed.length < this.#manifest.files) {
      throw new ClosedError("The transfer was given up");
    }
    this.#placement.finish();
    return summarize(hashed);
  }

  /** Takes nothing any more. Parts of files that are not complete stay for another time. Harmless when repeated. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#work;
    const { keepsParts = true } = this.#options;
    for (const [file, { part, left }] of this.#growing) {
      this.#parts.letGo(part);
      if (keepsParts) {
        this.#placement.leave(part, (this.#manifest.entries[file]?.size ?? left) - left);
      } else this.#placement.discard(part);
    }
    this.#growing.clear();
    if (keepsParts) this.#placement[Symbol.dispose]();
    else this.#placement.finish();
    this.#files[Symbol.dispose]();
  }

  /** A file that has come as a whole. */
  #put(file: number, entry: ManifestEntry, data: Uint8Array): void {
    const sha256 = createHash("sha256").update(data).digest("hex");
    const placed = this.#placement.put(entry, data, sha256);
    this.#digests.set(file, sha256);
    this.#paths.set(file, placed.path);
    this.#later(() => this.#options.placed(placed));
  }

  /** A part of a file has come. */
  #grow(piece: Piece, data: Uint8Array): void {
    const { file, entry, fileOffset, length } = piece;
    const growing = this.#growing.get(file) ?? this.#newPart(entry);
    this.#growing.set(file, growing);
    const part = this.#parts.get(growing.part);
    part.file.seekSync(fileOffset, Deno.SeekMode.Start);
    writeAll(part.file, data);
    growing.left -= length;
    addTo(growing, piece, data);
    if (growing.left === 0) this.#later(() => this.#commit(file, entry, growing));
  }

  #newPart(entry: ManifestEntry): Growing {
    const part = this.#parts.add(this.#placement.openPart(entry));
    return { part, left: entry.size, hash: createHash("sha256"), hashedTo: 0 };
  }

  async #commit(file: number, entry: ManifestEntry, growing: Growing): Promise<void> {
    const { hash } = growing;
    const part = this.#parts.hold(growing.part);
    const buffer = new Uint8Array(Math.min(HASH_STEP_BYTES, entry.size - growing.hashedTo));
    while (growing.hashedTo < entry.size) {
      part.file.seekSync(growing.hashedTo, Deno.SeekMode.Start);
      const count = readFull(part.file, buffer);
      if (count === 0) throw changed(entry);
      hash.update(buffer.subarray(0, count));
      growing.hashedTo += count;
      await nextTurn();
    }
    const sha256 = hash.digest("hex");
    const placed = await this.#placement.commit(entry, part, sha256);
    this.#parts.letGo(growing.part);
    this.#growing.delete(file);
    this.#digests.set(file, sha256);
    this.#paths.set(file, placed.path);
    await this.#options.placed(placed);
  }

  async #makeEmpty(): Promise<void> {
    let left = FILES_A_TURN;
    for (const [file, entry] of this.#manifest.entries.entries()) {
      if (entry.kind !== "file" || entry.size > 0) continue;
      if (this.#placement.held(entry) === "whole") {
        this.#digests.set(file, EMPTY_SHA256);
        continue;
      }
      this.#put(file, entry, new Uint8Array(0));
      if (--left > 0) continue;
      left = FILES_A_TURN;
      await nextTurn();
      this.#placement.lookAgain();
      if (this.#isOver) return;
    }
  }

  /** Does something when all that waits is done. */
  #later(work: () => Promise<void>): void {
    this.#waiting++;
    this.#work = this.#work.then(async () => {
      try {
        if (!this.#isOver) await work();
      } catch (error) {
        this.#isOver = true;
        this.#options.failed(error);
      } finally {
        this.#waiting--;
      }
    });
  }

  #read(piece: Piece, into: Uint8Array): void {
    const { file, entry, fileOffset, length } = piece;
    if (this.#readPart(file, fileOffset, into)) return;
    if (this.#files.read(file, fileOffset, into) < length) throw changed(entry);
  }

  /** Reads from a file that is not in its place yet. @returns whether it was there */
  #readPart(file: number, offset: number, into: Uint8Array): boolean {
    const growing = this.#growing.get(file);
    if (growing === undefined) return false;
    const part = this.#parts.get(growing.part);
    try {
      part.file.seekSync(offset, Deno.SeekMode.Start);
      return readFull(part.file, into) === into.length;
    } catch (error) {
      // It has just been put into place.
      if (error instanceof Deno.errors.BadResource) return false;
      throw error;
    }
  }

  /** Reads what an earlier broadcast has left. @returns whether there was enough */
  #readHeld(file: number, offset: number, into: Uint8Array): boolean {
    if (this.#growing.has(file)) return this.#readPart(file, offset, into);
    return this.#files.read(file, offset, into) === into.length;
  }

  /** Whether all chunks of a file are in a set. */
  #isThere(file: number, set: ChunkSet): boolean {
    return this.#bytesThere(file, set) === this.#manifest.entries[file]?.size;
  }

  /** Bytes of a file that are in the chunks of a set. */
  #bytesThere(file: number, set: ChunkSet): number {
    const { chunkBytes } = this.#chunks;
    const { start, end } = this.#layout.rangeOf(file);
    let bytes = 0;
    for (let index = Math.floor(start / chunkBytes); index * chunkBytes < end; index++) {
      if (!set.has(index)) continue;
      bytes += Math.min(end, (index + 1) * chunkBytes) - Math.max(start, index * chunkBytes);
    }
    return bytes;
  }

  #openPlaced(file: number): Deno.FsFile {
    const entry = this.#manifest.entries[file];
    if (entry === undefined) throw changed(entry);
    const path = this.#paths.get(file) ?? this.#placement.placeOf(entry);
    const opened = this.#placement.root.openFile(path);
    if (opened === undefined) throw changed(entry);
    return opened;
  }
}

/** Hashes bytes if it is their turn. */
function addTo(growing: Growing, { fileOffset, length }: Piece, data: Uint8Array): void {
  if (growing.hashedTo !== fileOffset) return;
  growing.hash.update(data);
  growing.hashedTo += length;
}

function changed(entry: ManifestEntry | undefined): IntegrityError {
  return new IntegrityError(
    "bad-hash",
    `Cannot pass "${printable(entry?.path ?? "")}" on: it has changed since it came`,
  );
}
