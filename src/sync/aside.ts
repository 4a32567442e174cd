/**
 * Work on bytes that other threads do, while this one goes on.
 *
 * It takes a moment to hand the work over and the bytes are copied to be hashed, so it is worth while only for many of them.
 *
 * @module
 */

import { systemClock } from "../clock.ts";

/** From so many bytes on it is faster to have others do it. */
export const MIN_ASIDE_BYTES: number = 64 * 1024;

/** A disk that takes longer than this to take a small file in is waited for by others. */
const SLOW_DISK_MS = 0.5;

/** So many files are then, before it is tried again; twice as many each time. */
const FILES_ASIDE = { first: 32, most: 4_096 } as const;

/** The SHA-256 of some bytes in hexadecimal. */
export async function sha256Aside(bytes: Uint8Array): Promise<string> {
  // They come from sockets and files: nobody shares their memory.
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest).toHex();
}

/** Writes all of it; nobody else may change the bytes meanwhile. */
export async function writeAllAside(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Has files brought to the disk: by this thread where that takes no longer than to tell another. */
export class DiskSync {
  readonly #nowMs: () => number;
  #turns: number = FILES_ASIDE.first;
  #left = 0;

  /** Knows nothing of the disk yet. @param nowMs What its time is measured by. @default the system's clock */
  constructor(nowMs: () => number = systemClock.now) {
    this.#nowMs = nowMs;
  }

  /** Resolves when what is in a file is on the disk. @param bytes How much that is. */
  async sync(
    file: Pick<Deno.FsFile, "syncData" | "syncDataSync">,
    bytes: number,
  ): Promise<void> {
    if (bytes >= MIN_ASIDE_BYTES) return await file.syncData();
    if (this.#left > 0) {
      this.#left--;
      return await file.syncData();
    }
    const startMs = this.#nowMs();
    file.syncDataSync();
    const isSlow = this.#nowMs() - startMs > SLOW_DISK_MS;
    this.#turns = isSlow ? Math.min(2 * this.#turns, FILES_ASIDE.most) : FILES_ASIDE.first;
    if (isSlow) this.#left = this.#turns;
  }
}
