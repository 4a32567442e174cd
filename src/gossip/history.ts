/**
 * The latest messages of a topic, kept for who comes late, and for neighbours to compare what each has.
 *
 * There is room for so many messages and bytes. Whoever takes the most of it loses its oldest message first when there is
 * not enough, so that a flood evicts itself and not what the others said. (Who floods under many names is no more than
 * many authors here: that is for whoever lets authors in.)
 *
 * @module
 */

import { Chain, type ChainLink } from "./chain.ts";
import { type DigestRow, type IdsByAuthor, MARKS, MAX_DIGEST_ROWS } from "./digest.ts";
import { Heap, type Placed } from "./heap.ts";

/** A message that can be kept. */
export interface Kept {
  /** Who wrote it. */
  readonly author: string;
  /** Its author's number for it. */
  readonly seq: number;
  /** When its author wrote it, in milliseconds since 1970. */
  readonly createdMs: number;
  /** All of it, as it is passed on. Kept as it is, not copied: no view of something larger. */
  readonly bytes: Uint8Array;
  /** 48 bits of its hash, as a whole number: different messages hardly ever have the same. */
  readonly mark: number;
}

/** How much a {@linkcode History} keeps. */
export interface HistoryOptions {
  /** Most messages. @default {16384} */
  readonly maxMessages?: number;
  /** Most bytes of all of them together. @default {33554432} */
  readonly maxBytes?: number;
  /**
   * How long a message is kept after it arrived, at most, in milliseconds, also when nobody calls
   * {@linkcode History.expire}. @default {1800000}
   */
  readonly maxAgeMs?: number;
  /** The stretch of time that messages are compared by, in milliseconds. @default {10000} */
  readonly bucketMs?: number;
}

/** A message, and what it counts for. */
interface Entry<T> {
  readonly message: T;
  readonly arrivedMs: number;
  /** Grows with every message that arrives. */
  readonly order: number;
  readonly author: Author<T>;
  readonly bucket: Bucket<T>;
}

/** An entry and its places. */
interface Held<T> {
  readonly entry: Entry<T>;
  readonly inAll: ChainLink<Entry<T>>;
  readonly inAuthor: ChainLink<Entry<T>>;
}

interface Author<T> extends Placed {
  readonly id: string;
  readonly bySeq: Map<number, Held<T>>;
  readonly inOrder: Chain<Entry<T>>;
  /** How much room its messages take. */
  room: number;
}

interface Bucket<T> {
  readonly number: number;
  readonly entries: Set<Entry<T>>;
  sum: number;
}

/**
 * The latest messages of a topic; see the module.
 *
 * The room that a message takes is its bytes and an equal share of `maxBytes`, so that many small messages are as much of
 * a flood as few large ones.
 *
 * Two clocks are told apart: when a message was created is said by its author, in milliseconds since 1970; when it arrived
 * is measured here, by a clock that does not run backwards.
 */
export class History<T extends Kept = Kept> {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #maxAgeMs: number;
  readonly #bucketMs: number;
  readonly #roomOfEach: number;
  readonly #authors = new Map<string, Author<T>>();
  readonly #greediest = new Heap<Author<T>>(takesMore);
  readonly #buckets = new Map<number, Bucket<T>>();
  readonly #inOrder = new Chain<Entry<T>>();
  #size = 0;
  #bytes = 0;
  #evicted = 0;
  #arrived = 0;

  /**
   * Keeps nothing yet.
   *
   * @throws {RangeError} for options that are not above 0, and for buckets so short that `maxAgeMs` has more than the 512
   * that a digest may have.
   */
  constructor(options: HistoryOptions = {}) {
    const {
      maxMessages = 16_384,
      maxBytes = 32 * 1024 * 1024,
      maxAgeMs = 30 * 60_000,
      bucketMs = 10_000,
    } = options;
    this.#maxMessages = positive("maxMessages", maxMessages);
    this.#maxBytes = positive("maxBytes", maxBytes);
    this.#maxAgeMs = positive("maxAgeMs", maxAgeMs);
    this.#bucketMs = positive("bucketMs", bucketMs);
    this.#roomOfEach = Math.ceil(maxBytes / maxMessages);
    if (maxAgeMs / bucketMs > MAX_DIGEST_ROWS) {
      const least = Math.ceil(maxAgeMs / MAX_DIGEST_ROWS);
      throw new RangeError(`bucketMs must be ${least} or more: current value is ${bucketMs}`);
    }
  }

