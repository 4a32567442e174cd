/**
 * Taking turns: one connection with a full buffer must not keep the others waiting until it is empty.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** Messages that a connection may handle before the others have their turn, where there are others. */
export const MESSAGES_A_TURN = 64;

/**
 * The connections that share one event loop.
 *
 * @example
 * ```ts
 * import { Turns } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const turns = new Turns();
 * const order: string[] = [];
 * async function read(...messages: string[]): Promise<void> {
 *   for (const message of messages) {
 *     order.push(message);
 *     if (turns.contended) await turns.next();
 *   }
 *   turns.leave();
 * }
 * turns.join();
 * turns.join();
 * await Promise.all([read("a1", "a2"), read("b1", "b2")]);
 * assertEquals(order, ["a1", "b1", "a2", "b2"]);
 * ```
 */
export class Turns {
  #members = 0;

  /** Whether somebody else may be waiting. */
  get contended(): boolean {
    return this.#members > 1;
  }

  /** One more takes part. */
  join(): void {
    this.#members++;
  }

  /** One less. */
  leave(): void {
    this.#members--;
  }

  /** Lets everybody who is ready do what they have to first. */
  next(): Promise<void> {
    return nextTurn();
  }
}

/**
 * Lets everybody who is ready do what they have to first.
 *
 * Who waits for a socket is not ready before the runtime has looked at it, which a busy one does every 61st turn; with
 * `DENO_TOKIO_EVENT_INTERVAL=1` in its environment, every turn.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
