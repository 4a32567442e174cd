/**
 * Peers of a simulated topic that take part in it to harm it.
 *
 * @module
 */

import { readContacts, writeContact } from "../gossip/contact.ts";
import type { Contact } from "../gossip/contact.ts";
import type { MessageId } from "../gossip/id_list.ts";
import { encodePacket, GOSSIP_HEADER, type GossipPacket, readPacket } from "../gossip/packets.ts";
import type { Address } from "../transport/transport.ts";
import { decodeWireData, encodeWireData, wireData } from "../wire/message.ts";
import { encode } from "../wire/msgpack.ts";
import { GossipNode, type GossipNodeOptions, type Incoming, PUSH_HEADER } from "./gossip_node.ts";
import type { SimHost } from "./host.ts";

/**
 * What a hostile peer does, once it begins:
 *
 * - `drop`: it passes nothing on. Half of these promise messages all the same, and give none.
 * - `forge`: it changes a byte of what it passes on, and invents messages of others.
 * - `flood`: it sends what it was sent again and again, tells of messages that there are not, publishes thousands, wants
 *   to be everybody's neighbour urgently, and tells others of its own kind alone.
 */
export type Hostility = "drop" | "forge" | "flood";

/** All of them. */
export const HOSTILITIES: readonly Hostility[] = ["drop", "forge", "flood"];

/** Time between two bursts of what a hostile peer sends by itself, in milliseconds. */
const BURST_MS = 500;

/** What a burst of a flood has: copies of what came lately, invented ids, requests; and its own messages, all together. */
const COPIES = 20;
const INVENTED_IDS = 500;
const REQUESTS = 5;
const OWN_MESSAGES = 2_000;
const OWN_AT_ONCE = 50;

/** Messages of others that a forger invents at a time. */
const INVENTED_MESSAGES = 2;

/** How a hostile peer is made. */
export interface HostileOptions {
  /** What it does. */
  readonly hostility: Hostility;
  /** Messages that it publishes itself while it floods. @default {2000} */
  readonly ownMessages?: number;
  /** Everybody. */
  readonly all: () => readonly GossipNode[];
}

/** One that takes part like others until {@linkcode HostileNode.begin}. */
export class HostileNode extends GossipNode {
  readonly #hostile: HostileOptions;
  readonly #makesPromises: boolean;
  readonly #pushes: Uint8Array[] = [];
  #isHostile = false;
  #ownLeft: number;

  /** Makes one that behaves. */
  constructor(host: SimHost, options: GossipNodeOptions, hostile: HostileOptions) {
    super(host, options);
    this.#hostile = hostile;
    this.#makesPromises = host.clock.random() < 0.5;
    this.#ownLeft = hostile.ownMessages ?? OWN_MESSAGES;
  }

  /** Does harm from now on. */
  begin(): void {
    this.#isHostile = true;
    this.#burst();
  }

  /** Takes what a packet says, and keeps some that bring messages. */
  protected override take(incoming: Incoming, peerId: string, from: Address): void {
    if (incoming.header === PUSH_HEADER) {
      this.#pushes.push(new Uint8Array(incoming.packet));
      if (this.#pushes.length > COPIES) this.#pushes.shift();
    }
    super.take(incoming, peerId, from);
  }

  /** Sends what an honest peer would, or something else. */
  protected override send(packet: Uint8Array, to: Contact, kind: "control" | "body"): void {
    const sent = this.#isHostile ? this.#twisted(packet, kind) : packet;
    if (sent !== undefined) super.send(sent, to, kind);
  }

  #twisted(packet: Uint8Array, kind: "control" | "body"): Uint8Array | undefined {
    const { hostility } = this.#hostile;
    switch (hostility) {
      case "drop":
        return this.#isKeptBack(packet, kind) ? undefined : packet;
      case "forge":
        return kind === "body" ? this.#damaged(packet) : packet;
      case "flood":
        return this.#ofOwnKind(packet);
      default:
        return hostility satisfies never;
    }
  }

  #isKeptBack(packet: Uint8Array, kind: "control" | "body"): boolean {
    if (kind === "body") return true;
    const { header } = decodeWireData(packet);
    return !this.#makesPromises && (header === HAVE || header === OFFER);
  }

  #damaged(packet: Uint8Array): Uint8Array {
    const { header, body } = decodeWireData(packet);
    const read = readPacket(header, body);
    if (read.kind !== "push") return packet;
    const envelope = new Uint8Array(read.envelope);
    const at = Math.floor(this.host.clock.random() * envelope.length);
    envelope[at] = (envelope[at] ?? 0) ^ 1 << Math.floor(this.host.clock.random() * 8);
    return encodePacket({ ...read, envelope }, this.topic.key);
  }

  /** Contacts of honest peers in a packet are replaced. */
  #ofOwnKind(packet: Uint8Array): Uint8Array {
    const { header, body } = decodeWireData(packet);
    if (!Array.isArray(body.x)) return packet;
    const kind = this.#hostile.all().filter((node) => node instanceof HostileNode);
    const contacts = readContacts(body.x).map(() => this.#oneOf(kind)?.contact ?? this.contact);
    return encodeWireData(wireData(header, { ...body, x: contacts.map(writeContact) }));
  }

  #burst(): void {
    const { hostility } = this.#hostile;
    const victims = this.topic.view.neighbors;
    if (hostility === "forge") this.#invent(victims);
    if (hostility === "flood") this.#flood(victims);
    this.host.clock.after(BURST_MS, () => this.#burst());
  }

  #invent(victims: readonly Contact[]): void {
    for (let nth = 0; nth < INVENTED_MESSAGES; nth++) {
      const author = this.#oneOf(this.#hostile.all());
      if (author === undefined) return;
      const fields = [author.publicKey, this.#number(), Math.floor(this.overlay.nowMs)];
      const envelope = encode([...fields, encode("invented"), new Uint8Array(64)]);
      this.#tell({ kind: "push", envelope, hops: 1 }, victims);
    }
  }

  #flood(victims: readonly Contact[]): void {
    for (const packet of this.#pushes) {
      for (const victim of victims) super.send(packet, victim, "body");
    }
    const ids = Array.from({ length: INVENTED_IDS }, (): MessageId => {
      const author = this.#oneOf(this.#hostile.all())?.peerId ?? this.peerId;
      return { author, seq: this.#number(), hops: 1 };
    });
    this.#tell({ kind: "have", ids }, victims);
    const [contact, wallMs] = [this.contact, Math.floor(this.host.clock.wallMs())];
    const wanted = Array.from({ length: REQUESTS }, () => this.#oneOf(this.#hostile.all()));
    const others = wanted.flatMap((node) =>
      node === undefined || node === this ? [] : node.contact
    );
    this.#tell({ kind: "neighbor", priority: "high", contact, wallMs }, others);
    const count = Math.min(OWN_AT_ONCE, this.#ownLeft);
    this.#ownLeft -= count;
    for (let nth = 0; nth < count; nth++) this.publish("flood");
  }

  #tell(packet: GossipPacket, victims: readonly Contact[]): void {
    const bytes = encodePacket(packet, this.topic.key);
    for (const victim of victims) super.send(bytes, victim, "control");
  }

  /** A number that a message of now might have. */
  #number(): number {
    const { clock } = this.host;
    return Math.floor(clock.wallMs()) * 2_048 + Math.floor(clock.random() * 2 ** 20);
  }

  #oneOf<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.host.clock.random() * list.length)];
  }
}

const HAVE = `${GOSSIP_HEADER}have`;
const OFFER = `${GOSSIP_HEADER}offer`;
