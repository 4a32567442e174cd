import type { Clock, Timer } from "../../src/clock.ts";

/** A clock that knows how many timers wait. */
export class CountingClock implements Clock {
  readonly #clock: Clock;
  waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  random(): number {
    return this.#clock.random();
  }

  after(delayMs: number, callback: () => void): Timer {
    let isWaiting = true;
    this.waiting++;
    const end = () => {
      if (isWaiting) this.waiting--;
      isWaiting = false;
    };
    const timer = this.#clock.after(delayMs, () => {
      end();
      callback();
    });
    return {
      cancel: () => {
        timer.cancel();
        end();
      },
    };
  }
}
