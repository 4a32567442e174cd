/**
 * One transfer as it comes in: files of a manifest, in its order, each checked when it is complete.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import type { Reservation, StoredBytes } from "../endpoint/resources.ts";
import { IntegrityError, InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { type HashedEntry, type Manifest, type ManifestEntry, manifestRoot } from "./manifest.ts";
import type { Part, ReceiveRoot } from "./receive_root.ts";

/** Bytes of a SHA-256. */
const HASH_BYTES = 32;

/** A file that has come, was verified and has its place. */
export interface ReceivedFile {
  /** Where it is, below the receiving folder. */
  readonly path: string;
  /** Its size in bytes. */
  readonly bytes: number;
  /** SHA-256 of its contents, 64 hexadecimal digits. */
  readonly sha256: string;
}

/** A finished transfer. */
export interface TransferSummary {
  /** How many files. */
  readonly files: number;
  /** Their size together. */
  readonly bytes: number;
  /** SHA-256 of the file, or, unless it is exactly one, of the manifest's root. */
  readonly sha256: string;
}

/** Takes the files of one manifest into the receiving folder, as the receiver tells it to. */
export class Incoming {
  /** What was offered. */
  readonly manifest: Manifest;
  /** Bytes taken so far. */
  bytes = 0;
  /** Calls of `write` that brought bytes, and of `end`, so far: while it grows, the sender is alive. */
  steps = 0;
  readonly #root: ReceiveRoot;
  readonly #stored: StoredBytes | undefined;
  readonly #topNames = new Map<string, string>();
  readonly #hashed: HashedEntry[] = [];
  // The entry that is coming, or came last.
  #index = -1;
  #part: Part | undefined;
  #hash: Hash = createHash("sha256");
  #got = 0;
  #reserved: Reservation | undefined;
  #over = false;

  /** Prepares to take a manifest's files. @param stored What they count for. @default nothing */
  constructor(root: ReceiveRoot, manifest: Manifest, stored?: StoredBytes) {
    this.#root = root;
    this.manifest = manifest;
    this.#stored = stored;
  }

  /**
   * Makes the folders. Where a file or folder at the top has a name that is taken, everything below it goes to
   * `name (1)` instead: an existing folder is never mixed with one from a stranger, nor are two that come at once.
   *
   * @throws {LimitError} when all that has been stored and promised would be more than may be; nothing is made then.
   */
  begin(): void {
    this.#reserved = this.#stored?.reserve(this.manifest.totalBytes);
    try {
      this.#makeFolders();
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** Whether every file has come, or the transfer was given up. */
  get over(): boolean {
    return this.#over || this.#hashed.length === this.manifest.files;
  }

  /**
   * Takes the next bytes of file `index`; they are written before it returns.
   *
   * @throws {InvalidPacketError} when it is not that file's turn or there are more bytes than were announced.
   */
  write(index: number, data: Uint8Array): void {
    if (data.length > 0) this.steps++;
    const entry = this.#open(index);
    if (this.#got + data.length > entry.size) {
      throw new InvalidPacketError(
        "too-large",
        `Cannot receive "${printable(entry.path)}": more than the ${entry.size} bytes announced`,
        { details: { limit: "size", max: entry.size } },
      );
    }
    const { file } = this.#part as Part;
    for (let at = 0; at < data.length;) at += file.writeSync(data.subarray(at));
    this.#hash.update(data);
    this.#got += data.length;
    this.bytes += data.length;
  }

  /**
   * Ends file `index`: compares size and hash, and gives it its name.
   *
   * @throws {IntegrityError} `bad-hash`; nothing of the file stays.
   */
  async end(index: number, sha256: unknown): Promise<ReceivedFile> {
    this.steps++;
    const entry = this.#open(index);
    const digest = this.#hash.digest("hex");
    const claimed = sha256 instanceof Uint8Array && sha256.length === HASH_BYTES && sha256.toHex();
    if (this.#got !== entry.size || digest !== claimed) {
      throw new IntegrityError(
        "bad-hash",
        `Cannot receive "${printable(entry.path)}": size or SHA-256 differ from what was announced`,
        { details: { bytes: this.#got, announced: entry.size } },
      );
    }
    const part = this.#part as Part;
    const path = await this.#root.commit(part, this.#placeOf(entry), {
      mtimeMs: entry.mtimeMs,
      rename: true,
    });
    this.#part = undefined;
    this.#reserved?.keep(entry.size);
    this.#hashed.push({ path: entry.path, size: entry.size, sha256: digest });
    return { path, bytes: entry.size, sha256: digest };
  }

  /** What has come, once it is over. */
  summary(): TransferSummary {
    return summarize(this.#hashed);
  }

  /** Gives up: what is incomplete is removed, complete files stay. */
  abort(): void {
    this.#over = true;
    if (this.#part !== undefined) this.#root.discard(this.#part);
    this.#part = undefined;
    this.#reserved?.release();
  }

  #makeFolders(): void {
    for (const { path, kind } of this.manifest.entries) {
      const top = topOf(path);
      if (this.#topNames.has(top)) continue;
      const name = this.#root.freeName(top);
      this.#topNames.set(top, name);
      if (kind === "directory" || path !== top) this.#root.createFolder(name); // nobody else gets the name
    }
    for (const entry of this.manifest.entries) {
      if (entry.kind === "directory") this.#root.createFolder(this.#placeOf(entry));
    }
  }

  /** The entry of that index, which must be the one that is open or the next file. */
  #open(index: number): ManifestEntry {
    const { entries } = this.manifest;
    if (index !== this.#index) {
      const next = entries.findIndex(({ kind }, at) => at > this.#index && kind === "file");
      if (this.#part !== undefined || index !== next) throw outOfTurn(index);
      const entry = entries[next] as ManifestEntry;
      this.#part = this.#root.createPart(this.#placeOf(entry), { mode: entry.mode });
      this.#hash = createHash("sha256");
      this.#got = 0;
      this.#index = next;
    }
    if (this.#part === undefined) throw outOfTurn(index);
    return entries[index] as ManifestEntry;
  }

  #placeOf({ path }: ManifestEntry): string {
    const top = topOf(path);
    return (this.#topNames.get(top) ?? top) + path.slice(top.length);
  }
}

/** What a list of files comes to. */
export function summarize(files: readonly HashedEntry[]): TransferSummary {
  const [only] = files;
  return {
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    sha256: files.length === 1 && only !== undefined ? only.sha256 : manifestRoot(files),
  };
}

function topOf(path: string): string {
  return path.split("/", 1)[0] ?? path;
}

function outOfTurn(index: number): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot receive: file ${index} is out of turn`);
}
