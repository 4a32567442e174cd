/**
 * A topic, as one of those who take part in it has it: its neighbours, the trees that messages take, what was seen and what
 * is kept, put together. A state machine without I/O.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { InvalidPacketError, PeerError } from "../errors.ts";
import type { AuthorRates } from "./author_rates.ts";
import { Comparer, type KeptMessage } from "./comparer.ts";
import type { Contact } from "./contact.ts";
import {
  type Draft,
  type Envelope,
  EnvelopeReader,
  peekEnvelope,
  signMessages,
} from "./envelope.ts";
import { Giver } from "./giver.ts";
import type { GroupClock } from "./group_clock.ts";
import { History } from "./history.ts";
import { HyParView } from "./hyparview.ts";
import type { MessageId } from "./id_list.ts";
import type { GossipPorts, GossipTuning } from "./options.ts";
import type { GossipPacket } from "./packets.ts";
import { Plumtree } from "./plumtree.ts";
import { Seen } from "./seen.ts";
import type { Scores } from "./scores.ts";
import type { TopicMessage, Verdict } from "./topic_message.ts";

/** Largest message of a topic unless told otherwise, in bytes of MessagePack. */
export const MAX_MESSAGE_BYTES = 1_048_576;

/** Messages older than this are refused, wherever they come from; in milliseconds. */
export const MAX_AGE_MS = 1_800_000;

/** How far ahead of ours an author's clock may be, in milliseconds. */
const MAX_AHEAD_MS = 60_000;

/** How long messages are kept where what was missed is not looked for: for who asks at once. */
const BRIEF_MS = 60_000;

/** A new neighbour is given what came so long before it, in milliseconds: more than what comparing leaves out. */
const RECENT_MS = 1_000;

/** Strangers that are asked at once although there are neighbours. */
const MAX_MIXED = 2;

/** Time between two looks for what is too old, in milliseconds. */
const EXPIRE_MS = 10_000;

/** What is promised of a topic's messages: whoever takes part gets each in the end, or nobody looks for what got lost. */
export type Delivery = "eventual" | "best-effort";

/** How much of a topic is kept here for those who come late. */
export interface TopicHistory {
  /** Most messages. @default {16384} */
  readonly maxMessages?: number;
  /** Most bytes of all of them together. @default {33554432} */
  readonly maxBytes?: number;
  /** How long a message is kept at most, in milliseconds. @default {1800000} */
  readonly maxAgeMs?: number;
}

/** What a topic is like here. Every field has a default. */
export interface TopicSettings {
  /** What is promised here. @default {"eventual"} */
  readonly delivery?: Delivery;
  /** Largest message in bytes of MessagePack, ours and others'. @default {1048576} */
  readonly maxBytes?: number;
  /** Decides what becomes of a message before it is passed on. It must be quick and not throw. @default accepts all */
  readonly validate?: (message: TopicMessage) => Verdict;
  /** How much is kept for those who come late. @default {{}} */
  readonly history?: TopicHistory;
}

/** What the topics of a peer share. */
export interface TopicShared {
  /** The world. */
  readonly ports: GossipPorts;
  /** How the protocols are tuned. */
  readonly tuning: GossipTuning;
  /** What neighbours did. */
  readonly scores: Scores;
  /** The time that neighbours agree on. */
  readonly time: GroupClock;
  /** Whose messages may pass now. */
  readonly rates: AuthorRates;
  /** Where somebody is whom we heard from. */
  contactOf(peerId: string): Contact | undefined;
  /** Whether a neighbour was silent for longer than it should. */
  isSilent(peerId: string): boolean;
  /** Somebody has become a neighbour, or is none any more. */
  neighbor(peerId: string, topic: Topic, isOne: boolean): void;
}

/** One topic; see the module. */
export class Topic {
  /** Its name. */
  readonly name: string;
  /** Its key on the wire. */
  readonly key: Uint8Array;
  /** Its neighbours. */
  readonly view: HyParView;
  /** The trees. */
  readonly tree: Plumtree;
  /** What is kept. */
  readonly history: History<KeptMessage>;
  /** What was seen. */
  readonly seen: Seen = new Seen();
  readonly #shared: TopicShared;
  readonly #clock: Clock;
  readonly #settings: Required<Omit<TopicSettings, "history">>;
  readonly #comparer: Comparer | undefined;
  readonly #giver: Giver;
  readonly #reader: EnvelopeReader;
  #expireAtMs: number;

