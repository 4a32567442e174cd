/**
 * How fast chunks may leave: a bucket of tokens that is filled at a steady pace.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";

/** So much that was not used may be used later, in milliseconds of the pace: timers come late, on busy machines very. */
const BURST_MS = 100;

interface Waiting {
  readonly bytes: number;
  readonly run: () => void;
}

/** Lets things leave one after the other, no faster than may be. */
export class UploadLimit {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #queue: Waiting[] = [];
  #freeMs: number;
  #timer: Timer | undefined;

  /**
   * Limits to so many bytes a second.
   *
   * @throws {RangeError} when that is not more than 0.
   */
  constructor(clock: Clock, bytesPerSecond = Infinity) {
    if (!(bytesPerSecond > 0)) {
      throw new RangeError(`Upload limit must be more than 0: current value is ${bytesPerSecond}`);
    }
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1_000;
    this.#freeMs = clock.now();
  }

  /** Calls `run` as soon as that many bytes may leave, behind those that wait already: at once where there is no limit. */
  take(bytes: number, run: () => void): void {
    if (this.#bytesPerMs === Infinity) return run();
    this.#queue.push({ bytes, run });
    if (this.#timer === undefined) this.#next();
  }

  /** Lets nothing leave any more. */
  close(): void {
    this.#timer?.cancel();
    this.#queue.length = 0;
  }

  #next(): void {
    this.#timer = undefined;
    for (;;) {
      const [first] = this.#queue;
      if (first === undefined) return;
      const nowMs = this.#clock.now();
      this.#freeMs = Math.max(this.#freeMs, nowMs - BURST_MS);
      if (this.#freeMs > nowMs) {
        this.#timer = this.#clock.after(this.#freeMs - nowMs, () => this.#next());
        return;
      }
      this.#queue.shift();
      this.#freeMs += first.bytes / this.#bytesPerMs;
      first.run();
    }
  }
}
