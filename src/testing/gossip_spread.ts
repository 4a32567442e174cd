/**
 * How messages spread where nothing goes wrong: to whom, how soon, by how many hops and at which price.
 *
 * @module
 */

import {
  type GossipOptions,
  type GossipRun,
  judgeSpreads,
  lastHop,
  lastMs,
  mean,
  oneOf,
  runGossip,
} from "./gossip_scenario.ts";
import type { GossipSwarm } from "./gossip_swarm.ts";

/** Messages that are measured, those before them by which the trees are found, and the time between two. */
const MESSAGES = 20;
const WARM_UP = 20;
const EVERY_MS = 300;

/** How long the last message has, in milliseconds. */
const PATIENCE_MS = 5_000;

/** How messages spread. */
export interface SpreadFigures {
  /** Deliveries that are missing. */
  readonly missed: number;
  /** Messages that came to somebody twice, as seen by who reads them. */
  readonly repeated: number;
  /** Packets with a message for each delivery, less the one that it takes (relative redundancy). */
  readonly redundancy: number;
  /** For each message, the hops that it took to the last one. */
  readonly lastHop: readonly number[];
  /** Their mean. */
  readonly meanLastHop: number;
  /** For each message, the milliseconds to the last one. */
  readonly lastMs: readonly number[];
  /** Bytes of packets without a message that a peer sends for each message, pings and all else among them. */
  readonly controlBytes: number;
}

/** Publishes messages, one after another, and measures those after the first twenty. */
export function measureSpread(
  options: GossipOptions & {
    /** Whether one peer publishes all of them, or each another one. @default {"one"} */
    readonly senders?: "one" | "many";
  },
): GossipRun<SpreadFigures> {
  const { senders = "one" } = options;
  return runGossip(options, {
    measure: ({ swarm, random }) => {
      const only = oneOf(swarm.names, random);
      const publish = () => {
        const by = senders === "one" ? only : oneOf(swarm.names, random);
        const spread = swarm.publish(by);
        swarm.simulation.run(EVERY_MS);
        return spread;
      };
      Array.from({ length: WARM_UP }, publish);
      swarm.simulation.run(PATIENCE_MS);
      const before = trafficOf(swarm);
      const spreads = Array.from({ length: MESSAGES }, publish);
      const { controlBytes } = trafficOf(swarm);
      swarm.simulation.run(PATIENCE_MS);
      const others = swarm.names.length - 1;
      const { bodies } = trafficOf(swarm);
      const hops = spreads.map((spread) => lastHop(spread));
      return {
        ...judgeSpreads(swarm, spreads),
        redundancy: (bodies - before.bodies) / MESSAGES / others - 1,
        lastHop: hops,
        meanLastHop: mean(hops),
        lastMs: spreads.map((spread) => lastMs(spread)),
        controlBytes: (controlBytes - before.controlBytes) / MESSAGES / swarm.names.length,
      };
    },
  });
}

/** What peers who run got and sent. @param isMeant Of whom. @default all */
export function trafficOf(
  swarm: GossipSwarm,
  isMeant: (name: string) => boolean = () => true,
): { bodies: number; controlBytes: number } {
  const total = { bodies: 0, controlBytes: 0 };
  for (const name of swarm.simulation.running.filter(isMeant)) {
    const { traffic } = swarm.node(name);
    total.bodies += traffic.bodiesIn;
    total.controlBytes += traffic.controlBytesOut;
  }
  return total;
}
