/**
 * How much of each author is passed on, so that one who floods is cut at the first hop, whoever brings it.
 *
 * An author that is not known draws its first message from a bucket of the neighbour that brought it, so invented authors
 * come in at a bounded rate, push out the known ones no faster, and keep out nobody whom other neighbours bring. What a
 * newcomer may send at once begins with a second's worth and grows to a whole burst with time. Ids cost nothing, so this
 * does not bound what many authors send together for long; that is for the caps of the links they come by.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";

/** How much is passed on. */
export interface AuthorRatesOptions {
  /** Messages of one author. @default {PER_AUTHOR} */
  perAuthor?: Readonly<Pick<RateOptions, "perSecond" | "burst">>;
  /** First messages of authors that are not known, for each neighbour that brings them. @default {NEWCOMERS} */
  newcomers?: Readonly<Pick<RateOptions, "perSecond" | "burst">>;
  /** Most authors known; beyond, who was silent for longest is a newcomer again. @default {4096} */
  maxAuthors?: number;
}

/** What an author may send: more than a person or a sensor does, less than what keeps its neighbours from others. */
export const PER_AUTHOR: Readonly<RateOptions> = { perSecond: 10_000, burst: 50_000 };

/** New authors: those of a group of two thousand may all begin at once. */
export const NEWCOMERS: Readonly<RateOptions> = { perSecond: 100, burst: 2_000 };

/** Whether messages may be passed on now; see the module. */
export class AuthorRates {
  readonly #authors: TokenBuckets;
  readonly #newcomers: TokenBuckets;
  readonly #maxAuthors: number;
  /** What a newcomer's bucket lacks. */
  readonly #unearned: number;
  // In the order of their last message.
  readonly #known = new Set<string>();

  /** Nobody is known. @throws {RangeError} when a rate or limit is out of range. */
  constructor(clock: Pick<Clock, "now">, options: AuthorRatesOptions = {}) {
    const { perAuthor = PER_AUTHOR, newcomers = NEWCOMERS, maxAuthors = 4_096 } = options;
    if (!Number.isSafeInteger(maxAuthors) || maxAuthors < 1) {
      throw new RangeError(`maxAuthors must be an integer above 0: current value is ${maxAuthors}`);
    }
    // Buckets are forgotten up to a sixteenth at once, those used last never: with room to spare, only of who is unknown.
    const maxKeys = maxAuthors + Math.ceil(maxAuthors / 8) + 1;
    this.#authors = new TokenBuckets(clock, { ...perAuthor, maxKeys });
    this.#newcomers = new TokenBuckets(clock, newcomers);
    this.#maxAuthors = maxAuthors;
    this.#unearned = Math.max(0, perAuthor.burst - Math.max(1, perAuthor.perSecond));
  }

  /** Authors known. */
  get size(): number {
    return this.#known.size;
  }

  /** Whether one more message of an author may be passed on; if so, it is counted. @param by Who brought it. */
  take(author: string, by: string): boolean {
    if (!this.#known.delete(author)) return this.#welcome(author, by);
    this.#known.add(author);
    return this.#authors.take(author);
  }

  #welcome(author: string, by: string): boolean {
    if (!this.#newcomers.take(by)) return false;
    // One that was known not long ago may have less than that in its bucket, and keeps it.
    this.#authors.take(author, this.#unearned);
    this.#known.add(author);
    const [silent] = this.#known;
    if (this.#known.size > this.#maxAuthors && silent !== undefined) this.#known.delete(silent);
    return true;
  }
}
