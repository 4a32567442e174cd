/**
 * The counter of what we seal: which key and nonce a packet has, and when it was sealed.
 *
 * A key must never seal twice under one nonce. Nothing is written to a disk for that, because each run of a peer draws
 * a sender id and therefore has keys of its own: neither a crash, nor a clock set back, nor a second process of the same
 * home, nor a home that was copied or restored can make two packets share key and nonce. Within a run the counter only
 * grows. Two runs draw the same 64 bits with a chance of 3 in 10^8 among a million runs of a network; even then the
 * counters, which tell the time, would have to meet. And no sender id can be followed from one network to the next, as
 * a stored one could.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";

/** Counters in a millisecond: a power of two, so that the time in them is exact, and more than anybody can seal. */
const PER_MS = 2 ** 20;

/** The first millisecond there is no room for, in the year 2527; from then on a counter only counts. */
const END_MS = 2 ** 44 - 1;

/** The milliseconds in a counter: since 1970 by the sender's clock, and good for nothing but differences. */
export function millisecondsOf(counter: bigint): number {
  return Number(counter) / PER_MS;
}

/** How much a counter grows in that many milliseconds, if nothing is sealed. */
export function countersIn(ms: number): bigint {
  return BigInt(Math.floor(ms * PER_MS));
}

/**
 * A sender and its counter: 64 bits, each at least one more than the last and at least the wall clock's milliseconds
 * times 2^20. Whatever the wall clock does, no more time passes than the counters say.
 */
export class Sequence {
  /** Who seals: 64 random bits, drawn for this run. */
  readonly sender: bigint = randomBytes(8).readBigUInt64BE();
  readonly #clock: Clock;
  #first: bigint | undefined;
  #last = -1n;
  // The wall clock less the steady one. It only grows, so that a wall clock set back leaves our time running on.
  #aheadMs: number;

  /** Makes a sender that has sealed nothing. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = -clock.now();
  }

  /** The next counter. */
  next(): bigint {
    const earliest = countersIn(Math.min(this.#timeMs(), END_MS));
    this.#last = earliest > this.#last ? earliest : this.#last + 1n;
    this.#first ??= this.#last;
    return this.#last;
  }

  /**
   * How many milliseconds before `atMs` a counter was given, or more; `undefined` if it never was.
   *
   * @param atMs A time of the steady clock, after that.
   */
  ageMs(counter: bigint, atMs: number): number | undefined {
    if (this.#first === undefined || counter < this.#first || counter > this.#last) {
      return undefined;
    }
    return Math.max(0, atMs + this.#aheadMs - millisecondsOf(counter));
  }

  #timeMs(): number {
    const steadyMs = this.#clock.now();
    const wallMs = this.#clock.wallMs();
    this.#aheadMs = Math.max(this.#aheadMs, wallMs - steadyMs);
    return Math.max(wallMs, steadyMs + this.#aheadMs); // sums of this size are rounded
  }
}
