/**
 * Where the files of one manifest go, and what is there of them already.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Reservation, StoredBytes } from "../endpoint/resources.ts";
import type { HeldTree } from "./held_tree.ts";
import type { Manifest, ManifestEntry } from "./manifest.ts";
import type { Part, ReceiveRoot } from "./receive_root.ts";
import { writeAll } from "./disk.ts";

/** Most bytes of the note about an unfinished transfer: names of what a user would send at once. */
const MAX_NOTE_BYTES = 1024 * 1024;

/** What a folder takes on most disks. */
const FOLDER_BYTES = 4096;

/** Entries that are looked at before others have their turn. */
const ENTRIES_A_TURN = 128;

const utf8 = new TextEncoder();

/** A file that has come, was verified and has its place. */
export interface ReceivedFile {
  /** Where it is, below the receiving folder. */
  readonly path: string;
  /** Its size in bytes. */
  readonly bytes: number;
  /** SHA-256 of its contents, 64 hexadecimal digits. */
  readonly sha256: string;
}

/** What is there already of a file: a part of it, the whole of it, or an older version in its place. */
export type HeldKind = "part" | "whole" | "older";

/** What there is of the files of a manifest. */
export interface Survey {
  /** The entries that are wanted, ascending: but for files that an update need not bring. */
  readonly indexes: readonly number[];
  /** Those among them of which something is there. */
  readonly held: ReadonlySet<number>;
  /** Files that are there as an update would bring them. */
  readonly unchanged: number;
  /** Bytes that have yet to come, and what folders take. */
  readonly missing: number;
}

/** How to place files. */
export interface PlacementOptions {
  /** Whose files they are: only the same sender goes on with what was interrupted. */
  owner: string;
  /** What the files count for. @default nothing */
  stored?: StoredBytes | undefined;
  /** The entries that are wanted. @default all of them */
  wanted?: ReadonlySet<number> | undefined;
  /** Names that files and folders at the top got when the same was sent before. @default none are known */
  names?: ReadonlyMap<string, string> | undefined;
  /** Files go where those of an earlier transfer are, and replace them. @default they get names that are free */
  update?: boolean;
}

/**
 * The place of every file of a manifest. Where a file or folder at the top has a name that is taken, everything below it
 * goes to `name (1)` instead: an existing folder is never mixed with one from a stranger, nor are two that come at once.
 * The exceptions are a transfer of the same sender that was interrupted, which is gone on with, and an update.
 *
 * Parts of files are found again by their sender, path, size and time; the names that folders got are noted beside them.
 */
export class Placement implements Disposable {
  /** What was offered. */
  readonly manifest: Manifest;
  /** Where. */
  readonly root: ReceiveRoot;
  /** Whether files replace those that are there. */
  readonly update: boolean;
  readonly #indexes: readonly number[];
  readonly #wanted: readonly ManifestEntry[];
  readonly #owner: string;
  readonly #stored: StoredBytes | undefined;
  readonly #topNames = new Map<string, string>();
  // Parts that nobody else may open now.
  readonly #claims = new Map<string, Disposable>();
  // Parts that nobody would find again.
  readonly #nameless = new WeakSet<Part>();
  // Bytes of parts that count for the limit already.
  readonly #counted = new WeakMap<Part, number>();
  // Where it is noted which names folders got; one file, or an update, is found again by itself.
  readonly #noteKey: string | undefined;
  readonly #tree: HeldTree;
  #reserved: Reservation | undefined;
  #resumes = false;

