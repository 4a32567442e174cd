/**
 * Ids that neighbours are to be told of: they go out together, a little later.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { keyOf, MAX_IDS, type MessageId } from "./id_list.ts";

/** Ids that a neighbour is told of later, at most: comparing finds the rest. */
const MAX_UNTOLD = 16 * MAX_IDS;

/** What {@linkcode Untold} needs. */
export interface UntoldParts {
  /** Time and timers. */
  readonly clock: Clock;
  /** How long ids wait for others, in milliseconds. */
  readonly waitMs: number;
  /** Whether somebody has a message already, as it says. */
  readonly isHeld: (peerId: string, key: string) => boolean;
  /** Tells somebody of at most {@linkcode MAX_IDS} ids. */
  readonly tell: (peerId: string, ids: readonly MessageId[]) => void;
}

/** See the module. */
export class Untold {
  readonly #parts: UntoldParts;
  readonly #ids = new Map<string, MessageId[]>();
  #timer: Timer | undefined;

  /** Nobody is to be told of anything. */
  constructor(parts: UntoldParts) {
    this.#parts = parts;
  }

  /** How many ids wait, for all neighbours together. */
  get size(): number {
    return [...this.#ids.values()].reduce((sum, ids) => sum + ids.length, 0);
  }

  /** Somebody is to be told of a message. */
  add(peerId: string, id: MessageId): void {
    const ids = this.#ids.get(peerId);
    if (ids === undefined) this.#ids.set(peerId, [id]);
    else if (ids.length < MAX_UNTOLD) ids.push(id);
    this.#timer ??= this.#parts.clock.after(this.#parts.waitMs, () => this.#tellAll());
  }

  /** Somebody is not to be told any more. */
  forget(peerId: string): void {
    this.#ids.delete(peerId);
  }

  /** Nobody is told any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#ids.clear();
  }

  #tellAll(): void {
    this.#timer = undefined;
    const { isHeld, tell } = this.#parts;
    for (const [peerId, untold] of this.#ids) {
      const ids = untold.filter(({ author, seq }) => !isHeld(peerId, keyOf(author, seq)));
      for (let at = 0; at < ids.length; at += MAX_IDS) tell(peerId, ids.slice(at, at + MAX_IDS));
    }
    this.#ids.clear();
  }
}
