/**
 * Each core of a topic under glass: the real state machine, in a world that a test plays. What it sends is caught and read.
 *
 * @module
 */

import { assert } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Comparer, type KeptMessage } from "../../src/gossip/comparer.ts";
import type { Contact } from "../../src/gossip/contact.ts";
import { type Draft, signEnvelopes, topicKeyOf } from "../../src/gossip/envelope.ts";
import { History } from "../../src/gossip/history.ts";
import { HyParView } from "../../src/gossip/hyparview.ts";
import { keyOf, type MessageId } from "../../src/gossip/id_list.ts";
import { GOSSIP_DEFAULTS, type GossipTuning } from "../../src/gossip/options.ts";
import { Overlay } from "../../src/gossip/overlay.ts";
import {
  encodePacket,
  type GossipKind,
  type GossipPacket,
  readPacket,
} from "../../src/gossip/packets.ts";
import { type Passing, Plumtree } from "../../src/gossip/plumtree.ts";
import type { TopicEvent, TopicMessage } from "../../src/gossip/topic_message.ts";
import { type LogFields, silentLogger } from "../../src/log.ts";
import type { Signer } from "../../src/membership/claims.ts";
import { Metrics } from "../../src/metrics.ts";
import { simSigner } from "../../src/testing/swim_node.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { CountingClock } from "../membership/counting_clock.ts";

/** The topic here. */
export const TOPIC = "news";
export const TOPIC_KEY = topicKeyOf(TOPIC);

/** The first number of every author here. */
export const FIRST = 2 ** 51;

/** When what is kept here was written. */
const CREATED_MS = Date.UTC(2026, 0, 1);

const PORT = 3_485;

/** A packet of one kind. */
export type PacketOf<K extends GossipKind> = GossipPacket & { readonly kind: K };

/** A packet that was caught. */
export type Caught<P = GossipPacket> = P & { readonly to: string; readonly lane: string };

/** What a core sent, in order. */
export class Mail {
  readonly all: Caught[] = [];

  /** Reads a packet as its receiver does. */
  catch(packet: Uint8Array, to: string, lane = "control"): void {
    const { header, body } = decodeWireData(packet);
    this.all.push({ ...readPacket(header, body), to, lane });
  }

  /** What was sent of one kind so far, to whom it may be. */
  of<K extends GossipKind>(kind: K, to?: string): Caught<PacketOf<K>>[] {
    return this.all.filter((one): one is Caught<PacketOf<K>> => {
      return one.kind === kind && (to === undefined || one.to === to);
    });
  }

  /** The only packet of a kind. */
  one<K extends GossipKind>(kind: K, to?: string): Caught<PacketOf<K>> {
    const [first, ...more] = this.of(kind, to);
    assert(first !== undefined && more.length === 0, `${more.length + 1} or no ${kind}`);
    return first;
  }

  /** Takes out what was sent so far, as `kind to`. */
  take(): string[] {
    return this.all.splice(0).map(({ kind, to }) => `${kind} ${to}`);
  }

  /** Forgets what was sent so far. */
  clear(): void {
    this.all.length = 0;
  }
}

/** The id of somebody of that name: 40 hexadecimal digits that begin with it. */
export function idOf(name: string): string {
  return simSigner(name).peerId;
}

/** Where somebody of that name is. */
export function at(name: string): Contact {
  const { peerId } = simSigner(name);
  const [, b = 0, c = 0, d = 0] = Uint8Array.fromHex(peerId);
  return { peerId, hosts: [`10.${b}.${c}.${d}`], port: PORT };
}

/** Names with a number. */
export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, nth) => `${prefix}${nth}`);
}

/** The neighbours of a topic. */
export class ViewGlass {
  readonly mail = new Mail();
  readonly view: HyParView;
  /** Who came and went, and how. */
  readonly changes: string[] = [];
  readonly unwelcome = new Set<string>();
  /** Those by whom messages come: they are given up last, and never for a change. */
  readonly needed = new Set<string>();
  nowMs = 0;
  readonly #names = new Map([[idOf("me"), "me"]]);

