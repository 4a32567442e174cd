/**
 * The files that a sender has, as chunks.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { nextTurn } from "../endpoint/turns.ts";
import { IntegrityError } from "../errors.ts";
import { printable } from "../log.ts";
import {
  type BuiltManifest,
  type ManifestEntry,
  readError,
  summarize,
  type TransferSummary,
} from "../transfer/manifest.ts";
import { ChunkCache } from "./chunk_cache.ts";
import { ChunkList, type ChunkSource } from "./chunk_list.ts";
import { chunkBytesFor, ContentLayout } from "./content_layout.ts";
import { OpenFiles } from "./open_files.ts";

/** Bytes of a SHA-256. */
const HASH_BYTES = 32;

/** How to read files. */
export interface OutgoingContentOptions {
  /** Bytes of a chunk. @default by the size of the content, from 256 KiB to 1 MiB */
  chunkBytes?: number;
  /** Stops; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Files that were read once, for the hashes of their chunks and their own, and are read again as they are given. What has
 * changed meanwhile is found out before it leaves.
 */
export class OutgoingContent implements ChunkSource, Disposable {
  /** Sizes and hashes of the chunks. */
  readonly chunks: ChunkList;
  /** What it comes to: the same as for a transfer to one. */
  readonly summary: TransferSummary;
  readonly #layout: ContentLayout;
  readonly #files: OpenFiles;
  readonly #cache: ChunkCache;

  private constructor(
    chunks: ChunkList,
    summary: TransferSummary,
    layout: ContentLayout,
    files: OpenFiles,
  ) {
    this.chunks = chunks;
    this.summary = summary;
    this.#layout = layout;
    this.#files = files;
    this.#cache = new ChunkCache(chunks.chunkBytes);
  }

  /**
   * Reads and hashes files, letting others have their turn between two chunks.
   *
   * @throws {IntegrityError} `bad-hash` when a file has another size than the manifest says.
   * @throws {NotFoundError} `no-path` when one has gone. @throws {AuthError} `not-allowed` when it may not be read.
   */
  static async open(
    built: BuiltManifest,
    options: OutgoingContentOptions = {},
  ): Promise<OutgoingContent> {
    const { manifest } = built;
    const { chunkBytes = chunkBytesFor(manifest.totalBytes), signal } = options;
    const layout = new ContentLayout(manifest);
    const sizes = new ChunkList(manifest.totalBytes, chunkBytes);
    const files = new OpenFiles((file) => openSource(built.source(file)));
    try {
      const hashes = new Uint8Array(HASH_BYTES * sizes.count);
      const digests = new FileDigests(manifest.entries);
      const buffer = new Uint8Array(Math.min(chunkBytes, manifest.totalBytes));
      for (let index = 0; index < sizes.count; index++) {
        const chunk = buffer.subarray(0, sizes.sizeOf(index));
        for (const piece of layout.pieces(index * chunkBytes, chunk.length)) {
          const { file, entry, fileOffset, from, length } = piece;
          const part = chunk.subarray(from, from + length);
          if (files.read(file, fileOffset, part) < length) throw changed(entry);
          digests.update(file, part);
          const isEnd = fileOffset + length === entry.size;
          if (isEnd && files.read(file, entry.size, new Uint8Array(1)) > 0) throw changed(entry);
        }
        hashes.set(createHash("sha256").update(chunk).digest(), HASH_BYTES * index);
        await nextTurn();
        signal?.throwIfAborted();
      }
      const chunks = new ChunkList(manifest.totalBytes, chunkBytes, hashes);
      return new OutgoingContent(chunks, digests.summary(), layout, files);
    } catch (error) {
      files[Symbol.dispose]();
      throw error;
    }
  }

  /** A chunk, as a view that is valid until the next call. @throws {IntegrityError} `bad-hash` when it has changed. */
  read(index: number): Uint8Array {
    return this.#cache.get(index) ?? this.#cache.fill(index, this.chunks.sizeOf(index), (into) => {
      const pieces = this.#layout.pieces(index * this.chunks.chunkBytes, into.length);
      for (const { file, entry, fileOffset, from, length } of pieces) {
        const part = into.subarray(from, from + length);
        if (this.#files.read(file, fileOffset, part) < length) throw changed(entry);
      }
      if (!this.chunks.verify(index, into)) throw changed(pieces[0]?.entry);
    });
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}

/** The hashes of files whose bytes come in order. */
class FileDigests {
  readonly #entries: readonly ManifestEntry[];
  readonly #digests = new Map<number, string>();
  #file = -1;
  #hash: Hash | undefined;

  constructor(entries: readonly ManifestEntry[]) {
    this.#entries = entries;
  }

  update(file: number, bytes: Uint8Array): void {
    if (file !== this.#file) {
      this.#end();
      this.#file = file;
      this.#hash = createHash("sha256");
    }
    this.#hash?.update(bytes);
  }

  summary(): TransferSummary {
    this.#end();
    const empty = createHash("sha256").digest("hex");
    return summarize(this.#entries.flatMap(({ path, size, kind }, file) => {
      if (kind !== "file") return [];
      return [{ path, size, sha256: this.#digests.get(file) ?? empty }];
    }));
  }

  #end(): void {
    if (this.#hash !== undefined) this.#digests.set(this.#file, this.#hash.digest("hex"));
    this.#hash = undefined;
  }
}

function openSource(source: string): Deno.FsFile {
  try {
    return Deno.openSync(source);
  } catch (error) {
    throw readError(source, error);
  }
}

function changed(entry: ManifestEntry | undefined): IntegrityError {
  return new IntegrityError(
    "bad-hash",
    `Cannot send "${printable(entry?.path ?? "")}": it changed while it was being read`,
  );
}
