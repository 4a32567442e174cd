/**
 * What neighbours were asked for because they said that they have it, and whether they gave it.
 *
 * @module
 */

import { keyOf, type MessageId } from "./id_list.ts";

/** How long somebody has to give what it promised, in milliseconds, and how many promises are remembered. */
const PROMISE_MS = 5_000;
const MAX_PROMISES = 4_096;

/** Of how many promises the time that they take is the mean, about, and how many times that one may take. */
const SMOOTHED = 8;
const TIMES = 2;

interface Promised {
  readonly id: MessageId;
  readonly peerId: string;
  readonly askedMs: number;
}

/** See the module. */
export class Promises {
  // In the order in which they were asked for.
  readonly #open = new Map<string, Promised>();
  // When each gave last what it was asked for.
  readonly #keptMs = new Map<string, number>();
  // How long it takes until something is given, smoothed.
  #takesMs = 0;

  /** Somebody was asked for messages: for each it is the last who was. */
  asked(peerId: string, ids: readonly MessageId[], askedMs: number): void {
    for (const id of ids) {
      const key = keyOf(id.author, id.seq);
      this.#open.delete(key);
      if (this.#open.size < MAX_PROMISES) this.#open.set(key, { id, peerId, askedMs });
    }
  }

  /** A message came from somebody. @returns whether it was asked for it. */
  came(key: string, from: string, nowMs: number): boolean {
    if (this.#open.size === 0) return false;
    const promised = this.#open.get(key);
    this.#open.delete(key);
    if (promised?.peerId !== from) return false;
    this.#keptMs.set(from, nowMs);
    this.#takesMs += (nowMs - promised.askedMs - this.#takesMs) / SMOOTHED;
    return true;
  }

  /** How long somebody who is asked now may take before another is asked: busy machines take longer. */
  patienceMs(leastMs: number): number {
    return Math.min(Math.max(leastMs, TIMES * this.#takesMs), PROMISE_MS);
  }

  /** A message is not wanted any more. */
  drop(key: string): void {
    this.#open.delete(key);
  }

  /** Somebody is no neighbour any more, and need not give anything. */
  forget(peerId: string): void {
    this.#keptMs.delete(peerId);
    for (const [key, promised] of this.#open) {
      if (promised.peerId === peerId) this.#open.delete(key);
    }
  }

  /** Nobody has to give anything. */
  clear(): void {
    this.#open.clear();
  }

  /** What is overdue, of those who gave nothing else since: they have it not, and are not only slow. */
  *broken(nowMs: number): Generator<{ readonly id: MessageId; readonly peerId: string }> {
    for (const [key, { id, peerId, askedMs }] of this.#open) {
      if (askedMs > nowMs - PROMISE_MS) return; // the others were asked later
      this.#open.delete(key);
      if ((this.#keptMs.get(peerId) ?? -Infinity) < askedMs) yield { id, peerId };
    }
  }
}
