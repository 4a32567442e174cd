/**
 * Those who did not answer, or are not ours, and are left alone for a while: twice as long each time.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** How long, and how many. */
export interface LeftAloneOptions {
  /** The first time, in milliseconds. */
  readonly firstMs: number;
  /** At the most, in milliseconds. */
  readonly mostMs: number;
  /** Most that are remembered; beyond, the first are forgotten. */
  readonly max: number;
}

/** Who is left alone; see the module. */
export class LeftAlone {
  readonly #clock: Pick<Clock, "now">;
  readonly #options: LeftAloneOptions;
  readonly #until = new Map<string, { readonly untilMs: number; readonly forMs: number }>();

  /** Nobody. */
  constructor(clock: Pick<Clock, "now">, options: LeftAloneOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Whether somebody is to be left alone now. */
  has(key: string): boolean {
    return (this.#until.get(key)?.untilMs ?? 0) > this.#clock.now();
  }

  /** Leaves somebody alone from now on, twice as long as the last time. */
  add(key: string): void {
    const { firstMs, mostMs, max } = this.#options;
    const forMs = Math.min(2 * (this.#until.get(key)?.forMs ?? firstMs / 2), mostMs);
    this.#until.delete(key);
    this.#until.set(key, { untilMs: this.#clock.now() + forMs, forMs });
    const [oldest] = this.#until.keys();
    if (this.#until.size > max && oldest !== undefined) this.#until.delete(oldest);
  }

  /** Leaves somebody alone no more. */
  delete(key: string): void {
    this.#until.delete(key);
  }

  /** Forgets everybody. */
  clear(): void {
    this.#until.clear();
  }
}
