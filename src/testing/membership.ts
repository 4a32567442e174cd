/**
 * Figures of membership: scenarios that are run in the simulator, each with a seed, and fail with what it takes to see
 * that again.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import { explore } from "./explore.ts";
import type { Fault } from "./faults.ts";
import type { LinkOptions } from "./link.ts";
import { seedFrom } from "./machine.ts";
import { SwimSwarm, type SwimSwarmOptions } from "./swim_swarm.ts";

/** A local network with some Wi-Fi in it. */
export const LAN: Partial<LinkOptions> = { delayMs: [0.2, 2] };

/** What every scenario can be told. */
export interface MembershipOptions {
  /** Decides everything that is drawn. */
  readonly seed: number;
  /** How many members. @default {100} */
  readonly nodes?: number;
  /** Share of packets that get lost, 0..1. @default {0.01} */
  readonly loss?: number;
  /** Whether members take their own state into account (Lifeguard). @default {true} */
  readonly lifeguard?: boolean;
}

/** A run of a scenario. */
export interface MembershipRun<Figures> {
  /** Its seed. */
  readonly seed: number;
  /** The fingerprint of all that happened: the same for the same seed and options. */
  readonly hash: string;
  /** Events that happened. */
  readonly events: number;
  /** What was measured. */
  readonly figures: Figures;
}

/** A scenario of a group. */
export interface MembershipScenario<Figures> {
  /** What goes wrong, for names `n0`, `n1`, ...; drawn from `random` alone. */
  readonly faults?: (names: readonly string[], random: () => number) => readonly Fault[];
  /** How the group is made, but for its size. */
  readonly swarm?: Omit<SwimSwarmOptions, "nodes">;
  /** Measures; throws where something does not hold. It is told of the faults, which happen by themselves. */
  readonly measure: (swarm: SwimSwarm, faults: readonly Fault[]) => Figures;
}

/**
 * Runs a scenario once.
 *
 * @throws {ScenarioError} when something does not hold, with the seed and the faults that it takes.
 */
export function runMembership<Figures>(
  options: MembershipOptions,
  scenario: MembershipScenario<Figures>,
): MembershipRun<Figures> {
  const { seed, nodes = 100, loss = 0.01, lifeguard = true } = options;
  const { faults = () => [], swarm = {}, measure } = scenario;
  const tuning = { ...swarm.tuning, lifeguard };
  const measured: Figures[] = [];
  const [run] = explore({
    seeds: [seed],
    simulation: { link: { ...LAN, loss } },
    schedule: () => {
      const names = Array.from({ length: nodes }, (_, index) => `n${index}`);
      return faults(names, seededRandom(seedFrom(`${seed} faults`)));
    },
    scenario: (simulation, given) => {
      measured.push(measure(new SwimSwarm(simulation, { ...swarm, nodes, tuning }), given));
    },
  });
  const figures = measured.at(-1);
  if (run === undefined || figures === undefined) {
    throw new TypeError("A scenario measured nothing");
  }
  return { seed, hash: run.hash, events: run.totals.events, figures };
}

/** Some of `names`, each once, in an order that is drawn. */
export function draw(names: readonly string[], count: number, random: () => number): string[] {
  const left = [...names];
  return Array.from({ length: Math.min(count, left.length) }, () => {
    const [name = ""] = left.splice(Math.floor(random() * left.length), 1);
    return name;
  });
}

/** The smallest value that at least `percent` of all do not exceed; `NaN` of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(percent / 100 * sorted.length) - 1)] ?? NaN;
}
