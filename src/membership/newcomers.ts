/**
 * Whoever is said to be a member has to answer where it signed that it is, before anybody believes it or passes it on:
 * else everybody could be sent to an address of somebody's choice.
 *
 * It is asked there, then by whoever told of it, who may be in a network that we are not, and over a stream. Only members
 * that have proven themselves tell of others; a stranger speaks for itself, and is asked where it wrote from.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { LeftAlone } from "../endpoint/left_alone.ts";
import { isLoopback, packetSource, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import type { Address } from "../transport/transport.ts";
import type { Told } from "./blame.ts";
import type { AliveClaim } from "./claims.ts";
import type { MemberPath } from "./member.ts";

/** Newcomers that are asked at the same time, that wait for it, and those of them of one teller. */
const MAX_ASKED = 64;
const MAX_WAITING = 8_192;
const MAX_OF_ONE_TELLER = 4_096;

/** How long whoever did not answer is left alone, in milliseconds, whatever it says meanwhile: twice as long each time. */
const LEAVE_ALONE = { firstMs: 10_000, mostMs: 600_000, max: MAX_WAITING };

/**
 * How often one host is asked for newcomers: whoever names a victim's address has it hear no more than that. As often for
 * those who wrote from there themselves, whom nobody else shall keep out by naming theirs.
 */
const PER_HOST: Readonly<RateOptions> = { perSecond: 1, burst: 24 };

/** Who has proven nothing counts as one teller, however many names it has. */
const STRANGERS = "";

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
  readonly ask: (newcomer: Newcomer, done: (arrival: Arrival | undefined) => void) => void;
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
  readonly #hostRates: TokenBuckets;
  readonly #asked = new Map<string, Newcomer>();
  /** By teller and subject: one teller after another has its turn. */
  readonly #waiting = new Map<string, Map<string, Newcomer>>();
  readonly #leftAlone: LeftAlone;
  #waitingCount = 0;

  /** Nobody. */
  constructor(parts: NewcomersParts) {
    this.#parts = parts;
    this.#hostRates = new TokenBuckets(parts.clock, PER_HOST);
    this.#leftAlone = new LeftAlone(parts.clock, LEAVE_ALONE);
  }

  /** Whether whoever is said to be a member would be asked; asked before its signature is checked. */
  welcomes(claim: AliveClaim, told: Told): boolean {
    const { subject, incarnation, hosts } = claim;
    const isItself = isSelfTold(claim, told);
    if (!told.isProven && !isItself) return false;
    if (hosts.length === 0 && !isItself) return false;
    if (this.#leftAlone.has(wordOf({ claim, told }))) return false;
    const ofTeller = this.#waiting.get(tellerOf(told));
    const known = this.#asked.get(subject) ?? ofTeller?.get(subject);
    if (known !== undefined && known.claim.incarnation >= incarnation) return false;
    const waiting = ofTeller?.size ?? 0;
    return waiting < MAX_OF_ONE_TELLER &&
      (this.#waitingCount < MAX_WAITING || waiting < this.#longest.size);
  }

  /** Takes whoever is said to be a member, and is welcome. */
  offer(claim: AliveClaim, signed: Uint8Array, told: Told): void {
    const addresses = addressesOf(claim, told);
    if (addresses.length === 0) return;
    const teller = tellerOf(told);
    const ofTeller = this.#waiting.get(teller) ?? new Map<string, Newcomer>();
    if (!ofTeller.has(claim.subject)) {
      if (this.#waitingCount >= MAX_WAITING) this.#dropOne();
      this.#waitingCount++;
    }
    ofTeller.set(claim.subject, { claim, signed, told, addresses });
    this.#waiting.set(teller, ofTeller);
    this.#askNext();
  }

  /** Forgets everybody. */
  clear(): void {
    this.#waiting.clear();
    this.#asked.clear();
    this.#leftAlone.clear();
    this.#waitingCount = 0;
  }

  /** Those that whoever tells of most tells of. */
  get #longest(): Map<string, Newcomer> {
    return [...this.#waiting.values()].reduce((a, b) => a.size >= b.size ? a : b, new Map());
  }

  #dropOne(): void {
    const longest = this.#longest;
    const [last] = [...longest.keys()].slice(-1);
    if (last !== undefined && longest.delete(last)) this.#waitingCount--;
  }

  #askNext(): void {
    // Who is asked may have answered before `ask` returns: the turn goes on from there.
    while (this.#asked.size < MAX_ASKED) {
      const newcomer = this.#shift();
      if (newcomer === undefined) return;
      const addresses = newcomer.addresses.filter((address) => this.#mayAsk(newcomer, address));
      if (addresses.length === 0) {
        this.#leftAlone.add(wordOf(newcomer));
        continue;
      }
      this.#asked.set(newcomer.claim.subject, newcomer);
      this.#parts.ask({ ...newcomer, addresses }, (arrival) => this.#answered(newcomer, arrival));
    }
  }

  /** The next whose turn it is and who is not asked already. */
  #shift(): Newcomer | undefined {
    for (const [teller, ofTeller] of [...this.#waiting]) {
      this.#waiting.delete(teller);
      for (const [subject, newcomer] of ofTeller) {
        if (this.#asked.has(subject)) continue; // it has said something new meanwhile
        ofTeller.delete(subject);
        this.#waitingCount--;
        if (ofTeller.size > 0) this.#waiting.set(teller, ofTeller); // behind the others
        return newcomer;
      }
      this.#waiting.set(teller, ofTeller);
    }
    return undefined;
  }

  #mayAsk({ claim, told }: Newcomer, address: Address): boolean {
    const { hostname } = address;
    const place = packetSource(address);
    if (!isSelfTold(claim, told) || hostname !== told.host) return this.#hostRates.take(place);
    // Whoever has a stream from there is there.
    return told.isProven || this.#hostRates.take(`from ${place}`);
  }

  #answered(newcomer: Newcomer, arrival: Arrival | undefined): void {
    const { subject } = newcomer.claim;
    if (this.#asked.get(subject) !== newcomer) return; // all were forgotten
    this.#asked.delete(subject);
    if (arrival === undefined) this.#leftAlone.add(wordOf(newcomer));
    else {
      this.#leftAlone.delete(wordOf(newcomer));
      this.#parts.accept(newcomer, arrival);
    }
    this.#askNext();
  }
}

/** Whether a newcomer speaks for itself, so that we know where it wrote from. */
function isSelfTold({ subject }: AliveClaim, { by, host }: Told): boolean {
  return by === subject && host !== undefined;
}

/** Whose turn it is when a newcomer's comes. */
function tellerOf({ isProven, by }: Told): string {
  return isProven ? by : STRANGERS;
}

/** Who was vouched for, and where it spoke for itself: old claims that others repeat do not speak against that. */
function wordOf({ claim, told }: Pick<Newcomer, "claim" | "told">): string {
  return isSelfTold(claim, told) ? `${claim.subject} ${told.host}` : claim.subject;
}

/** Where to ask a newcomer, each place once. */
function addressesOf(claim: AliveClaim, told: Told): Address[] {
  const { hosts, udpPort: port } = claim;
  const own = isSelfTold(claim, told) && told.host !== undefined ? [told.host] : [];
  // Who is on this machine may name its own loopback address; anybody else's is not ours to ask at.
  const isHere = told.host !== undefined && isLoopback(told.host);
  const named = told.isProven ? hosts.filter((host) => isHere || !isLoopback(host)) : [];
  return [...new Set([...own, ...named])].map((hostname) => ({ hostname, port }));
}
