/**
 * How the time that something takes grows with its input, on machines of any speed.
 *
 * @module
 */

import process from "node:process";
import { assert } from "@std/assert";

/** How much larger the larger input is. */
const GROWTH = 16;

/** What counts as growing with the input: quadratic time would grow 256-fold. */
const MAX_RATIO = 5 * GROWTH;

/** Measurements of which the shortest counts: the garbage of others is collected at any time. */
const SAMPLES = 5;

/** A measurement lasts at least so long, or the clock tells nothing. */
const LEAST_MS = 2;

/** Attempts before a machine is believed that it was not only busy. */
const ATTEMPTS = 4;

/** Milliseconds of a processor that one run takes, the shortest of some: what others use of it does not count. */
export function costMs(run: () => void): number {
  run(); // compiled
  let rounds = 1;
  let best = Infinity;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const start = process.cpuUsage();
    for (let round = 0; round < rounds; round++) run();
    const { user, system } = process.cpuUsage(start);
    const tookMs = (user + system) / 1_000;
    best = Math.min(best, tookMs / rounds);
    if (tookMs < LEAST_MS) rounds *= Math.ceil(2 * LEAST_MS / Math.max(tookMs, 0.01));
  }
  return best;
}

/** Checks that sixteen times the input takes no more than sixteen times the time, generously. @param make Of a size. */
export function assertLinear(what: string, size: number, make: (size: number) => () => void): void {
  const ratio = lowest(() => costMs(make(GROWTH * size)) / costMs(make(size)));
  assert(
    ratio < MAX_RATIO,
    `${what}: ${GROWTH} times the input took ${ratio.toFixed(1)} times the time`,
  );
}

/** Checks that a hostile input takes not many times as long as an ordinary one of the same size. */
export function assertAsCheap(
  what: string,
  { hostile, ordinary, factor = 12 }: {
    hostile: () => void;
    ordinary: () => void;
    factor?: number;
  },
): void {
  const ratio = lowest(() => costMs(hostile) / costMs(ordinary), factor);
  assert(ratio < factor, `${what}: it took ${ratio.toFixed(1)} times as long as an ordinary input`);
}

function lowest(measure: () => number, enough = MAX_RATIO): number {
  let ratio = Infinity;
  for (let attempt = 0; attempt < ATTEMPTS && ratio >= enough; attempt++) {
    ratio = Math.min(ratio, measure());
  }
  return ratio;
}