  /** How many messages are kept. */
  get size(): number {
    return this.#size;
  }

  /** How many bytes they have together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many messages were dropped, or not even taken, for want of room. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Keeps a message; one that is kept already stays as it was. */
  add(message: T, arrivedMs: number): void {
    this.#dropArrivedBefore(arrivedMs - this.#maxAgeMs);
    if (this.has(message.author, message.seq)) return;
    // It would evict all of its author, and then itself.
    if (message.bytes.length > this.#maxBytes) {
      this.#evicted++;
      return;
    }
    this.#insert(message, arrivedMs);
    while (this.#size > this.#maxMessages || this.#bytes > this.#maxBytes) this.#evict();
  }

  /** A message, when it is kept. */
  get(author: string, seq: number): T | undefined {
    return this.#authors.get(author)?.bySeq.get(seq)?.entry.message;
  }

  /** Whether a message is kept. */
  has(author: string, seq: number): boolean {
    return this.#authors.get(author)?.bySeq.has(seq) ?? false;
  }

  /** Drops what was created before that time. @param nowMs When given, what arrived too long before that goes, too. */
  expire(createdBeforeMs: number, nowMs = -Infinity): void {
    this.#dropArrivedBefore(nowMs - this.#maxAgeMs);
    const last = this.#bucketAt(createdBeforeMs);
    for (const { number, entries } of this.#buckets.values()) {
      if (number > last) continue;
      for (const entry of entries) {
        if (entry.message.createdMs < createdBeforeMs) this.#drop(entry);
      }
    }
  }

  /** Everything that is kept, in the order in which it arrived, as it is now. */
  all(): Iterable<T> {
    return Array.from(this.#inOrder, ({ message }) => message);
  }

  /**
   * What is kept, in short: how many messages of each bucket, and the sum of their marks, of the latest 512 buckets.
   *
   * @param arrivedBeforeMs Only of what arrived before: what is just arriving everywhere differs by nature.
   */
  digest(arrivedBeforeMs: number): DigestRow[] {
    const totals = new Map<number, { count: number; sum: number }>();
    for (const { number, entries, sum } of this.#buckets.values()) {
      totals.set(number, { count: entries.size, sum });
    }
    for (const { bucket, message } of this.#arrivedFrom(arrivedBeforeMs)) {
      const total = totals.get(bucket.number);
      if (total === undefined) continue;
      total.count--;
      total.sum = withoutMark(total.sum, message.mark);
    }
    return [...totals]
      .filter(([, { count }]) => count > 0)
      .map(([bucket, { count, sum }]): DigestRow => [bucket, count, sum])
      .sort(([a], [b]) => a - b)
      .slice(-MAX_DIGEST_ROWS);
  }

  /**
   * The buckets, ascending, where what is kept here and at a neighbour is not the same: also those of which only one of
   * the two has anything.
   *
   * @param arrivedBeforeMs See {@linkcode History.digest}.
   */
  differing(other: readonly DigestRow[], arrivedBeforeMs: number): number[] {
    const differing = new Map(other.map((row) => [row[0], row]));
    for (const row of this.digest(arrivedBeforeMs)) {
      const [bucket, count, sum] = row;
      const theirs = differing.get(bucket);
      if (theirs?.[1] === count && theirs[2] === sum) differing.delete(bucket);
      else differing.set(bucket, row);
    }
    return [...differing.keys()].sort((a, b) => a - b);
  }

  /**
   * The ids of what is kept of some buckets, bucket by bucket as asked for, up to so many.
   *
   * @param arrivedBeforeMs See {@linkcode History.digest}.
   */
  idsIn(buckets: readonly number[], arrivedBeforeMs: number, max: number): IdsByAuthor {
    const end = this.#orderAt(arrivedBeforeMs);
    const ids = new Map<string, number[]>();
    let left = max;
    for (const bucket of new Set(buckets)) {
      for (const { author, seq } of this.#keptIn(bucket, end)) {
        if (left-- <= 0) return [...ids];
        addTo(ids, author, seq);
      }
    }
    return [...ids];
  }

  /** The same for each of some buckets on its own. */
  idsOfEach(buckets: readonly number[], arrivedBeforeMs: number): Map<number, IdsByAuthor> {
    const end = this.#orderAt(arrivedBeforeMs);
    return new Map(buckets.map((bucket) => {
      const ids = new Map<string, number[]>();
      for (const { author, seq } of this.#keptIn(bucket, end)) addTo(ids, author, seq);
      return [bucket, [...ids]];
    }));
  }

  /** Where in the order of arrival those begin that came at that time or later. */
  #orderAt(timeMs: number): number {
    let end = this.#arrived;
    for (const { order } of this.#arrivedFrom(timeMs)) end = order;
    return end;
  }

  *#keptIn(bucket: number, end: number): Generator<T> {
    for (const { order, message } of this.#buckets.get(bucket)?.entries ?? []) {
      if (order < end) yield message;
    }
  }

  #insert(message: T, arrivedMs: number): void {
    const author = this.#authorOf(message);
    const bucket = this.#bucketOf(message);
    const entry = { message, arrivedMs, order: this.#arrived++, author, bucket };
    author.bySeq.set(message.seq, {
      entry,
      inAll: this.#inOrder.add(entry),
      inAuthor: author.inOrder.add(entry),
    });
    author.room += this.#roomOf(message);
    this.#greediest.put(author);
    bucket.entries.add(entry);
    bucket.sum = (bucket.sum + message.mark) % MARKS;
    this.#size++;
    this.#bytes += message.bytes.length;
  }

  #drop(entry: Entry<T>): void {
    const { message, author, bucket } = entry;
    const held = author.bySeq.get(message.seq);
    if (held === undefined) return;
    this.#inOrder.remove(held.inAll);
    author.inOrder.remove(held.inAuthor);
    author.bySeq.delete(message.seq);
    author.room -= this.#roomOf(message);
    if (author.bySeq.size > 0) this.#greediest.put(author);
    else {
      this.#greediest.remove(author);
      this.#authors.delete(author.id);
    }
    bucket.entries.delete(entry);
    bucket.sum = withoutMark(bucket.sum, message.mark);
    if (bucket.entries.size === 0) this.#buckets.delete(bucket.number);
    this.#size--;
    this.#bytes -= message.bytes.length;
  }

  #evict(): void {
    const oldest = this.#greediest.first?.inOrder.first;
    if (oldest === undefined) return;
    this.#drop(oldest);
    this.#evicted++;
  }

