/**
 * What is left of a topic in which many harm it, and of those who do not.
 *
 * @module
 */

import {
  type GossipOptions,
  type GossipRun,
  mean,
  namesOf,
  oneOf,
  runGossip,
} from "./gossip_scenario.ts";
import { HostileNode, HOSTILITIES, type Hostility } from "./gossip_hostile.ts";
import { GossipNode } from "./gossip_node.ts";
import type { GossipSwarm, Spread } from "./gossip_swarm.ts";
import { draw } from "./membership.ts";
import { seededRandom } from "../clock.ts";
import { seedFrom } from "./machine.ts";

/** Time between two messages of honest peers, in milliseconds. */
const EVERY_MS = 200;

/** What comes in that time is in time; and how long is waited for what comes later; in milliseconds. */
const SOON_MS = 3_000;
const PATIENCE_MS = 10_000;

/** What honest peers have of messages and how full they are, among hostile ones. */
export interface HostilityFigures {
  /** The part of all deliveries from honest to honest peers that there were in the end. */
  readonly delivered: number;
  /** The same within three seconds. */
  readonly deliveredSoon: number;
  /** Deliveries to somebody who had it. */
  readonly repeated: number;
  /** Messages in the name of honest peers that these have not published, and that came to somebody all the same. */
  readonly forged: number;
  /** Honest peers that an honest one does not listen to any more, counted at each. */
  readonly wronged: number;
  /** Hostile peers that an honest one does not let be its neighbours, as a mean of all honest ones. */
  readonly shunned: number;
  /** Honest peers of which no neighbour is honest, in the end. */
  readonly surrounded: number;
  /** The part of an honest peer's neighbours that is hostile in the end, as a mean. */
  readonly hostileNeighbors: number;
  /** The most ids that any honest peer had to tell at any time. */
  readonly mostUntold: number;
  /** The most ids that any waited for. */
  readonly mostMissing: number;
  /** The most bytes of messages that any kept. */
  readonly mostBytes: number;
  /** The most messages that any kept. */
  readonly mostKept: number;
  /** The most peers that any knew of and had not for neighbours. */
  readonly mostKnown: number;
  /** Bytes that an honest peer sent, for each message of an honest one. */
  readonly bytesPerMessage: number;
}

/** Lets 30 % of the peers be hostile, and the others publish. */
export function measureHostility(
  options: GossipOptions & {
    /** What they do; several kinds in equal parts. @default {HOSTILITIES} */
    readonly kinds?: readonly Hostility[];
    /** Their share, 0..1. @default {0.3} */
    readonly malicious?: number;
    /** Messages that each of them publishes where they flood. @default {100} */
    readonly ownMessages?: number;
    /** Messages of honest peers. @default {100} */
    readonly messages?: number;
  },
): GossipRun<HostilityFigures> {
  const { seed, nodes = 100, kinds = HOSTILITIES, malicious = 0.3 } = options;
  const { ownMessages = 100, messages = 100 } = options;
  const random = seededRandom(seedFrom(`${seed} hostile`));
  const hostile = new Map(
    draw(namesOf(nodes), malicious * nodes, random).map((name, nth) => {
      return [name, kinds[nth % kinds.length] ?? "drop"] as const;
    }),
  );
  let all: readonly GossipNode[] = [];
  return runGossip({ ...options, nodes }, {
    swarm: {
      make: (host, made) => {
        const hostility = hostile.get(host.name);
        if (hostility === undefined) return new GossipNode(host, made);
        return new HostileNode(host, made, { hostility, ownMessages, all: () => all });
      },
    },
    measure: ({ swarm, random }) => {
      all = swarm.running;
      const honest = swarm.names.filter((name) => !hostile.has(name));
      return measure(swarm, { honest, messages, random });
    },
  });
}

