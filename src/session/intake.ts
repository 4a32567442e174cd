/**
 * What has come and was not read yet: bounded by weight, for a reader that may pause and go on.
 *
 * @module
 */

interface Entry<T> {
  readonly value: T;
  readonly weight: number;
}

/**
 * Values that wait for their reader. Overflow policy: nothing is dropped; whoever brings more than there is room for is
 * told to wait. Leaving a loop over it loses nothing: the next loop goes on where it stopped.
 */
export class Intake<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  readonly #entries: Entry<T>[] = [];
  #weight = 0;
  #end: { readonly error: unknown } | undefined;
  // One promise for all who bring something, and one for all who read.
  #room: PromiseWithResolvers<void> | undefined;
  #arrival: PromiseWithResolvers<void> | undefined;

  /** Makes one that holds values of that weight, and the last one whatever it weighs, before those who push must wait. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Adds a value; after the end it is ignored. @returns what to wait for before pushing more, if it is full. */
  push(value: T, weight: number): Promise<void> | undefined {
    if (this.#end !== undefined) return undefined;
    this.#entries.push({ value, weight });
    this.#weight += weight;
    this.#wake();
    if (this.#weight < this.#capacity) return undefined;
    return (this.#room ??= Promise.withResolvers()).promise;
  }

  /**
   * Nothing more comes, and nobody waits to push. What waits is still given; then the loop ends, with the error if there
   * is one. The first end holds.
   */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#wake();
    this.#makeRoom();
  }

  /** The values in order; what is given to one reader is not given to another. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined, void> {
    return { next: () => this.#next() };
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      const entry = this.#entries.shift();
      if (entry !== undefined) {
        this.#weight -= entry.weight;
        if (this.#weight < this.#capacity) this.#makeRoom();
        return { value: entry.value, done: false };
      }
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end !== undefined) return { value: undefined, done: true };
      this.#arrival ??= Promise.withResolvers();
      await this.#arrival.promise;
    }
  }

  #wake(): void {
    this.#arrival?.resolve();
    this.#arrival = undefined;
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