  #dropArrivedBefore(timeMs: number): void {
    for (;;) {
      const oldest = this.#inOrder.first;
      if (oldest === undefined || oldest.arrivedMs >= timeMs) return;
      this.#drop(oldest);
    }
  }

  /** What arrived at that time or later, last first. */
  arrivedSince(timeMs: number): T[] {
    return Array.from(this.#arrivedFrom(timeMs), ({ message }) => message);
  }

  /** The same, with where each stands. */
  *#arrivedFrom(timeMs: number): Iterable<Entry<T>> {
    for (const entry of this.#inOrder.backwards()) {
      if (entry.arrivedMs < timeMs) return;
      yield entry;
    }
  }

  #authorOf({ author: id }: T): Author<T> {
    let author = this.#authors.get(id);
    if (author === undefined) {
      author = { id, bySeq: new Map(), inOrder: new Chain(), room: 0, place: -1 };
      this.#authors.set(id, author);
    }
    return author;
  }

  #bucketOf({ createdMs }: T): Bucket<T> {
    const number = this.#bucketAt(createdMs);
    let bucket = this.#buckets.get(number);
    if (bucket === undefined) {
      bucket = { number, entries: new Set(), sum: 0 };
      this.#buckets.set(number, bucket);
    }
    return bucket;
  }

  #bucketAt(timeMs: number): number {
    return Math.floor(timeMs / this.#bucketMs);
  }

  #roomOf({ bytes }: T): number {
    return bytes.length + this.#roomOfEach;
  }
}

/** Whether an author is to lose a message before another: it takes more room, or as much and has the older message. */
function takesMore<T>(a: Author<T>, b: Author<T>): boolean {
  if (a.room !== b.room) return a.room > b.room;
  return (a.inOrder.first?.order ?? 0) < (b.inOrder.first?.order ?? 0);
}

function withoutMark(sum: number, mark: number): number {
  return (sum - mark + MARKS) % MARKS;
}

function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new RangeError(`${name} must be above 0: current value is ${value}`);
}

function addTo(ids: Map<string, number[]>, author: string, seq: number): void {
  const seqs = ids.get(author);
  if (seqs === undefined) ids.set(author, [seq]);
  else seqs.push(seq);
}