  constructor(tuning: Partial<GossipTuning> = {}, seed = 1) {
    const chance = new ManualClock({ seed });
    this.view = new HyParView(TOPIC_KEY, {
      clock: { now: () => this.nowMs, random: () => chance.random() },
      wallMs: () => 1_000_000 + this.nowMs,
      self: () => at("me"),
      send: (packet, { peerId }) => this.mail.catch(packet, this.nameOf(peerId)),
      isWelcome: (peerId) => !this.unwelcome.has(this.nameOf(peerId)),
      worst: (peerIds, isSpare) => {
        const spare = peerIds.find((peerId) => !this.needed.has(this.nameOf(peerId)));
        return spare ?? (isSpare ? undefined : peerIds[0]);
      },
      up: ({ peerId }, isAsker) => {
        this.changes.push(`${isAsker ? "asked" : "let in"} ${this.nameOf(peerId)}`);
      },
      down: (peerId) => this.changes.push(`lost ${this.nameOf(peerId)}`),
      refused: (peerId) => this.changes.push(`refused by ${this.nameOf(peerId)}`),
    }, { ...GOSSIP_DEFAULTS, shuffleMs: 1e9, swapMs: 1e9, ...tuning });
  }

  /** The contact of somebody, whose name is known here from now on. */
  at(name: string): Contact {
    const contact = at(name);
    this.#names.set(contact.peerId, name);
    return contact;
  }

  nameOf(peerId: string): string {
    return this.#names.get(peerId) ?? peerId;
  }

  /** The names of the neighbours. */
  get neighbors(): string[] {
    return this.view.neighbors.map(({ peerId }) => this.nameOf(peerId));
  }

  /** A packet comes from somebody. */
  from(name: string, packet: GossipPacket): boolean {
    return this.view.receive(packet, this.at(name));
  }

  /** Somebody asks to be a neighbour. @returns why not. */
  ask(name: string, priority: PacketOf<"neighbor">["priority"] = "low"): string | undefined {
    this.mail.clear();
    this.from(name, { kind: "neighbor", priority, contact: at(name), wallMs: 77 });
    return this.mail.one("welcome", name).refusal;
  }

  /** Somebody answers. */
  welcome(name: string, refusal?: PacketOf<"welcome">["refusal"], contacts: Contact[] = []): void {
    const times = { wallMs: 1, echoMs: 2 };
    this.from(name, { kind: "welcome", refusal, contact: at(name), ...times, contacts });
  }

  /** It hears of peers. */
  know(...names: string[]): void {
    this.view.introduce(names.map((name) => this.at(name)));
  }

  /** It chooses neighbours, who agree. */
  choose(...names: string[]): void {
    for (const name of names) {
      this.know(name);
      if (this.mail.of("neighbor", name).length === 0) this.tick(2_000);
      assert(this.mail.of("neighbor", name).length > 0, `${name} is not asked`);
      this.welcome(name);
    }
    this.mail.clear();
  }

  /** Time goes by. */
  tick(ms: number): void {
    this.nowMs += ms;
    this.view.tick();
  }
}

/** The trees of a topic. */
export class TreeGlass {
  readonly time = new ManualClock();
  readonly clock = new CountingClock(this.time);
  readonly mail = new Mail();
  readonly tree: Plumtree;
  readonly seen = new Set<string>();
  readonly blamed: string[] = [];
  /** Those to whom no body can go now. */
  readonly full = new Set<string>();
  /** Those who were not heard of for a while. */
  readonly silent = new Set<string>();

  constructor(tuning: Partial<GossipTuning> = {}) {
    this.tree = new Plumtree(TOPIC_KEY, {
      clock: this.clock,
      send: (packet, to, lane) => this.mail.catch(packet, to, lane),
      hasRoom: (peerId) => !this.full.has(peerId),
      isSilent: (peerId) => this.silent.has(peerId),
      isSeen: ({ author, seq }) => this.seen.has(keyOf(author, seq)),
      blame: (peerId, what) => this.blamed.push(`${peerId} ${what}`),
    }, { ...GOSSIP_DEFAULTS, ...tuning });
  }

