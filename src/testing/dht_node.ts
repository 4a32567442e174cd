/**
 * A node of the DHT under simulation: the real one, in memory, and asked by letters.
 *
 * @module
 */

import { type Contact, contactOf } from "../dht/contact.ts";
import { DhtNode } from "../dht/dht_node.ts";
import { ID_BYTES, type NodeId } from "../dht/node_id.ts";
import type { DhtTuning } from "../dht/options.ts";
import type { Answer, Asker, Question } from "../dht/questions.ts";
import { MemoryStorage } from "../dht/storage.ts";
import { silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { Post } from "./dht_post.ts";
import { SimDhtWire } from "./dht_wire.ts";
import type { SimHost, SimNode } from "./host.ts";

/** How a simulated node is made. */
export interface SimDhtNodeOptions {
  /** Where letters lie. */
  readonly post: Post;
  /** The time of the whole network, in milliseconds. */
  readonly nowMs: () => number;
  /** What differs from the protocol's defaults. @default {{}} */
  readonly tuning?: Partial<DhtTuning>;
  /** Its id. @default by chance */
  readonly id?: NodeId | undefined;
  /** Hears of what is our own fault. */
  readonly onFault: (why: unknown) => void;
}

/** One simulated node. */
export class SimDhtNode implements SimNode {
  /** Its name. */
  readonly name: string;
  /** Who and where it is. */
  readonly contact: Contact;
  /** The node. */
  readonly node: DhtNode;
  /** How it asks. */
  readonly wire: SimDhtWire;

  /** Knows nobody. */
  constructor(host: SimHost, options: SimDhtNodeOptions) {
    const { post, nowMs, tuning = {}, onFault } = options;
    const { name, address, clock } = host;
    const id = options.id ?? randomId(() => clock.random());
    this.name = name;
    this.contact = contactOf(id, address);
    const answer = (question: Question, asker: Asker) => this.heard(question, asker);
    this.wire = new SimDhtWire({ host, post, nowMs, self: this.contact, answer });
    this.node = new DhtNode({
      self: id,
      wire: this.wire,
      storage: new MemoryStorage(),
      clock,
      log: { ...silentLogger, error: (_message, fields) => onFault(fields?.why) },
      metrics: new Metrics(),
    }, tuning);
  }

  /** Takes a packet. */
  receive(packet: Uint8Array, from: Address): void {
    this.wire.receive(packet, from);
  }

  /** Answers a question. @returns `undefined` for silence. @throws {PeerError} to refuse. */
  heard(question: Question, asker: Asker): Answer | undefined {
    return this.node.answer(question, asker);
  }
}

/** An id like any other. */
export function randomId(random: () => number): NodeId {
  return Uint8Array.from({ length: ID_BYTES }, () => Math.floor(random() * 256));
}
