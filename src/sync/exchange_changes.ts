/**
 * Takes in the changes that another side tells one by one: together what comes together, or while others are taken in.
 *
 * @module
 */

import { bytesOf } from "./backlog.ts";
import type { SyncEntry } from "./entry.ts";

/** When changes that wait take more of memory, they are dropped: a round brings them again. */
const MAX_PENDING_BYTES: number = 32 * 1024 * 1024;

/** What it needs. */
export interface ChangesOptions {
  /** Takes entries in that come from a replica. @returns how many were not taken in. */
  readonly take: (entries: readonly SyncEntry[], source: string) => Promise<number>;
  /** Told after each time how many were not. */
  readonly onTaken: (failed: number) => void;
  /** Told that changes were dropped. */
  readonly onDropped: () => void;
  /** Told of an error that nobody expected. */
  readonly onFailure: (error: unknown) => void;
}

/** Changes of one other side. */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #pending = new Map<string, SyncEntry>();
  #pendingBytes = 0;
  #source: string | undefined;
  #taking: Promise<void> | undefined;
  #isOver = false;

  /** None were told. */
  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /** The replica that they come from; they wait until it is known. */
  set source(source: string | undefined) {
    this.#source = source;
    this.#start();
  }

  /** Has changes taken in, of each path the last that was told. */
  add(entries: readonly SyncEntry[]): void {
    for (const entry of entries) this.#pending.set(entry.path, entry);
    this.#pendingBytes += bytesOf(entries);
    if (this.#pendingBytes > MAX_PENDING_BYTES) {
      this.#takeOut();
      this.#options.onDropped();
    }
    this.#start();
  }

  /** Takes nothing more in. @returns when what is being taken in is. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#taking;
  }

  #start(): void {
    if (this.#pending.size === 0 || this.#source === undefined) return;
    this.#taking ??= this.#takeAll().finally(() => this.#taking = undefined);
  }

  async #takeAll(): Promise<void> {
    const { take, onTaken, onFailure } = this.#options;
    // What has come in this turn belongs together.
    await Promise.resolve();
    while (this.#pending.size > 0 && this.#source !== undefined && !this.#isOver) {
      const entries = this.#takeOut();
      try {
        onTaken(await take(entries, this.#source));
      } catch (error) {
        onFailure(error);
      }
    }
  }

  #takeOut(): SyncEntry[] {
    const entries = [...this.#pending.values()];
    this.#pending.clear();
    this.#pendingBytes = 0;
    return entries;
  }
}