  /** Neighbours come. */
  up(...peerIds: string[]): void {
    for (const peerId of peerIds) this.tree.up(peerId);
  }

  /** A message is new here: it is kept and passed on. */
  pass(message: Passing, from?: string): void {
    this.seen.add(keyOf(message.author, message.seq));
    this.tree.pass(message, from);
  }

  /** Somebody tells of messages. */
  have(from: string, ...ids: MessageId[]): void {
    this.tree.receive({ kind: "have", ids }, from);
  }
}

/** The id of a message. */
export function message(nth: number, hops = 0, author = idOf("ann")): MessageId & { hops: number } {
  return { author, seq: FIRST + nth, hops };
}

/** A message on its way. */
export function passing(nth: number, hops = 0, bytes = new Uint8Array(10)): Passing {
  return { ...message(nth, hops), bytes };
}

/** What finds what was missed. */
export class CompareGlass {
  readonly time = new ManualClock();
  readonly history = new History<KeptMessage>();
  readonly mail = new Mail();
  readonly comparer: Comparer;
  readonly seen = new Set<string>();
  readonly compared: string[] = [];
  readonly better: string[] = [];
  readonly blamed: string[] = [];
  /** Whom it can compare with, the neighbours and the others. */
  neighbors: string[] = [];
  others: string[] = [];
  /** Who is no neighbour of all that it hears. */
  readonly strangers = new Set<string>();

  constructor(tuning: Partial<GossipTuning> = {}) {
    this.comparer = new Comparer(TOPIC_KEY, this.history, {
      clock: this.time,
      send: (packet, to) => this.mail.catch(packet, to),
      isNeighbor: (peerId) => !this.strangers.has(peerId),
      somebody: (isNeighbor) => (isNeighbor ? this.neighbors : this.others)[0],
      isSeen: ({ author, seq }) => this.seen.has(keyOf(author, seq)),
      blame: (peerId) => this.blamed.push(peerId),
      stranger: (peerId) => this.better.push(peerId),
      compared: (peerId, isEqual) => this.compared.push(`${peerId} ${isEqual}`),
    }, { ...GOSSIP_DEFAULTS, ...tuning });
  }

  /** Keeps messages, as if they had come now. */
  keep(ids: Iterable<MessageId>, bytes = new Uint8Array(10)): void {
    for (const { author, seq } of ids) {
      this.seen.add(keyOf(author, seq));
      const kept = {
        author,
        seq,
        createdMs: CREATED_MS,
        bytes,
        data: bytes,
        mark: seq % 1_000_003,
        hops: 2,
      };
      this.history.add(kept, this.time.now());
    }
  }

  /** A packet comes. */
  from(peerId: string, packet: GossipPacket): void {
    assert(this.comparer.receive(packet, peerId), `${packet.kind} is not taken`);
  }

  /** Somebody that something was compared with offers ann's messages with these numbers, both included. */
  offer(peerId: string, from: number, to: number, isAll = true): void {
    this.comparer.compare(peerId);
    this.mail.clear();
    const ranges = [[idOf("ann"), [FIRST + from, FIRST + to]]] as const;
    this.from(peerId, { kind: "offer", ranges, buckets: undefined, isAll });
  }

  /** Messages come from somebody. @returns how many of them it was asked for. */
  came(from: string, ids: readonly MessageId[]): number {
    this.keep(ids);
    return ids.filter((id) => this.comparer.came(id, from)).length;
  }
}

/** Somebody who writes messages. */
export class Author {
  readonly signer: Signer;
  readonly peerId: string;
  #seq = FIRST;

  constructor(name: string) {
    this.signer = simSigner(name);
    this.peerId = this.signer.peerId;
  }

  /** A message, signed. */
  write(createdMs: number, data = new Uint8Array([0xc0]), topicKey = TOPIC_KEY): Uint8Array {
    const draft: Draft = { seq: this.#seq++, createdMs, data };
    const [bytes = new Uint8Array()] = signEnvelopes(this.signer, topicKey, [draft]);
    return bytes;
  }
}

/** A clock of a machine that can sleep: its timers are late then. */
class SleepingClock extends CountingClock {
  #sleptMs = 0;

