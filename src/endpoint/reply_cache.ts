/**
 * Answers that were given, kept for who asks again because they were lost.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";

/** What a {@linkcode ReplyCache} keeps. */
export interface ReplyCacheOptions {
  /** Most answers; the latest half of them is kept for `minAgeMs`. @default {32768} */
  maxReplies?: number;
  /** Most bytes of all answers together, of which the same is true. @default {4194304} */
  maxBytes?: number;
  /** How long an answer is kept in milliseconds: longer than anybody may ask again. @default {30000} */
  minAgeMs?: number;
}

/** Bytes that a generation starts with. */
const FIRST_BYTES = 16 * 1024;

/**
 * The packets of the latest answers, by the ids of their requests and where these came from.
 *
 * They are kept in two generations. When the young one has half of what may be kept, or is old enough, it becomes the old
 * one, and the one that was old is forgotten as a whole: nothing is ever looked for to be evicted.
 */
export class ReplyCache {
  readonly #maxReplies: number;
  readonly #maxBytes: number;
  readonly #minAgeMs: number;
  #young = new Generation(-Infinity);
  #old = new Generation(-Infinity);

  /** Makes an empty cache. */
  constructor(options: ReplyCacheOptions = {}) {
    const { maxReplies = 32_768, maxBytes = 4 * 1024 * 1024, minAgeMs = 30_000 } = options;
    this.#maxReplies = maxReplies;
    this.#maxBytes = maxBytes;
    this.#minAgeMs = minAgeMs;
  }

  /** How many answers are kept. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The answer to the request of that id from there, as long as it is kept. */
  get(id: number, from: Address): Uint8Array | undefined {
    return this.#young.get(id, from) ?? this.#old.get(id, from);
  }

  /** Keeps a copy of an answer. @returns the copy, not to be changed. */
  put(id: number, to: Address, packet: Uint8Array, nowMs: number): Uint8Array {
    const { size, bytes, sinceMs } = this.#young;
    const isFull = size >= this.#maxReplies / 2 || bytes + packet.length > this.#maxBytes / 2;
    if (isFull || nowMs - sinceMs >= this.#minAgeMs) {
      this.#old = this.#young;
      this.#young = new Generation(nowMs);
    }
    return this.#young.add(id, to, packet);
  }

  /** Forgets everything. */
  clear(): void {
    this.#young = new Generation(-Infinity);
    this.#old = new Generation(-Infinity);
  }
}

/**
 * Answers that are forgotten together. They lie side by side in a few arrays, because the garbage collector takes longer
 * for ten thousand objects that stay than everything else here for as many requests.
 */
class Generation {
  readonly sinceMs: number;
  readonly #records = new Map<number, number>();
  // By the number of the record: who asked, and where its bytes end, which is where those of the next begin.
  readonly #hostnames: string[] = [];
  readonly #ports: number[] = [];
  readonly #ends: number[] = [];
  #bytes = new Uint8Array(0);

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  get size(): number {
    return this.#ends.length;
  }

  get bytes(): number {
    return this.#ends.at(-1) ?? 0;
  }

  get(id: number, { hostname, port }: Address): Uint8Array | undefined {
    const record = this.#records.get(id);
    if (record === undefined) return undefined;
    if (this.#ports[record] !== port || this.#hostnames[record] !== hostname) return undefined;
    return this.#bytes.subarray(this.#ends[record - 1] ?? 0, this.#ends[record]);
  }

  add(id: number, { hostname, port }: Address, packet: Uint8Array): Uint8Array {
    const start = this.bytes;
    const end = start + packet.length;
    if (end > this.#bytes.length) this.#grow(end);
    const copy = this.#bytes.subarray(start, end);
    copy.set(packet);
    this.#records.set(id, this.#ends.push(end) - 1);
    // Every packet brings a string of its own; that of the one before is as good.
    const last = this.#hostnames.at(-1);
    this.#hostnames.push(last === hostname ? last : hostname);
    this.#ports.push(port);
    return copy;
  }

  // Copies that were handed out stay where they are.
  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, FIRST_BYTES, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
