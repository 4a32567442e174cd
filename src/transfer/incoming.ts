/**
 * One transfer as it comes in: files of a manifest, in its order, every piece verified before it is written.
 *
 * @module
 */

import { createHash, type Hash, timingSafeEqual } from "node:crypto";
import { IntegrityError, InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import type { FileSource } from "./held.ts";
import {
  type HashedEntry,
  type Manifest,
  type ManifestEntry,
  summarize,
  type TransferSummary,
} from "./manifest.ts";
import type { Placement, ReceivedFile } from "./placement.ts";
import type { Part } from "./receive_root.ts";
import { writeAll } from "./disk.ts";
import { CHUNK_BYTES, type SmallFile, type Step } from "./steps.ts";

/** Complete files that wait for the disk at the same time; the sender waits for the first of them then. */
const MAX_COMMITS = 8;

const READ_BYTES = 256 * 1024;

/** Who takes a file that is not to be stored. */
export interface Writer {
  /** Takes some of the bytes. @returns how many. */
  write(data: Uint8Array): Promise<number>;
}

/** What an {@linkcode Incoming} transfer is. */
export interface IncomingOptions {
  /** What was offered, and where it goes. */
  placement: Placement;
  /** The entries that are wanted, ascending. @default all of them */
  wanted?: readonly number[];
  /** Whether nobody knows how large the file is. @default {false} */
  openEnded?: boolean;
  /** Most bytes of such a file. @default no limit */
  maxBytes?: number;
  /** Who takes the bytes instead of the folder. @default the folder */
  writer?: Writer | undefined;
  /** Told of every file that is complete. */
  received: (file: ReceivedFile) => Promise<void> | undefined;
}

/** Where a file's bytes go. */
interface Target {
  readonly entry: ManifestEntry;
  readonly part: Part | undefined;
  hash: Hash;
  got: number;
  older: Deno.FsFile | undefined;
}

/** A step that brings bytes of one file. */
type Bytes = Extract<Step, { type: "piece" | "copy" }>;

/** Takes the files of one manifest, as the receiver tells it to. */
export class Incoming {
  /** Bytes of files that are there, verified. */
  bytes = 0;
  readonly #options: IncomingOptions;
  readonly #placement: Placement;
  readonly #files: readonly number[];
  readonly #hashed: HashedEntry[] = [];
  readonly #commits = new Set<Promise<void>>();
  // States of the hash after what was there of a file, by its index.
  readonly #known = new Map<number, FileSource>();
  #nth = 0;
  #target: Target | undefined;
  #over = false;
  #failure: { readonly error: unknown } | undefined;

  /** Waits for the first of the files. */
  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#placement = options.placement;
    const { entries } = this.manifest;
    const wanted = options.wanted ?? entries.map((_, index) => index);
    this.#files = wanted.filter((index) => entries[index]?.kind === "file");
  }

  /** What was offered. */
  get manifest(): Manifest {
    return this.#placement.manifest;
  }

  /** Bytes in all, as far as is known. */
  get totalBytes(): number {
    const { entries } = this.manifest;
    return this.#files.reduce((sum, index) => sum + (entries[index]?.size ?? 0), 0);
  }

  /** Whether every file has come, or the transfer was given up. */
  get over(): boolean {
    return this.#over || (this.#nth === this.#files.length && this.#commits.size === 0);
  }

  /** Whether every file has come; some may still wait for the disk. */
  get complete(): boolean {
    return this.#nth === this.#files.length;
  }

  /** What was found of a file that is there in part: it is gone on with where that ends. */
  know(index: number, found: FileSource): void {
    this.#known.set(index, found);
  }

  /**
   * Takes a step.
   *
   * @returns what to wait for before the next.
   * @throws {InvalidPacketError} when it is not its turn, or there are more bytes than were announced.
   * @throws {IntegrityError} `bad-hash`, before anything is written. Whatever keeps it from being stored.
   */
  take(step: Step): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (step.type === "files") return this.#takeFiles(step.files);
    if (step.type === "whole") return this.#takeWhole(step.index, step.digest);
    const isFirst = this.#target === undefined;
    const target = this.#open(step.index);
    if (isFirst && step.offset > 0) return this.#goOn(target, step);
    if (isFirst && target.part !== undefined) this.#placement.cut(target.part, 0);
    return this.#append(target, step);
  }

  /** What has come, once it is over. */
  summary(): TransferSummary {
    return summarize(this.#hashed);
  }

  /** Waits until every complete file has its name. @throws what kept one from it */
  async settled(): Promise<void> {
    while (this.#commits.size > 0) await Promise.all(this.#commits);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Gives up: complete files stay, and what there is of the others, for another time. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    const target = this.#target;
    this.#target = undefined;
    target?.older?.close();
    if (target?.part !== undefined) {
      const isEmpty = target.part.file.statSync().size === 0;
      if (isEmpty) this.#placement.discard(target.part);
      else this.#placement.leave(target.part, target.got);
    }
    this.#placement[Symbol.dispose]();
  }

  /** Everything is there. */
  finish(): void {
    this.#over = true;
    this.#placement.finish();
  }

  #append(target: Target, step: Bytes): Promise<void> | undefined {
    const { entry, part, hash } = target;
    if (step.offset !== target.got) throw outOfTurn(step.index);
    const data = step.type === "piece" ? step.data : this.#copied(target, step);
    const { openEnded = false, maxBytes = Infinity, writer } = this.#options;
    const max = openEnded ? maxBytes : entry.size;
    if (target.got + data.length > max) throw tooMuch(entry, max);
    const isLast = openEnded
      ? step.type === "piece" && step.last
      : target.got + data.length === entry.size;
    if (data.length === 0 && !isLast) throw outOfTurn(step.index); // or it could keep us waiting for ever
    hash.update(data);
    if (!timingSafeEqual(hash.copy().digest(), step.digest)) throw badHash(entry, step.offset);
    if (part !== undefined) {
      if (openEnded) this.#placement.grow(part, data.length);
      writeAll(part.file, data);
    }
    target.got += data.length;
    this.bytes += data.length;
    const sha256 = isLast ? step.digest.toHex() : undefined;
    if (writer === undefined) return sha256 === undefined ? undefined : this.#complete(sha256);
    return this.#hand(writer, data, sha256);
  }

  async #hand(writer: Writer, data: Uint8Array, sha256: string | undefined): Promise<void> {
    for (let at = 0; at < data.length;) at += await writer.write(data.subarray(at));
    if (sha256 !== undefined) await this.#complete(sha256);
  }

  /** Gives the file its name, while the next ones come. */
  #complete(sha256: string): Promise<void> | undefined {
    const { entry, part, got, older } = this.#target as Target;
    older?.close();
    this.#target = undefined;
    const index = this.#files[this.#nth++] ?? 0;
    this.#known.delete(index);
    this.#hashed.push({ path: entry.path, size: got, sha256 });
    const placed: Promise<ReceivedFile> = part === undefined
      ? Promise.resolve({ path: entry.path, bytes: got, sha256 })
      : this.#placement.commit({ ...entry, size: got }, part, sha256);
    const commit = placed.then((file) => this.#options.received(file)).catch((error) => {
      if (part !== undefined) this.#placement.leave(part, got);
      this.#failure ??= { error };
    }).finally(() => this.#commits.delete(commit));
    this.#commits.add(commit);
    return this.#commits.size < MAX_COMMITS ? undefined : Promise.race(this.#commits);
  }

  async #takeFiles(files: readonly SmallFile[]): Promise<void> {
    this.#placement.lookAgain();
    for (const { index, data, digest } of files) {
      if (this.#over) return; // given up while it was waited for somebody
      const entry = this.#next(index);
      if (data.length !== entry.size) throw tooMuch(entry, entry.size);
      if (!timingSafeEqual(createHash("sha256").update(data).digest(), digest)) {
        throw badHash(entry, 0);
      }
      const sha256 = digest.toHex();
      const file = this.#options.writer === undefined
        ? this.#placement.put(entry, data, sha256)
        : await this.#write(this.#options.writer, entry, data, sha256);
      this.#nth++;
      this.bytes += data.length;
      this.#hashed.push({ path: entry.path, size: entry.size, sha256 });
      const told = this.#options.received(file);
      if (told !== undefined) await told;
    }
  }

  async #write(
    writer: Writer,
    { path }: ManifestEntry,
    data: Uint8Array,
    sha256: string,
  ): Promise<ReceivedFile> {
    for (let at = 0; at < data.length;) at += await writer.write(data.subarray(at));
    return { path, bytes: data.length, sha256 };
  }

  #takeWhole(index: number, digest: Uint8Array): undefined {
    const entry = this.#next(index);
    const known = this.#known.get(index);
    const own = known?.hash.copy().digest();
    if (known?.kind !== "whole" || own === undefined || !timingSafeEqual(own, digest)) {
      throw badHash(entry, 0);
    }
    this.#known.delete(index);
    this.#nth++;
    this.bytes += entry.size;
    this.#hashed.push({ path: entry.path, size: entry.size, sha256: digest.toHex() });
  }

  /** Bytes of the version that is there. */
  #copied(target: Target, { from, length }: Extract<Bytes, { type: "copy" }>): Uint8Array {
    target.older ??= this.#placement.update ? this.#placement.openPlaced(target.entry) : undefined;
    const data = new Uint8Array(length);
    target.older?.seekSync(from, Deno.SeekMode.Start);
    for (let at = 0; at < length;) {
      const count = target.older?.readSync(data.subarray(at)) ?? null;
      if (count === null) throw changedHere(target.entry);
      at += count;
    }
    return data;
  }

  /** The entry of that index, if it is the next file's and none is open. */
  #next(index: number): ManifestEntry {
    const entry = this.manifest.entries[index];
    if (entry === undefined || this.#target !== undefined || index !== this.#files[this.#nth]) {
      throw outOfTurn(index);
    }
    return entry;
  }

  /** The file of that index, which must be the one that is open or the next. */
  #open(index: number): Target {
    if (this.#target !== undefined) {
      if (index === this.#files[this.#nth]) return this.#target;
      throw outOfTurn(index);
    }
    const entry = this.#next(index);
    const isStored = this.#options.writer === undefined;
    const part = isStored ? this.#placement.openPart(entry) : undefined;
    const hash = createHash("sha256");
    return this.#target = { entry, part, hash, got: 0, older: undefined };
  }

  /** Goes on where what was there of the file ends, or at a checkpoint before that. */
  async #goOn(target: Target, step: Bytes): Promise<void> {
    const { part } = target;
    const known = this.#known.get(step.index);
    const isPoint = step.offset === known?.bytes || step.offset % CHUNK_BYTES === 0;
    if (part === undefined || known?.kind !== "part" || !isPoint || step.offset > known.bytes) {
      throw outOfTurn(step.index);
    }
    target.hash = step.offset === known.bytes ? known.hash : await hashTo(part.file, step.offset);
    if (this.#over) return; // given up meanwhile
    this.#placement.cut(part, step.offset);
    target.got = step.offset;
    this.bytes += step.offset;
    await this.#append(target, step);
  }
}

/** The hash of a file's first bytes. */
async function hashTo(file: Deno.FsFile, end: number): Promise<Hash> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(READ_BYTES);
  await file.seek(0, Deno.SeekMode.Start);
  for (let at = 0; at < end;) {
    const count = await file.read(buffer.subarray(0, Math.min(buffer.length, end - at)));
    if (count === null) break;
    hash.update(buffer.subarray(0, count));
    at += count;
  }
  return hash;
}

function outOfTurn(index: number): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot receive: file ${index} is out of turn`);
}

function tooMuch({ path }: ManifestEntry, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot receive "${printable(path)}": more than the ${max} bytes announced`,
    { details: { limit: "size", max } },
  );
}

function badHash({ path }: ManifestEntry, offset: number): IntegrityError {
  return new IntegrityError(
    "bad-hash",
    `Cannot receive "${printable(path)}": the SHA-256 differs at byte ${offset} or after it`,
    { details: { offset } },
  );
}

function changedHere({ path }: ManifestEntry): IntegrityError {
  return new IntegrityError(
    "bad-hash",
    `Cannot receive "${printable(path)}": the older version changed while it was being used`,
  );
}
