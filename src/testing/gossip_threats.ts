/**
 * What becomes of messages that should not come to anybody: old ones that are sent again, such as say that they are of the
 * future, and such as peers refuse.
 *
 * @module
 */

import { peekEnvelope } from "../gossip/envelope.ts";
import { keyOf } from "../gossip/id_list.ts";
import { readPacket } from "../gossip/packets.ts";
import type { GossipTuning } from "../gossip/options.ts";
import type { Address } from "../transport/transport.ts";
import { decode } from "../wire/msgpack.ts";
import { GossipNode, type GossipNodeOptions, type Incoming, PUSH_HEADER } from "./gossip_node.ts";
import {
  type GossipOptions,
  type GossipRun,
  namesOf,
  oneOf,
  runGossip,
} from "./gossip_scenario.ts";
import type { SimHost } from "./host.ts";
import { simSigner } from "./swim_node.ts";

/** Messages that are published, and the time between two in milliseconds. */
const MESSAGES = 20;
const EVERY_MS = 300;

/** When they are sent again, and when one peer begins anew; in milliseconds after that. */
const REPLAY_AFTER_MS = 3_600_000;
const RESTART_AFTER_MS = 3_540_000;

/** How far in the future a message says it is: a little, and more than is taken; in milliseconds. */
const A_LITTLE_MS = 50_000;
const FAR_MS = 2 * 3_600_000;

/** Pings of an hour take longer to simulate than all that is measured: so there are fewer. */
const CALM: Partial<GossipTuning> = { pingMs: 10_000, aloneMs: 16_000, goneMs: 50_000 };

const DAY_MS = 24 * 3_600_000;

/** What old messages do that are sent again. */
export interface ReplayFigures {
  /** Packets with an old message that were sent to others. */
  readonly replayed: number;
  /** Messages that came to somebody by them. */
  readonly deliveries: number;
  /** Deliveries of a message that says it is of two hours later. */
  readonly futureDeliveries: number;
  /** Peers that one message of a little later came to: those who should have it. */
  readonly littleDeliveries: number;
  /** Peers that keep any of all these in the end, but for who wrote the one of the future. */
  readonly keptBy: number;
}

/** How far a message goes that all others refuse. */
export interface RejectionFigures {
  /** Peers that got its bytes from its author. */
  readonly first: number;
  /** Ways by which its bytes came to somebody else. */
  readonly beyond: number;
  /** Peers that it was given to. */
  readonly deliveries: number;
  /** Peers that do not let its author be their neighbour any more. */
  readonly shunnedBy: number;
  /** Peers other than its author that somebody does not listen to any more. */
  readonly wronged: number;
}

/**
 * Lets a peer record every message, and push them at everybody an hour later: at those who ran all the time, at one that
 * has begun anew a minute before, and at some whose clocks are a day ahead, a day behind or an hour behind.
 */
export function measureReplay(options: GossipOptions): GossipRun<ReplayFigures> {
  const { nodes = 20 } = options;
  const skews = new Map([["n1", DAY_MS], ["n2", -DAY_MS], ["n3", -REPLAY_AFTER_MS]]);
  const recorder = namesOf(nodes).at(-1);
  return runGossip({ ...options, nodes }, {
    swarm: {
      tuning: CALM,
      skewMs: (name) => skews.get(name) ?? 0,
      make: (host, made) => {
        return host.name === recorder ? new Recorder(host, made) : new GossipNode(host, made);
      },
    },
    faults: (_, startMs) => [{ atMs: startMs + RESTART_AFTER_MS, kind: "restart", node: "n4" }],
    measure: ({ swarm, random }) => {
      const { simulation, names } = swarm;
      for (let nth = 0; nth < MESSAGES; nth++) {
        swarm.publish(oneOf(names, random));
        simulation.run(EVERY_MS);
      }
      const [little, far] = [A_LITTLE_MS, FAR_MS].map((ms) => swarm.publish("n0", "later", ms));
      simulation.run(5_000);
      const littleDeliveries = little?.arrivals.size ?? 0;
      simulation.run(REPLAY_AFTER_MS - 5_000);
      const deliveries = () => {
        const spreads = [...swarm.spreads.values()];
        return spreads.reduce((sum, { arrivals, repeated }) => sum + arrivals.size + repeated, 0);
      };
      const before = deliveries();
      const others = swarm.running.filter((node) => node !== swarm.node("n0"));
      const attacker = swarm.running.find((node) => node instanceof Recorder);
      const replayed = attacker?.replay(swarm.running) ?? 0;
      simulation.run(5_000);
      return {
        replayed,
        deliveries: deliveries() - before,
        futureDeliveries: far?.arrivals.size ?? 0,
        littleDeliveries,
        keptBy: others.filter(({ topic }) => topic.history.size > 0).length,
      };
    },
  });
}

