/**
 * Which messages were seen, in bounded memory, however many there are.
 *
 * The numbers of one life of an author follow each other, so what was seen of it is a range, with a hole for each message
 * that has not come yet; each further life begins a range of its own. A high-water mark would not do: an author whose
 * clock was set back begins below it.
 *
 * @module
 */

import { type Range, Ranges } from "./ranges.ts";

/** How much a {@linkcode Seen} remembers. */
export interface SeenOptions {
  /** Most authors. @default {4096} */
  readonly maxAuthors?: number;
  /** Most ranges of numbers of one author, 2 or more. @default {256} */
  readonly maxRanges?: number;
}

/** What was seen of an author. */
interface SeenOf {
  readonly ranges: Ranges;
  lastMs: number;
}

/**
 * The messages that were seen, by author and sequence number.
 *
 * Both bounds cost something when they are reached, so that nobody can make this grow. An author with too many holes has
 * the smallest of the older half of them closed: a message that belongs into it counts as seen though it never came (see
 * {@linkcode Seen.merged}). When there are too many authors, the one of whom nothing new has come for longest is forgotten:
 * its messages would be new again (see {@linkcode Seen.forgotten}), where nothing else, such as their age, tells that they
 * are not.
 */
export class Seen {
  readonly #maxAuthors: number;
  readonly #maxRanges: number;
  // In the order in which something was last added. The last one is also at hand, because most messages are of the same
  // author as the one before.
  readonly #authors = new Map<string, SeenOf>();
  #latest: string | undefined;
  // One walk for all who are forgotten: one that began anew would pass the empty places of those before, each time.
  readonly #oldestFirst = this.#authors.keys();
  #ranges = 0;
  #merged = 0;
  #forgotten = 0;

  /** Has seen nothing. @throws {RangeError} for options below their least. */
  constructor(options: SeenOptions = {}) {
    const { maxAuthors = 4_096, maxRanges = 256 } = options;
    this.#maxAuthors = atLeast(1, "maxAuthors", maxAuthors);
    this.#maxRanges = atLeast(2, "maxRanges", maxRanges);
  }

  /** How many authors are remembered. */
  get authors(): number {
    return this.#authors.size;
  }

  /** How many ranges are remembered, of all authors together. */
  get ranges(): number {
    return this.#ranges;
  }

  /** How often a hole was closed because its author had too many. */
  get merged(): number {
    return this.#merged;
  }

  /** How many authors were forgotten because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Whether a message was seen. */
  has(author: string, seq: number): boolean {
    return this.#authors.get(author)?.ranges.has(seq) ?? false;
  }

  /**
   * Sees a message.
   *
   * @param nowMs The time, for {@linkcode Seen.forgetBefore}.
   * @returns whether it was not seen before.
   * @throws {RangeError} when the number is not a whole one from 0 to 2^53 - 1.
   */
  add(author: string, seq: number, nowMs: number): boolean {
    let seen = this.#authors.get(author);
    seen ??= { ranges: new Ranges(this.#maxRanges), lastMs: nowMs };
    const { ranges } = seen;
    const { size, merged } = ranges;
    if (!ranges.add(seq)) return false;
    seen.lastMs = nowMs;
    this.#ranges += ranges.size - size;
    this.#merged += ranges.merged - merged;
    if (author !== this.#latest) this.#moveToEnd(author, seen);
    return true;
  }

  /** Forgets the authors of whom nothing was added at that time or later. */
  forgetBefore(nowMs: number): void {
    for (const [author, { lastMs }] of this.#authors) {
      if (lastMs < nowMs) this.#forget(author);
    }
  }

  /** What was seen of each author, from the one of whom nothing new has come for longest; ranges lowest first. */
  *entries(): Iterable<[author: string, ranges: readonly Range[]]> {
    for (const [author, { ranges }] of this.#authors) yield [author, [...ranges]];
  }

  #moveToEnd(author: string, seen: SeenOf): void {
    this.#authors.delete(author);
    this.#authors.set(author, seen);
    this.#latest = author;
    if (this.#authors.size <= this.#maxAuthors) return;
    const { value: oldest } = this.#oldestFirst.next();
    if (oldest === undefined) return;
    this.#forget(oldest);
    this.#forgotten++;
  }

  #forget(author: string): void {
    this.#ranges -= this.#authors.get(author)?.ranges.size ?? 0;
    this.#authors.delete(author);
    if (author === this.#latest) this.#latest = undefined;
  }
}

function atLeast(least: number, name: string, value: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new RangeError(`${name} must be ${least} or more: current value is ${value}`);
}
