/**
 * Takes in what another side told of: gets the contents that are not here, and has the folder do the rest.
 *
 * @module
 */

import { printable } from "../log.ts";
import { freeBytes } from "../transfer/disk.ts";
import { type ContentFetcher, LET_GO } from "./content_fetcher.ts";
import type { SyncEntry } from "./entry.ts";
import type { SyncFolder } from "./folder.ts";
import type { SyncIndex } from "./index.ts";
import { renamesIn } from "./intake.ts";
import { judgeIn } from "./judge.ts";

/** Files whose contents are got at once, and wait to be put into their places together. */
const LANES = 64;
const MAX_BATCH_FILES = 64;
const MAX_BATCH_BYTES = 64 * 1024 * 1024;

/** What is left free on the disk, whatever comes. */
const MIN_FREE_BYTES = 64 * 1024 * 1024;

/** So much may come before it is asked again what is free: a part of what is left free. */
const MAX_UNASKED_BYTES = 16 * 1024 * 1024;

/** Progress is told no more often. */
const TELL_EVERY_MS = 100;

/** How far one intake has come. */
interface Progress {
  files: number;
  ofFiles: number;
  bytes: number;
  ofBytes: number;
  toldMs: number;
}

/** Takes in what one other side has. */
export class Taker {
  readonly #folder: SyncFolder;
  readonly #fetcher: ContentFetcher;
  readonly #peer: string;
  #progress: Progress | undefined;
  /** What may come before it is asked again what is free. */
  #roomBytes = 0;
  readonly #onChanged: (changes: number) => void;

  /**
   * Takes nothing yet.
   *
   * @param peer What the other side is called in events.
   * @param onChanged Told of how much was changed here by it.
   */
  constructor(
    folder: SyncFolder,
    fetcher: ContentFetcher,
    peer: string,
    onChanged: (changes: number) => void,
  ) {
    this.#folder = folder;
    this.#fetcher = fetcher;
    this.#peer = peer;
    this.#onChanged = onChanged;
  }

  /** Bytes of contents have come. */
  addBytes(bytes: number): void {
    if (this.#progress === undefined) return;
    this.#progress.bytes += bytes;
    this.#tell(this.#progress);
  }

  /**
   * Takes entries in: at once what needs no contents, then files as their contents come.
   *
   * @param source The replica that they come from.
   * @returns how many were not taken in.
   */
  async take(entries: readonly SyncEntry[], source: string): Promise<number> {
    if (entries.length === 0) return 0;
    const folder = this.#folder;
    const shared = entries.filter(({ path, kind }) => folder.shares(path, kind));
    const files = filesToWrite(folder.index, shared);
    const later = new Set(files);
    const atOnce = shared.filter((entry) => !later.has(entry));
    const failed = await folder.takeIn(atOnce, source, this.#onChanged);
    if (files.length === 0) return failed.length;
    const ofBytes = files.reduce((sum, { size }) => sum + size, 0);
    const progress = { files: 0, ofFiles: files.length, bytes: 0, ofBytes, toldMs: -Infinity };
    this.#progress = progress;
    this.#roomBytes = 0;
    try {
      return failed.length + await this.#takeFiles(files, source, progress);
    } finally {
      this.#tell(progress, true);
      this.#progress = undefined;
    }
  }

  async #takeFiles(
    files: readonly SyncEntry[],
    source: string,
    progress: Progress,
  ): Promise<number> {
    const queue = files.values();
    let [failed, bytes] = [0, 0];
    let ready: SyncEntry[] = [];
    const place = async () => {
      const batch = ready;
      [ready, bytes] = [[], 0];
      failed += (await this.#folder.takeIn(batch, source, this.#onChanged)).length;
      progress.files += batch.length;
      this.#tell(progress);
    };
    const lane = async () => {
      for (const entry of queue) {
        if (!await this.#fetch(entry)) {
          failed++;
          continue;
        }
        ready.push(entry);
        bytes += entry.size;
        if (ready.length >= MAX_BATCH_FILES || bytes >= MAX_BATCH_BYTES) await place();
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    if (ready.length > 0) await place();
    return failed;
  }

  /** Puts contents onto the shelf, from here where they are under another name. @returns whether they are there. */
  async #fetch(entry: SyncEntry): Promise<boolean> {
    const folder = this.#folder;
    const here = folder.openContents(entry.sha256);
    if (here !== undefined && await folder.shelf.prepare(here, entry.sha256)) {
      this.addBytes(entry.size);
      return true;
    }
    const reason = this.#hasRoom(entry.size)
      ? await this.#fetcher.fetch(entry)
      : "less than 64 MiB of the disk would stay free";
    if (reason === undefined) return true;
    folder.log.debug("contents not received", { path: printable(entry.path), reason });
    if (!this.#fetcher.closed && reason !== LET_GO) {
      folder.tell({ type: "failed", path: entry.path, reason });
    }
    return false;
  }

  /** Whether the disk has room for so many bytes more. */
  #hasRoom(bytes: number): boolean {
    this.#roomBytes -= bytes;
    // It is asked now and then, and before anything is refused.
    if (this.#roomBytes < 0) {
      const free = freeBytes(this.#folder.dir) ?? Infinity;
      const room = free - MIN_FREE_BYTES - bytes;
      this.#roomBytes = Math.min(room, MAX_UNASKED_BYTES);
      return room >= 0;
    }
    return true;
  }

  #tell(progress: Progress, isLast = false): void {
    const nowMs = this.#folder.clock.now();
    if (!isLast && nowMs - progress.toldMs < TELL_EVERY_MS) return;
    progress.toldMs = nowMs;
    const { files, ofFiles, bytes, ofBytes } = progress;
    this.#folder.tell({ type: "progress", peer: this.#peer, files, ofFiles, bytes, ofBytes });
  }
}

/** The files that get other contents, but for those that are only renamed. */
function filesToWrite(index: SyncIndex, entries: readonly SyncEntry[]): SyncEntry[] {
  const gone = entries.filter(({ deleted }) => deleted);
  const live = entries.filter(({ deleted, kind }) => !deleted && kind === "file");
  const renamed = new Set(renamesIn(index, gone, live).map(([, entry]) => entry));
  return live.filter((entry) => {
    const { verdict } = judgeIn(index, entry);
    return (verdict === "take" || verdict === "conflict") && !renamed.has(entry);
  });
}
