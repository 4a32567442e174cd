/**
 * A map that keeps what was set last.
 *
 * @module
 */

/** The latest entries of a map: at least so many as it was made for, at most twice as many; the older half goes at once. */
export class Latest<Value> {
  readonly #count: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  /** Empty. @param count Entries that are kept at least. */
  constructor(count: number) {
    this.#count = count;
  }

  /** What was set for a key, as long as it is kept. */
  get(key: string): Value | undefined {
    // Looking for a key costs even where there is nothing.
    if (this.#young.size + this.#old.size === 0) return undefined;
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** Sets what a key has. */
  set(key: string, value: Value): void {
    this.#young.set(key, value); // which is found before an old one
    if (this.#young.size < this.#count) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}
