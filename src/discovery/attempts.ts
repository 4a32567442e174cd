/**
 * What discovery has tried, and what stood in its way: one path that fails never stops the others, and is told of once.
 *
 * @module
 */

import { ClosedError, UnsupportedError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";

/** Most ways that are listed, and failures that are known to have been told: what errors and logs can show. */
const MAX_LISTED = 256;

/** What was tried and what failed; see the module. */
export class Attempts {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #asked = new Set<string>();
  readonly #told = new Set<string>();
  #obstacle: UnsupportedError | undefined;

  /** Nothing was tried yet. */
  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** The ways that were tried; the first 256. */
  get asked(): string[] {
    return [...this.#asked];
  }

  /** The permission or flag that was missing, if one was; the last. */
  get obstacle(): UnsupportedError | undefined {
    return this.#obstacle;
  }

  /** Notes a way that was tried. */
  tried(way: string): void {
    if (this.#asked.size < MAX_LISTED) this.#asked.add(way);
  }

  /**
   * Does what may fail without hurting anything else.
   *
   * @param what For the log, behind "could not"; few different ones, each on one interface or with one source.
   */
  async tolerate(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#told.delete(what); // should it fail again, that is news
    } catch (error) {
      if (!(error instanceof ClosedError)) this.failed(what, error);
    }
  }

  /** Counts a failure, and tells of it unless it was told before and nothing got better since. */
  failed(what: string, error: unknown): void {
    this.#metrics.counter("discovery.failures").add();
    this.hindered(error);
    if (this.#told.has(what)) return;
    if (this.#told.size >= MAX_LISTED) this.#told.clear();
    this.#told.add(what);
    this.#log.warn(`could not ${what}`, { why: reasonOf(error) });
  }

  /** Notes a permission or flag that is missing; any other error is not its business. */
  hindered(error: unknown): void {
    if (error instanceof UnsupportedError) this.#obstacle = error;
  }
}

/** Why, in words that are safe to print. */
export function reasonOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error), 400);
}
