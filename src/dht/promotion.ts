/**
 * When a node that only asks begins to answer: once it has been there for a while, so that nobody relies on one that soon
 * goes again.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import type { DhtMode } from "./dht_options.ts";

/** How long a node has to be there before others are to rely on it, in milliseconds. */
export const PROMOTE_AFTER_MS = 60_000;

/** What a {@linkcode Promotion} needs. */
export interface PromotionParts {
  readonly clock: Clock;
  readonly mode: DhtMode | "auto";
  /** Begins to answer. */
  readonly promote: () => void;
}

/** See the module. */
export class Promotion {
  readonly #parts: PromotionParts;
  #isServer = false;
  #isClosed = false;
  #timer: Timer | undefined;

  /** Answers nobody yet. */
  constructor(parts: PromotionParts) {
    this.#parts = parts;
  }

  /** Whether it answers. */
  get isServer(): boolean {
    return this.#isServer;
  }

  /** Takes part from now on. Harmless when it does. */
  begin(): void {
    const { mode, clock } = this.#parts;
    if (mode === "server") this.#promote();
    if (mode === "auto") this.#timer ??= clock.after(PROMOTE_AFTER_MS, () => this.#promote());
  }

  /** Never promotes any more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #promote(): void {
    if (this.#isServer || this.#isClosed) return;
    this.#isServer = true;
    this.#parts.promote();
  }
}