  /** Prepares to place a manifest's files; nothing is made yet. */
  constructor(root: ReceiveRoot, manifest: Manifest, options: PlacementOptions) {
    this.root = root;
    this.manifest = manifest;
    this.update = options.update ?? false;
    const { wanted } = options;
    const all = manifest.entries.map((_, index) => index);
    this.#indexes = wanted === undefined ? all : all.filter((index) => wanted.has(index));
    this.#wanted = this.#indexes.flatMap((index) => manifest.entries[index] ?? []);
    this.#owner = options.owner;
    this.#stored = options.stored;
    this.#tree = root.hold();
    if (options.names !== undefined) {
      for (const [top, name] of options.names) this.#topNames.set(top, name);
      this.#resumes = true;
    }
    const isNoted = !this.update && this.#wanted.length > 1;
    const names = new Set(this.#wanted.map(({ path }) => topOf(path)));
    this.#noteKey = isNoted ? hashOf(["transfer", this.#owner, ...names]) : undefined;
  }

  /**
   * Finds out what is there of the files. With very many of them that takes a while, in which others have their turns.
   *
   * @param isOver Stops it. @throws whatever keeps it from looking.
   */
  async survey(isOver: () => boolean = () => false): Promise<Survey> {
    if (this.#noteKey === undefined || this.#claim(this.#noteKey)) this.#recall();
    const survey = { indexes: [] as number[], held: new Set<number>(), unchanged: 0, missing: 0 };
    for (const [nth, index] of this.#indexes.entries()) {
      if (nth % ENTRIES_A_TURN === ENTRIES_A_TURN - 1) await nextTurn();
      if (isOver()) break;
      const entry = this.manifest.entries[index] as ManifestEntry;
      const kind = entry.kind === "file" ? this.held(entry) : undefined;
      if (kind === "whole" && this.update) {
        survey.unchanged++;
        continue;
      }
      survey.indexes.push(index);
      survey.missing += this.#missingOf(entry, kind);
      if (kind !== undefined) survey.held.add(index);
    }
    return survey;
  }

  /**
   * Sets the room aside, and makes the folders.
   *
   * @param survey What is there. @default that is found out
   * @throws {LimitError} when all that has been stored and promised would be more than may be; nothing is made then.
   */
  async begin(survey?: Survey): Promise<void> {
    try {
      const { missing } = survey ?? await this.survey();
      this.#reserved = this.#stored?.reserve(missing);
      if (!this.#resumes) this.#nameAnew();
      for (const [nth, entry] of this.#wanted.entries()) {
        if (nth % ENTRIES_A_TURN === ENTRIES_A_TURN - 1) await nextTurn();
        if (entry.kind !== "directory") continue;
        this.root.createFolder(this.placeOf(entry), this.#tree);
        this.#reserved?.keep(FOLDER_BYTES);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Names that files and folders at the top have got, as far as they are not their own. */
  get names(): ReadonlyMap<string, string> {
    return this.#topNames;
  }

  /** Where an entry goes, below the receiving folder. */
  placeOf({ path }: ManifestEntry): string {
    const top = topOf(path);
    return (this.#topNames.get(top) ?? top) + path.slice(top.length);
  }

  /** What is there of a file. What is an older version is of interest to an update alone. */
  held(entry: ManifestEntry): HeldKind | undefined {
    if (this.#resumes || this.update) {
      const found = this.root.lstat(this.placeOf(entry), this.#tree);
      const isSame = found?.isFile && found.size === entry.size &&
        found.mtime?.getTime() === entry.mtimeMs;
      if (isSame) return "whole";
      if (this.update && found?.isFile && found.size > 0) return "older";
    } else if (this.#wanted.length > 1) {
      return undefined;
    }
    return entry.size > 0 && this.root.partBytes(this.#keyOf(entry)) !== undefined
      ? "part"
      : undefined;
  }

  /** The part that a file grows in: the one of an interrupted transfer, or a new one. */
  openPart(entry: ManifestEntry): Part {
    const key = this.#keyOf(entry);
    if (!this.#claim(key)) { // it is coming a second time at this moment
      const part = this.#createPart(entry);
      this.#nameless.add(part);
      return part;
    }
    return this.root.reopenPart({ key }, this.#tree) ?? this.#createPart(entry, key);
  }

  /** Goes on with a part at a byte: what it has after that is not what is sent, and is free again. */
  cut(part: Part, offset: number): void {
    const { size } = part.file.statSync();
    this.#reserved?.keep(offset - size);
    this.#counted.set(part, offset);
    if (size > offset) part.file.truncateSync(offset);
    part.file.seekSync(offset, Deno.SeekMode.Start);
  }

  /** Counts bytes of a part that nobody has announced. @throws {LimitError} when that is more than may be stored. */
  grow(part: Part, bytes: number): void {
    this.#stored?.check(bytes);
    this.#reserved?.keep(bytes);
    this.#counted.set(part, (this.#counted.get(part) ?? 0) + bytes);
  }

  /** Opens the file that is in an entry's place. */
  openPlaced(entry: ManifestEntry): Deno.FsFile | undefined {
    return this.root.openFile(this.placeOf(entry), this.#tree);
  }

  /** Gives a complete file its name. @throws as `ReceiveRoot.commit`. */
  async commit(entry: ManifestEntry, part: Part, sha256: string): Promise<ReceivedFile> {
    const { size, mtimeMs } = entry;
    // Folders are looked up anew: much may have happened since the file began.
    const path = await this.root.commit(part, this.placeOf(entry), { mtimeMs, ...this.#manner });
    this.#keep(part, size);
    this.#remember(entry, path);
    return { path, bytes: size, sha256 };
  }

  /** Several small files come: where folders are is looked at once for all of them. */
  lookAgain(): void {
    this.#tree.lookAgain();
  }

  /** Writes a whole small file. @throws as `ReceiveRoot.put`. */
  put(entry: ManifestEntry, data: Uint8Array, sha256: string): ReceivedFile {
    const { mode, mtimeMs, size } = entry;
    const path = this.root.put(this.placeOf(entry), data, {
      mode,
      mtimeMs,
      ...this.#manner,
      tree: this.#tree,
    });
    this.#reserved?.keep(size);
    this.#remember(entry, path);
    return { path, bytes: size, sha256 };
  }

  /** Closes the part of a file that is not complete, for another time. @param bytes How many it has, where some came. */
  leave(part: Part, bytes?: number): void {
    if (this.#nameless.has(part)) return this.discard(part);
    this.root.leave(part);
    if (bytes !== undefined) this.#keep(part, bytes);
  }

  /** Removes a part of which nothing has come. */
  discard(part: Part): void {
    this.root.discard(part);
  }

  /** Everything has come: nothing has to be gone on with. */
  finish(): void {
    try {
      this.#discardNote();
    } catch {
      // Something else is in its place by now; a note that stays does no harm.
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Lets go of everything; what is incomplete stays for another time. Harmless when repeated. */
  [Symbol.dispose](): void {
    this.#reserved?.release();
    this.#tree[Symbol.dispose]();
    for (const claim of this.#claims.values()) claim[Symbol.dispose]();
    this.#claims.clear();
  }

  // An existing file is never replaced but by an update.
  get #manner(): { rename: true } | { replace: true } {
    return this.update ? { replace: true } : { rename: true };
  }

  #createPart(entry: ManifestEntry, key?: string): Part {
    const { mode } = entry;
    const tree = this.#tree;
    const options = key === undefined ? { mode, tree } : { mode, tree, key };
    return this.root.createPart(this.placeOf(entry), options);
  }

  #remember(entry: ManifestEntry, path: string): void {
    if (path !== entry.path && !entry.path.includes("/")) this.#topNames.set(entry.path, path);
  }

  /** Takes the names that folders got when the same was interrupted. */
  #recall(): void {
    if (this.#resumes) return;
    const key = this.#noteKey;
    const note = key === undefined ? undefined : this.root.reopenPart({ key }, this.#tree);
    if (note === undefined) return;
    const tops = this.#folders();
    const before = readNote(note, tops.length);
    this.root.leave(note);
    if (before === undefined) return;
    tops.forEach((top, nth) => this.#topNames.set(top, before[nth] ?? top));
    this.#resumes = true;
  }

  #nameAnew(): void {
    if (this.update) return;
    const folders = this.#folders();
    for (const top of folders) {
      const name = this.root.freeName(top);
      this.#topNames.set(top, name);
      this.root.createFolder(name, this.#tree); // nobody else gets the name
    }
    const key = this.#noteKey;
    if (key === undefined || !this.#claims.has(key)) return;
    this.#discardNote(); // one that was not finished
    const note = this.root.createPart("note", { key, tree: this.#tree });
    try {
      writeAll(note.file, utf8.encode(JSON.stringify([...this.#topNames.values()])));
    } finally {
      this.root.leave(note);
    }
  }

  #discardNote(): void {
    const key = this.#noteKey;
    if (key === undefined || !this.#claims.has(key)) return;
    const note = this.root.reopenPart({ key }, this.#tree);
    if (note !== undefined) this.root.discard(note);
  }

  #missingOf(entry: ManifestEntry, kind: HeldKind | undefined): number {
    if (entry.kind === "directory") return FOLDER_BYTES;
    if (kind === "whole") return 0;
    const there = kind === "part" ? this.root.partBytes(this.#keyOf(entry)) ?? 0 : 0;
    return Math.max(0, entry.size - there);
  }

  /** Bytes have come to stay; some of them may be counted already. */
  #keep(part: Part, bytes: number): void {
    this.#reserved?.keep(bytes - (this.#counted.get(part) ?? 0));
  }

  /** Names at the top that are folders, in order. */
  #folders(): string[] {
    const tops = new Set<string>();
    for (const { path, kind } of this.#wanted) {
      const top = topOf(path);
      if (kind === "directory" || path !== top) tops.add(top);
    }
    return [...tops];
  }

  #claim(key: string): boolean {
    if (this.#claims.has(key)) return true;
    const claim = this.root.claim(key);
    if (claim === undefined) return false;
    this.#claims.set(key, claim);
    return true;
  }

  #keyOf({ path, size, mtimeMs }: ManifestEntry): string {
    return hashOf(["file", this.#owner, path, size, mtimeMs]);
  }
}

/** What names folders got, or `undefined` where the note is none of ours or was not finished. */
function readNote({ file }: Part, count: number): string[] | undefined {
  const bytes = new Uint8Array(MAX_NOTE_BYTES);
  const length = file.readSync(bytes) ?? 0;
  try {
    const names: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(0, length)));
    if (!Array.isArray(names) || names.length !== count) return undefined;
    return names.every((name) => typeof name === "string" && !name.includes("/"))
      ? names
      : undefined;
  } catch {
    return undefined;
  }
}

function hashOf(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function topOf(path: string): string {
  return path.split("/", 1)[0] ?? path;
}
