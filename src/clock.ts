/**
 * Time, timers and chance behind one interface, so that the same protocol code runs on the real clock and, seeded and
 * a thousand times faster, on a virtual one.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** A timer that has been set and can be taken back. */
export interface Timer {
  /** Takes the timer back; harmless when it has fired. */
  cancel(): void;
}

/** Where a part gets its time and its random numbers from. */
export interface Clock {
  /** Milliseconds that never run backwards, from an arbitrary start. For durations and deadlines. */
  now(): number;
  /** Milliseconds since 1970 as the machine believes. For display and for what is stored; never for ordering. */
  wallMs(): number;
  /** Calls `callback` once, `delayMs` from now: at once, but not synchronously, for 0, and never for `Infinity`. */
  after(delayMs: number, callback: () => void): Timer;
  /** A random number in [0, 1). Not for secrets. */
  random(): number;
}

/** What `setTimeout` can wait, almost 25 days; asked for more, it fires at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    let id: ReturnType<typeof setTimeout>;
    const wait = (leftMs: number) => {
      const stepMs = Math.min(leftMs, LONGEST_TIMEOUT_MS);
      id = setTimeout(() => leftMs > stepMs ? wait(leftMs - stepMs) : callback(), stepMs);
    };
    wait(Math.max(0, delayMs)); // who is behind does it at once
    return { cancel: () => clearTimeout(id) };
  },
  random: () => Math.random(),
};

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that moves only when told to: for tests, the in-memory network and simulations.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock({ seed: 7 });
 * const fired: number[] = [];
 * clock.after(20, () => fired.push(clock.now()));
 * clock.after(10, () => fired.push(clock.now()));
 * await clock.advance(30);
 * assertEquals(fired, [10, 20]);
 * ```
 */
export class ManualClock implements Clock {
  readonly #random: () => number;
  readonly #epochMs: number;
  // Kept as a binary heap: simulations hold tens of thousands of timers.
  readonly #heap: Due[] = [];
  readonly #cancelled = new WeakSet<Due>();
  #nowMs = 0;
  #order = 0;

  /** Makes a clock at 0 ms; `seed` decides every {@linkcode ManualClock.random}. */
  constructor(options: { seed?: number; epochMs?: number } = {}) {
    const { seed = 1, epochMs = Date.UTC(2026, 0, 1) } = options;
    this.#random = seededRandom(seed);
    this.#epochMs = epochMs;
  }

  /** Milliseconds since it was made, as far as it was advanced. */
  now(): number {
    return this.#nowMs;
  }

  /** The epoch it was given, advanced as it was. */
  wallMs(): number {
    return this.#epochMs + this.#nowMs;
  }

  /** The next number of the seed. */
  random(): number {
    return this.#random();
  }

  /** Sets a timer that fires while the clock is advanced. */
  after(delayMs: number, callback: () => void): Timer {
    const due: Due = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#push(due);
    return { cancel: () => void this.#cancelled.add(due) };
  }

  /**
   * Moves time forward by `ms`, firing what becomes due in order of time (then of setting), and lets every promise that
   * a timer settles run before the next timer fires.
   *
   * @throws {RangeError} when `ms` is negative: time does not run backwards.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) {
      throw new RangeError(`Time to advance must be 0 or more: current value is ${ms}`);
    }
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let due = this.#heap[0]; due !== undefined && due.atMs <= untilMs; due = this.#heap[0]) {
      this.#pop();
      if (this.#cancelled.has(due)) continue;
      this.#nowMs = due.atMs;
      due.callback();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Due;
      if (!before(due, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as Due, heap[down] as Due)) down++;
      if (!before(heap[down] as Due, last)) break;
      heap[at] = heap[down] as Due;
      at = down;
    }
    heap[at] = last;
  }
}

/**
 * A small, fast, seeded random number generator (mulberry32): the same seed gives the same numbers everywhere. Not for
 * secrets.
 *
 * @example
 * ```ts
 * import { seededRandom } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(seededRandom(42)(), seededRandom(42)());
 * ```
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Waits `ms` on a clock; rejects with the signal's reason when it is aborted first.
 *
 * @example
 * ```ts
 * import { ManualClock, sleep } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const slept = sleep(clock, 500).then(() => clock.now());
 * await clock.advance(1_000);
 * assertEquals(await slept, 500);
 * ```
 */
export function sleep(
  clock: Clock,
  ms: number,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function before(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

// A turn of the event loop: every microtask that is ready, and those they make ready, has run when it resolves.
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
