/**
 * What messages do where peers fail: many at once, some all the time, or the network between them.
 *
 * @module
 */

import type { Fault } from "./faults.ts";
import {
  type GossipOptions,
  type GossipRun,
  judgeSpreads,
  lastMs,
  oneOf,
  runGossip,
} from "./gossip_scenario.ts";
import type { GossipSwarm, Spread } from "./gossip_swarm.ts";
import { draw } from "./membership.ts";

/** Messages by which the trees are found, before anything fails, and the time between two in milliseconds. */
const WARM_UP = 20;
const EVERY_MS = 200;
const WARM_UP_MS = WARM_UP * EVERY_MS + 2_000;

/** Messages that are published at once, when many have failed. */
const AT_ONCE = 10;

/** How long whoever fails stays away, and how long it goes on, in milliseconds. */
const AWAY_MS = 5_000;
const CHURN_MS = 60_000;

/** What is published later before a peer fails is not counted: nobody can pass on what died with its author. */
const LAST_WORD_MS = 1_000;

/** How long messages are waited for in the end, in milliseconds. */
const PATIENCE_MS = 60_000;

/** How messages spread among those who are left. */
export interface KillFigures {
  /** Deliveries that are missing after three seconds. */
  readonly missed: number;
  /** Deliveries that are missing after a minute. */
  readonly missedForGood: number;
  /** For each message, the milliseconds to the last one. */
  readonly lastMs: readonly number[];
}

/** How messages spread where peers come and go. */
export interface ChurnFigures {
  /** Messages that were published. */
  readonly published: number;
  /** Deliveries that are missing in the end, at those who run then. */
  readonly missed: number;
  /** Deliveries to somebody who had the message in the same life. */
  readonly repeated: number;
  /** Milliseconds from the end of it all until the last delivery. */
  readonly quietMs: number;
}

/** How what was apart became one. */
export interface HealFigures {
  /** Milliseconds until whoever is in one part has got all that was published in another; `Infinity` if never. */
  readonly wholeMs: number;
  /** Milliseconds until a message of each part came to everybody by the trees alone, in a second; `Infinity` if never. */
  readonly joinedMs: number;
  /** Deliveries that are missing in the end. */
  readonly missed: number;
  /** Deliveries to somebody who had it. */
  readonly repeated: number;
}

/** Cuts the power of many at once, and publishes ten messages in the same moment. */
export function measureKill(
  options: GossipOptions & {
    /** The share that is killed, 0..1. @default {0.2} */
    readonly kill?: number;
  },
): GossipRun<KillFigures> {
  const { kill = 0.2 } = options;
  return runGossip(options, {
    faults: (names, startMs, random) => {
      const atMs = startMs + WARM_UP_MS;
      return draw(names, kill * names.length, random).map((node) => ({ atMs, kind: "kill", node }));
    },
    measure: ({ swarm, random }) => {
      const { simulation } = swarm;
      warmUp(swarm, random);
      simulation.run(1);
      const spreads = Array.from({ length: AT_ONCE }, () => {
        return swarm.publish(oneOf(simulation.running, random));
      });
      simulation.run(3_000);
      const { missed } = judgeSpreads(swarm, spreads);
      simulation.run(PATIENCE_MS - 3_000);
      const missedForGood = judgeSpreads(swarm, spreads).missed;
      return { missed, missedForGood, lastMs: spreads.map((spread) => lastMs(spread)) };
    },
  });
}

/**
 * Kills 1 % of the peers every second for a minute, each of which is back five seconds later without any memory.
 * Meanwhile those publish who run for another second.
 */
export function measureChurn(
  options: GossipOptions & {
    /** The share that is killed every second, 0..1. @default {0.01} */
    readonly churn?: number;
  },
): GossipRun<ChurnFigures> {
  const { churn = 0.01 } = options;
  return runGossip({ loss: 0.05, ...options }, {
    faults: (names, startMs, random) => comeAndGo(names, { startMs, churn, random }),
    measure: ({ swarm, faults, random }) => {
      const { simulation } = swarm;
      const spreads = Array.from({ length: CHURN_MS / EVERY_MS }, () => {
        simulation.run(EVERY_MS);
        const untilMs = simulation.nowMs + LAST_WORD_MS;
        const soon = faults.filter(({ atMs }) => simulation.nowMs <= atMs && atMs < untilMs);
        const dying = new Set(soon.map((fault) => "node" in fault ? fault.node : ""));
        return swarm.publish(oneOf(simulation.running.filter((name) => !dying.has(name)), random));
      });
      simulation.run(AWAY_MS + 1);
      const quietFromMs = simulation.nowMs;
      simulation.runUntil(() => judgeSpreads(swarm, spreads).missed === 0, PATIENCE_MS, 1_000);
      const arrivals = spreads.flatMap((spread) => [...spread.arrivals.values()]);
      const last = arrivals.reduce((latest, { atMs }) => Math.max(latest, atMs), 0);
      return {
        published: spreads.length,
        ...judgeSpreads(swarm, spreads),
        quietMs: Math.max(0, last - quietFromMs),
      };
    },
  });
}

