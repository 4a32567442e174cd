/**
 * Figures of gossip: scenarios that are run in the simulator, each with a seed, and fail with what it takes to see that
 * again.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import { explore } from "./explore.ts";
import type { Fault } from "./faults.ts";
import { GossipSwarm, type GossipSwarmOptions, type Spread } from "./gossip_swarm.ts";
import type { LinkOptions } from "./link.ts";
import { seedFrom } from "./machine.ts";
import type { MembershipRun } from "./membership.ts";

/** A continent: 40 ms each way. */
export const WAN: Partial<LinkOptions> = { delayMs: 40 };

/** Time between two peers that join, and how long the last one has before anything happens, in milliseconds. */
const JOIN_MS = 5;
const SETTLE_MS = 10_000;

/** What every scenario can be told. */
export interface GossipOptions {
  /** Decides everything that is drawn. */
  readonly seed: number;
  /** How many peers. @default {100} */
  readonly nodes?: number;
  /** Share of packets that get lost, 0..1. @default {0} */
  readonly loss?: number;
}

/** A run of a scenario. */
export type GossipRun<Figures> = MembershipRun<Figures>;

/** What a scenario is given. */
export interface GossipStage {
  /** The peers: all have joined, and had a while to find their neighbours. */
  readonly swarm: GossipSwarm;
  /** What goes wrong, by itself. */
  readonly faults: readonly Fault[];
  /** Chance that is the scenario's own. */
  readonly random: () => number;
}

/** A scenario. */
export interface GossipScenario<Figures> {
  /** What goes wrong, for names `n0`, `n1`, ... and from `startMs` on, when measuring begins; drawn from `random` alone. */
  readonly faults?: (
    names: readonly string[],
    startMs: number,
    random: () => number,
  ) => readonly Fault[];
  /** How the peers are made, but for how many. */
  readonly swarm?: Omit<GossipSwarmOptions, "nodes">;
  /** Measures; throws where something does not hold that makes measuring senseless. */
  readonly measure: (stage: GossipStage) => Figures;
}

/**
 * Runs a scenario once.
 *
 * @throws {ScenarioError} when measuring throws, with the seed and the faults that it takes.
 */
export function runGossip<Figures>(
  options: GossipOptions,
  scenario: GossipScenario<Figures>,
): GossipRun<Figures> {
  const { seed, nodes = 100, loss = 0 } = options;
  const { faults = () => [], swarm: made = {}, measure } = scenario;
  const startMs = nodes * JOIN_MS + SETTLE_MS;
  const chance = (what: string) => seededRandom(seedFrom(`${seed} ${what}`));
  const measured: Figures[] = [];
  const [run] = explore({
    seeds: [seed],
    simulation: { link: { ...WAN, loss } },
    schedule: () => faults(namesOf(nodes), startMs, chance("faults")),
    scenario: (simulation, given) => {
      const swarm = new GossipSwarm(simulation, { ...made, nodes, joinEveryMs: JOIN_MS });
      simulation.run(startMs - simulation.nowMs);
      measured.push(measure({ swarm, faults: given, random: chance("scenario") }));
    },
  });
  const figures = measured.at(-1);
  if (run === undefined || figures === undefined) {
    throw new TypeError("A scenario measured nothing");
  }
  return { seed, hash: run.hash, events: run.totals.events, figures };
}

/** The names of peers. */
export function namesOf(nodes: number): string[] {
  return Array.from({ length: nodes }, (_, index) => `n${index}`);
}

/** One of them. @throws {RangeError} when there is none. */
export function oneOf<T>(list: readonly T[], random: () => number): T {
  const one = list[Math.floor(random() * list.length)];
  if (one === undefined) throw new RangeError("There is nobody to choose");
  return one;
}

/** How long a message took to the last of those it came to, in milliseconds. @param isMeant Of whom. @default all */
export function lastMs({ atMs, arrivals }: Spread, isMeant = isAnybody): number {
  let last = 0;
  for (const [name, arrival] of arrivals) {
    if (isMeant(name)) last = Math.max(last, arrival.atMs - atMs);
  }
  return last;
}

/** By how many hops a message came to the last of those it came to. @param isMeant Of whom. @default all */
export function lastHop({ arrivals }: Spread, isMeant = isAnybody): number {
  let last = 0;
  for (const [name, { hops }] of arrivals) if (isMeant(name)) last = Math.max(last, hops);
  return last;
}

/** The mean of some values; `NaN` of none. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Deliveries that are missing, and such as came again to who had got it already. */
export function judgeSpreads(
  swarm: GossipSwarm,
  spreads: Iterable<Spread>,
  among?: readonly string[],
): { missed: number; repeated: number } {
  const total = { missed: 0, repeated: 0 };
  for (const spread of spreads) {
    total.missed += swarm.missed(spread, among).length;
    total.repeated += spread.repeated;
  }
  return total;
}

function isAnybody(_name: string): boolean {
  return true;
}
