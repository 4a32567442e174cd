/**
 * Whole peers that take part in topics, on a network in memory and a clock that tests move.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import type { Contact } from "../../src/gossip/contact.ts";
import { signEnvelopes, topicKeyOf } from "../../src/gossip/envelope.ts";
import type { GossipMessage, TopicStatus } from "../../src/gossip/gossip_options.ts";
import {
  encodePacket,
  GOSSIP_HEADERS,
  type GossipKind,
  type GossipPacket,
  readPacket,
} from "../../src/gossip/packets.ts";
import type { TopicSubscription } from "../../src/gossip/topic_subscription.ts";
import { Peer, type PeerOptions } from "../../src/peer.ts";
import { type Address, MemoryNetwork } from "../../src/transport/mod.ts";
import { Identity } from "../../src/secure/identity.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Journal } from "../endpoint/fixture.ts";

/** The topic of most tests. */
export const NEWS = "news";

/** How long tests wait on the clock that they move, in milliseconds, and how far it goes at once. */
const PATIENCE_MS = 120_000;
const STEP_MS = 20;

/** Who a stranger is. */
export interface StrangerOptions {
  /** What it speaks of. @default {NEWS} */
  readonly topic?: string;
  /** @default a new one */
  readonly identity?: Identity;
}

/** Peers that find each other by the address of the first. */
export class Village implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly log = new Journal();
  readonly #peers: Peer[] = [];
  readonly #others = new AsyncDisposableStack();
  #strangers = 0;

  /** Opens one more, at an address of its own. */
  async open(options: PeerOptions = {}): Promise<Peer> {
    const peer = await Peer.open({
      ...this.at(this.#peers.length + 1),
      clock: this.clock,
      log: this.log,
      port: 3_485,
      announce: false,
      seeds: this.#peers[0]?.address === undefined ? [] : [this.#peers[0].address],
      ...options,
    });
    this.#peers.push(peer);
    return peer;
  }

  /** So many. */
  async openMany(count: number, options: PeerOptions = {}): Promise<Peer[]> {
    const peers: Peer[] = [];
    while (peers.length < count) peers.push(await this.open(options));
    return peers;
  }

  /** Somebody at an address of its own who speaks to a peer by hand. */
  async stranger(peer: Peer, options: StrangerOptions = {}): Promise<Stranger> {
    const { topic = NEWS, identity = Identity.generate() } = options;
    const { transport } = this.at(100 + this.#strangers++);
    const endpoint = await Endpoint.open({
      transport,
      identity,
      self: { name: "", capabilities: [], agent: "" },
      clientOnly: true,
      clock: this.clock,
    });
    const link = await endpoint.connect(addressOf(peer));
    return this.#others.use(new Stranger(identity, endpoint, link, topic));
  }

  /** What makes a peer one of this network. */
  at(host: number) {
    const hostname = `10.0.0.${host}`;
    const transport = this.network.host(hostname);
    return { transport, interfaces: () => [], hostname } satisfies PeerOptions;
  }

  /** Its program ends without a word. */
  kill(peer: Peer): void {
    this.network.kill(addressOf(peer).hostname);
  }

  /** Moves the clock until something holds. @returns how long that took, in milliseconds. */
  async until(what: string, holds: () => boolean): Promise<number> {
    const { clock } = this;
    const beganMs = clock.now();
    for (; !holds(); await clock.advance(STEP_MS)) {
      if (clock.now() - beganMs > PATIENCE_MS) throw new Error(`Waited in vain for ${what}`);
    }
    return clock.now() - beganMs;
  }

  /** Moves the clock until a promise is settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const done = () => void (isSettled = true);
    promise.then(done, done);
    await this.until("a promise", () => isSettled);
    return await promise;
  }

  /** Moves the clock until everybody who takes part has so many neighbours. */
  async meet(peers: readonly Peer[], topic = NEWS, count = 1): Promise<void> {
    await this.until("neighbours", () => {
      return peers.every((peer) => (statusOf(peer, topic)?.neighbors.length ?? 0) >= count);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = Promise.all([
      ...this.#peers.map((peer) => peer.close()),
      this.#others.disposeAsync(),
    ]);
    await this.settled(closing);
    this.network.close();
  }
}

/** Where a peer listens. */
export function addressOf({ address }: Peer): Address {
  if (address === undefined) throw new Error("It does not listen");
  return address;
}

/** What a peer knows of a topic; `undefined` where it does not take part. */
export function statusOf(peer: Peer, topic = NEWS): TopicStatus | undefined {
  return peer.gossip.topics().find((status) => status.topic === topic);
}

/** A counter of gossip. */
export function countOf(peer: Peer, name: string): number {
  return peer.metrics.counter(`gossip.${name}`).value;
}

/** What somebody reads, as it comes. */
export class Reading {
  readonly messages: GossipMessage[] = [];
  readonly subscription: TopicSubscription;
  /** Ends with the subscription, and throws what it throws. */
  readonly ended: Promise<void>;

  constructor(subscription: TopicSubscription) {
    this.subscription = subscription;
    this.ended = this.#read();
    this.ended.catch(() => {}); // for who waits for it
  }

  get data(): unknown[] {
    return this.messages.map(({ data }) => data);
  }

  async #read(): Promise<void> {
    for await (const message of this.subscription) this.messages.push(message);
  }
}

/** Subscribes each of them. */
export function readAll(peers: readonly Peer[], topic = NEWS): Reading[] {
  return peers.map((peer) => new Reading(peer.gossip.subscribe(topic)));
}

/** Asserts that somebody was given just these, in any order. */
export function assertGiven(reading: Reading, data: readonly unknown[]): void {
  assertEquals(reading.data.map(String).toSorted(), data.map(String).toSorted());
}

/** Somebody who says what it likes, over a link like any other, and takes note of what it is told. */
export class Stranger implements AsyncDisposable {
  readonly identity: Identity;
  readonly link: Link;
  readonly topicKey: Uint8Array;
  /** What it was told. */
  readonly heard: GossipPacket[] = [];
  readonly #endpoint: Endpoint;
  #seq = 2 ** 51;

  constructor(identity: Identity, endpoint: Endpoint, link: Link, topic: string) {
    this.identity = identity;
    this.link = link;
    this.topicKey = topicKeyOf(topic);
    this.#endpoint = endpoint;
    for (const header of GOSSIP_HEADERS) {
      endpoint.handle(header, (body, call) => {
        const packet = structuredClone(readPacket(call.header, body));
        if (packet.kind !== "ping") return void this.heard.push(packet);
        // Whoever says nothing is given up.
        const { wallMs } = packet;
        this.send(encodePacket({ kind: "pong", wallMs, echoMs: wallMs }));
      });
    }
  }

  get peerId(): string {
    return this.identity.peerId;
  }

  /** A message of its own, to be pushed. */
  write(data: unknown, createdMs: number): Uint8Array {
    return this.sign(encode(data), createdMs);
  }

  /** The same of bytes that may be no value. */
  sign(data: Uint8Array, createdMs: number): Uint8Array {
    const draft = { seq: this.#seq++, createdMs, data };
    const [envelope = new Uint8Array()] = signEnvelopes(this.identity, this.topicKey, [draft]);
    return envelope;
  }

  /** Pushes messages as if they came from there. */
  push(...envelopes: readonly Uint8Array[]): void {
    for (const envelope of envelopes) this.say({ kind: "push", envelope, hops: 1 });
  }

  /** Becomes a neighbour. */
  async join(village: Village): Promise<void> {
    const wallMs = village.clock.wallMs();
    this.say({ kind: "neighbor", priority: "join", contact: this.contact, wallMs });
    await village.until("a welcome", () => this.of("welcome").length > 0);
    assertEquals(this.of("welcome")[0]?.refusal, undefined);
  }

  /** Asks something. */
  async ask(header: string, body: MessageBody): Promise<unknown> {
    return await this.link.request(header, body);
  }

  get contact(): Contact {
    return { peerId: this.peerId, hosts: [], port: 0 };
  }

  /** Says something in the topic. */
  say(packet: GossipPacket): void {
    this.send(encodePacket(packet, this.topicKey));
  }

  /** The same of a packet that is ready. */
  send(packet: Uint8Array): void {
    if (this.link.open) void this.link.forward(packet)?.catch(() => {});
  }

  /** What it was told of one kind. */
  of<K extends GossipKind>(kind: K): (GossipPacket & { readonly kind: K })[] {
    return this.heard.filter((one): one is GossipPacket & { readonly kind: K } => {
      return one.kind === kind;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endpoint.close();
  }
}
