/**
 * Simulated peers of a topic, and what is seen from outside: who got which message, when, and by how many hops.
 *
 * @module
 */

import type { Contact } from "../gossip/contact.ts";
import { keyOf } from "../gossip/id_list.ts";
import { draw } from "../gossip/shuffled.ts";
import type { Address } from "../transport/transport.ts";
import { formatAddress } from "../transport/transport.ts";
import { GossipNode, type GossipNodeOptions } from "./gossip_node.ts";
import type { SimHost } from "./host.ts";
import type { Simulation } from "./simulation.ts";

/** Peers that each knows of when it begins. */
const FIRST_CONTACTS = 3;

/** How a {@linkcode GossipSwarm} is made. */
export interface GossipSwarmOptions extends Pick<GossipNodeOptions, "tuning" | "settings"> {
  /** How many peers. */
  readonly nodes: number;
  /** Time between two that join, in milliseconds. @default {5} */
  readonly joinEveryMs?: number;
  /** How far ahead a peer's clock is, in milliseconds. @default {() => 0} */
  readonly skewMs?: (name: string) => number;
  /** Whether a peer may be told of another one to begin with. @default {() => true} */
  readonly mayKnow?: (name: string, other: string) => boolean;
  /** Makes a peer. @default {new GossipNode(host, options)} */
  readonly make?: (host: SimHost, options: GossipNodeOptions) => GossipNode;
}

/** What became of a message. */
export interface Spread {
  /** When it was published, in simulated milliseconds. */
  readonly atMs: number;
  /** Who published it. */
  readonly by: string;
  /** In which of its lives. */
  readonly life: number;
  /** When it came to whom, and by how many hops. */
  readonly arrivals: Map<string, { readonly atMs: number; readonly hops: number }>;
  /** Deliveries to somebody who had it in that life. */
  repeated: number;
}

/** Peers `n0`, `n1`, ...; see the module. */
export class GossipSwarm {
  /** Where they live. */
  readonly simulation: Simulation;
  /** Their names. */
  readonly names: string[] = [];
  /** Every message that was published through {@linkcode GossipSwarm.publish}, by its key. */
  readonly spreads: Map<string, Spread> = new Map();
  /** Deliveries of messages that were not published through it, by author. */
  readonly unknown: Map<string, number> = new Map();
  readonly #options: GossipSwarmOptions;
  readonly #nodes = new Map<string, GossipNode>();
  readonly #peerIds = new Map<string, string>();
  readonly #contacts = new Map<string, Contact>();

  /** Lets them join, one after the other, each by some who are there. */
  constructor(simulation: Simulation, options: GossipSwarmOptions) {
    this.simulation = simulation;
    this.#options = options;
    const { nodes, joinEveryMs = 5 } = options;
    for (let nth = 0; nth < nodes; nth++) {
      this.spawn(`n${nth}`);
      simulation.run(joinEveryMs);
    }
  }

  /** Those who run. */
  get running(): GossipNode[] {
    return this.simulation.running.flatMap((name) => this.#nodes.get(name) ?? []);
  }

  /** The one of that name. @throws {RangeError} for a name that nobody has. */
  node(name: string): GossipNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new RangeError(`There is no peer ${name}`);
    return node;
  }

  /** Adds a peer. */
  spawn(name: string): GossipNode {
    const { skewMs = () => 0 } = this.#options;
    this.names.push(name);
    return this.simulation.spawn(name, (host) => this.#make(host), { skewMs: skewMs(name) });
  }

  /** Publishes something from a peer. @param aheadMs See {@linkcode GossipNode.publish}. @returns what becomes of it. */
  publish(by: string, value: unknown = "x".repeat(64), aheadMs = 0): Spread {
    const node = this.node(by);
    const { life } = node;
    const atMs = this.simulation.nowMs;
    const spread: Spread = { atMs, by, life, arrivals: new Map(), repeated: 0 };
    const seq = node.publish(value, aheadMs);
    this.spreads.set(keyOf(node.peerId, seq), spread);
    return spread;
  }

  /** Those who have not got a message in their present life. @param among Of whom. @default all who run */
  missed(
    { by, life, arrivals }: Spread,
    among: readonly string[] = this.simulation.running,
  ): string[] {
    return among.filter((name) => {
      return !arrivals.has(name) && (name !== by || this.node(name).life !== life);
    });
  }

  /** How often something happened that peers count, all running ones together. */
  counted(what: string): number {
    const counts = this.running.map(({ metrics }) => metrics.counter(`gossip.${what}`).value);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  #make(host: SimHost): GossipNode {
    const { make = (host, options) => new GossipNode(host, options) } = this.#options;
    const node = make(host, {
      ...this.#options,
      peerAt: (address) => this.#peerAt(address),
      contacts: () => this.#someFor(host),
      onEvent: (event) => {
        if (event.type !== "message") return;
        const { from, seq, hops } = event.message;
        const spread = this.spreads.get(keyOf(from, seq));
        if (spread === undefined) {
          this.unknown.set(from, (this.unknown.get(from) ?? 0) + 1);
          return;
        }
        if (spread.arrivals.has(host.name)) spread.repeated++;
        else spread.arrivals.set(host.name, { atMs: this.simulation.nowMs, hops });
      },
    });
    this.#peerIds.set(formatAddress(host.address), node.peerId);
    this.#nodes.set(host.name, node);
    this.#contacts.set(host.name, node.contact);
    // Whoever begins anew has to get everything anew.
    if (host.life > 1) {
      for (const { arrivals } of this.spreads.values()) arrivals.delete(host.name);
    }
    return node;
  }

  /** Whom a peer is told of when it has nobody. */
  #someFor({ name, clock }: SimHost): Contact[] {
    const { mayKnow = () => true } = this.#options;
    const others = [...this.#contacts].filter(([other]) => other !== name && mayKnow(name, other));
    return draw(others, FIRST_CONTACTS, () => clock.random()).map(([, contact]) => contact);
  }

  #peerAt(address: Address): string {
    return this.#peerIds.get(formatAddress(address)) ?? "";
  }
}