  /** Takes part in it. */
  constructor(name: string, key: Uint8Array, shared: TopicShared, settings: TopicSettings = {}) {
    const { delivery = "eventual", maxBytes = MAX_MESSAGE_BYTES, history = {} } = settings;
    const { validate = () => "accept" } = settings;
    const { ports, tuning } = shared;
    const { clock } = ports;
    this.name = name;
    this.key = key;
    this.#shared = shared;
    this.#clock = clock;
    this.#settings = { delivery, maxBytes, validate };
    const isKept = delivery === "eventual";
    this.history = new History({ maxAgeMs: isKept ? MAX_AGE_MS : BRIEF_MS, ...history });
    const idOf = (publicKey: Uint8Array) => ports.idOf(publicKey);
    const verify: GossipPorts["verify"] = (...proof) => ports.verify(...proof);
    this.#reader = new EnvelopeReader({ verify, idOf, maxBytes });
    const send = (packet: Uint8Array, to: string, kind: "control" | "body") => {
      const contact = shared.contactOf(to) ?? this.view.contactOf(to);
      if (contact !== undefined) ports.send(packet, contact, kind);
    };
    const isSeen = (id: MessageId) => this.isSeen(id);
    this.tree = new Plumtree(key, {
      clock,
      send,
      hasRoom: (peerId) => ports.hasRoom(peerId),
      isSeen,
      isSilent: (peerId) => shared.isSilent(peerId),
      blame: (peerId, what) => this.#blame(peerId, what),
    }, tuning);
    this.#giver = new Giver(key, {
      clock,
      send: (packet, to) => send(packet, to, "body"),
      hasRoom: (peerId) => ports.hasRoom(peerId),
      get: (author, seq) => this.history.get(author, seq),
    });
    this.view = new HyParView(key, {
      clock,
      wallMs: () => Math.max(0, Math.floor(clock.wallMs())),
      self: () => ports.self(),
      send: (packet, to) => ports.send(packet, to, "control"),
      isWelcome: (peerId) => shared.scores.isWelcome(peerId, clock.now()),
      worst: (peerIds, isSpare) => this.#worst(peerIds, isSpare),
      up: (contact, isAsker) => this.#up(contact, isAsker),
      down: (peerId) => this.#down(peerId),
      refused: (peerId) => ports.emit(name, { type: "refused", peerId }),
    }, tuning);
    this.#comparer = isKept
      ? new Comparer(key, this.history, {
        clock,
        send: (packet, to) => send(packet, to, "control"),
        somebody: (isNeighbor) => this.#somebody(isNeighbor),
        isNeighbor: (peerId) => this.view.has(peerId),
        isSeen,
        blame: (peerId) => this.#blame(peerId, "broken"),
        stranger: (peerId) => {
          const contact = this.view.contactOf(peerId);
          if (contact !== undefined) this.view.mix(contact);
        },
        compared: (peerId, isEqual) => ports.emit(name, { type: "compared", peerId, isEqual }),
      }, tuning)
      : undefined;
    this.#expireAtMs = clock.now() + EXPIRE_MS;
  }

  /** Largest message in bytes. */
  get maxBytes(): number {
    return this.#settings.maxBytes;
  }

  /** What is promised of it here. */
  get delivery(): Delivery {
    return this.#settings.delivery;
  }

  /** Whether a message has been here. Of an author that is forgotten among too many others what is kept tells it. */
  isSeen({ author, seq }: MessageId): boolean {
    return this.seen.has(author, seq) || this.history.has(author, seq);
  }

  /** What is kept, in the order in which it came. */
  *kept(): Generator<TopicMessage, void, void> {
    for (const { author, seq, createdMs, data, hops } of this.history.all()) {
      yield { topic: this.name, from: author, seq, createdMs, bytes: data, hops };
    }
  }

  /** Publishes messages of our own, signed together: at most 64. @throws {RangeError} when one is too long. */
  publish(drafts: readonly Draft[]): void {
    if (drafts.some(({ data }) => data.length > this.maxBytes)) {
      throw new RangeError(`A message has at most ${this.maxBytes} bytes`);
    }
    const { author } = this.#shared.ports;
    for (const envelope of signMessages(author, this.key, drafts)) {
      this.#keep(envelope, 0);
      const { seq, bytes } = envelope;
      this.tree.pass({ author: envelope.author, seq, bytes, hops: 0 });
    }
  }

  /** Takes a packet of this topic. @throws {PeerError} for what its sender is to blame for. */
  receive(packet: GossipPacket, from: Contact): void {
    const { peerId } = from;
    if (packet.kind === "push") return this.#pushed(packet, from);
    if (packet.kind === "want") return this.#giver.give(packet.ids, peerId);
    if (this.tree.receive(packet, peerId)) return this.view.correct(from);
    if (this.#comparer?.receive(packet, peerId)) return;
    this.view.receive(packet, from);
  }

  /**
   * Takes note of peers that may take part. Where there are neighbours already, somebody new may belong to a part of the
   * topic that nobody here knows of: what both have is compared, and it is asked to be a neighbour.
   */
  introduce(contacts: readonly Contact[]): void {
    const isAlone = this.view.size === 0;
    const strangers = this.view.introduce(contacts);
    for (const contact of isAlone ? [] : strangers.slice(0, MAX_MIXED)) {
      this.view.mix(contact);
      this.#comparer?.compare(contact.peerId);
    }
  }

  /**
   * What has to be done from time to time: to be called several times a second.
   *
   * @param options.wasAsleep Whether this comes so late that nobody else can be blamed for what did not come meanwhile.
   */
  tick({ wasAsleep = false }: { wasAsleep?: boolean } = {}): void {
    this.view.tick();
    this.tree.tick({ wasAsleep });
    this.#comparer?.tick();
    const nowMs = this.#clock.now();
    if (nowMs < this.#expireAtMs) return;
    this.#expireAtMs = nowMs + EXPIRE_MS;
    // By either clock: neighbours who lie about the time do not make us forget.
    const wallMs = Math.min(this.#shared.time.nowMs(), this.#clock.wallMs());
    this.history.expire(wallMs - MAX_AGE_MS, nowMs);
    this.seen.forgetBefore(nowMs - MAX_AGE_MS - MAX_AHEAD_MS - EXPIRE_MS);
  }

  /** Says goodbye and stops. */
  leave(): void {
    this.view.leave();
    this.tree.stop();
  }

  #pushed(packet: GossipPacket & { kind: "push" }, sender: Contact): void {
    const { envelope: bytes, hops, wasAsked = false } = packet;
    const from = sender.peerId;
    const id = peekEnvelope(bytes, this.#reader.idOf);
    if (this.isSeen(id)) {
      this.#count("duplicates");
      if (this.#comparer?.came(id, from)) return;
      this.view.correct(sender);
      return this.tree.duplicate(id, from, { isAstray: wasAsked });
    }
    // What is no use whoever signed it costs no look at the signature.
    const reason = this.#refusal(id) ?? this.#read(bytes, hops, sender);
    if (reason === undefined) return;
    this.tree.drop(id);
    this.#count(reason);
  }

  /** Why a message is not taken, whoever sent it. */
  #refusal({ author, createdMs }: ReturnType<typeof peekEnvelope>): Refusal | undefined {
    const { scores, time } = this.#shared;
    if (scores.isGraylisted(author, this.#clock.now())) return "graylisted";
    const nowMs = time.nowMs();
    if (createdMs < nowMs - MAX_AGE_MS) return "stale";
    return createdMs > nowMs + MAX_AHEAD_MS ? "ahead" : undefined;
  }

  /** Takes a message whose signature is right. @returns why not. @throws {PeerError} when it is not. */
  #read(bytes: Uint8Array, hops: number, sender: Contact): Refusal | undefined {
    const envelope = this.#reader.read(bytes, this.key);
    const wasWanted = this.#comparer?.came(envelope, sender.peerId) ?? false;
    if (!wasWanted) this.view.correct(sender);
    // It is not seen: what is too much now can be had later.
    if (!this.#shared.rates.take(envelope.author, sender.peerId)) return "author-rate";
    this.#judge(envelope, hops, sender.peerId, wasWanted);
    return undefined;
  }

  #judge(envelope: Envelope, hops: number, from: string, wasWanted: boolean): void {
    const { ports, scores } = this.#shared;
    const { author, seq, createdMs, data } = envelope;
    const message = { topic: this.name, from: author, seq, createdMs, bytes: data, hops };
    const verdict = this.#settings.validate(message);
    this.#count(VERDICT_COUNTS[verdict]);
    if (verdict !== "accept") {
      this.seen.add(author, seq, this.#clock.now());
      this.tree.drop({ author, seq });
      if (verdict === "reject") {
        if (author !== from) this.#blame(from, "rejected");
        this.#blame(author, "authored");
      }
      return;
    }
    const { bytes } = envelope;
    this.#keep(envelope, hops);
    if (author !== from) scores.note(from, "useful", this.#clock.now());
    const passing = { author, seq, bytes, hops };
    if (wasWanted) this.tree.announce(passing, from);
    else this.tree.pass(passing, from);
    ports.emit(this.name, { type: "message", message });
  }

  #keep({ author, seq, createdMs, bytes, data, mark }: Envelope, hops: number): void {
    const nowMs = this.#clock.now();
    this.seen.add(author, seq, nowMs);
    const kept = { author, seq, createdMs, bytes, data, mark, hops };
    this.history.add(kept, nowMs);
    this.#comparer?.changed();
  }

  #up(contact: Contact, isAsker: boolean): void {
    const { peerId } = contact;
    this.#shared.neighbor(peerId, this, true);
    this.tree.up(peerId);
    const recent = this.history.arrivedSince(this.#clock.now() - RECENT_MS);
    this.tree.catchUp(peerId, recent.toReversed());
    if (isAsker) this.#comparer?.compare(peerId); // one of the two has to begin
    this.#shared.ports.emit(this.name, { type: "up", peerId, neighbors: this.view.size });
  }

  #down(peerId: string): void {
    this.tree.down(peerId);
    this.#shared.neighbor(peerId, this, false);
    this.#shared.ports.emit(this.name, { type: "down", peerId, neighbors: this.view.size });
  }

  /** Whom to give up: who did wrong, else one by whom messages do not come, so that the trees stay. */
  #worst(peerIds: readonly string[], isSpare: boolean): string | undefined {
    const { scores } = this.#shared;
    const nowMs = this.#clock.now();
    const newestFirst = peerIds.toReversed(); // whoever has been here for longest stays
    const worst = scores.worst(newestFirst, nowMs);
    if (worst === undefined || scores.score(worst, nowMs) < 0) return worst;
    const isNeeded = (peerId: string) => this.tree.isSettled && this.tree.isEager(peerId);
    const spare = scores.worst(newestFirst.filter((peerId) => !isNeeded(peerId)), nowMs);
    return spare ?? (isSpare ? undefined : worst);
  }

  #somebody(isNeighbor: boolean): string | undefined {
    const among = isNeighbor ? this.view.neighbors : this.view.others(1);
    return among[Math.floor(this.#clock.random() * among.length)]?.peerId;
  }

  #blame(peerId: string, what: "broken" | "flooding" | "rejected" | "authored"): void {
    this.#count(what);
    this.#shared.scores.note(peerId, what, this.#clock.now());
  }

  #count(what: string): void {
    this.#shared.ports.metrics.counter(`gossip.${what}`).add();
  }
}

/** Why a message is not taken, whoever sent it. */
type Refusal = "graylisted" | "stale" | "ahead" | "author-rate";

const VERDICT_COUNTS: Readonly<Record<Verdict, string>> = {
  accept: "accepted",
  ignore: "ignored",
  reject: "rejects",
};

/** Whether an error is about what somebody sent, and not about us. */
export function isTheirs(error: unknown): error is PeerError {
  return error instanceof InvalidPacketError ||
    (error instanceof PeerError && error.code === "bad-signature");
}
