/**
 * A set of whole numbers that mostly follow each other, as ranges of them.
 *
 * @module
 */

/** The first and the last number of a range, both in it. */
export type Range = readonly [from: number, to: number];

/**
 * A set of sequence numbers in one flat array, `[from, to, from, to, ...]` ascending, in which no two ranges touch. The
 * number after the largest, which nearly all are, costs a comparison; any other a search by halves.
 */
export class Ranges implements Iterable<Range> {
  readonly #maxRanges: number;
  readonly #bounds: number[] = [];
  #merged = 0;

  /** Makes an empty set of at most so many ranges, 2 or more. */
  constructor(maxRanges: number) {
    this.#maxRanges = maxRanges;
  }

  /** How many ranges there are. */
  get size(): number {
    return this.#bounds.length / 2;
  }

  /** How many ranges were merged with the one below because there were too many. */
  get merged(): number {
    return this.#merged;
  }

  /** Whether a number is in the set. */
  has(seq: number): boolean {
    return Number.isSafeInteger(seq) && this.#from(this.#firstEndingFrom(seq)) <= seq;
  }

  /**
   * Adds a number. Where there are too many ranges then, the two of the lower half that are nearest to each other become
   * one, and what lies between them is in the set from then on.
   *
   * @returns whether it was not in the set.
   * @throws {RangeError} for what is not a whole number from 0 to 2^53 - 1.
   */
  add(seq: number): boolean {
    const last = this.#bounds.length - 1;
    if (last > 0 && seq === this.#to(last - 1) + 1 && seq <= Number.MAX_SAFE_INTEGER) {
      this.#bounds[last] = seq;
      return true;
    }
    assertSeq(seq);
    return this.#insert(seq);
  }

  /**
   * Adds a whole range above all others.
   *
   * @returns whether that is where it lies, and there was room for it; where not, nothing was added.
   */
  append(from: number, to: number): boolean {
    assertSeq(from);
    assertSeq(to);
    const top = this.#bounds.at(-1) ?? -Infinity;
    if (from > to || from <= top + 1 || this.size === this.#maxRanges) return false;
    this.#bounds.push(from, to);
    return true;
  }

  /** The ranges, lowest first. */
  *[Symbol.iterator](): Iterator<Range> {
    for (let at = 0; at < this.#bounds.length; at += 2) yield [this.#from(at), this.#to(at)];
  }

  #insert(seq: number): boolean {
    const at = this.#firstEndingFrom(seq);
    if (this.#from(at) <= seq) return false;
    const follows = at > 0 && this.#to(at - 2) === seq - 1;
    const precedes = this.#from(at) === seq + 1;
    if (follows && precedes) this.#bounds.splice(at - 1, 2);
    else if (follows) this.#bounds[at - 1] = seq;
    else if (precedes) this.#bounds[at] = seq;
    else {
      this.#bounds.splice(at, 0, seq, seq);
      if (this.size > this.#maxRanges) this.#mergeNearest();
    }
    return true;
  }

  /** Merges two: the lower half is the older one, of which hardly anything is still to come. */
  #mergeNearest(): void {
    const end = 2 * Math.floor(this.size / 2);
    let nearest = 2;
    for (let at = 4; at <= end; at += 2) {
      if (this.#gapBelow(at) < this.#gapBelow(nearest)) nearest = at;
    }
    this.#bounds.splice(nearest - 1, 2);
    this.#merged++;
  }

  #gapBelow(at: number): number {
    return this.#from(at) - this.#to(at - 2);
  }

  /** Where the lowest range stands that ends at a number or above; the length of the array when there is none. */
  #firstEndingFrom(seq: number): number {
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#to(2 * middle) >= seq) high = middle;
      else low = middle + 1;
    }
    return 2 * low;
  }

  #from(at: number): number {
    return this.#bounds[at] ?? Infinity;
  }

  #to(at: number): number {
    return this.#bounds[at + 1] ?? Infinity;
  }
}

function assertSeq(seq: number): void {
  if (Number.isSafeInteger(seq) && seq >= 0) return;
  throw new RangeError(`A sequence number must be 0..2^53 - 1: current value is ${seq}`);
}
