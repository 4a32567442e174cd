/**
 * The nodes that one node knows: many that are near to it, a few at every distance.
 *
 * A binary tree over the ids, with a bucket of at most k nodes at each end. A full bucket splits in two when our own id is
 * in its range, or when its ids have in common a number of bits that is no multiple of 5: so each step of a lookup comes 5
 * bits nearer, not 1. What is counted are the bits of its range, not those that its nodes happen to share: else 20 chosen
 * ids could keep half of all the others out, or have it split without end. As it is, there are at most 993 buckets, with k
 * = 20 at most 19,860 nodes and 99,300 replacements, whoever comes.
 *
 * Who is in it stays for as long as it answers, however many others come (section 2.2): they wait, and have its place once
 * it fails. So nobody gets in by being many.
 *
 * Source: Maymounkov and Mazières, "Kademlia", 2002, sections 2.2 to 2.4, 4.1 and 4.2.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type Bucket, type BucketInfo, type Entry, isFailing } from "./bucket.ts";
import { BucketTree } from "./bucket_tree.ts";
import { type Contact, isSameAddress } from "./contact.ts";
import { type Crowded, Diversity, type DiversityOptions, publicNetworkOf } from "./diversity.ts";
import {
  commonBits,
  compareDistance,
  fromKey,
  ID_BYTES,
  isSameId,
  type NodeId,
  randomIdIn,
  randomIdUnder,
} from "./node_id.ts";

/** Bits that a step of a lookup comes nearer: b of section 4.2. */
const BITS_PER_STEP = 5;

/** A node that did not answer once, and was not heard of for so long before, in milliseconds, gives way. */
const STALE_MS = 15 * 60_000;

/** Who has a place that another waits for is asked whether it is still there; not again for so many milliseconds. */
const CHECK_AGAIN_MS = 60_000;

/** Failures in a row after which a node goes, though nobody is there to replace it. */
const GONE = 5;

/** How much of a smoothed round trip is the latest one (RFC 6298, 2). */
const RTT_GAIN = 1 / 8;

/** How to make a {@linkcode RoutingTable}. */
export interface RoutingTableOptions {
  /** Our own id, which is never in it. */
  readonly self: NodeId;
  /** Nodes in a bucket, and what a search finds; 1 or more. @default {20} */
  readonly k?: number;
  /** What time it is. */
  readonly clock: Pick<Clock, "now" | "random">;
  /** How many nodes of one public network may be in it. @default {2 per bucket, 10 in the table} */
  readonly diversity?: DiversityOptions;
  /** Gives numbers in [0, 1). @default {clock.random} */
  readonly random?: () => number;
}

/** What became of a node that answered. */
export interface Added {
  /**
   * `added`: it is in the table now. `updated`: it was there before; its address and all else are what they are now.
   * `replacement`: it waits for a place. `refused`: it does not even wait; one that moved stays known where it was.
   */
  readonly type: "added" | "updated" | "replacement" | "refused";
  /** Why it was refused: it is we ourselves, or too many of its network are there. */
  readonly why?: "self" | Crowded;
  /** Who has the place that it waits for, and is to be asked whether it is still there. */
  readonly oldest?: Contact;
}

/**
 * The nodes that one node knows; see the module. All that is in it has answered from where it says that it is.
 *
 * @example
 * ```ts
 * import { contactOf, RoutingTable } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const self = new Uint8Array(20);
 * const table = new RoutingTable({ self, clock: { now: () => 0, random: Math.random } });
 * const bob = contactOf(self.with(19, 7), { hostname: "10.0.0.7", port: 3486 });
 * assertEquals([table.add(bob).type, table.closest(self)], ["added", [bob]]);
 * ```
 */
export class RoutingTable {
  /** Nodes in a bucket, and what a search finds. */
  readonly k: number;
  readonly #self: NodeId;
  readonly #clock: Pick<Clock, "now" | "random">;
  readonly #random: () => number;
  readonly #diversity: Diversity;
  readonly #tree: BucketTree;
  #size = 0;

  /**
   * Knows nobody.
   *
   * @throws {RangeError} when an option is out of range.
   */
  constructor(options: RoutingTableOptions) {
    const { self, k = 20, clock, diversity, random = () => clock.random() } = options;
    if (self.length !== ID_BYTES) {
      throw new RangeError(`self must have ${ID_BYTES} bytes: it has ${self.length}`);
    }
    if (!Number.isSafeInteger(k) || k < 1) {
      throw new RangeError(`k must be a whole number of 1 or more: current value is ${k}`);
    }
    this.k = k;
    this.#self = self.slice();
    this.#clock = clock;
    this.#random = random;
    this.#diversity = new Diversity(diversity);
    const perNetwork = this.#diversity.perBucket;
    this.#tree = new BucketTree({ k, perNetwork, lookedUpMs: clock.now() });
  }

