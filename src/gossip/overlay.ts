/**
 * All topics that a peer takes part in, and the neighbours it has in any of them: who is heard from, who is given up, and
 * who is not listened to. A state machine without I/O.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { ClosedError, type PeerError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import { AuthorRates } from "./author_rates.ts";
import { isLoopback } from "../endpoint/limits.ts";
import { believable, type Contact, MAX_CONTACT_HOSTS } from "./contact.ts";
import { topicKeyOf } from "./envelope.ts";
import { GroupClock } from "./group_clock.ts";
import { GOSSIP_DEFAULTS, type GossipPorts, type GossipTuning } from "./options.ts";
import {
  encodePacket,
  type GossipKind,
  type GossipPacket,
  readPacket,
  topicOf,
} from "./packets.ts";
import { Scores } from "./scores.ts";
import { isTheirs, Topic, type TopicSettings, type TopicShared } from "./topic.ts";

/** Time between two looks at what has to be done, in milliseconds. */
const TICK_MS = 250;

/** How long the answer to a ping takes, a look that comes late included, in milliseconds. */
const ANSWER_MS = 400;

/** A look that comes so much later than it should shows that we were asleep, and not the others. */
const ASLEEP_MS = 1_000;

/** Peers, besides neighbours, whose addresses are remembered: of those who are new, or have said theirs, the last. */
const MAX_HEARD = 256;

/** What only neighbours say to each other. */
const FOR_NEIGHBORS: ReadonlySet<GossipKind> = new Set(["push", "have", "graft", "prune", "dont"]);

/** A neighbour in some topics. */
interface Neighbor {
  readonly topics: Set<Topic>;
  heardMs: number;
  pingedMs: number;
  /** What our clock said in the question that it has not answered yet. */
  askedMs: number | undefined;
}

/** A peer's topics; see the module. */
export class Overlay {
  /** What others did, in all topics. */
  readonly scores: Scores = new Scores();
  readonly #ports: GossipPorts;
  readonly #tuning: GossipTuning;
  readonly #shared: TopicShared;
  readonly #time: GroupClock;
  readonly #topics = new Map<string, Topic>();
  readonly #neighbors = new Map<string, Neighbor>();
  readonly #contacts = new Map<string, Contact>();
  #tickedMs: number;
  #timer: Timer | undefined;
  #stopped = false;