  /** The machine sleeps. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
  }

  override now(): number {
    return super.now() + this.#sleptMs;
  }

  override wallMs(): number {
    return super.wallMs() + this.#sleptMs;
  }
}

/** All topics of a peer. */
export class OverlayGlass {
  readonly time = new ManualClock();
  readonly clock = new SleepingClock(this.time);
  readonly metrics = new Metrics();
  readonly mail = new Mail();
  readonly overlay: Overlay;
  readonly events: { readonly topic: string; readonly event: TopicEvent }[] = [];
  readonly warnings: LogFields[] = [];
  readonly released: string[] = [];
  /** Where packets went. */
  readonly contacts = new Map<string, Contact>();
  /** Those to whom no body can go now. */
  readonly full = new Set<string>();
  /** Who may not take part, as `topic name`. */
  readonly barred = new Set<string>();
  readonly #names = new Map([[idOf("me"), "me"]]);

  constructor(tuning: Partial<GossipTuning> = {}) {
    const signer = simSigner("me");
    this.overlay = new Overlay({
      clock: this.clock,
      author: signer,
      log: { ...silentLogger, warn: (_, fields = {}) => void this.warnings.push(fields) },
      metrics: this.metrics,
      verify: signer.verify,
      idOf: signer.idOf,
      self: () => at("me"),
      send: (packet, to, lane) => {
        const name = this.nameOf(to.peerId);
        this.contacts.set(name, to);
        this.mail.catch(packet, name, lane);
      },
      hasRoom: (peerId) => !this.full.has(this.nameOf(peerId)),
      admits: (topic, peerId) => !this.barred.has(`${topic} ${this.nameOf(peerId)}`),
      released: (peerId) => this.released.push(this.nameOf(peerId)),
      emit: (topic, event) => this.events.push({ topic, event }),
    }, { shuffleMs: 1e9, swapMs: 1e9, compareMs: 1e9, ...tuning });
  }

  nameOf(peerId: string): string {
    return this.#names.get(peerId) ?? peerId;
  }

  /** A packet comes from somebody, as its bytes. */
  from(
    name: string,
    packet: GossipPacket,
    topicKey: Uint8Array = TOPIC_KEY,
    contact = at(name),
  ): void {
    this.#names.set(contact.peerId, name);
    const isOfTopic = packet.kind !== "ping" && packet.kind !== "pong";
    const bytes = encodePacket(packet, isOfTopic ? topicKey : undefined);
    const { header, body } = decodeWireData(bytes);
    this.overlay.receive(header, body, contact);
  }

  /** Bytes come from somebody that are no good packet. */
  bad(name: string): void {
    this.#names.set(idOf(name), name);
    this.overlay.receive("gossip.nonsense", {}, at(name));
  }

  /** Neighbours come in. */
  join(...names: string[]): void {
    for (const name of names) this.neighbor(name);
    this.mail.clear();
  }

  /** Somebody asks to be a neighbour. */
  neighbor(
    name: string,
    topicKey?: Uint8Array,
    { wallMs = this.time.wallMs(), contact = at(name) } = {},
  ): void {
    this.from(name, { kind: "neighbor", priority: "low", contact, wallMs }, topicKey, contact);
  }

  /** A message comes by somebody. */
  push(by: string, envelope: Uint8Array, hops = 1): void {
    this.from(by, { kind: "push", envelope, hops });
  }

  /** Whether somebody is a neighbour in any topic. */
  has(name: string): boolean {
    return this.overlay.neighbors.includes(idOf(name));
  }

  /** What it counted. */
  count(what: string): number {
    return this.metrics.counter(`gossip.${what}`).value;
  }

  /** Messages that were delivered. */
  get messages(): TopicMessage[] {
    return this.events.flatMap(({ event }) => event.type === "message" ? [event.message] : []);
  }
}
