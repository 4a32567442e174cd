/**
 * What was there a short while ago, in bounded memory and without a timer.
 *
 * Two generations: what is new goes into the young one; when that has lived long enough or is full, it becomes the old one
 * and the old one is dropped as a whole. So nothing is searched for what is due, and adding costs the same however many
 * there are.
 *
 * @module
 */

/** How much a {@linkcode Recent} remembers. */
export interface RecentOptions {
  /** How long an entry is kept at least, where there is room, in milliseconds; at most twice that while others come. */
  readonly keepMs: number;
  /** Most entries, 2 or more; the newest half of them is always there. */
  readonly maxEntries: number;
}

/** A map that forgets; see the module. */
export class Recent<Value> {
  readonly #keepMs: number;
  readonly #maxYoung: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();
  #bornMs = -Infinity;

  /** Makes an empty map. @throws {RangeError} when an option is out of range. */
  constructor({ keepMs, maxEntries }: RecentOptions) {
    if (!(keepMs > 0)) throw new RangeError(`keepMs must be above 0: current value is ${keepMs}`);
    if (!(Number.isInteger(maxEntries) && maxEntries >= 2)) {
      throw new RangeError(`maxEntries must be an integer from 2: current value is ${maxEntries}`);
    }
    this.#keepMs = keepMs;
    this.#maxYoung = Math.floor(maxEntries / 2);
  }

  /** How many entries there are, those included that will be forgotten next. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** What was set for a key; `undefined` also where it is forgotten. */
  get(key: string): Value | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** Whether a key is remembered. */
  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  /** Remembers a key from now on, unless it is known: that one does not live longer for it. @returns whether it is new. */
  add(key: string, value: Value, nowMs: number): boolean {
    this.#age(nowMs);
    if (this.has(key)) return false;
    this.#young.set(key, value);
    return true;
  }

  /** Forgets a key. */
  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  #age(nowMs: number): void {
    const aged = nowMs - this.#bornMs;
    if (aged < this.#keepMs && this.#young.size < this.#maxYoung) return;
    // After so long a silence the young ones are due, too.
    this.#old = aged < 2 * this.#keepMs ? this.#young : new Map();
    this.#young = new Map();
    this.#bornMs = nowMs;
  }
}
