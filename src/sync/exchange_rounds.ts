/**
 * When a client does rounds: one at a time, some time after there was a reason, and again when one could not do everything.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";

/** So long after a round that could not do everything there is another; twice as long after each more. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** Does rounds. */
export class Rounds {
  readonly #clock: Clock;
  readonly #work: () => Promise<void>;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  #atMs = Infinity;
  #retryMs = RETRY_MS;
  #isOver = false;

  /** Does none yet. @param work Does what is scheduled, in a round; it does not reject. */
  constructor(clock: Clock, work: () => Promise<void>) {
    this.#clock = clock;
    this.#work = work;
  }

  /** Has a round done after some time, unless one is due before. */
  schedule(delayMs: number): void {
    const atMs = this.#clock.now() + delayMs;
    if (this.#isOver || atMs >= this.#atMs) return;
    this.#timer?.cancel();
    this.#atMs = atMs;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#atMs = Infinity;
      void this.#work();
    });
  }

  /** Has another done, because one could not do everything. */
  retry(): void {
    this.schedule(this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  /** One has done everything. */
  settle(): void {
    this.#retryMs = RETRY_MS;
  }

  /** Does a round when no other is being done. */
  async inTurn<T>(round: () => Promise<T>): Promise<T> {
    while (this.#running !== undefined) await this.#running;
    const running = round();
    const settled = running.then(() => {}, () => {});
    this.#running = settled.then(() => {
      this.#running = undefined;
    });
    return await running;
  }

  /** Schedules no more. @returns when the one that is being done has come to its end. */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#timer?.cancel();
    await this.#running;
  }
}