/** Two parts that never heard of each other, until a peer of one is told of a peer of the other. */
export function measureIslands(options: GossipOptions): GossipRun<HealFigures> {
  const isEven = (name: string) => Number(name.slice(1)) % 2 === 0;
  return runGossip(options, {
    swarm: { mayKnow: (name, other) => isEven(name) === isEven(other) },
    measure: ({ swarm }) => {
      const before = [swarm.publish("n0"), swarm.publish("n1")];
      swarm.simulation.run(5_000);
      swarm.node("n0").topic.introduce([swarm.node("n1").contact]);
      return untilOne(swarm, before, ["n2", "n3"]);
    },
  });
}

/** Divides the network into halves for two minutes, while both go on publishing. */
export function measurePartition(
  options: GossipOptions & {
    /** How long, in simulated seconds. @default {120} */
    readonly seconds?: number;
  },
): GossipRun<HealFigures> {
  const { seconds = 120 } = options;
  return runGossip(options, {
    faults: (names, startMs, random) => {
      const atMs = startMs + WARM_UP_MS;
      const groups = [draw(names, names.length / 2, random)];
      return [
        { atMs, kind: "partition", groups },
        { atMs: atMs + seconds * 1_000, kind: "heal" },
      ];
    },
    measure: ({ swarm, faults, random }) => {
      warmUp(swarm, random);
      const spreads = Array.from({ length: seconds }, () => {
        swarm.simulation.run(1_000);
        return swarm.publish(oneOf(swarm.names, random));
      });
      const [part = []] = faults.flatMap((fault) => fault.kind === "partition" ? fault.groups : []);
      const others = swarm.names.filter((name) => !part.includes(name));
      swarm.simulation.run(1);
      return untilOne(swarm, spreads, [oneOf(part, random), oneOf(others, random)]);
    },
  });
}

/** Waits until everybody has got everything, and until messages of all parts come to everybody in a second. */
function untilOne(
  swarm: GossipSwarm,
  apart: readonly Spread[],
  authors: readonly string[],
): HealFigures {
  const { simulation } = swarm;
  const fromMs = simulation.nowMs;
  let [wholeMs, joinedMs] = [Infinity, Infinity];
  while (simulation.nowMs < fromMs + PATIENCE_MS && Math.max(wholeMs, joinedMs) === Infinity) {
    const atMs = simulation.nowMs - fromMs;
    const probes = authors.map((author) => swarm.publish(author));
    simulation.run(1_000);
    if (judgeSpreads(swarm, probes).missed === 0) joinedMs = Math.min(joinedMs, atMs);
    if (judgeSpreads(swarm, apart).missed === 0) wholeMs = Math.min(wholeMs, atMs);
  }
  simulation.run(Math.max(0, fromMs + PATIENCE_MS - simulation.nowMs));
  return { wholeMs, joinedMs, ...judgeSpreads(swarm, swarm.spreads.values()) };
}

function warmUp(swarm: GossipSwarm, random: () => number): void {
  for (let nth = 0; nth < WARM_UP; nth++) {
    swarm.publish(oneOf(swarm.names, random));
    swarm.simulation.run(EVERY_MS);
  }
  swarm.simulation.run(WARM_UP_MS - WARM_UP * EVERY_MS);
}

function comeAndGo(
  names: readonly string[],
  { startMs, churn, random }: { startMs: number; churn: number; random: () => number },
): Fault[] {
  const faults: Fault[] = [];
  const awayUntilMs = new Map<string, number>();
  const everyMs = 1_000 / (churn * names.length);
  for (let atMs = startMs; atMs < startMs + CHURN_MS; atMs += everyMs) {
    const present = names.filter((name) => (awayUntilMs.get(name) ?? 0) <= atMs);
    const node = oneOf(present, random);
    awayUntilMs.set(node, atMs + AWAY_MS);
    faults.push({ atMs, kind: "kill", node }, { atMs: atMs + AWAY_MS, kind: "restart", node });
  }
  return faults.sort((a, b) => a.atMs - b.atMs);
}