function measure(
  swarm: GossipSwarm,
  { honest, messages, random }: {
    readonly honest: readonly string[];
    readonly messages: number;
    readonly random: () => number;
  },
): HostilityFigures {
  const { simulation } = swarm;
  for (const node of swarm.running) if (node instanceof HostileNode) node.begin();
  const most = new Fullest(honest.map((name) => swarm.node(name)));
  const bytesBefore = bytesOf(swarm, honest);
  const spreads = Array.from({ length: messages }, () => {
    const spread = swarm.publish(oneOf(honest, random));
    simulation.run(EVERY_MS);
    most.look();
    return spread;
  });
  const bytesPerMessage = (bytesOf(swarm, honest) - bytesBefore) / messages / honest.length;
  for (let ms = 0; ms < PATIENCE_MS; ms += 1_000) {
    simulation.run(1_000);
    most.look();
  }
  const share = (isIn: (ms: number) => boolean) =>
    mean(spreads.map((spread) => {
      return deliveriesOf(spread, honest, isIn) / (honest.length - 1);
    }));
  return {
    delivered: share(() => true),
    deliveredSoon: share((ms) => ms <= SOON_MS),
    repeated: spreads.reduce((sum, { repeated }) => sum + repeated, 0),
    forged: honest.reduce((sum, name) => {
      return sum + (swarm.unknown.get(swarm.node(name).peerId) ?? 0);
    }, 0),
    bytesPerMessage,
    ...most.figures,
    ...standingOf(swarm, new Set(honest)),
  };
}

/** How full honest peers were at most. */
class Fullest {
  readonly figures = { mostUntold: 0, mostMissing: 0, mostBytes: 0, mostKept: 0, mostKnown: 0 };
  readonly #nodes: readonly GossipNode[];

  constructor(nodes: readonly GossipNode[]) {
    this.#nodes = nodes;
  }

  look(): void {
    const { figures } = this;
    for (const { topic } of this.#nodes) {
      const { tree, history, view } = topic;
      figures.mostUntold = Math.max(figures.mostUntold, tree.untold);
      figures.mostMissing = Math.max(figures.mostMissing, tree.missing);
      figures.mostBytes = Math.max(figures.mostBytes, history.bytes);
      figures.mostKept = Math.max(figures.mostKept, history.size);
      figures.mostKnown = Math.max(figures.mostKnown, view.known);
    }
  }
}

function deliveriesOf(
  { atMs, by, arrivals }: Spread,
  honest: readonly string[],
  isIn: (ms: number) => boolean,
): number {
  return honest.filter((name) => {
    const arrival = arrivals.get(name);
    return name !== by && arrival !== undefined && isIn(arrival.atMs - atMs);
  }).length;
}

/** What honest peers think of others, and whom they have. */
function standingOf(
  swarm: GossipSwarm,
  honest: ReadonlySet<string>,
): Pick<HostilityFigures, "wronged" | "shunned" | "surrounded" | "hostileNeighbors"> {
  const nodes = swarm.names.map((name) => [swarm.node(name), honest.has(name)] as const);
  const good = new Set(nodes.filter(([, isHonest]) => isHonest).map(([node]) => node.peerId));
  let [wronged, shunned, surrounded] = [0, 0, 0];
  const shares: number[] = [];
  for (const [node, isHonest] of nodes) {
    if (!isHonest) continue;
    for (const [{ peerId }, isGood] of nodes) {
      if (isGood && node.graylists(peerId)) wronged++;
      if (!isGood && !node.welcomes(peerId)) shunned++;
    }
    const { neighbors } = node.topic.view;
    const bad = neighbors.filter(({ peerId }) => !good.has(peerId)).length;
    if (bad === neighbors.length) surrounded++;
    if (neighbors.length > 0) shares.push(bad / neighbors.length);
  }
  return {
    wronged,
    shunned: shunned / honest.size,
    surrounded,
    hostileNeighbors: mean(shares),
  };
}

function bytesOf({ simulation }: GossipSwarm, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + simulation.stats(name).bytesOut, 0);
}
