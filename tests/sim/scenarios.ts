/**
 * What `npm run sim` runs, and what must hold of it.
 *
 * @module
 */

import { percentile } from "../../src/testing/membership.ts";
import { measureDetection, measureLeaving } from "../../src/testing/membership_detection.ts";
import { measureForgery, measureLiar } from "../../src/testing/membership_forgery.ts";
import {
  measureBlocked,
  measurePartition,
  measureRestart,
} from "../../src/testing/membership_outages.ts";
import { measurePauses } from "../../src/testing/membership_pauses.ts";
import { measureTraffic } from "../../src/testing/membership_traffic.ts";

/** Figures of a run by name; more than one where something was measured several times. */
export type Row = Readonly<Record<string, number | readonly number[]>>;

/** A run as the runner keeps it. */
export interface Run {
  /** The fingerprint of all that happened. */
  readonly hash: string;
  /** What was measured. */
  readonly figures: Row;
}

/** A bound on a figure over all runs. */
export interface Bound {
  /** Which figure. */
  readonly figure: string;
  /** What of its values. */
  readonly of: "max" | "min" | "sum" | "p99";
  /** They may not be above it; for `min` not below. */
  readonly limit: number;
}

/** Something that is run with each seed. */
export interface SimScenario {
  /** Runs it. */
  readonly run: (seed: number) => { readonly hash: string; readonly figures: object };
  /** What must hold. */
  readonly holds: readonly Bound[];
  /** Runs at most so many seeds: it takes long. @default {Infinity} */
  readonly maxSeeds?: number;
}

/** All of them. Sizes are such that 20 seeds take about ten minutes on two idle cores. */
export const SCENARIOS: Readonly<Record<string, SimScenario>> = {
  detection: {
    run: (seed) => measureDetection({ seed, kills: 5 }),
    holds: [
      { figure: "everywhereMs", of: "p99", limit: 12_000 },
      { figure: "anywhereMs", of: "p99", limit: 12_000 },
      { figure: "falseDeaths", of: "sum", limit: 0 },
    ],
  },
  leaving: {
    run: (seed) => measureLeaving({ seed }),
    holds: [
      { figure: "everywhereMs", of: "max", limit: 5_000 },
      { figure: "mistaken", of: "sum", limit: 0 },
    ],
  },
  pauses: {
    run: (seed) => measurePauses({ seed, seconds: 3_600 }),
    holds: [
      { figure: "falseDeaths", of: "sum", limit: 0 },
      { figure: "falseSuspicions", of: "sum", limit: 0 },
    ],
  },
  overload: {
    run: (seed) => measurePauses({ seed, seconds: 180, inARow: 14 }),
    holds: [{ figure: "healthyDeaths", of: "sum", limit: 0 }],
  },
  "overload, lifeguard off": {
    run: (seed) => measurePauses({ seed, seconds: 180, inARow: 14, lifeguard: false }),
    // The same with Lifeguard has to have a twentieth of it.
    holds: [{ figure: "falseSuspicions", of: "min", limit: 1 }],
  },
  "partition 50/50": {
    run: (seed) => measurePartition({ seed, share: 0.5 }),
    holds: [{ figure: "healedMs", of: "max", limit: 30_000 }],
  },
  "partition 90/10": {
    run: (seed) => measurePartition({ seed, share: 0.9 }),
    holds: [{ figure: "healedMs", of: "max", limit: 30_000 }],
  },
  restart: {
    run: (seed) => measureRestart({ seed }),
    holds: [{ figure: "wholeMs", of: "max", limit: 60_000 }],
  },
  "restart, new identities": {
    run: (seed) => measureRestart({ seed, newIdentities: true }),
    holds: [{ figure: "wholeMs", of: "max", limit: 120_000 }],
  },
  "UDP blocked": {
    run: (seed) => measureBlocked({ seed }),
    holds: [
      { figure: "degradedMs", of: "max", limit: 30_000 },
      { figure: "restoredMs", of: "max", limit: 30_000 },
    ],
  },
  "UDP blocked from the start": {
    run: (seed) => measureBlocked({ seed, fromStart: true }),
    holds: [
      { figure: "wholeMs", of: "max", limit: 110_000 },
      { figure: "restoredMs", of: "max", limit: 30_000 },
    ],
  },
  forgery: {
    run: (seed) => measureForgery({ seed }),
    holds: [
      { figure: "changes", of: "sum", limit: 0 },
      { figure: "refutations", of: "sum", limit: 0 },
    ],
  },
  liar: {
    run: (seed) => measureLiar({ seed }),
    holds: [
      { figure: "deaths", of: "sum", limit: 0 },
      { figure: "namedBy", of: "min", limit: 99 },
      { figure: "traffic", of: "max", limit: 60 },
    ],
  },
  "traffic of 100": {
    run: (seed) => measureTraffic({ seed }),
    holds: [{ figure: "bytesPerSecond", of: "max", limit: 400 }],
  },
  "traffic of 1000": {
    run: (seed) => measureTraffic({ seed, nodes: 1_000 }),
    // 1.5 times what a member of 100 sends.
    holds: [{ figure: "bytesPerSecond", of: "max", limit: 1.5 * 170 }],
    maxSeeds: 2,
  },
};

/** All values of a figure. */
export function valuesOf(runs: readonly Run[], figure: string): number[] {
  return runs.flatMap(({ figures }) => figures[figure] ?? []);
}

/** What became of a bound. */
export function judge(runs: readonly Run[], { figure, of, limit }: Bound): {
  readonly value: number;
  readonly holds: boolean;
} {
  const values = valuesOf(runs, figure);
  const value = of === "sum"
    ? values.reduce((sum, each) => sum + each, 0)
    : percentile(values, { min: 0, max: 100, p99: 99 }[of]);
  return { value, holds: of === "min" ? value >= limit : value <= limit };
}
