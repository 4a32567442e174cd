/**
 * A queue out of which anything can be taken at once, and that can be walked from either end.
 *
 * @module
 */

/** A place in a {@linkcode Chain}. */
export interface ChainLink<T> {
  /** What stands there. */
  readonly value: T;
  /** The place before it, nearer to the first. */
  before: ChainLink<T> | undefined;
  /** The place after it. */
  after: ChainLink<T> | undefined;
}

/** A doubly linked list. */
export class Chain<T> implements Iterable<T> {
  #first: ChainLink<T> | undefined;
  #last: ChainLink<T> | undefined;

  /** What was added first of what is here. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Adds at the end. @returns its place, for {@linkcode Chain.remove}. */
  add(value: T): ChainLink<T> {
    const link: ChainLink<T> = { value, before: this.#last, after: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.after = link;
    this.#last = link;
    return link;
  }

  /** Takes out what stands at a place of this chain. */
  remove({ before, after }: ChainLink<T>): void {
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
  }

  /** Everything, first first. The chain must stay as it is meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (let link = this.#first; link !== undefined; link = link.after) yield link.value;
  }

  /** Everything, last first. The chain must stay as it is meanwhile. */
  *backwards(): Iterable<T> {
    for (let link = this.#last; link !== undefined; link = link.before) yield link.value;
  }
}
