/**
 * How fast a peer sends, measured while it does.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** So long it has to have been busy for a measurement to count, in milliseconds. */
const LEAST_BUSY_MS = 200;

/** How much a new measurement counts against what was known. */
const NEWER = 0.5;

/** Bytes over time, not counting times when there is nothing to send. */
export class UplinkMeter {
  readonly #clock: Clock;
  #onTheWay = 0;
  #sinceMs = 0;
  #busyMs = 0;
  #bytes = 0;
  #known: number | undefined;

  /** Has measured nothing. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How fast, in bytes a second; `undefined` while it is not known. */
  get bytesPerSecond(): number | undefined {
    return this.#known;
  }

  /** Something begins to be sent. */
  begin(): void {
    if (this.#onTheWay++ === 0) this.#sinceMs = this.#clock.now();
  }

  /** It has arrived. @param bytes 0 where it was given up. */
  end(bytes: number): void {
    const nowMs = this.#clock.now();
    this.#busyMs += nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
    this.#bytes += bytes;
    this.#onTheWay--;
    if (this.#busyMs < LEAST_BUSY_MS || this.#bytes === 0) return;
    const measured = 1_000 * this.#bytes / this.#busyMs;
    this.#known = this.#known === undefined
      ? measured
      : NEWER * measured + (1 - NEWER) * this.#known;
    this.#busyMs = 0;
    this.#bytes = 0;
  }
}
