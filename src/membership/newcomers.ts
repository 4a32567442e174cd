/**
 * Whoever is said to be a member has to answer a nonce at the address that it signed, before anybody believes it or
 * passes it on: else everybody could be sent to an address of somebody's choice.
 *
 * It is asked there, then by whoever told of it, who may be in a network that we are not, and over a stream.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import type { Told } from "./book.ts";
import type { AliveClaim } from "./claims.ts";
import type { MemberPath } from "./member.ts";

/** Newcomers that are asked at the same time, and that wait for it. */
const MAX_ASKED = 64;
const MAX_WAITING = 4_096;

/** How long whoever did not answer is left alone, in milliseconds. */
const LEAVE_ALONE_MS = 15_000;

/** How a newcomer answered. */
export interface Arrival {
  /** The host that it answered from; `undefined` where somebody else asked it. */
  readonly host: string | undefined;
  /** By which way. */
  readonly path: MemberPath;
  /** How long that took, where we asked it ourselves. */
  readonly rttMs: number | undefined;
}

/** What {@linkcode Newcomers} need. */
export interface NewcomersParts {
  readonly clock: Clock;
  /** Asks one at its addresses, by every way; calls back once, with nothing where no answer came. */
  readonly ask: (
    newcomer: Newcomer,
    done: (arrival: Arrival | undefined) => void,
  ) => void;
  /** One is there. */
  readonly accept: (newcomer: Newcomer, arrival: Arrival) => void;
}

/** Somebody who may become a member. */
export interface Newcomer {
  readonly claim: AliveClaim;
  readonly signed: Uint8Array;
  readonly told: Told;
  /** Where to ask it: the host that it wrote from, and those that it names. */
  readonly addresses: readonly Address[];
}

/** Those who have to answer first; see the module. */
export class Newcomers {
  readonly #parts: NewcomersParts;
  readonly #asked = new Map<string, Newcomer>();
  readonly #waiting = new Map<string, Newcomer>();
  readonly #leftAlone = new Map<string, number>();

  /** Nobody. */
  constructor(parts: NewcomersParts) {
    this.#parts = parts;
  }

  /** Whether that incarnation, or a later one, has been heard of and has not answered yet. */
  has({ subject, incarnation }: AliveClaim): boolean {
    const known = this.#asked.get(subject) ?? this.#waiting.get(subject);
    if (known !== undefined && known.claim.incarnation >= incarnation) return true;
    const untilMs = this.#leftAlone.get(`${subject} ${incarnation}`);
    return untilMs !== undefined && untilMs > this.#parts.clock.now();
  }

  /** Takes whoever is said to be a member. */
  offer(claim: AliveClaim, signed: Uint8Array, told: Told): void {
    const own = told.by === claim.subject && told.host !== undefined ? [told.host] : [];
    const hosts = [...new Set([...own, ...claim.hosts])];
    const addresses = hosts.map((hostname) => ({ hostname, port: claim.udpPort }));
    if (addresses.length === 0 || this.#waiting.size >= MAX_WAITING) return;
    this.#waiting.set(claim.subject, { claim, signed, told, addresses });
    this.#askNext();
  }

  /** Forgets everybody. */
  clear(): void {
    this.#waiting.clear();
    this.#asked.clear();
  }

  #askNext(): void {
    for (const [subject, newcomer] of this.#waiting) {
      if (this.#asked.size >= MAX_ASKED) return;
      if (this.#asked.has(subject)) continue; // it has said something new meanwhile
      this.#waiting.delete(subject);
      this.#asked.set(subject, newcomer);
      this.#parts.ask(newcomer, (arrival) => this.#answered(newcomer, arrival));
    }
  }

  #answered(newcomer: Newcomer, arrival: Arrival | undefined): void {
    const { subject, incarnation } = newcomer.claim;
    if (this.#asked.get(subject) !== newcomer) return; // all were forgotten
    this.#asked.delete(subject);
    if (arrival === undefined) this.#leaveAlone(`${subject} ${incarnation}`);
    else this.#parts.accept(newcomer, arrival);
    this.#askNext();
  }

  #leaveAlone(key: string): void {
    this.#leftAlone.set(key, this.#parts.clock.now() + LEAVE_ALONE_MS);
    const [oldest] = this.#leftAlone.keys();
    if (this.#leftAlone.size > MAX_WAITING && oldest !== undefined) this.#leftAlone.delete(oldest);
  }
}
