/**
 * Who is whose neighbour in a topic: a few neighbours each, who are asked to be it and agree, and some more who are known
 * of, so that the topic stays in one piece whoever fails. A state machine without I/O.
 *
 * Source: HyParView (Leitao, Pereira, Rodrigues 2007). What differs: nobody is a neighbour before it has agreed, and who
 * takes us for one by mistake is told so; who asks urgently gets in only so often, and never in place of the two
 * neighbours that have been it for longest, and what others say of addresses counts less than what a peer says of itself,
 * so that it takes more than one liar to surround somebody (eclipse); and now and then a neighbour is changed for somebody
 * who is none, which joins what has come apart.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import type { Contact } from "./contact.ts";
import type { GossipTuning } from "./options.ts";
import { encodePacket, type GossipPacket, type NeighborPriority, type Refusal } from "./packets.ts";
import { PassiveView } from "./passive_view.ts";
import { draw } from "./shuffled.ts";
import { MAX_TOLD, Shuffler } from "./shuffler.ts";
import { Strangers } from "./strangers.ts";

/** Neighbours, those who have been it for longest, that nobody who asks urgently takes the place of. */
const KEPT = 2;

/** Urgent requests that are granted where no place is free. */
const URGENT: Readonly<RateOptions> = { perSecond: 2, burst: 8 };

/** Requests of one peer that are answered, and walks of one neighbour that go on. */
const REQUESTS: Readonly<RateOptions> = { perSecond: 1, burst: 8 };
const WALKS: Readonly<RateOptions> = { perSecond: 8, burst: 64 };

/** Contacts of whom one neighbour says without being asked that take the places of others in the passive view. */
const HEARSAY: Readonly<RateOptions> = { perSecond: 0.25, burst: 8 };

/** With fewer neighbours than this others are asked urgently. */
const FEW = 3;

/** How many are asked at a time. */
const ASKED_AT_ONCE = 3;

/** Time between two attempts to get more neighbours where there are some but not enough, in milliseconds. */
const REFILL_MS = 1_000;

/** What a view needs. */
export interface ViewPorts {
  /** Time and chance. */
  readonly clock: Pick<Clock, "now" | "random">;
  /** What our clock says, in milliseconds since 1970. */
  wallMs(): number;
  /** Where we are. */
  self(): Contact;
  /** Sends a packet of the topic. */
  send(packet: Uint8Array, to: Contact): void;
  /** Whether somebody may be a neighbour, by what it did before. */
  isWelcome(peerId: string): boolean;
  /** Whom of these to give up. @param isSpare Only somebody who is not needed, if there is one. */
  worst(peerIds: readonly string[], isSpare: boolean): string | undefined;
  /** Somebody is a neighbour now. @param isAsker Whether it was us who asked it. */
  up(contact: Contact, isAsker: boolean): void;
  /** Somebody is none any more. */
  down(peerId: string): void;
  /** Somebody says that we may not take part. */
  refused(peerId: string): void;
}

/** Somebody who was asked to be a neighbour. */
interface Asked {
  readonly contact: Contact;
  readonly untilMs: number;
  /** Who goes when it agrees; for nobody, `undefined`. */
  readonly insteadOf: string | undefined;
  /** Whether it was asked because others say that it has just joined. */
  readonly isNewcomer: boolean;
}

/** The neighbours of a topic; see the module. */
export class HyParView {
  readonly #ports: ViewPorts;
  readonly #tuning: GossipTuning;
  readonly #topicKey: Uint8Array;
  // In the order in which they became neighbours.
  readonly #active = new Map<string, Contact>();
  readonly #passive: PassiveView;
  readonly #asked = new Map<string, Asked>();
  readonly #urgent: TokenBuckets;
  readonly #requests: TokenBuckets;
  readonly #walks: TokenBuckets;
  readonly #hearsay: TokenBuckets;
  readonly #shuffler: Shuffler;
  readonly #strangers = new Strangers();
  #refillAtMs = 0;
  #swapAtMs: number;

