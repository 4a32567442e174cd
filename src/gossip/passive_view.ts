/**
 * Peers of a topic that are known of and no neighbours: who to ask when a neighbour is lost.
 *
 * @module
 */

import { type Contact, isReachable } from "./contact.ts";
import { draw } from "./shuffled.ts";

/** How long somebody who said that it has enough neighbours is left alone, in milliseconds; twice as long each time. */
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 30_000;

/** How often somebody may leave a question unanswered before it is forgotten. */
const MAX_SILENCES = 3;

interface Entry {
  contact: Contact;
  /** When it may be asked again. */
  restsUntilMs: number;
  restMs: number;
  silences: number;
}

/** A bounded set of contacts; see the module. */
export class PassiveView {
  readonly #size: number;
  readonly #random: () => number;
  readonly #entries = new Map<string, Entry>();

  /** Knows nobody. */
  constructor(size: number, random: () => number) {
    this.#size = size;
    this.#random = random;
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** Adds somebody who has said where it can be reached; somebody else goes where there are too many. */
  add(contact: Contact): void {
    const known = this.#entries.get(contact.peerId);
    if (!isReachable(contact)) return;
    if (known === undefined) this.#enter(contact);
    else known.contact = contact;
  }

  /** Adds somebody of whom others say where it is, which does not replace what is known; one peer for each address. */
  hear(contact: Contact): void {
    if (!isReachable(contact) || this.#entries.has(contact.peerId)) return;
    if ([...this.#entries.values()].some((entry) => isSamePlace(entry.contact, contact))) return;
    this.#enter(contact);
  }

  /** Takes somebody out. */
  remove(peerId: string): void {
    this.#entries.delete(peerId);
  }

  /** Whether somebody is in it. */
  has(peerId: string): boolean {
    return this.#entries.has(peerId);
  }

  /** Where somebody is. */
  get(peerId: string): Contact | undefined {
    return this.#entries.get(peerId)?.contact;
  }

  /** Leaves somebody alone for a while. */
  rest(peerId: string, nowMs: number): void {
    const entry = this.#entries.get(peerId);
    if (entry === undefined) return;
    entry.restsUntilMs = nowMs + entry.restMs * (0.5 + this.#random());
    entry.restMs = Math.min(2 * entry.restMs, LONGEST_REST_MS);
  }

  /** Somebody did not answer: the third time in a row it is forgotten. */
  silent(peerId: string, nowMs: number): void {
    const entry = this.#entries.get(peerId);
    if (entry === undefined) return;
    if (++entry.silences >= MAX_SILENCES) this.#entries.delete(peerId);
    else this.rest(peerId, nowMs);
  }

  /** Somebody has answered. */
  heard(peerId: string): void {
    const entry = this.#entries.get(peerId);
    if (entry !== undefined) entry.silences = 0;
  }

  /** Nobody is left alone any more: neighbours are wanted. */
  wake(): void {
    for (const entry of this.#entries.values()) {
      entry.restsUntilMs = 0;
      entry.restMs = FIRST_REST_MS;
    }
  }

  /** Some who may be asked now, at most `count`, drawn by lot. */
  candidates(count: number, nowMs: number, isMeant: (peerId: string) => boolean): Contact[] {
    const rested = [...this.#entries.values()].filter(({ contact, restsUntilMs }) => {
      return restsUntilMs <= nowMs && isMeant(contact.peerId);
    });
    return draw(rested, count, this.#random).map(({ contact }) => contact);
  }

  /** Some of them, drawn by lot. */
  sample(count: number, isMeant: (peerId: string) => boolean = () => true): Contact[] {
    const all = [...this.#entries.values()].filter(({ contact }) => isMeant(contact.peerId));
    return draw(all, count, this.#random).map(({ contact }) => contact);
  }

  #enter(contact: Contact): void {
    if (this.#entries.size >= this.#size) this.#dropOne();
    this.#entries.set(contact.peerId, {
      contact,
      restsUntilMs: 0,
      restMs: FIRST_REST_MS,
      silences: 0,
    });
  }

  #dropOne(): void {
    const at = Math.floor(this.#random() * this.#entries.size);
    let nth = 0;
    for (const peerId of this.#entries.keys()) {
      if (nth++ < at) continue;
      this.#entries.delete(peerId);
      return;
    }
  }
}

function isSamePlace(a: Contact, b: Contact): boolean {
  return a.port === b.port && a.hosts[0] === b.hosts[0];
}