/** Publishes a message that everybody but its author refuses. */
export function measureRejection(options: GossipOptions): GossipRun<RejectionFigures> {
  const bad = "refused";
  const ways = new Map<string, Set<string>>();
  return runGossip(options, {
    swarm: {
      settings: { validate: ({ bytes }) => decode(bytes) === bad ? "reject" : "accept" },
      make: (host, made) => {
        return new Watcher(host, made, (key, from) => {
          ways.set(key, (ways.get(key) ?? new Set()).add(`${from} ${host.name}`));
        });
      },
    },
    measure: ({ swarm, random }) => {
      const { simulation, names } = swarm;
      for (let nth = 0; nth < MESSAGES; nth++) {
        swarm.publish(oneOf(names, random));
        simulation.run(EVERY_MS);
      }
      const author = oneOf(names, random);
      const spread = swarm.publish(author, bad);
      simulation.run(60_000);
      const { peerId } = swarm.node(author);
      const others = swarm.running.filter((node) => node.peerId !== peerId);
      const [key = ""] = [...swarm.spreads].findLast(([, one]) => one === spread) ?? [];
      const taken = [...ways.get(key) ?? []];
      const first = taken.filter((way) => way.startsWith(peerId)).length;
      return {
        first,
        beyond: taken.length - first,
        deliveries: spread.arrivals.size,
        shunnedBy: others.filter((node) => !node.welcomes(peerId)).length,
        wronged: others.filter((node) => {
          return others.some((other) => other.graylists(node.peerId));
        }).length,
      };
    },
  });
}

const { idOf } = simSigner("anybody");

/** Keeps every packet that brings a message. */
class Recorder extends GossipNode {
  readonly #packets = new Map<string, Uint8Array>();

  protected override take(incoming: Incoming, peerId: string, from: Address): void {
    const { header, packet } = incoming;
    if (header === PUSH_HEADER) this.#packets.set(packet.toHex(), new Uint8Array(packet));
    super.take(incoming, peerId, from);
  }

  /** Sends all of them to everybody. @returns how many packets. */
  replay(victims: readonly GossipNode[]): number {
    const others = victims.filter((victim) => victim !== this);
    for (const packet of this.#packets.values()) {
      for (const { contact } of others) this.send(packet, contact, "body");
    }
    return this.#packets.size * others.length;
  }
}

/** Tells from whom a message comes, whatever becomes of it. */
class Watcher extends GossipNode {
  readonly #onPush: (key: string, from: string) => void;

  constructor(
    host: SimHost,
    options: GossipNodeOptions,
    onPush: (key: string, from: string) => void,
  ) {
    super(host, options);
    this.#onPush = onPush;
  }

  protected override take(incoming: Incoming, peerId: string, from: Address): void {
    const read = readPacket(incoming.header, incoming.body);
    if (read.kind === "push") {
      const { author, seq } = peekEnvelope(read.envelope, idOf);
      this.#onPush(keyOf(author, seq), peerId);
    }
    super.take(incoming, peerId, from);
  }
}
