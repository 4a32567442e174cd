/**
 * Figures of the DHT: scenarios that are run in the simulator, each with a seed, and fail with what it takes to see that
 * again.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import type { SimDhtNode } from "./dht_node.ts";
import { DhtSwarm, type DhtSwarmOptions } from "./dht_swarm.ts";
import { ScenarioError } from "./explore.ts";
import { oneOf, WAN } from "./gossip_scenario.ts";
import { seedFrom } from "./machine.ts";
import { draw, type MembershipRun } from "./membership.ts";
import { Simulation } from "./simulation.ts";

/** Time between two nodes that join, and how long the last one has before anything happens, in milliseconds. */
const JOIN_MS = 50;
const SETTLE_MS = 10_000;

/** Nodes that each is told of to begin with: where they are few all may be hostile, and who joins is captured. */
const FIRST_CONTACTS = 6;

/** What every scenario can be told. */
export interface DhtOptions {
  /** Decides everything that is drawn. */
  readonly seed: number;
  /** How many nodes. @default {100} */
  readonly nodes?: number;
  /** Share of packets that get lost, 0..1. @default {0} */
  readonly loss?: number;
  /** Hears how far it is, in simulated milliseconds, now and then. @default {() => {}} */
  readonly onProgress?: (ms: number) => Promise<void> | void;
  /** Gives up when aborted; `onProgress` has to let that happen. */
  readonly signal?: AbortSignal;
}

/** A run of a scenario. */
export type DhtRun<Figures> = MembershipRun<Figures>;

/** What a scenario is given. */
export interface DhtStage {
  /** The nodes: all have joined, and had a while to settle in. */
  readonly swarm: DhtSwarm;
  /** Chance that is the scenario's own. */
  readonly random: () => number;
}

/** A scenario. */
export interface DhtScenario<Figures> {
  /** How the nodes are made. */
  readonly swarm?: DhtSwarmOptions;
  /** Measures; throws where something does not hold that makes measuring senseless. */
  readonly measure: (stage: DhtStage) => Promise<Figures>;
}

/**
 * Runs a scenario once.
 *
 * @throws {ScenarioError} when measuring throws, with the seed that it takes.
 * @throws the signal's reason.
 */
export async function runDht<Figures>(
  options: DhtOptions,
  { swarm: made = {}, measure }: DhtScenario<Figures>,
): Promise<DhtRun<Figures>> {
  const { seed, nodes = 100, loss = 0, onProgress = () => {}, signal } = options;
  using simulation = new Simulation({ seed, link: { ...WAN, loss } });
  await using swarm = new DhtSwarm(simulation, {
    ...made,
    onProgress: async (ms) => {
      await onProgress(ms);
      signal?.throwIfAborted();
    },
  });
  const chance = (what: string) => seededRandom(seedFrom(`${seed} ${what}`));
  try {
    await join(swarm, nodes, chance("joining"));
    const figures = await measure({ swarm, random: chance("scenario") });
    const { hash, totals: { events } } = simulation;
    return { seed, hash, events, figures };
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ScenarioError(cause, { seed, faults: [] });
  }
}

/** Lets nodes join, one after the other, each by some who are there. */
async function join(swarm: DhtSwarm, nodes: number, random: () => number): Promise<void> {
  const there: SimDhtNode[] = [];
  for (let nth = 0; nth < nodes; nth++) {
    const first = new Set<SimDhtNode>();
    while (first.size < Math.min(nth, FIRST_CONTACTS)) first.add(oneOf(there, random));
    there.push(swarm.spawn(`n${nth}`, [...first]));
    await swarm.pass(JOIN_MS);
  }
  await swarm.pass(SETTLE_MS);
}

/** Cuts the power of some nodes at once. @returns those that are left. */
export function killSome(
  { swarm, random }: DhtStage,
  share: number,
  nodes: readonly SimDhtNode[] = swarm.running,
): SimDhtNode[] {
  const names = draw(nodes.map(({ name }) => name), share * nodes.length, random);
  for (const name of names) swarm.kill(name);
  return swarm.running;
}
