/**
 * Notices that the other side says nothing any more.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";

/** Waits for a silence that lasts too long. */
export class Silence implements Disposable {
  readonly #clock: Clock;
  readonly #maxMs: number;
  readonly #onEnd: () => void;
  #heardMs: number;
  #timer: Timer | undefined;

  /** Begins now. @param onEnd Called once, when nothing was heard for so long. */
  constructor(clock: Clock, maxMs: number, onEnd: () => void) {
    this.#clock = clock;
    this.#maxMs = maxMs;
    this.#onEnd = onEnd;
    this.#heardMs = clock.now();
    this.#watch();
  }

  /** Something was heard. */
  heard(): void {
    this.#heardMs = this.#clock.now();
  }

  /** Waits no more. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }

  #watch(): void {
    const atMs = this.#heardMs + this.#maxMs;
    this.#timer = this.#clock.after(atMs - this.#clock.now(), () => {
      if (this.#clock.now() - this.#heardMs < this.#maxMs) this.#watch();
      else this.#onEnd();
    });
  }
}
