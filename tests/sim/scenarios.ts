/**
 * What `npm run sim` runs, and what must hold of it.
 *
 * @module
 */

import { measureLateJoiner, measureMemory } from "../../src/testing/gossip_history.ts";
import type { Hostility } from "../../src/testing/gossip_hostile.ts";
import { measureHostility } from "../../src/testing/gossip_hostility.ts";
import {
  measureChurn,
  measureIslands,
  measureKill,
  measurePartition as measureTopicPartition,
} from "../../src/testing/gossip_outages.ts";
import { measureSpread } from "../../src/testing/gossip_spread.ts";
import { measureRejection, measureReplay } from "../../src/testing/gossip_threats.ts";
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
import { DHT_SCENARIOS } from "./dht_scenarios.ts";

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
  readonly of: "max" | "min" | "sum" | "p50" | "p99";
  /** They may not be above it; for `min` not below. */
  readonly limit: number;
}

/** What a run gives. */
interface Measured {
  readonly hash: string;
  readonly figures: object;
}

/** Something that is run with each seed. */
export interface SimScenario {
  /** Runs it. */
  readonly run: (seed: number) => Measured | Promise<Measured>;
  /** What must hold. */
  readonly holds: readonly Bound[];
  /** Runs at most so many seeds: it takes long. @default {Infinity} */
  readonly maxSeeds?: number;
}

/** What holds of honest peers, whatever hostile ones do. */
const HONEST: readonly Bound[] = [
  { figure: "delivered", of: "min", limit: 0.99 },
  // Of a hundred one whose neighbours are all hostile for a moment is more than one in a hundred.
  { figure: "deliveredSoon", of: "min", limit: 0.97 },
  { figure: "repeated", of: "sum", limit: 0 },
  { figure: "forged", of: "sum", limit: 0 },
  { figure: "wronged", of: "sum", limit: 0 },
  { figure: "mostUntold", of: "max", limit: 5 * 16_384 },
  { figure: "mostMissing", of: "max", limit: 4_096 },
  { figure: "mostBytes", of: "max", limit: 33_554_432 },
  { figure: "mostKept", of: "max", limit: 16_384 },
  { figure: "mostKnown", of: "max", limit: 30 },
];

/** What holds of all that a peer remembers, of eight authors. */
const FLAT: readonly Bound[] = [
  { figure: "mostRanges", of: "max", limit: 8 * 256 },
  { figure: "mostAuthors", of: "max", limit: 8 },
  { figure: "mostKept", of: "max", limit: 16_384 },
  { figure: "mostBytes", of: "max", limit: 33_554_432 },
  { figure: "mostMissing", of: "max", limit: 0 },
  { figure: "mostUntold", of: "max", limit: 0 },
];

/** What holds where what was apart is one again. */
const HEALED: readonly Bound[] = [
  { figure: "missed", of: "sum", limit: 0 },
  { figure: "repeated", of: "sum", limit: 0 },
  { figure: "wholeMs", of: "max", limit: 60_000 },
  { figure: "joinedMs", of: "max", limit: 60_000 },
];

/** Hostile peers in a topic, which takes long where they flood. */
function hostile(kinds: readonly Hostility[], maxSeeds: number, nodes = 100): SimScenario {
  return { run: (seed) => measureHostility({ seed, nodes, kinds }), holds: HONEST, maxSeeds };
}

/**
 * All of them. Sizes are such that 20 seeds take about ten minutes on two idle cores for membership, and as long for gossip;
 * the 10 of the DHT take longer.
 */
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
  "gossip, one sender": {
    run: (seed) => measureSpread({ seed, nodes: 1_000, senders: "one" }),
    holds: [
      { figure: "missed", of: "sum", limit: 0 },
      { figure: "repeated", of: "sum", limit: 0 },
      { figure: "redundancy", of: "max", limit: 0.15 },
      { figure: "lastHop", of: "max", limit: 12 },
    ],
  },
  "gossip, many senders": {
    run: (seed) => measureSpread({ seed, nodes: 1_000, senders: "many" }),
    holds: [
      { figure: "missed", of: "sum", limit: 0 },
      { figure: "repeated", of: "sum", limit: 0 },
      { figure: "redundancy", of: "max", limit: 0.5 },
      { figure: "lastHop", of: "max", limit: 20 },
    ],
  },
  "gossip, 20 % killed": {
    run: (seed) => measureKill({ seed, nodes: 1_000 }),
    holds: [
      { figure: "missed", of: "sum", limit: 0 },
      { figure: "lastMs", of: "max", limit: 3_000 },
    ],
  },
  "gossip, churn": {
    run: (seed) => measureChurn({ seed, nodes: 100 }),
    holds: [
      { figure: "missed", of: "sum", limit: 0 },
      { figure: "repeated", of: "sum", limit: 0 },
    ],
  },
  "gossip, churn of 1000": {
    run: (seed) => measureChurn({ seed, nodes: 1_000 }),
    holds: [
      { figure: "missed", of: "sum", limit: 0 },
      { figure: "repeated", of: "sum", limit: 0 },
    ],
    maxSeeds: 3,
  },
  "gossip, 30 % drop": hostile(["drop"], 20),
  "gossip, 30 % forge": hostile(["forge"], 10),
  "gossip, 30 % flood": hostile(["flood"], 4, 50),
  "gossip, 30 % drop, forge or flood": hostile(["drop", "forge", "flood"], 6, 60),
  "gossip, replay": {
    run: (seed) => measureReplay({ seed }),
    holds: [
      { figure: "replayed", of: "min", limit: 100 },
      { figure: "deliveries", of: "sum", limit: 0 },
      { figure: "futureDeliveries", of: "sum", limit: 0 },
      { figure: "littleDeliveries", of: "min", limit: 19 },
      { figure: "keptBy", of: "sum", limit: 0 },
    ],
  },
  "gossip, rejecting validator": {
    run: (seed) => measureRejection({ seed }),
    holds: [
      { figure: "first", of: "min", limit: 1 },
      { figure: "beyond", of: "sum", limit: 0 },
      { figure: "deliveries", of: "sum", limit: 0 },
      { figure: "wronged", of: "sum", limit: 0 },
    ],
  },
  "gossip, islands": { run: (seed) => measureIslands({ seed }), holds: HEALED },
  "gossip, partition 50/50": { run: (seed) => measureTopicPartition({ seed }), holds: HEALED },
  "gossip, late joiner": {
    run: (seed) => measureLateJoiner({ seed, nodes: 20 }),
    holds: [
      { figure: "missed", of: "sum", limit: 0 },
      { figure: "repeated", of: "sum", limit: 0 },
      { figure: "wholeMs", of: "max", limit: 5_000 },
    ],
    maxSeeds: 5,
  },
  "gossip, 10^6 ids": {
    run: (seed) => measureMemory({ seed, shuffled: false }),
    holds: FLAT,
    maxSeeds: 1,
  },
  "gossip, 10^6 ids out of order": {
    run: (seed) => measureMemory({ seed, shuffled: true }),
    holds: FLAT,
    maxSeeds: 1,
  },
  ...DHT_SCENARIOS,
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
    : percentile(values, { min: 0, p50: 50, p99: 99, max: 100 }[of]);
  return { value, holds: of === "min" ? value >= limit : value <= limit };
}
