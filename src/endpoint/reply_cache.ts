/**
 * Answers that were given, kept for who asks again because they were lost.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";

/** What a {@linkcode ReplyCache} keeps. */
export interface ReplyCacheOptions {
  /** Most answers, of which the latest half is sure to be kept. @default {32768} */
  maxReplies?: number;
  /** Most bytes of all answers together, of which the same is true. @default {4194304} */
  maxBytes?: number;
}

/** Bytes that a generation starts with. */
const FIRST_BYTES = 16 * 1024;

/**
 * The packets of the latest answers, by the ids of their requests and where these came from.
 *
 * They are kept in two generations. When the young one has half of what may be kept, or enough time has passed, it
 * becomes the old one, and the one that was old is forgotten as a whole: nothing is ever looked for to be evicted.
 */
export class ReplyCache {
  readonly #perGeneration: number;
  readonly #maxBytes: number;
  #young: Generation | undefined;
  #old: Generation | undefined;

  /** Makes an empty cache. @throws {RangeError} when `maxReplies` is below 2. */
  constructor(options: ReplyCacheOptions = {}) {
    const { maxReplies = 32_768, maxBytes = 4 * 1024 * 1024 } = options;
    if (!(Number.isInteger(maxReplies) && maxReplies >= 2)) {
      throw new RangeError(`maxReplies must be 2 or more: current value is ${maxReplies}`);
    }
    this.#perGeneration = Math.floor(maxReplies / 2);
    this.#maxBytes = maxBytes;
  }

  /** How many answers are kept. */
  get size(): number {
    return (this.#young?.size ?? 0) + (this.#old?.size ?? 0);
  }

  /** The answer to the request of that id from there, as long as it is kept. */
  get(id: number, from: Address): Uint8Array | undefined {
    return this.#young?.get(id, from) ?? this.#old?.get(id, from);
  }

  /** Keeps a copy of an answer. */
  put(id: number, to: Address, packet: Uint8Array): void {
    if (this.#young !== undefined) {
      const { isFull, bytes } = this.#young;
      if (isFull || bytes + packet.length > this.#maxBytes / 2) this.age();
    }
    this.#young ??= new Generation(this.#perGeneration);
    this.#young.add(id, to, packet);
  }

  /** Makes the young generation old, and forgets the old one. */
  age(): void {
    this.#old = this.#young;
    this.#young = undefined;
  }

  /** Forgets everything. */
  clear(): void {
    this.#old = this.#young = undefined;
  }
}

/**
 * Answers that are forgotten together. They lie side by side in a few arrays: ten thousand objects that stay, or a `Map`
 * of as many numbers that are no small integers, cost more time than everything else that is done for an answer.
 */
class Generation {
  /** How many there are. */
  size = 0;
  // By the number of the record, from 1: who asked, and where its bytes end, which is where those of the next begin.
  readonly #ids: Float64Array;
  readonly #ports: Uint16Array;
  readonly #hostnames: string[] = [""];
  readonly #ends: Uint32Array;
  // A hash table of these numbers with linear probing, at most half full; 0 where there is none.
  readonly #slots: Uint32Array;
  #bytes = new Uint8Array(0);

  constructor(capacity: number) {
    this.#ids = new Float64Array(capacity + 1);
    this.#ports = new Uint16Array(capacity + 1);
    this.#ends = new Uint32Array(capacity + 1);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * capacity)));
  }

  get isFull(): boolean {
    return this.size === this.#ids.length - 1;
  }

  get bytes(): number {
    return this.#ends[this.size] ?? 0;
  }

  get(id: number, { hostname, port }: Address): Uint8Array | undefined {
    const record = this.#slots[this.#slotOf(id)] ?? 0;
    if (record === 0) return undefined;
    if (this.#ports[record] !== port || this.#hostnames[record] !== hostname) return undefined;
    return this.#bytes.subarray(this.#ends[record - 1], this.#ends[record]);
  }

  /** Adds a record; the caller knows that there is room. One of the same id that is there is lost. */
  add(id: number, { hostname, port }: Address, packet: Uint8Array): void {
    const start = this.bytes;
    const end = start + packet.length;
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.set(packet, start);
    // Every packet brings a string of its own; that of the one before is as good.
    const last = this.#hostnames[this.size];
    const record = ++this.size;
    this.#hostnames.push(last === hostname ? last : hostname);
    this.#ports[record] = port;
    this.#ends[record] = end;
    this.#ids[record] = id;
    this.#slots[this.#slotOf(id)] = record;
  }

  /** The slot of an id, or the free one where it belongs. */
  #slotOf(id: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(id) & mask;
    for (;;) {
      const record = this.#slots[slot] ?? 0;
      if (record === 0 || this.#ids[record] === id) return slot;
      slot = (slot + 1) & mask;
    }
  }

  // What was handed out stays where it is.
  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, FIRST_BYTES, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

// Others choose the ids: they must not know which of them meet.
const [SEED_LOW = 0, SEED_HIGH = 0] = crypto.getRandomValues(new Uint32Array(2));

/** The 53 bits of an id mixed into 32. */
function hash(id: number): number {
  const low = Math.imul((id >>> 0) ^ SEED_LOW, 0x9e3779b1);
  const high = Math.imul((id / 2 ** 32) ^ SEED_HIGH, 0x85ebca6b);
  const mixed = Math.imul(low ^ (low >>> 15) ^ high, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
