/**
 * The heartbeat of one connection: whether the other side is there, and how long an answer takes.
 *
 * Anything that comes counts as life, and each side sends a ping every heartbeat whether or not it gets answers: a side
 * whose handlers hold up its reading is not taken for dead. Time in which we ourselves do not read does not count, nor
 * does time in which our own program stood still.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** Half heartbeats of silence after which a connection is dead: with what went before the first, under 2.5 heartbeats. */
export const SILENT_HALVES = 4;

// RFC 6298: the weight of the newest measurement.
const ALPHA = 1 / 8;

/** What to do at a beat. */
export type Verdict = "ping" | "wait" | "dead";

/** See the module. */
export class Pulse {
  readonly #clock: Clock;
  #heard = true;
  #silent = 0;
  #odd = false;
  #beatMs: number | undefined;
  #busy = 0;
  #rttMs: number | undefined;

  /** Starts alive. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The smoothed round trip; `undefined` before the first measurement. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Something came. */
  heard(): void {
    this.#heard = true;
  }

  /** Nothing is read during this time. */
  async during(busy: Promise<void>): Promise<void> {
    this.#busy++;
    try {
      await busy;
    } finally {
      this.#busy--;
      this.#heard = true;
    }
  }

  /** A round trip was measured. */
  measured(rttMs: number): void {
    this.#rttMs = this.#rttMs === undefined ? rttMs : this.#rttMs + ALPHA * (rttMs - this.#rttMs);
  }

  /** Half a heartbeat has passed. @param halfMs how long that should have taken */
  beat(halfMs: number): Verdict {
    const nowMs = this.#clock.now();
    const late = this.#beatMs !== undefined && nowMs - this.#beatMs > 2 * halfMs;
    this.#beatMs = nowMs;
    if (this.#heard || this.#busy > 0 || late) this.#silent = 0;
    else this.#silent++;
    this.#heard = false;
    if (this.#silent >= SILENT_HALVES) return "dead";
    this.#odd = !this.#odd;
    return this.#odd ? "ping" : "wait";
  }
}
