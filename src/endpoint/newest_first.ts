/**
 * Work that is done one piece at a time, the newest first.
 *
 * @module
 */

import { LimitError } from "../errors.ts";
import { nextTurn } from "./turns.ts";

/** Most who wait: more than there are handshakes at the same time, so that only those go that were given up already. */
const MAX_WAITING = 4_096;

/**
 * Lets those who wait go on one at a time, each in a turn of the event loop of its own, and the newest first.
 *
 * A handshake costs some hundred microseconds, so a flood of them would keep everybody waiting whose turn came after it.
 * Whoever came last has the longest time left, and in a flood it is the old ones that are given up.
 */
export class NewestFirst {
  readonly #maxWaiting: number;
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #running = false;

  /** Nobody waits yet. @param maxWaiting Most who may; beyond, the oldest goes. @default {4096} */
  constructor(maxWaiting: number = MAX_WAITING) {
    this.#maxWaiting = maxWaiting;
  }

  /** Waits for one's turn. @throws {LimitError} `rate` when too many come who are newer. */
  next(): Promise<void> {
    if (!this.#running) {
      this.#running = true;
      void this.#run();
      return Promise.resolve();
    }
    const waiting = Promise.withResolvers<void>();
    this.#waiting.push(waiting);
    if (this.#waiting.length > this.#maxWaiting) this.#giveUpOldest();
    return waiting.promise;
  }

  async #run(): Promise<void> {
    for (;;) {
      await nextTurn();
      const newest = this.#waiting.pop();
      if (newest === undefined) break;
      newest.resolve();
    }
    this.#running = false;
  }

  #giveUpOldest(): void {
    const max = this.#maxWaiting;
    const text = `There are ${max} handshakes to be done before (maxWaiting)`;
    const details = { limit: "maxWaiting", max };
    this.#waiting.shift()?.reject(new LimitError("rate", text, { details }));
  }
}
