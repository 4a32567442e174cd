/**
 * Simulated time goes in ticks of 1/1024 ms: with a power of two, sums and differences of times are exact, and no timer
 * fires a rounding error early.
 *
 * @module
 */

/** Ticks in a millisecond. */
export const TICKS_PER_MS = 1024;

/** A tick, in milliseconds. */
export const TICK_MS: number = 1 / TICKS_PER_MS;

/** The first tick that is not before `ms`. */
export function ceilToTick(ms: number): number {
  return Math.ceil(ms * TICKS_PER_MS) * TICK_MS;
}
