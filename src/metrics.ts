/**
 * Counters: what happened, how often. One registry per peer, handed to the parts that count.
 *
 * A name is a constant in the code, never built from what a peer sent, so the number of counters is bounded by the
 * number of places that count.
 *
 * @module
 */

/** A number that only grows. */
export interface Counter {
  /** How often it happened so far. */
  readonly value: number;
  /** Adds `by` (1 unless given). */
  add(by?: number): void;
}

class MutableCounter implements Counter {
  value = 0;
  add(by = 1): void {
    this.value += by;
  }
}

/**
 * A registry of counters.
 *
 * @example
 * ```ts
 * import { Metrics } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const metrics = new Metrics();
 * metrics.counter("accept.refused").add();
 * assertEquals(metrics.snapshot(), { "accept.refused": 1 });
 * ```
 */
export class Metrics {
  readonly #counters = new Map<string, MutableCounter>();

  /** The counter of that name, made on first use. Names are `part.what`, lower case. */
  counter(name: string): Counter {
    let counter = this.#counters.get(name);
    if (counter === undefined) this.#counters.set(name, counter = new MutableCounter());
    return counter;
  }

  /** Every counter that is not zero, by name in ascending order. */
  snapshot(): Record<string, number> {
    const rows = [...this.#counters].filter(([, counter]) => counter.value !== 0);
    rows.sort(([a], [b]) => a < b ? -1 : 1);
    return Object.fromEntries(rows.map(([name, counter]) => [name, counter.value]));
  }
}
