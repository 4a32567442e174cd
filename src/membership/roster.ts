/**
 * All members that are known, in the order in which they are asked, with a digest that two nodes compare.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { isPresent, type Member } from "./member.ts";

/** Parts of a digest: two nodes that differ in few members exchange few of them. */
export const BUCKETS = 64;

/** Bytes of a digest. */
export const DIGEST_BYTES = BUCKETS * 4;

/** The members; see the module. */
export class Roster {
  readonly #clock: Pick<Clock, "random">;
  readonly #members = new Map<string, Member>();
  /** Present ones, in the order of this round. */
  readonly #order: Member[] = [];
  #lost: Member[] = [];
  // What each present member adds to the digest, and the sums of that.
  readonly #hashes = new Map<Member, number>();
  readonly #buckets = new Uint32Array(BUCKETS);
  #next = 0;

  /** Nobody. */
  constructor(clock: Pick<Clock, "random">) {
    this.#clock = clock;
  }

  /** How many are present. */
  get present(): number {
    return this.#order.length;
  }

  /** How many are known, the dead and those who have gone among them. */
  get size(): number {
    return this.#members.size;
  }

  /** Those who were given up. */
  get lost(): readonly Member[] {
    return this.#lost;
  }

  /** All that are known. */
  all(): Iterable<Member> {
    return this.#members.values();
  }

  /** The one of that id. */
  get(peerId: string): Member | undefined {
    return this.#members.get(peerId);
  }

  /** Adds a member, or takes note that it says something new, is present again or no more. */
  put(member: Member): void {
    this.#members.set(member.peerId, member);
    this.#hash(member);
    if (member.state === "dead" !== this.#lost.includes(member)) this.#sortOutLost(member);
    const at = this.#order.indexOf(member);
    if (isPresent(member) === at >= 0) return;
    if (at >= 0) this.#leaveRound(at);
    else this.#joinRound(member);
  }

  /** Forgets a member. */
  remove(member: Member): void {
    this.#members.delete(member.peerId);
    this.#unhash(member);
    this.#lost = this.#lost.filter((other) => other !== member);
    const at = this.#order.indexOf(member);
    if (at >= 0) this.#leaveRound(at);
  }

  /** Whose turn it is: everybody's once in a round, in an order of its own each time (SWIM, section 4.3). */
  next(): Member | undefined {
    if (this.#next >= this.#order.length) {
      this.#next = 0;
      this.#shuffle();
    }
    return this.#order[this.#next++];
  }

  /** Some of those who are present, at random. */
  sample(count: number, fits: (member: Member) => boolean = () => true): Member[] {
    const order = this.#order;
    const chosen = new Set<Member>();
    // Where few fit, all are looked at in the end.
    for (let tries = 0; tries < 4 * count && chosen.size < count && order.length > 0; tries++) {
      const member = order[Math.floor(this.#clock.random() * order.length)];
      if (member !== undefined && fits(member)) chosen.add(member);
    }
    if (chosen.size < count && order.length <= 4 * count) {
      for (const member of order) if (chosen.size < count && fits(member)) chosen.add(member);
    }
    return [...chosen];
  }

  /** What tells two nodes apart that know different things: a hash of who is present for every bucket. */
  digest(self: { readonly peerId: string; readonly incarnation: number }): Uint8Array {
    const bytes = new Uint8Array(DIGEST_BYTES);
    const view = new DataView(bytes.buffer);
    this.#buckets.forEach((value, at) => view.setUint32(4 * at, value));
    const own = 4 * bucketOf(self.peerId);
    view.setUint32(own, view.getUint32(own) ^ hashOf(self.peerId, self.incarnation));
    return bytes;
  }

  #hash(member: Member): void {
    this.#unhash(member);
    if (!isPresent(member)) return;
    const hash = hashOf(member.peerId, member.claim.incarnation);
    this.#hashes.set(member, hash);
    this.#toggle(member, hash);
  }

  #unhash(member: Member): void {
    const hash = this.#hashes.get(member);
    if (hash !== undefined) this.#toggle(member, hash);
    this.#hashes.delete(member);
  }

  #toggle({ peerId }: Member, hash: number): void {
    const bucket = bucketOf(peerId);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) ^ hash;
  }

  #sortOutLost(member: Member): void {
    const others = this.#lost.filter((other) => other !== member);
    this.#lost = member.state === "dead" ? [...others, member] : others;
  }

  #joinRound(member: Member): void {
    // At a random place among those whose turn is still to come, or anywhere: SWIM's bound on the time until it is asked.
    const at = Math.floor(this.#clock.random() * (this.#order.length + 1));
    this.#order.splice(at, 0, member);
    if (at < this.#next) this.#next++;
  }

  #leaveRound(at: number): void {
    this.#order.splice(at, 1);
    if (at < this.#next) this.#next--;
  }

  #shuffle(): void {
    const order = this.#order;
    for (let at = order.length - 1; at > 0; at--) {
      const other = Math.floor(this.#clock.random() * (at + 1));
      [order[at], order[other]] = [order[other] as Member, order[at] as Member];
    }
  }
}

/** The bucket that a peer is in. */
export function bucketOf(peerId: string): number {
  return parseInt(peerId.slice(0, 2), 16) % BUCKETS;
}

/** The buckets in which two digests differ. */
export function differences(a: Uint8Array, b: Uint8Array): Set<number> {
  const differing = new Set<number>();
  for (let at = 0; at < DIGEST_BYTES; at++) {
    if (a[at] !== b[at]) differing.add(at >> 2);
  }
  return differing;
}

/** FNV-1a over the id and the incarnation: nobody gains by a collision but one late update. */
function hashOf(peerId: string, incarnation: number): number {
  let hash = 0x811c9dc5;
  const text = `${peerId}${incarnation}`;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}
