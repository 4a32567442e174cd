/**
 * A peer of a topic under simulation: the real state machines, with packets in the real encoding that may all get lost, and
 * signatures that are quick instead of safe.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import type { Contact } from "../gossip/contact.ts";
import type { GossipTuning } from "../gossip/options.ts";
import { Overlay } from "../gossip/overlay.ts";
import { GOSSIP_HEADER } from "../gossip/packets.ts";
import type { Topic, TopicSettings } from "../gossip/topic.ts";
import type { TopicEvent } from "../gossip/topic_message.ts";
import { silentLogger } from "../log.ts";
import type { Signer } from "../membership/claims.ts";
import { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import { decodeWireData, type MessageBody } from "../wire/message.ts";
import { encode } from "../wire/msgpack.ts";
import type { SimHost, SimNode } from "./host.ts";
import { simSigner } from "./swim_node.ts";

/** The topic of simulations. */
export const SIM_TOPIC = "simulated";

/** The header of packets that bring a message. */
export const PUSH_HEADER = `${GOSSIP_HEADER}push`;

/** How a simulated peer is made. */
export interface GossipNodeOptions {
  /** What differs from the protocol's defaults. */
  readonly tuning?: Partial<GossipTuning>;
  /** What the topic is like here. */
  readonly settings?: TopicSettings;
  /** Hears what happens. */
  readonly onEvent?: (event: TopicEvent, host: SimHost) => void;
  /** Who is at an address, as a connection would prove. */
  readonly peerAt: (address: Address) => string;
  /** Whom it may ask first, and whenever it has nobody. */
  readonly contacts: () => readonly Contact[];
}

/** A packet as it came. */
export interface Incoming {
  /** Its header. */
  readonly header: string;
  /** Its body. */
  readonly body: MessageBody;
  /** Its bytes: what is kept of them has to be copied. */
  readonly packet: Uint8Array;
}

/** How often somebody without neighbours looks for some, in milliseconds. */
const SEEK_MS = 1_000;

/** One simulated peer. */
export class GossipNode implements SimNode {
  /** Who it is. */
  readonly peerId: string;
  /** Its public key. */
  readonly publicKey: Uint8Array;
  /** Where it is. */
  readonly contact: Contact;
  /** Its state machines. */
  readonly overlay: Overlay;
  /** Its topic. */
  readonly topic: Topic;
  /** What it counts. */
  readonly metrics: Metrics = new Metrics();
  /** What it got and sent; counted on, and never reset. */
  readonly traffic: { bodiesIn: number; controlBytesOut: number } = {
    bodiesIn: 0,
    controlBytesOut: 0,
  };
  /** Its end of the network. */
  protected readonly host: SimHost;
  readonly #options: GossipNodeOptions;
  #seq: number;

  /** Starts it. */
  constructor(host: SimHost, options: GossipNodeOptions) {
    const { tuning = {}, settings = {}, onEvent = () => {} } = options;
    this.host = host;
    this.#options = options;
    const signer: Signer = simSigner(host.name);
    this.peerId = signer.peerId;
    this.publicKey = signer.publicKey;
    const { hostname, port } = host.address;
    this.contact = { peerId: this.peerId, hosts: [hostname], port };
    const { clock } = host;
    this.#seq = Math.floor(clock.wallMs()) * 2_048 + Math.floor(clock.random() * 2_048);
    this.overlay = new Overlay({
      clock,
      author: signer,
      log: silentLogger,
      metrics: this.metrics,
      verify: (key, bytes, signature) => signer.verify(key, bytes, signature),
      idOf: (key) => signer.idOf(key),
      self: () => this.contact,
      send: (packet, to, kind) => this.send(packet, to, kind),
      hasRoom: () => true,
      admits: () => true,
      released: () => {},
      emit: (_topic, event) => onEvent(event, host),
    }, tuning);
    this.topic = this.overlay.join(SIM_TOPIC, settings);
    clock.after(0, () => this.#seek()); // not before it is made
  }

  /** Which life of its machine it is. */
  get life(): number {
    return this.host.life;
  }

  /**
   * Publishes something. @returns its number.
   *
   * @param aheadMs How far off the time is that it says. @default {0}
   */
  publish(value: unknown, aheadMs = 0): number {
    const seq = this.#seq++;
    const createdMs = Math.floor(this.overlay.nowMs) + aheadMs;
    this.topic.publish([{ seq, createdMs, data: encode(value) }]);
    return seq;
  }

  /** Whether somebody may be its neighbour. */
  welcomes(peerId: string): boolean {
    return this.overlay.scores.isWelcome(peerId, this.host.clock.now());
  }

  /** Whether it does not listen to somebody any more. */
  graylists(peerId: string): boolean {
    return this.overlay.scores.isGraylisted(peerId, this.host.clock.now());
  }

  /** Takes a packet. */
  receive(packet: Uint8Array, from: Address): void {
    try {
      const { header, body } = decodeWireData(packet);
      this.take({ header, body, packet }, this.#options.peerAt(from), from);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.metrics.counter("gossip.malformed").add();
    }
  }

  /** Says goodbye. */
  close(): void {
    this.overlay.stop();
  }

  /** Takes what a packet says. @param peerId Who sent it. */
  protected take({ header, body }: Incoming, peerId: string, from: Address): void {
    if (header === PUSH_HEADER) this.traffic.bodiesIn++;
    this.overlay.receive(header, body, { peerId, hosts: [from.hostname], port: from.port });
  }

  /** Sends a packet. */
  protected send(packet: Uint8Array, to: Contact, kind: "control" | "body"): void {
    const [hostname] = to.hosts;
    if (kind === "control") this.traffic.controlBytesOut += packet.length;
    if (hostname !== undefined && to.port > 0) this.host.send(packet, { hostname, port: to.port });
  }

  #seek(): void {
    if (this.topic.view.size === 0) this.topic.introduce(this.#options.contacts());
    this.host.clock.after(SEEK_MS, () => this.#seek());
  }
}