  /** Nodes in it, without replacements. */
  get size(): number {
    return this.#size;
  }

  /** Whether anybody in it counts for a public network. */
  get hasPublic(): boolean {
    return this.#diversity.hasAny;
  }

  /**
   * A node has answered from its address.
   *
   * @param more How long it took to, in milliseconds, where that was measured.
   * @returns what became of it.
   */
  add(contact: Contact, { rttMs }: { readonly rttMs?: number } = {}): Added {
    if (isSameId(contact.id, this.#self)) return { type: "refused", why: "self" };
    const bucket = this.#tree.of(contact.id);
    const known = bucket.get(contact.key);
    if (known !== undefined) return this.#update(bucket, known, contact, rttMs);
    const waiting = bucket.replacement(contact.key);
    bucket.forget(contact.key);
    const nowMs = this.#clock.now();
    const entry = {
      contact,
      network: publicNetworkOf(contact.address.hostname),
      rttMs: smoothed(waiting?.rttMs, rttMs),
      seenMs: nowMs,
      checkedMs: nowMs,
      failures: 0,
    };
    return this.#admit(this.#roomiestFor(contact.id), entry);
  }

  /**
   * A node has asked us something, from its address. Where it is known there it is there; else that proves nothing. One that
   * did not answer lately has to answer: in other programs' networks anybody can ask in its name.
   *
   * @returns whether it is in the table, at that address.
   */
  heard({ id, key, address }: Contact): boolean {
    const bucket = this.#tree.of(id);
    const entry = bucket.get(key);
    if (entry === undefined || !isSameAddress(entry.contact.address, address)) return false;
    if (entry.failures === 0) this.#update(bucket, entry, entry.contact, undefined);
    return true;
  }

  /**
   * A node did not answer. Where it was asked elsewhere than where it is known to be, that says nothing of it: anybody can
   * name a wrong address.
   *
   * The second time in a row, or the first when it was not heard of for 15 minutes, a replacement gets its place. Without
   * one it stays until the fifth time (we may be cut off ourselves), but {@linkcode RoutingTable.closest} has it last.
   *
   * @returns whether it is out of the table now.
   */
  failed({ id, key, address }: Contact): boolean {
    const bucket = this.#tree.of(id);
    const entry = bucket.get(key);
    if (entry === undefined) {
      const waiting = bucket.replacement(key);
      if (waiting && isSameAddress(waiting.contact.address, address)) bucket.forget(key);
      return false;
    }
    if (!isSameAddress(entry.contact.address, address)) return false;
    entry.failures++;
    const givesWay = isFailing(entry) || this.#clock.now() - entry.seenMs > STALE_MS;
    const isReplaced = givesWay && this.#heirOf(bucket, entry) !== undefined;
    if (!isReplaced && entry.failures < GONE) return false;
    this.#drop(bucket, entry);
    this.#fill(bucket);
    return true;
  }

  /** Forgets a node, also as a replacement. @returns whether it was in the table. @throws {TypeError} for no key. */
  remove(key: string): boolean {
    const bucket = this.#tree.of(fromKey(key));
    const entry = bucket.get(key);
    if (entry === undefined) {
      bucket.forget(key);
      return false;
    }
    this.#drop(bucket, entry);
    this.#fill(bucket);
    return true;
  }

  /** A node in it. @throws {TypeError} for what is no key. */
  get(key: string): Contact | undefined {
    return this.#tree.of(fromKey(key)).get(key)?.contact;
  }

  /** How long a node takes to answer, smoothed, in milliseconds, where that was measured. */
  rttOf({ id, key }: Pick<Contact, "id" | "key">): number | undefined {
    return this.#tree.of(id).get(key)?.rttMs;
  }

  /**
   * The nodes that are nearest to an id, the nearest first, exactly: whole subtrees are nearer than others, so only the
   * last of the buckets that are looked at has any that are not wanted. Those that failed twice come after all others.
   *
   * @param count How many at most. @default {k}
   * @param accepts Whom to look at at all. @default {all}
   */
  closest(
    target: NodeId,
    count: number = this.k,
    accepts: (contact: Contact) => boolean = () => true,
  ): Contact[] {
    const nearest: Contact[] = [];
    const failing: Contact[] = [];
    for (const bucket of this.#tree.nearest(target)) {
      if (nearest.length >= count) break;
      const here = [...bucket.entries].filter(({ contact }) => accepts(contact));
      here.sort((a, b) => compareDistance(target, a.contact.id, b.contact.id));
      for (const entry of here) (isFailing(entry) ? failing : nearest).push(entry.contact);
    }
    return [...nearest, ...failing].slice(0, count);
  }

  /** All nodes in it, in the order of their buckets, as they are now. */
  contacts(): Contact[] {
    return this.#tree.all().flatMap((bucket) =>
      Array.from(bucket.entries, ({ contact }) => contact)
    );
  }

  /** What its buckets look like, the lowest first. */
  buckets(): BucketInfo[] {
    return this.#tree.all().map((bucket) => bucket.describe());
  }

  /** Somebody looks for an id: where it belongs needs no refreshing for a while. */
  lookedUp(target: NodeId): void {
    this.#tree.of(target).lookedUpMs = this.#clock.now();
  }

  /** Ids to look for so that the table stays fresh: one of each bucket that nobody looked into for so many milliseconds. */
  stale(olderThanMs: number): NodeId[] {
    const sinceMs = this.#clock.now() - olderThanMs;
    return this.#tree.all()
      .filter(({ lookedUpMs }) => lookedUpMs <= sinceMs)
      .map(({ prefix, bits }) => randomIdUnder(prefix, bits, this.#random));
  }

  /**
   * Ids to look for after we looked for our own, which found the k nearest: one at each distance that is further away than
   * they are, the furthest first (section 2.3). About as many as the logarithm of how many nodes there are for each of k.
   */
  farTargets(): NodeId[] {
    const farthest = this.closest(this.#self)[this.k - 1];
    const count = farthest === undefined ? 0 : commonBits(this.#self, farthest.id);
    return Array.from({ length: count }, (_, bits) => randomIdIn(this.#self, bits, this.#random));
  }

  #update(bucket: Bucket, entry: Entry, contact: Contact, rttMs: number | undefined): Added {
    const { hostname } = contact.address;
    const hasMoved = hostname !== entry.contact.address.hostname;
    const network = hasMoved ? publicNetworkOf(hostname) : entry.network;
    if (network !== entry.network) {
      const why = this.#diversity.refusal(network, bucket.entries, entry);
      if (why !== undefined) return { type: "refused", why };
      this.#diversity.left(entry.network);
      this.#diversity.joined(network);
    }
    entry.contact = contact;
    entry.network = network;
    entry.rttMs = smoothed(entry.rttMs, rttMs);
    entry.seenMs = entry.checkedMs = this.#clock.now();
    entry.failures = 0;
    bucket.put(entry);
    return { type: "updated" };
  }

  #admit(bucket: Bucket, entry: Entry): Added {
    const leaving = bucket.isFull ? bucket.worst : undefined;
    const why = this.#diversity.refusal(entry.network, bucket.entries, leaving);
    if (why !== undefined) return { type: "refused", why };
    if (leaving !== undefined) this.#drop(bucket, leaving);
    else if (bucket.isFull) {
      bucket.wait(entry);
      return { type: "replacement", ...this.#toCheck(bucket) };
    }
    this.#diversity.joined(entry.network);
    bucket.put(entry);
    this.#size++;
    return { type: "added" };
  }

  /** Who has been in a bucket longest without a word, unless that was asked or heard of a moment ago. */
  #toCheck({ oldest }: Bucket): Pick<Added, "oldest"> {
    const nowMs = this.#clock.now();
    if (oldest === undefined || nowMs - oldest.checkedMs < CHECK_AGAIN_MS) return {};
    oldest.checkedMs = nowMs;
    return { oldest: oldest.contact };
  }

  #drop(bucket: Bucket, entry: Entry): void {
    bucket.delete(entry.contact.key);
    this.#diversity.left(entry.network);
    this.#size--;
  }

  /** Replacements get the places that are free. */
  #fill(bucket: Bucket): void {
    while (!bucket.isFull) {
      const heir = this.#heirOf(bucket);
      if (heir === undefined) return;
      bucket.promote(heir);
      this.#diversity.joined(heir.network);
      this.#size++;
    }
  }

  /** Which replacement gets the next place, or that of a node: the one that was seen last, of those that may. */
  #heirOf(bucket: Bucket, leaving?: Entry): Entry | undefined {
    return bucket.replacements.find(({ network }) =>
      this.#diversity.refusal(network, bucket.entries, leaving) === undefined
    );
  }

  /** The bucket of an id, split as often as it may be while it is full. So nobody waits in one that may be split. */
  #roomiestFor(id: NodeId): Bucket {
    let bucket = this.#tree.of(id);
    while (bucket.isFull && this.#maySplit(bucket)) {
      this.#tree.split(bucket);
      bucket = this.#tree.of(id);
    }
    return bucket;
  }

  #maySplit({ prefix, bits }: Bucket): boolean {
    return bits % BITS_PER_STEP !== 0 || commonBits(prefix, this.#self) >= bits;
  }
}

function smoothed(beforeMs: number | undefined, nowMs: number | undefined): number | undefined {
  if (beforeMs === undefined || nowMs === undefined) return nowMs ?? beforeMs;
  return beforeMs + RTT_GAIN * (nowMs - beforeMs);
}
