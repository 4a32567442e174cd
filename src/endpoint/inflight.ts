/**
 * Requests that wait for their answers.
 *
 * An id is a slot of a table and how often the slot was used before, so that finding a request is an array access and
 * a late answer to an earlier request in the same slot fits nobody. All deadlines share one timer.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { LimitError, TimeoutError } from "../errors.ts";

/** Most requests in flight on one connection; the 65,537th is refused. */
export const MAX_IN_FLIGHT = 1 << 16;

const SLOTS = MAX_IN_FLIGHT;
/** Uses of one slot before its ids repeat; with the slot it fills the 53 bits of a safe integer. */
const MAX_USES = 2 ** 36;

/** What waits for an answer. */
export interface Waiting<T> {
  /** For the error that says what was not answered: `"greet" of bob`. */
  readonly what: string;
  /** When it gives up, on the clock of the table. It may move; see `expireAt`. */
  readonly deadlineMs: number;
  /** Takes the answer. */
  resolve(value: T): void;
  /** Takes the failure. */
  reject(error: unknown): void;
  /** Takes a part of an answer in many parts. */
  item?(value: unknown): void;
}

interface Slot<T> {
  uses: number;
  waiting: Waiting<T> | undefined;
}

/** The table of requests in flight on one connection. */
export class InFlight<T> {
  readonly #clock: Clock;
  readonly #slots: Slot<T>[] = [];
  readonly #free: number[] = [];
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  #size = 0;
  #empty: PromiseWithResolvers<void> | undefined;

  /** Makes an empty table. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Adds a request. @returns its id, 1 or more. @throws {LimitError} when {@linkcode MAX_IN_FLIGHT} wait already. */
  add(waiting: Waiting<T>): number {
    if (this.#size >= MAX_IN_FLIGHT) {
      throw new LimitError(
        "limit",
        `Cannot request: ${MAX_IN_FLIGHT} are in flight (maxInFlight)`,
        {
          details: { limit: "maxInFlight", max: MAX_IN_FLIGHT },
        },
      );
    }
    const index = this.#free.pop() ?? this.#slots.push({ uses: 0, waiting: undefined }) - 1;
    const slot = this.#slots[index] as Slot<T>;
    slot.uses = slot.uses % MAX_USES + 1;
    slot.waiting = waiting;
    this.#size++;
    this.expireAt(waiting.deadlineMs);
    return slot.uses * SLOTS + index;
  }

  /** The request that waits under that id. */
  find(id: number): Waiting<T> | undefined {
    const slot = this.#slots[id % SLOTS];
    return slot?.uses === Math.floor(id / SLOTS) ? slot.waiting : undefined;
  }

  /** Takes a request out, answered or given up. @returns it, or `undefined` when no request waits under that id. */
  take(id: number): Waiting<T> | undefined {
    const index = id % SLOTS;
    const slot = this.#slots[index];
    if (slot === undefined || slot.uses !== Math.floor(id / SLOTS)) return undefined;
    const { waiting } = slot;
    if (waiting === undefined) return undefined;
    slot.waiting = undefined;
    this.#free.push(index);
    this.#size--;
    if (this.#size === 0 && this.#empty !== undefined) {
      this.#empty.resolve();
      this.#empty = undefined;
    }
    return waiting;
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#size > 0) {
      this.#empty ??= Promise.withResolvers();
      await this.#empty.promise;
    }
  }

  /** Rejects all and stops the timer. */
  close(error: unknown): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    for (const id of this.#ids()) this.take(id)?.reject(error);
  }

  /** Looks at the deadlines at that time, on the clock of the table: for one that is earlier than it was. */
  expireAt(atMs: number): void {
    if (atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.after(atMs - this.#clock.now(), () => this.#expire());
  }

  #expire(): void {
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    const nowMs = this.#clock.now();
    let earliestMs = Infinity;
    for (const id of this.#ids()) {
      const deadlineMs = this.#slots[id % SLOTS]?.waiting?.deadlineMs ?? Infinity;
      // A timer may fire a fraction of a millisecond early.
      if (deadlineMs > nowMs + 1) earliestMs = Math.min(earliestMs, deadlineMs);
      else this.#giveUp(id);
    }
    if (earliestMs < Infinity) this.expireAt(earliestMs);
  }

  #giveUp(id: number): void {
    const waiting = this.take(id);
    waiting?.reject(new TimeoutError(`Cannot call ${waiting.what}: no answer in time`));
  }

  #ids(): number[] {
    const ids: number[] = [];
    this.#slots.forEach(({ uses, waiting }, index) => {
      if (waiting !== undefined) ids.push(uses * SLOTS + index);
    });
    return ids;
  }
}
