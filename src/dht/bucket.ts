/**
 * The nodes whose ids begin with the same bits, and those that wait for a place among them.
 *
 * Source: Maymounkov and Mazières, "Kademlia", 2002, sections 2.2 (least recently seen first: who has been there for long
 * is likely to stay) and 4.1 (the replacement cache).
 *
 * @module
 */

import type { Contact } from "./contact.ts";
import { bitOf, type NodeId, randomIdUnder, toKey, withBitFlipped } from "./node_id.ts";

/** Replacements that are kept for each place of a bucket. */
export const REPLACEMENTS_PER_PLACE = 5;

/** Failures in a row after which a node gives way to any other. */
const FAILING = 2;

/** What is known of a node. */
export interface Entry {
  /** The node, as it was when it last answered. */
  contact: Contact;
  /** The public network that it counts for. */
  network: string | undefined;
  /** How long it takes to answer, smoothed, in milliseconds. */
  rttMs: number | undefined;
  /** When it last answered. */
  seenMs: number;
  /** When it last answered, or was to be asked whether it is still there. */
  checkedMs: number;
  /** How often it did not since. */
  failures: number;
}

/** Whether a node has failed more than once since it last answered. */
export function isFailing({ failures }: Entry): boolean {
  return failures >= FAILING;
}

/** What a {@linkcode Bucket} is made with. */
export interface BucketOptions {
  /** Nodes it has room for. */
  readonly k: number;
  /** Replacements of one public network that it keeps. */
  readonly perNetwork: number;
  /** When anybody last looked into its range. */
  readonly lookedUpMs: number;
}

/** A bucket, for people to look at. */
export interface BucketInfo {
  /** How many bits all ids of its range begin with in common. */
  readonly bits: number;
  /** The first id of its range, in hexadecimal. */
  readonly low: string;
  /** The last id of its range, in hexadecimal. */
  readonly high: string;
  /** Nodes in it. */
  readonly size: number;
  /** How many of them have failed lately. */
  readonly failing: number;
  /** Nodes that wait for a place. */
  readonly replacements: number;
  /** When anybody last looked into its range, by the table's clock. */
  readonly lastLookedUpMs: number;
}

/** A range of ids and the nodes in it, at most k, and 5 x k that may replace them. */
export class Bucket {
  /** The first id of its range: what all ids in it begin with, and zeros. */
  readonly prefix: NodeId;
  /** How many bits the ids of its range have in common at least. */
  readonly bits: number;
  /** When anybody last looked into its range. */
  lookedUpMs: number;
  readonly #options: BucketOptions;
  // Both begin with the one that was seen least recently.
  #entries = new Map<string, Entry>();
  readonly #replacements = new Map<string, Entry>();

  /** An empty one. */
  constructor(prefix: NodeId, bits: number, options: BucketOptions) {
    this.prefix = prefix;
    this.bits = bits;
    this.lookedUpMs = options.lookedUpMs;
    this.#options = options;
  }

  /** Nodes in it, without replacements. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether it has no place left. */
  get isFull(): boolean {
    return this.#entries.size >= this.#options.k;
  }

  /** The node that was seen least recently. */
  get oldest(): Entry | undefined {
    return this.#entries.values().next().value;
  }

  /** The node with the most failures, of equals the oldest, if any is failing. */
  get worst(): Entry | undefined {
    let worst: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (isFailing(entry) && entry.failures > (worst?.failures ?? 0)) worst = entry;
    }
    return worst;
  }

  /** The nodes in it, the one first that was seen least recently. */
  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  /** The replacements, the one first that was seen last. */
  get replacements(): readonly Entry[] {
    return [...this.#replacements.values()].reverse();
  }

  /** How many replacements there are. */
  get waiting(): number {
    return this.#replacements.size;
  }

  /** A node in it. */
  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Puts a node in it that was seen now. */
  put(entry: Entry): void {
    const { key } = entry.contact;
    this.#entries.delete(key); // so that it comes last
    this.#entries.set(key, entry);
  }

  /** A replacement becomes a node in it: the first to be asked whether it is still there. */
  promote(entry: Entry): void {
    const { key } = entry.contact;
    this.#replacements.delete(key);
    this.#entries = new Map([[key, entry], ...this.#entries]);
  }

  /** Takes a node out. */
  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** A replacement. */
  replacement(key: string): Entry | undefined {
    return this.#replacements.get(key);
  }

  /**
   * Keeps a node that was seen now as a replacement, for which the oldest one goes where there is no room, or the oldest
   * of its network where that has its share: nobody can drive the others out.
   */
  wait(entry: Entry): void {
    this.#replacements.delete(entry.contact.key);
    const { k, perNetwork } = this.#options;
    const all = [...this.#replacements.values()];
    const rivals = all.filter(({ network }) => network !== undefined && network === entry.network);
    const gone = rivals.length >= perNetwork
      ? rivals[0]
      : all.length >= k * REPLACEMENTS_PER_PLACE
      ? all[0]
      : undefined;
    if (gone !== undefined) this.#replacements.delete(gone.contact.key);
    this.#replacements.set(entry.contact.key, entry);
  }

  /** Forgets a replacement. @returns whether it was one. */
  forget(key: string): boolean {
    return this.#replacements.delete(key);
  }

  /** What it looks like now. */
  describe(): BucketInfo {
    const { prefix, bits, size, waiting, lookedUpMs } = this;
    return {
      bits,
      low: toKey(prefix),
      high: toKey(lastIdUnder(prefix, bits)),
      size,
      failing: [...this.entries].filter(isFailing).length,
      replacements: waiting,
      lastLookedUpMs: lookedUpMs,
    };
  }

  /** Its two halves, the lower one first, with what was in it. */
  split(): [Bucket, Bucket] {
    const { prefix, bits, lookedUpMs } = this;
    const options = { ...this.#options, lookedUpMs };
    const zero = new Bucket(prefix, bits + 1, options);
    const one = new Bucket(withBitFlipped(prefix, bits), bits + 1, options);
    const halfOf = ({ contact }: Entry) => bitOf(contact.id, bits) === 0 ? zero : one;
    for (const entry of this.#entries.values()) halfOf(entry).put(entry);
    for (const entry of this.#replacements.values()) halfOf(entry).wait(entry);
    return [zero, one];
  }
}

function lastIdUnder(prefix: NodeId, bits: number): NodeId {
  return randomIdUnder(prefix, bits, () => 1 - Number.EPSILON); // all other bits are set
}
