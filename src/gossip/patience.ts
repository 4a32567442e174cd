/**
 * How long a message may take to come by itself after its id was heard of. Learnt from those that did: who asks too early
 * gets it twice, who asks too late has it late where a way is broken.
 *
 * @module
 */

import type { GossipTuning } from "./options.ts";

/** The longest lateness seen counts so much less with each message that comes. */
const FORGETTING = 0.97;

/** How much later than the latest lately a message may be. */
const MARGIN = 1.25;

/** See the module. */
export class Patience {
  readonly #tuning: GossipTuning;
  #lateMs: number;

  /** Nobody knows yet: it is as long as it may be. */
  constructor(tuning: GossipTuning) {
    this.#tuning = tuning;
    this.#lateMs = tuning.graftMaxMs;
  }

  /** In milliseconds. */
  get ms(): number {
    const { graftMs, graftMaxMs } = this.#tuning;
    return Math.min(Math.max(graftMs, this.#lateMs * MARGIN), graftMaxMs);
  }

  /** A message has come by itself. @param heardMs When it was heard of, if that was before. */
  learn(heardMs: number | undefined, nowMs: number): void {
    if (heardMs === undefined) return;
    const lateMs = Math.max(nowMs - heardMs, this.#lateMs * FORGETTING);
    this.#lateMs = Math.min(lateMs, this.#tuning.graftMaxMs);
  }
}
