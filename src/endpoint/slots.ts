/**
 * How many handlers are at work at the same time, and who goes next when that is the most there may be.
 *
 * @module
 */

import { FairInbox, type Priority } from "./inbox.ts";
import { LIMITS } from "./limits_table.ts";
import { MESSAGES_A_TURN, nextTurn } from "./turns.ts";

/** Most handlers at work at the same time in one endpoint: what waits beyond costs less than what is half done. */
export const MAX_HANDLERS: number = LIMITS.maxHandlers.default;

/**
 * Slots for handlers. Whoever finds none waits in a bounded inbox of its own, from which the next is taken fairly
 * between peers and, of one peer, control before requests before bulk.
 *
 * @example
 * ```ts
 * import { HandlerSlots } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const slots = new HandlerSlots(1);
 * assertEquals([slots.enter(), slots.enter()], [true, false]);
 * const started: string[] = [];
 * const alice = {};
 * slots.wait(alice, "request", () => started.push("alice"));
 * slots.leave();
 * assertEquals([started, slots.atWork, slots.waiting], [["alice"], 1, 0]);
 * ```
 */
export class HandlerSlots {
  readonly #max: number;
  readonly #inbox = new FairInbox<() => void>();
  #atWork = 0;
  #leftThisTurn = MESSAGES_A_TURN;
  #resting = false;
  // For those who find no room to wait, and for those who wait for the end.
  #room: PromiseWithResolvers<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;

  /** All free. @throws {RangeError} when `max` is not a positive integer. */
  constructor(max: number = MAX_HANDLERS) {
    if (!(Number.isInteger(max) && max >= 1)) {
      throw new RangeError(`maxHandlers must be a positive integer: current value is ${max}`);
    }
    this.#max = max;
  }

  /** Handlers at work. */
  get atWork(): number {
    return this.#atWork;
  }

  /** Messages that wait for a slot. */
  get waiting(): number {
    return this.#inbox.size;
  }

  /** Takes a slot, unless others wait for one. @returns whether there was one. */
  enter(): boolean {
    if (this.#atWork >= this.#max || this.#inbox.size > 0) return false;
    this.#atWork++;
    return true;
  }

  /**
   * Waits for a slot, where there was none to enter. @param start called with one, later; it must not throw. @returns
   * whether there is room to wait; else the newest is refused, which is for the caller to say.
   */
  wait(source: object, priority: Priority, start: () => void): boolean {
    return this.#inbox.push(source, priority, start);
  }

  /** Resolves when there may be room to wait again. */
  room(): Promise<void> {
    return (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Gives a slot back: to who waits, if anyone does. */
  leave(): void {
    this.#atWork--;
    this.#startWaiting();
    this.#wakeWhenIdle();
  }

  /** Forgets what waits of one source. */
  drop(source: object): void {
    this.#inbox.drop(source);
    this.#wakeForRoom();
    this.#wakeWhenIdle();
  }

  /** Resolves when no handler is at work and none waits. */
  async idle(): Promise<void> {
    while (this.#atWork > 0 || this.#inbox.size > 0) {
      await (this.#idle ??= Promise.withResolvers()).promise;
    }
  }

  // Who starts may be done at once, and comes back to here: no more than a turn of them, or the stack would run over
  // and nobody else have a turn.
  #startWaiting(): void {
    while (this.#atWork < this.#max && !this.#resting) {
      const start = this.#inbox.shift();
      if (start === undefined) return;
      if (--this.#leftThisTurn === 0) this.#rest();
      this.#wakeForRoom();
      this.#atWork++;
      start();
    }
  }

  #rest(): void {
    this.#resting = true;
    void nextTurn().then(() => {
      this.#resting = false;
      this.#leftThisTurn = MESSAGES_A_TURN;
      this.#startWaiting();
    });
  }

  #wakeForRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #wakeWhenIdle(): void {
    if (this.#atWork > 0 || this.#inbox.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }
}