  /** Takes part in no topic yet. */
  constructor(ports: GossipPorts, tuning: Partial<GossipTuning> = {}) {
    this.#ports = ports;
    this.#tuning = { ...GOSSIP_DEFAULTS, ...tuning };
    this.#time = new GroupClock(ports.clock);
    this.#tickedMs = ports.clock.now();
    this.#shared = {
      ports,
      tuning: this.#tuning,
      scores: this.scores,
      time: this.#time,
      rates: new AuthorRates(ports.clock),
      contactOf: (peerId) => this.#contacts.get(peerId),
      isSilent: (peerId) => this.#isSilent(peerId),
      neighbor: (peerId, topic, isOne) => this.#neighbor(peerId, topic, isOne),
    };
  }

  /** The topics that are taken part in. */
  get topics(): Topic[] {
    return [...this.#topics.values()];
  }

  /** The time that the neighbours agree on, in milliseconds since 1970. */
  get nowMs(): number {
    return this.#time.nowMs();
  }

  /** The peers that are neighbours in any topic. */
  get neighbors(): string[] {
    return [...this.#neighbors.keys()];
  }

  /** The topic of that name, if it is taken part in. */
  topic(name: string): Topic | undefined {
    return this.#topics.get(topicKeyOf(name).toHex());
  }

  /**
   * Takes part in a topic.
   *
   * @throws {TypeError | RangeError} for a name that is none. @throws {ClosedError} when it was stopped.
   */
  join(name: string, settings: TopicSettings = {}): Topic {
    if (this.#stopped) throw new ClosedError("Cannot take part in a topic: gossip is closed");
    const key = topicKeyOf(name);
    const known = this.#topics.get(key.toHex());
    if (known !== undefined) return known;
    const topic = new Topic(name, key, this.#shared, settings);
    this.#topics.set(key.toHex(), topic);
    if (this.#timer === undefined) this.#tickLater();
    return topic;
  }

  /** Takes part in a topic no more. Harmless when it does not. */
  leave(name: string): void {
    const topic = this.topic(name);
    if (topic === undefined) return;
    topic.leave();
    this.#topics.delete(topic.key.toHex());
    if (this.#topics.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * Takes a packet. What is wrong with it is counted and held against its sender.
   *
   * @param from Who sent it, as the connection proves, and where it is as far as that is known.
   */
  receive(header: string, body: MessageBody, from: Contact): void {
    const { peerId } = from;
    if (this.#stopped || peerId === this.#ports.self().peerId) return;
    const { clock, metrics } = this.#ports;
    if (this.scores.isGraylisted(peerId, clock.now())) {
      return metrics.counter("gossip.unread").add();
    }
    const neighbor = this.#neighbors.get(peerId);
    if (neighbor !== undefined) neighbor.heardMs = clock.now();
    try {
      this.#take(readPacket(header, body), body, from);
    } catch (error) {
      if (!isTheirs(error)) throw error;
      this.#complain(error, peerId);
    }
  }

  /** Somebody cannot be reached any more: its connection has ended, or cannot be made. */
  unreachable(peerId: string): void {
    for (const topic of this.#topics.values()) topic.view.lost(peerId);
  }

  /** Says goodbye in all topics and stops. */
  stop(): void {
    if (this.#stopped) return;
    for (const topic of this.#topics.values()) topic.leave();
    this.#stopped = true;
    this.#topics.clear();
    this.#timer?.cancel();
  }

  #take(told: GossipPacket, body: MessageBody, from: Contact): void {
    const packet = believe(told, from);
    const contact = this.#locate(packet, from);
    const neighbor = this.#neighbors.get(from.peerId);
    if (packet.kind === "ping") return neighbor && this.#pong(packet.wallMs, contact);
    if (packet.kind === "pong") {
      // Only neighbours tell the time, and only when they are asked or have just become one.
      if (neighbor?.askedMs !== packet.echoMs) return;
      neighbor.askedMs = undefined;
      return this.#heardTime(from.peerId, packet.wallMs, packet.echoMs);
    }
    const topic = this.#topics.get(topicOf(body));
    if (topic === undefined) return this.#unknown(packet, body, contact);
    if (!this.#ports.admits(topic.name, from.peerId)) return this.#refuse(packet, topic, contact);
    topic.receive(packet, contact);
    if (neighbor !== undefined || !this.#neighbors.has(from.peerId)) return;
    if (packet.kind === "neighbor") this.#heardTime(from.peerId, packet.wallMs);
    if (packet.kind === "welcome") this.#heardTime(from.peerId, packet.wallMs, packet.echoMs);
  }

  /** Who asks to be a neighbour says where it can be reached; where it comes from is one place of these. */
  #locate(packet: GossipPacket, from: Contact): Contact {
    const { peerId } = from;
    const told = packet.kind === "neighbor" || packet.kind === "welcome"
      ? packet.contact
      : undefined;
    const known = this.#contacts.get(peerId);
    if (told?.peerId !== peerId) return known ?? this.#remember(believable(from, isLocal(from)));
    const { hosts: seen } = believable(from, isLocal(from));
    const hosts = [...new Set([...seen, ...told.hosts])].slice(0, MAX_CONTACT_HOSTS);
    return this.#remember({ peerId, hosts, port: told.port });
  }

  #remember(contact: Contact): Contact {
    this.#contacts.delete(contact.peerId);
    this.#contacts.set(contact.peerId, contact);
    if (this.#contacts.size <= MAX_HEARD + this.#neighbors.size) return contact;
    for (const peerId of this.#contacts.keys()) {
      if (this.#neighbors.has(peerId)) continue;
      this.#contacts.delete(peerId);
      break;
    }
    return contact;
  }

  /** Who does not know that we have left a topic is told. */
  #unknown(packet: GossipPacket, body: MessageBody, from: Contact): void {
    const topicKey = Uint8Array.fromHex(topicOf(body));
    if (packet.kind === "neighbor") {
      this.#answerNo(packet.wallMs, "unknown", topicKey, from);
    } else if (FOR_NEIGHBORS.has(packet.kind)) {
      this.#ports.send(encodePacket({ kind: "leave", isGone: true }, topicKey), from, "control");
    }
  }

  #refuse(packet: GossipPacket, topic: Topic, from: Contact): void {
    this.#ports.metrics.counter("gossip.not-allowed").add();
    topic.view.drop(from.peerId);
    if (packet.kind === "neighbor") {
      this.#answerNo(packet.wallMs, "not-allowed", topic.key, from);
    }
  }

  #answerNo(
    echoMs: number,
    refusal: "unknown" | "not-allowed",
    topicKey: Uint8Array,
    to: Contact,
  ): void {
    const [contact, wallMs] = [this.#ports.self(), this.#wallMs];
    const packet = { kind: "welcome", refusal, contact, wallMs, echoMs, contacts: [] } as const;
    this.#ports.send(encodePacket(packet, topicKey), to, "control");
  }

  #complain(error: PeerError, peerId: string): void {
    const { clock, log, metrics } = this.#ports;
    // What is too large here may be welcome to others.
    if (error.code === "too-large") return metrics.counter("gossip.too-large").add();
    metrics.counter("gossip.invalid").add();
    this.scores.note(peerId, "invalid", clock.now());
    log.warn("a peer sent gossip that is wrong", { peerId, why: error.message });
    this.#shun(peerId);
  }

  /** Whoever is not welcome any more is no neighbour any more; but rather one that did little wrong than none. */
  #shun(peerId: string): void {
    const nowMs = this.#ports.clock.now();
    if (this.scores.isWelcome(peerId, nowMs)) return;
    const isHeard = !this.scores.isGraylisted(peerId, nowMs);
    for (const { view } of this.#topics.values()) {
      const isLast = view.size === 1 && view.has(peerId);
      if (!isLast || !isHeard) view.drop(peerId);
    }
  }

  #pong(echoMs: number, to: Contact): void {
    const packet = encodePacket({ kind: "pong", wallMs: this.#wallMs, echoMs });
    this.#ports.send(packet, to, "control");
  }

  /** @param echoMs Our own clock when we asked, where it is an answer. */
  #heardTime(peerId: string, wallMs: number, echoMs?: number): void {
    const rttMs = echoMs === undefined ? 0 : this.#wallMs - echoMs;
    const isPlausible = rttMs >= 0 && rttMs <= this.#tuning.goneMs;
    this.#time.heard(peerId, wallMs, isPlausible ? rttMs : 0);
  }

  #neighbor(peerId: string, topic: Topic, isOne: boolean): void {
    const known = this.#neighbors.get(peerId);
    if (isOne) {
      const nowMs = this.#ports.clock.now();
      const neighbor = known ??
        { topics: new Set(), heardMs: nowMs, pingedMs: nowMs, askedMs: undefined };
      neighbor.topics.add(topic);
      this.#neighbors.set(peerId, neighbor);
      const host = this.#contacts.get(peerId)?.hosts[0];
      if (host !== undefined) this.scores.joined(peerId, host);
      return;
    }
    known?.topics.delete(topic);
    if (known === undefined || known.topics.size > 0) return;
    this.#neighbors.delete(peerId);
    this.#time.gone(peerId);
    this.scores.left(peerId);
    this.#ports.released(peerId);
  }

  #tickLater(): void {
    this.#tickedMs = this.#ports.clock.now();
    this.#timer = this.#ports.clock.after(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    const nowMs = this.#ports.clock.now();
    const lateMs = nowMs - this.#tickedMs - TICK_MS;
    this.#tickLater();
    const wasAsleep = lateMs > ASLEEP_MS;
    if (wasAsleep) {
      for (const neighbor of this.#neighbors.values()) {
        neighbor.heardMs = Math.min(nowMs, neighbor.heardMs + lateMs);
      }
    }
    this.#listen(nowMs);
    for (const topic of this.#topics.values()) topic.tick({ wasAsleep });
  }

  /** Asks those who are silent whether they are there, and gives them up. */
  #listen(nowMs: number): void {
    const { pingMs, aloneMs, goneMs } = this.#tuning;
    const silent = new Set<string>();
    for (const [peerId, neighbor] of [...this.#neighbors]) {
      const silentMs = nowMs - neighbor.heardMs;
      if (silentMs >= goneMs) {
        this.#ports.metrics.counter("gossip.silent").add();
        this.unreachable(peerId);
        continue;
      }
      if (silentMs >= aloneMs) silent.add(peerId);
      if (silentMs >= pingMs && nowMs - neighbor.pingedMs >= pingMs / 2) {
        this.#ping(peerId, neighbor);
      }
      this.#shun(peerId);
    }
    for (const { view } of this.#topics.values()) {
      if (view.size > 0 && view.neighbors.every(({ peerId }) => silent.has(peerId))) view.alarm();
    }
  }

  /** Whether a neighbour has not answered when it was asked. */
  #isSilent(peerId: string): boolean {
    const heardMs = this.#neighbors.get(peerId)?.heardMs ?? Infinity;
    return this.#ports.clock.now() - heardMs > this.#tuning.pingMs + ANSWER_MS;
  }

  #ping(peerId: string, neighbor: Neighbor): void {
    const contact = this.#contacts.get(peerId);
    if (contact === undefined) return;
    const wallMs = this.#wallMs;
    neighbor.pingedMs = this.#ports.clock.now();
    neighbor.askedMs = wallMs;
    const packet = encodePacket({ kind: "ping", wallMs });
    this.#ports.send(packet, contact, "control");
  }

  get #wallMs(): number {
    return Math.max(0, Math.floor(this.#ports.clock.wallMs()));
  }
}

/** A packet with what is to be believed of the contacts in it. */
function believe(packet: GossipPacket, from: Contact): GossipPacket {
  const one = (contact: Contact) => believable(contact, isLocal(from));
  switch (packet.kind) {
    case "neighbor":
    case "walk":
      return { ...packet, contact: one(packet.contact) };
    case "welcome":
    case "shuffle":
      return { ...packet, contact: one(packet.contact), contacts: packet.contacts.map(one) };
    case "shuffled":
      return { ...packet, contacts: packet.contacts.map(one) };
    default:
      return packet;
  }
}

function isLocal({ hosts }: Contact): boolean {
  return hosts.some(isLoopback);
}
