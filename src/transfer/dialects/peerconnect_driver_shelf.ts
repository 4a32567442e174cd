/**
 * Where things wait to be fetched: not many, and not for long.
 *
 * @module
 */

import type { Clock, Timer } from "../../clock.ts";
import { ClosedError, type PeerError, TimeoutError } from "../../errors.ts";

/** What a {@linkcode Shelf} needs. */
export interface ShelfOptions<T> {
  /** Most things on it; one more, and the oldest is dropped. */
  max: number;
  /** Where time comes from. */
  clock: Clock;
  /** Called with what nobody will fetch any more, and why. */
  onDrop: (thing: T, why: PeerError) => void;
}

interface Kept<T> {
  readonly thing: T;
  readonly timer: Timer;
}

/** Keeps things by name for a time. */
export class Shelf<T> {
  readonly #options: ShelfOptions<T>;
  // In the order in which they were put there.
  readonly #kept = new Map<string, Kept<T>>();

  /** Nothing is on it. */
  constructor(options: ShelfOptions<T>) {
    this.#options = options;
  }

  /** Keeps a thing for so many milliseconds, under a name under which there is none. */
  put(name: string, thing: T, waitMs: number): void {
    const { clock, max } = this.#options;
    const late = () => this.#drop(name, new TimeoutError("The sender did not come back in time"));
    this.#kept.set(name, { thing, timer: clock.after(waitMs, late) });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > max && oldest !== undefined) {
      this.#drop(oldest, new ClosedError(`${max} newer transfers wait for their senders`));
    }
  }

  /** Takes a thing away. */
  take(name: string): T | undefined {
    const kept = this.#kept.get(name);
    kept?.timer.cancel();
    this.#kept.delete(name);
    return kept?.thing;
  }

  /** Drops everything. */
  clear(why: PeerError): void {
    for (const name of [...this.#kept.keys()]) this.#drop(name, why);
  }

  #drop(name: string, why: PeerError): void {
    const thing = this.take(name);
    if (thing !== undefined) this.#options.onDrop(thing, why);
  }
}
