/**
 * Nodes of the simulated DHT that take part in it to harm it.
 *
 * @module
 */

import { type Contact, contactOf } from "../dht/contact.ts";
import { compareDistance, type NodeId, randomIdUnder } from "../dht/node_id.ts";
import { type Answer, type Asker, HEARD, type Question } from "../dht/questions.ts";
import { immutableRecord } from "../dht/record.ts";
import type { Address } from "../transport/transport.ts";
import { encode } from "../wire/msgpack.ts";
import { SimDhtNode, type SimDhtNodeOptions } from "./dht_node.ts";
import type { SimHost } from "./host.ts";

/**
 * What a hostile node does. All of them take every value, and give none of them:
 *
 * - `accomplices`: whatever it is asked for it names those of its own kind that are nearest to it.
 * - `inventions`: it names nodes that there are not, as near to what is asked for as nobody is, at the addresses of its own
 *   kind, who do not answer for them.
 * - `misplaced`: it names those whom it knows to be nearest, at the addresses of its own kind.
 * - `forgeries`: whatever value it is asked for it gives one of its own, which is genuine but belongs to another key.
 */
export type DhtHostility = "accomplices" | "inventions" | "misplaced" | "forgeries";

/** All of them. */
export const DHT_HOSTILITIES: readonly DhtHostility[] = [
  "accomplices",
  "inventions",
  "misplaced",
  "forgeries",
];

/** Bits that invented ids have in common with what was asked for. */
const INVENTED_BITS = 120;

/** What is given instead of other values. */
const FORGED = immutableRecord(encode("forged"));

/** How a hostile node is made. */
export interface HostileDhtOptions {
  /** What it does. */
  readonly hostility: DhtHostility;
  /** All of its kind; it adds itself. */
  readonly accomplices: HostileDhtNode[];
}

/** One that joins as others do, and does harm from the start. */
export class HostileDhtNode extends SimDhtNode {
  readonly #hostile: HostileDhtOptions;
  readonly #random: () => number;

  /** Is one of its kind. */
  constructor(host: SimHost, options: SimDhtNodeOptions, hostile: HostileDhtOptions) {
    super(host, options);
    this.#hostile = hostile;
    this.#random = () => host.clock.random();
    hostile.accomplices.push(this);
  }

  /** Answers what it likes. */
  override heard(question: Question, asker: Asker): Answer | undefined {
    super.heard({ type: "ping" }, asker); // to get to know who asks
    switch (question.type) {
      case "ping":
      case "store":
        return HEARD;
      case "find-node":
        return { nodes: this.#lies(question.target), records: [] };
      case "find-value":
        if (this.#hostile.hostility === "forgeries") return { nodes: [], records: [FORGED] };
        return { nodes: this.#lies(question.target), records: [] };
      default:
        return question satisfies never;
    }
  }

  #lies(target: NodeId): Contact[] {
    const { hostility, accomplices } = this.#hostile;
    const { k } = this.node.tuning;
    switch (hostility) {
      case "accomplices":
      case "forgeries":
        return accomplices.map(({ contact }) => contact)
          .sort((a, b) => compareDistance(target, a.id, b.id))
          .slice(0, k);
      case "inventions":
        return Array.from({ length: k }, () => {
          return contactOf(randomIdUnder(target, INVENTED_BITS, this.#random), this.#somewhere());
        });
      case "misplaced":
        return this.node.table.closest(target).map((contact) => {
          return { ...contact, address: this.#somewhere() };
        });
      default:
        return hostility satisfies never;
    }
  }

  /** Where one of its kind is. */
  #somewhere(): Address {
    const { accomplices } = this.#hostile;
    const some = accomplices[Math.floor(this.#random() * accomplices.length)] ?? this;
    return some.contact.address;
  }
}