  /** Knows nobody. */
  constructor(topicKey: Uint8Array, ports: ViewPorts, tuning: GossipTuning) {
    this.#topicKey = topicKey;
    this.#ports = ports;
    this.#tuning = tuning;
    this.#passive = new PassiveView(tuning.passiveSize, () => this.#random());
    this.#urgent = new TokenBuckets(ports.clock, URGENT);
    this.#requests = new TokenBuckets(ports.clock, REQUESTS);
    this.#walks = new TokenBuckets(ports.clock, WALKS);
    this.#hearsay = new TokenBuckets(ports.clock, HEARSAY);
    this.#shuffler = new Shuffler({
      clock: ports.clock,
      passive: this.#passive,
      self: () => ports.self(),
      neighbors: (count, except) => this.#pickNeighbors(count, except),
      note: (contacts, by) => this.#noteAll(contacts, by),
      send: (packet, to) => this.#send(packet, to),
    }, tuning);
    this.#swapAtMs = this.#soon(tuning.swapMs);
  }

  /** The neighbours. */
  get neighbors(): Contact[] {
    return [...this.#active.values()];
  }

  /** How many neighbours there are. */
  get size(): number {
    return this.#active.size;
  }

  /** How many others are known of. */
  get known(): number {
    return this.#passive.size;
  }

  /** Whether somebody is a neighbour. */
  has(peerId: string): boolean {
    return this.#active.has(peerId);
  }

  /** Where somebody is who is known of. */
  contactOf(peerId: string): Contact | undefined {
    return this.#active.get(peerId) ?? this.#passive.get(peerId);
  }

  /** Takes note of peers that may take part, and asks them where neighbours are wanted. @returns who was not known. */
  introduce(contacts: readonly Contact[]): Contact[] {
    const { peerId: self } = this.#ports.self();
    const others = contacts.filter(({ peerId }) => {
      return peerId !== self && !this.#active.has(peerId) && !this.#passive.has(peerId);
    });
    for (const contact of others) this.#passive.hear(contact);
    if (this.#active.size < FEW) this.#refill(this.#now);
    return others;
  }

  /** Asks somebody to be a neighbour although there are enough, a few times: it may be of a part that nobody here knows. */
  mix(contact: Contact): void {
    this.#strangers.add(contact);
  }

  /** Some who are known of and no neighbours. */
  others(count: number): Contact[] {
    return this.#passive.sample(count);
  }

  /** Takes a packet of the overlay. @param from Who sent it, and where it says that it is. @returns whether it was one. */
  receive(packet: GossipPacket, from: Contact): boolean {
    const { peerId } = from;
    const isNeighbor = this.#active.has(peerId);
    switch (packet.kind) {
      case "neighbor":
        if (this.#requests.take(peerId)) this.#answer(from, packet.priority, packet.wallMs);
        return true;
      case "welcome":
        this.#answered(from, packet.refusal, packet.contacts);
        return true;
      case "walk":
        if (isNeighbor && this.#walks.take(peerId)) this.#walk(packet.contact, packet.left, peerId);
        return true;
      case "leave":
        this.#left(peerId, packet.isGone);
        return true;
      case "shuffle":
        if (isNeighbor) this.#shuffler.receive(packet, peerId);
        return true;
      case "shuffled":
        this.#shuffler.answered(packet);
        return true;
      default:
        return false;
    }
  }

  /** Somebody takes us for a neighbour who is none: it is told so, unless we are just asking it. */
  correct(from: Contact): void {
    if (this.#active.has(from.peerId) || this.#asked.has(from.peerId)) return;
    this.#send({ kind: "leave", isGone: false }, from);
  }

  /** Somebody cannot be reached. */
  lost(peerId: string): void {
    if (this.#asked.delete(peerId)) this.#passive.silent(peerId, this.#now);
    else this.#passive.remove(peerId);
    this.#remove(peerId);
  }

  /** Somebody is not wanted any more. */
  drop(peerId: string): void {
    this.#asked.delete(peerId);
    this.#passive.remove(peerId);
    const contact = this.#active.get(peerId);
    if (contact === undefined) return;
    this.#send({ kind: "leave", isGone: false }, contact);
    this.#remove(peerId);
  }

  /** All neighbours are silent: others are asked at once, to take their places. */
  alarm(): void {
    this.#passive.wake();
    const silent = [...this.#active.keys()];
    const others = this.#pick(ASKED_AT_ONCE - this.#asked.size);
    others.forEach((contact, at) => this.#ask(contact, "high", { insteadOf: silent[at] }));
  }

  /** What has to be done from time to time: to be called several times a second. */
  tick(): void {
    const nowMs = this.#now;
    for (const [peerId, { untilMs }] of this.#asked) {
      if (untilMs > nowMs) continue;
      this.#asked.delete(peerId);
      this.#passive.silent(peerId, nowMs);
    }
    if (nowMs >= this.#refillAtMs) this.#refill(nowMs);
    this.#shuffler.tick();
    if (nowMs >= this.#swapAtMs) this.#swap();
    const stranger = this.#strangers.next(nowMs);
    if (stranger !== undefined) this.#swapFor(stranger, "high");
  }

  /** Says goodbye to all neighbours, and to those who were just asked to be one. */
  leave(): void {
    const others = [...this.#asked.values()].map(({ contact }) => contact);
    for (const contact of [...this.#active.values(), ...others]) {
      this.#send({ kind: "leave", isGone: true }, contact);
    }
    this.#asked.clear();
    for (const peerId of [...this.#active.keys()]) this.#remove(peerId);
  }

  #answer(from: Contact, priority: NeighborPriority, wallMs: number): void {
    const { peerId } = from;
    const isNew = !this.#active.has(peerId);
    const refusal = isNew ? this.#refusalFor(peerId, priority) : undefined;
    if (refusal === undefined) this.#add(from, false);
    else if (this.#ports.isWelcome(peerId)) this.#passive.add(from);
    if (isNew && refusal === undefined && priority === "join") this.#announce(from);
    this.#send({
      kind: "welcome",
      refusal,
      contact: this.#ports.self(),
      wallMs: this.#ports.wallMs(),
      echoMs: wallMs,
      contacts: this.#shuffler.sample(MAX_TOLD, peerId),
    }, from);
  }

  #refusalFor(peerId: string, priority: NeighborPriority): Refusal | undefined {
    if (!this.#ports.isWelcome(peerId)) return "full";
    if (this.#active.size < this.#tuning.activeSize) return undefined;
    if (priority === "low") return "full";
    const others = [...this.#active.keys()].slice(KEPT);
    const victim = this.#ports.worst(others, priority === "swap");
    if (victim === undefined || !this.#urgent.take("")) return "full";
    this.#release(victim);
    return undefined;
  }

  /** Tells the neighbours of somebody who has just joined. */
  #announce(contact: Contact): void {
    for (const neighbor of this.neighbors) {
      if (neighbor.peerId === contact.peerId) continue;
      this.#send({ kind: "walk", contact, left: this.#tuning.activeWalk }, neighbor);
    }
  }

  #answered(from: Contact, refusal: Refusal | undefined, contacts: readonly Contact[]): void {
    const { peerId } = from;
    const asked = this.#asked.get(peerId);
    if (asked === undefined) {
      if (refusal === undefined) this.correct(from); // too late
      return;
    }
    this.#asked.delete(peerId);
    this.#passive.heard(peerId);
    this.#noteAll(contacts);
    if (refusal === undefined && this.#ports.isWelcome(peerId)) {
      this.#makeRoom(asked.insteadOf);
      if (this.#active.size < this.#tuning.activeSize) return this.#add(from, true);
      this.#passive.add(from);
      this.#send({ kind: "leave", isGone: false }, from);
    } else if (refusal === "full") {
      this.#passive.rest(peerId, this.#now);
      if (this.#active.size < FEW) this.#refillAtMs = 0;
    } else {
      this.#passive.remove(peerId);
      if (refusal === undefined) this.correct(from);
      if (refusal === "not-allowed") this.#ports.refused(peerId);
    }
  }

  #left(peerId: string, isGone: boolean): void {
    const contact = this.#active.get(peerId);
    this.#remove(peerId);
    if (isGone) this.#passive.remove(peerId);
    else if (contact !== undefined) this.#passive.add(contact);
  }

  /** Somebody whom we asked has agreed: whoever it was meant for goes, unless there is room. */
  #makeRoom(insteadOf: string | undefined): void {
    if (insteadOf === undefined || this.#active.size < this.#tuning.activeSize) return;
    if (this.#active.has(insteadOf)) this.#release(insteadOf);
  }

  #walk(contact: Contact, left: number, from: string): void {
    const { peerId } = contact;
    if (peerId === this.#ports.self().peerId) return;
    const steps = Math.min(left, this.#tuning.activeWalk);
    const [next] = steps === 0 ? [] : this.#pickNeighbors(1, [from, peerId]);
    if (next === undefined || steps === this.#tuning.passiveWalk) this.#noteAll([contact], from);
    if (next !== undefined) {
      return this.#send({ kind: "walk", contact, left: steps - 1 }, next);
    }
    const isFull = this.#active.size >= this.#tuning.activeSize;
    if (isFull || this.#active.has(peerId) || !this.#passive.has(peerId)) return;
    const newcomers = [...this.#asked.values()].filter(({ isNewcomer }) => isNewcomer);
    if (newcomers.length >= ASKED_AT_ONCE || !this.#ports.isWelcome(peerId)) return;
    this.#ask(contact, "low", { isNewcomer: true });
  }

  /** Asks somebody else to take a neighbour's place. */
  #swap(): void {
    this.#swapAtMs = this.#soon(this.#tuning.swapMs);
    const [contact] = this.#pick(1);
    if (contact !== undefined) this.#swapFor(contact);
  }

  /** Asks somebody to take a neighbour's place. A part of the topic that nobody here knows is worth one that is needed. */
  #swapFor(contact: Contact, priority: "swap" | "high" = "swap"): void {
    const isFull = this.#active.size >= this.#tuning.activeSize;
    const isSpare = priority === "swap";
    const insteadOf = isFull ? this.#ports.worst([...this.#active.keys()], isSpare) : undefined;
    if (!isFull || insteadOf !== undefined) this.#ask(contact, priority, { insteadOf });
  }

  #refill(nowMs: number): void {
    const { size } = this.#active;
    this.#refillAtMs = nowMs + (size < FEW ? 0 : REFILL_MS * (0.5 + this.#random()));
    const asked = [...this.#asked.values()].filter(({ isNewcomer }) => !isNewcomer).length;
    const missing = this.#tuning.activeSize - size - asked;
    const priority = size === 0 ? "join" : size < FEW ? "high" : "low";
    for (const contact of this.#pick(Math.min(missing, ASKED_AT_ONCE - asked))) {
      this.#ask(contact, priority);
    }
  }

  #ask(
    contact: Contact,
    priority: NeighborPriority,
    why: { insteadOf?: string | undefined; isNewcomer?: boolean } = {},
  ): void {
    if (this.#asked.has(contact.peerId)) return;
    const { insteadOf, isNewcomer = false } = why;
    const untilMs = this.#now + this.#tuning.neighborMs;
    this.#asked.set(contact.peerId, { contact, untilMs, insteadOf, isNewcomer });
    const [self, wallMs] = [this.#ports.self(), this.#ports.wallMs()];
    this.#send({ kind: "neighbor", priority, contact: self, wallMs }, contact);
  }

  /** Peers to ask. */
  #pick(count: number): Contact[] {
    return this.#passive.candidates(count, this.#now, (peerId) => {
      return !this.#asked.has(peerId) && this.#ports.isWelcome(peerId);
    });
  }

  #pickNeighbors(count: number, except: readonly string[]): Contact[] {
    const others = this.neighbors.filter(({ peerId }) => !except.includes(peerId));
    return draw(others, count, () => this.#random());
  }

  #add(contact: Contact, isAsker: boolean): void {
    if (this.#active.has(contact.peerId)) return;
    const wasAsked = this.#asked.delete(contact.peerId); // both may ask at the same time
    this.#passive.remove(contact.peerId);
    this.#strangers.remove(contact.peerId);
    this.#active.set(contact.peerId, contact);
    this.#ports.up(contact, isAsker || wasAsked);
  }

  /** Tells a neighbour that it is none any more. */
  #release(peerId: string): void {
    const contact = this.#active.get(peerId);
    if (contact === undefined) return;
    this.#send({ kind: "leave", isGone: false }, contact);
    this.#remove(peerId);
    this.#passive.add(contact);
  }

  #remove(peerId: string): void {
    if (!this.#active.delete(peerId)) return;
    if (this.#active.size < FEW) {
      this.#passive.wake();
      this.#refillAtMs = 0;
    }
    this.#ports.down(peerId);
  }

  /** Takes note of what others say of peers. @param by Who says it without being asked. */
  #noteAll(contacts: readonly Contact[], by?: string): void {
    for (const contact of contacts.slice(0, MAX_TOLD)) {
      const { peerId } = contact;
      if (peerId === this.#ports.self().peerId || this.#active.has(peerId)) continue;
      const isFull = this.#passive.size >= this.#tuning.passiveSize;
      if (by !== undefined && isFull && !this.#hearsay.take(by)) return;
      this.#passive.hear(contact);
    }
  }

  #send(packet: GossipPacket, to: Contact): void {
    this.#ports.send(encodePacket(packet, this.#topicKey), to);
  }

  #random(): number {
    return this.#ports.clock.random();
  }

  get #now(): number {
    return this.#ports.clock.now();
  }

  /** A while from now, drawn so that not all do the same at the same time. */
  #soon(ms: number): number {
    return this.#now + ms * (0.5 + this.#random());
  }
}
