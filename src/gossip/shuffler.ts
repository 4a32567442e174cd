/**
 * The exchange of contacts: a few of ours walk to somebody, who answers with some of its own, so that everybody knows of
 * others from all over a topic.
 *
 * Source: the shuffle of HyParView. What differs: an answer names a number that was drawn, so that only who was on the way
 * can give it, and one neighbour has only so many exchanges go on through us.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { type Contact, isReachable, MAX_CONTACTS } from "./contact.ts";
import type { GossipTuning } from "./options.ts";
import type { GossipPacket } from "./packets.ts";
import type { PassiveView } from "./passive_view.ts";

/** Most contacts that are told, or noted of one answer. */
export const MAX_TOLD: number = MAX_CONTACTS / 2;

/** Exchanges of one neighbour that go on. */
const SHUFFLES: Readonly<RateOptions> = { perSecond: 1, burst: 8 };

/** Numbers that an exchange may have. */
const NONCES = 2 ** 48;

/** How long the answer to an exchange may take, in milliseconds. */
const ANSWER_MS = 5_000;

/** Contacts that an exchange has of neighbours, and of others. */
const OF_NEIGHBORS = 3;
const OF_OTHERS = 4;

/** What a {@linkcode Shuffler} needs. */
export interface ShufflerPorts {
  /** Time and chance. */
  readonly clock: Pick<Clock, "now" | "random">;
  /** Who is known of. */
  readonly passive: PassiveView;
  /** Where we are. */
  self(): Contact;
  /** Some neighbours, drawn by lot, but not these. */
  neighbors(count: number, except: readonly string[]): Contact[];
  /** Takes note of what others say of peers. @param by Who says it without being asked. */
  note(contacts: readonly Contact[], by?: string): void;
  /** Sends a packet of the topic. */
  send(packet: GossipPacket, to: Contact): void;
}

/** See the module. */
export class Shuffler {
  readonly #ports: ShufflerPorts;
  readonly #tuning: GossipTuning;
  readonly #rates: TokenBuckets;
  #nextMs: number;
  #nonce = 0;
  #untilMs = 0;

  /** Exchanges from now on. */
  constructor(ports: ShufflerPorts, tuning: GossipTuning) {
    this.#ports = ports;
    this.#tuning = tuning;
    this.#rates = new TokenBuckets(ports.clock, SHUFFLES);
    this.#nextMs = this.#soon();
  }

  /** Begins an exchange when it is time: to be called now and then. */
  tick(): void {
    if (this.#ports.clock.now() < this.#nextMs) return;
    this.#nextMs = this.#soon();
    const [to] = this.#ports.neighbors(1, []);
    const contact = this.#ports.self();
    if (to === undefined || !isReachable(contact)) return;
    const contacts = [
      ...this.#ports.neighbors(OF_NEIGHBORS, [to.peerId]).filter(isReachable),
      ...this.#ports.passive.sample(OF_OTHERS, (peerId) => peerId !== to.peerId),
    ];
    this.#untilMs = this.#ports.clock.now() + ANSWER_MS;
    this.#nonce = 1 + Math.floor(this.#ports.clock.random() * NONCES);
    const [left, nonce] = [this.#tuning.activeWalk, this.#nonce];
    this.#ports.send({ kind: "shuffle", contact, contacts, left, nonce }, to);
  }

  /** An exchange comes from a neighbour: it goes on, or ends here. */
  receive(packet: GossipPacket & { kind: "shuffle" }, from: string): void {
    const { contact, contacts, left, nonce } = packet;
    if (contact.peerId === this.#ports.self().peerId || !this.#rates.take(from)) return;
    const steps = Math.min(left, this.#tuning.activeWalk);
    const [next] = steps > 1 ? this.#ports.neighbors(1, [from, contact.peerId]) : [];
    if (next !== undefined) return this.#ports.send({ ...packet, left: steps - 1 }, next);
    const count = Math.min(contacts.length + 1, MAX_TOLD);
    this.#ports.send(
      { kind: "shuffled", contacts: this.sample(count, contact.peerId), nonce },
      contact,
    );
    this.#ports.note([contact, ...contacts], from);
  }

  /** Takes the one answer to our own exchange: whoever it did not come to cannot know its number. */
  answered({ contacts, nonce }: GossipPacket & { kind: "shuffled" }): void {
    if (nonce !== this.#nonce || this.#ports.clock.now() >= this.#untilMs) return;
    this.#untilMs = 0;
    this.#ports.note(contacts);
  }

  /** Peers for somebody who looks for some. */
  sample(count: number, except: string): Contact[] {
    const neighbors = this.#ports.neighbors(count / 2, [except]).filter(isReachable);
    const others = this.#ports.passive.sample(count - neighbors.length, (id) => id !== except);
    return [...neighbors, ...others];
  }

  #soon(): number {
    const { clock } = this.#ports;
    return clock.now() + this.#tuning.shuffleMs * (0.5 + clock.random());
  }
}
