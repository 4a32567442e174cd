/**
 * The time that neighbours agree on: a machine without a battery for its clock may be days off, and would refuse
 * everything as too old, or be refused.
 *
 * It is the median of what our clock says and what each neighbour's says. While fewer than half of these lie, it is
 * within the range of the honest ones, whatever the others say.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** How a {@linkcode GroupClock} is bounded. */
export interface GroupClockOptions {
  /** Most neighbours whose time counts: those who were first, until they go. @default {16} */
  maxNeighbors?: number;
}

/**
 * Our clock changed by more than this at once: it was set, or the machine slept while only one of its clocks went on.
 * Far below the ages that messages may have, far above what setting a clock right slowly does between two looks.
 */
const JUMP_MS = 60_000;

/** The time of a group; see the module. */
export class GroupClock {
  readonly #clock: Pick<Clock, "now" | "wallMs">;
  readonly #maxNeighbors: number;
  // How far each neighbour is ahead of us.
  readonly #offsets = new Map<string, number>();
  #offsetMs = 0;
  // How far our wall clock is ahead of the one that never runs back.
  #leadMs: number;

  /** Our own time: no neighbour was heard. @throws {RangeError} when `maxNeighbors` is no integer above 0. */
  constructor(clock: Pick<Clock, "now" | "wallMs">, options: GroupClockOptions = {}) {
    const { maxNeighbors = 16 } = options;
    if (!Number.isSafeInteger(maxNeighbors) || maxNeighbors < 1) {
      throw new RangeError(
        `maxNeighbors must be an integer above 0: current value is ${maxNeighbors}`,
      );
    }
    this.#clock = clock;
    this.#maxNeighbors = maxNeighbors;
    this.#leadMs = clock.wallMs() - clock.now();
  }

  /** Neighbours whose time counts. */
  get size(): number {
    return this.#offsets.size;
  }

  /**
   * A neighbour says what time it is; its last word counts. One more than `maxNeighbors` is not listened to, so that
   * nobody can push out those who are there.
   *
   * @param theirWallMs Its own clock when its packet left, not what it thinks its group agrees on: else an error would
   * go round and come back confirmed. Milliseconds since 1970.
   * @param rttMs How long a packet takes there and back. @default {0}
   * @throws {TypeError} when a time is no safe integer or a round trip no number from 0 on.
   */
  heard(peerId: string, theirWallMs: number, rttMs = 0): void {
    if (!Number.isSafeInteger(theirWallMs)) {
      throw new TypeError(`theirWallMs must be a safe integer: current value is ${theirWallMs}`);
    }
    if (!(rttMs >= 0 && rttMs < Infinity)) {
      throw new TypeError(`rttMs must be 0 or more: current value is ${rttMs}`);
    }
    this.#forgetAfterJump();
    if (this.#offsets.size >= this.#maxNeighbors && !this.#offsets.has(peerId)) return;
    this.#offsets.set(peerId, theirWallMs + rttMs / 2 - this.#clock.wallMs());
    this.#offsetMs = medianOf([0, ...this.#offsets.values()]);
  }

  /** A neighbour is one no more; harmless when it was none. */
  gone(peerId: string): void {
    if (!this.#offsets.delete(peerId)) return;
    this.#offsetMs = medianOf([0, ...this.#offsets.values()]);
  }

  /** How far the group is ahead of our clock in whole milliseconds; of an even number, between the middle two. */
  get offsetMs(): number {
    this.#forgetAfterJump();
    return this.#offsetMs;
  }

  /** Milliseconds since 1970 as the group believes. */
  nowMs(): number {
    return this.#clock.wallMs() + this.offsetMs;
  }

  // Offsets are against the clock that jumped, so they say nothing any more. It probably was set right: by a time server
  // that was reached late, or after a sleep. So it alone counts until neighbours are heard anew.
  #forgetAfterJump(): void {
    const leadMs = this.#clock.wallMs() - this.#clock.now();
    if (Math.abs(leadMs - this.#leadMs) > JUMP_MS) {
      this.#offsets.clear();
      this.#offsetMs = 0;
    }
    this.#leadMs = leadMs;
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? 0;
  const lower = sorted[(sorted.length - 1) >> 1] ?? 0;
  return Math.round((lower + upper) / 2);
}
