/**
 * How much of what another side tells is kept until its turn: it says in a few messages what takes us much memory.
 *
 * @module
 */

import { LimitError } from "../errors.ts";
import type { SyncEntry } from "./entry.ts";

/** What a row of an index takes of memory, its path and versions apart, and each counter of its version. */
const ROW_BYTES = 600;
const COUNTER_BYTES = 50;

/** Entries that wait, counted by what they take of memory. */
export class Backlog {
  readonly #limit: string;
  readonly #maxBytes: number;
  readonly #whole: Backlog | undefined;
  #bytes = 0;

  /** Nothing waits. @param limit What the limit is called. @param whole What this is a part of. @default nothing */
  constructor(limit: string, maxBytes: number, whole?: Backlog) {
    this.#limit = limit;
    this.#maxBytes = maxBytes;
    this.#whole = whole;
  }

  /** These wait, in a message of their own. @throws {LimitError} when that is too much; they are counted all the same. */
  add(entries: readonly SyncEntry[]): void {
    this.#count(bytesOf(entries));
    this.#check();
    if (this.#whole !== undefined) this.#whole.#check();
  }

  #check(): void {
    if (this.#bytes <= this.#maxBytes) return;
    const [limit, max] = [this.#limit, this.#maxBytes];
    throw new LimitError("limit", `Cannot keep what is told: it exceeds ${limit} ${max}`, {
      details: { limit, max },
    });
  }

  /** These wait no more. */
  remove(entries: readonly SyncEntry[]): void {
    this.#count(-bytesOf(entries));
  }

  /** Nothing waits any more. */
  clear(): void {
    this.#count(-this.#bytes);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#whole !== undefined) this.#whole.#count(bytes);
  }
}

/** What entries take of memory, about, and the message that they came in. */
export function bytesOf(entries: readonly SyncEntry[]): number {
  let bytes = ROW_BYTES; // of the message
  for (const { path, version } of entries) {
    bytes += ROW_BYTES + 2 * path.length + COUNTER_BYTES * version.size;
  }
  return bytes;
}
