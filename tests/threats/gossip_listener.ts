/**
 * A peer of a topic whom a test tells whatever it likes, for the tests of threats: the real state machine, without a network.
 *
 * @module
 */

import { assert } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import type { Contact } from "../../src/gossip/contact.ts";
import { signEnvelopes, topicKeyOf } from "../../src/gossip/envelope.ts";
import { Overlay } from "../../src/gossip/overlay.ts";
import {
  encodePacket,
  type GossipKind,
  type GossipPacket,
  readPacket,
} from "../../src/gossip/packets.ts";
import type { Topic, TopicSettings } from "../../src/gossip/topic.ts";
import { silentLogger } from "../../src/log.ts";
import type { Signer } from "../../src/membership/claims.ts";
import { Metrics } from "../../src/metrics.ts";
import { simSigner } from "../../src/testing/swim_node.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { encode } from "../../src/wire/msgpack.ts";

const NAME = "news";

/** The key of the topic that all tests are about. */
export const TOPIC = topicKeyOf(NAME);

const signers = new Map<string, Signer>();

/** Somebody's key; making one takes long enough to do it once. */
export function signerOf(name: string): Signer {
  const signer = signers.get(name) ?? simSigner(name);
  signers.set(name, signer);
  return signer;
}

/** Somebody with one address. */
export function contactOf(name: string, nth = 1): Contact {
  return { peerId: signerOf(name).peerId, hosts: [`10.0.0.${nth}`], port: 4_000 + nth };
}

/** What a peer sent. */
export interface Sent {
  readonly packet: GossipPacket;
  readonly bytes: Uint8Array;
  readonly to: string;
}

/** A peer that takes part in a topic, and hears what a test tells it. */
export class Listener {
  readonly clock = new ManualClock();
  readonly contact: Contact;
  readonly overlay: Overlay;
  readonly topic: Topic;
  readonly delivered: string[] = [];
  /** Whom it has found to keep nothing that is missing here. */
  readonly compared: string[] = [];
  sent: Sent[] = [];
  /** Where it sent something to. */
  readonly reached: Contact[] = [];
  /** What it sent that nobody can read. */
  unreadable: string[] = [];
  readonly #signer: Signer;

  constructor(name: string, settings: TopicSettings = {}) {
    this.#signer = signerOf(name);
    this.contact = contactOf(name, 200);
    this.overlay = new Overlay({
      clock: this.clock,
      author: this.#signer,
      log: silentLogger,
      metrics: new Metrics(),
      verify: (...proof) => this.#signer.verify(...proof),
      idOf: (key) => this.#signer.idOf(key),
      self: () => this.contact,
      send: (bytes, to) => this.#caught(bytes, to),
      hasRoom: () => true,
      admits: () => true,
      released: () => {},
      emit: (_, event) => {
        if (event.type === "message") this.delivered.push(event.message.from);
        if (event.type === "compared" && event.isEqual) this.compared.push(event.peerId);
      },
    });
    this.topic = this.overlay.join(NAME, settings);
  }

  /** Somebody says something to it. */
  hear(packet: GossipPacket, from: Contact): void {
    const { header, body } = decodeWireData(encodePacket(packet, TOPIC));
    readPacket(header, body); // a test whose own packets are wrong shows nothing
    this.overlay.receive(header, body, from);
  }

  /** Somebody becomes its neighbour. */
  befriend(name: string, nth = 1): Contact {
    const contact = contactOf(name, nth);
    this.hear(
      { kind: "neighbor", priority: "join", contact, wallMs: this.clock.wallMs() },
      contact,
    );
    assert(this.topic.view.has(contact.peerId));
    this.sent = [];
    return contact;
  }

  /** Somebody passes on a message of an author. */
  push(author: string, from: Contact, { hops = 0, seq = this.clock.wallMs() * 2_048 } = {}): void {
    const createdMs = this.clock.wallMs();
    const data = encode("x");
    for (const envelope of signEnvelopes(signerOf(author), TOPIC, [{ seq, createdMs, data }])) {
      this.hear({ kind: "push", envelope, hops }, from);
    }
  }

  /** What it sent of a kind. */
  sentOf<K extends GossipKind>(kind: K): (Sent & { packet: GossipPacket & { kind: K } })[] {
    return this.sent.filter((one): one is Sent & { packet: GossipPacket & { kind: K } } => {
      return one.packet.kind === kind;
    });
  }

  #caught(bytes: Uint8Array, contact: Contact): void {
    const { peerId: to } = contact;
    this.reached.push(contact);
    const { header, body } = decodeWireData(bytes);
    try {
      this.sent.push({ packet: readPacket(header, body), bytes, to });
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.unreadable.push(`${header}: ${error.message}`);
    }
  }
}

/** Peers that nobody has met. */
export function manyContacts(count: number, first = 0): Contact[] {
  return Array.from({ length: count }, (_, nth) => ({
    peerId: signerOf(`contact ${first + nth}`).peerId,
    hosts: [`192.0.2.${(first + nth) % 250 + 1}`],
    port: 1_000 + first + nth,
  }));
}
