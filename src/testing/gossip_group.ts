/**
 * How a topic does, of any size, on links of any quality, with hostile peers or without, in one go: for a tool that shows
 * it.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import { HostileNode, HOSTILITIES } from "./gossip_hostile.ts";
import { GossipNode } from "./gossip_node.ts";
import { lastHop, lastMs, namesOf, oneOf, WAN } from "./gossip_scenario.ts";
import { trafficOf } from "./gossip_spread.ts";
import { GossipSwarm, type Spread } from "./gossip_swarm.ts";
import { seedFrom } from "./machine.ts";
import { draw, percentile } from "./membership.ts";
import { Simulation } from "./simulation.ts";

/** How long peers have to find their neighbours, in milliseconds. */
const SETTLE_MS = 10_000;

/** Messages before those that are measured, those, and the time between two in milliseconds. */
const WARM_UP = 20;
const MESSAGES = 20;
const EVERY_MS = 300;

/** How long messages are waited for after the last one, in milliseconds. */
const PATIENCE_MS = 30_000;

/** What is simulated. */
export interface TopicOptions {
  /** Decides everything that is drawn. */
  readonly seed: number;
  /** How many peers. @default {1000} */
  readonly nodes?: number;
  /** Whether one peer publishes all messages, or each another one. @default {"one"} */
  readonly senders?: "one" | "many";
  /** The share of the peers that is killed before the messages that are measured, 0..1. @default {0} */
  readonly kill?: number;
  /** Share of packets that get lost, 0..1. @default {0} */
  readonly loss?: number;
  /** The share of the peers that drop, forge or flood, 0..1. @default {0} */
  readonly malicious?: number;
}

/** How a topic does. Where peers are hostile, all of it is of those who are not. */
export interface TopicFigures {
  /** Deliveries that should be. */
  readonly expected: number;
  /** Those of them that are missing in the end. */
  readonly missed: number;
  /** Those that were missing after three seconds. */
  readonly missedSoon: number;
  /** Deliveries of what had been delivered. */
  readonly repeated: number;
  /** Packets with a message for each delivery, less one; those of hostile peers among them. */
  readonly redundancy: number;
  /** The most hops that a message took to the last one. */
  readonly lastHop: number;
  /** Half of the messages took no more. */
  readonly lastHopAtHalf: number;
  /** The most milliseconds that a message took to the last one. */
  readonly lastMs: number;
  /** Half of the messages took no more. */
  readonly lastMsAtHalf: number;
  /** Bytes of packets without a message that a peer sends in a second. */
  readonly controlBytesPerSecond: number;
  /** Events that happened. */
  readonly events: number;
  /** The fingerprint of all that happened: the same for the same options. */
  readonly hash: string;
}

/**
 * Simulates a topic.
 *
 * @returns the figures, after it has yielded the simulated milliseconds that are over, again and again.
 */
export function* simulateTopic(options: TopicOptions): Generator<number, TopicFigures> {
  const { seed, nodes = 1_000, senders = "one", kill = 0, loss = 0, malicious = 0 } = options;
  using simulation = new Simulation({ seed, link: { ...WAN, loss } });
  const random = seededRandom(seedFrom(`${seed} scenario`));
  const names = namesOf(nodes);
  const hostile = new Set(draw(names, malicious * nodes, random));
  const kinds = new Map([...hostile].map((name, nth) => [name, HOSTILITIES[nth % 3] ?? "drop"]));
  const swarm: GossipSwarm = new GossipSwarm(simulation, {
    nodes: 0,
    make: (host, made) => {
      const hostility = kinds.get(host.name);
      if (hostility === undefined) return new GossipNode(host, made);
      return new HostileNode(host, made, { hostility, ownMessages: 100, all: () => swarm.running });
    },
  });
  for (const name of names) {
    swarm.spawn(name);
    simulation.run(5);
    yield simulation.nowMs;
  }
  yield* pass(simulation, SETTLE_MS);
  const isHonest = (name: string) => !hostile.has(name);
  const only = oneOf(names.filter(isHonest), random);
  const spreads: Spread[] = [];
  function* publish(count: number): Generator<number> {
    for (let nth = 0; nth < count; nth++) {
      const honest = simulation.running.filter(isHonest);
      const by = senders === "one" ? only : oneOf(honest, random);
      spreads.push(swarm.publish(by));
      yield* pass(simulation, EVERY_MS);
    }
  }
  yield* publish(WARM_UP);
  yield* pass(simulation, SETTLE_MS);
  for (const node of swarm.running) if (node instanceof HostileNode) node.begin();
  for (const name of draw(names.filter((name) => name !== only), kill * nodes, random)) {
    simulation.kill(name);
  }
  const [fromMs, before] = [simulation.nowMs, trafficOf(swarm, isHonest)];
  spreads.length = 0;
  yield* publish(MESSAGES);
  yield* pass(simulation, PATIENCE_MS);
  const after = trafficOf(swarm, isHonest);
  const honest = simulation.running.filter(isHonest);
  const expected = spreads.length * (honest.length - 1);
  const missed = spreads.reduce((sum, spread) => sum + swarm.missed(spread, honest).length, 0);
  const late = spreads.flatMap(({ atMs, by, arrivals }) =>
    honest.filter((name) => {
      return name !== by && (arrivals.get(name)?.atMs ?? Infinity) - atMs > 3_000;
    })
  );
  const [hops, times] = [lastHop, lastMs].map((last) => {
    return spreads.map((spread) => last(spread, isHonest));
  });
  const seconds = (simulation.nowMs - fromMs) / 1_000;
  const { hash, totals: { events } } = simulation;
  return {
    expected,
    missed,
    missedSoon: late.length,
    repeated: spreads.reduce((sum, { repeated }) => sum + repeated, 0),
    redundancy: (after.bodies - before.bodies) / (expected - missed) - 1,
    lastHop: percentile(hops ?? [], 100),
    lastHopAtHalf: percentile(hops ?? [], 50),
    lastMs: percentile(times ?? [], 100),
    lastMsAtHalf: percentile(times ?? [], 50),
    controlBytesPerSecond: (after.controlBytes - before.controlBytes) / honest.length / seconds,
    events,
    hash,
  };
}

/** Lets time go by, in pieces. */
function* pass(simulation: Simulation, ms: number): Generator<number> {
  for (let left = ms; left > 0; left -= 250) {
    simulation.run(Math.min(left, 250));
    yield simulation.nowMs;
  }
}
