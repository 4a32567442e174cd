/**
 * Each packet once: which counters of one sender were taken.
 *
 * Counters grow but not by one, because they tell the time; so the window is as wide as the last 64 packets that came,
 * however far apart. What overtakes fewer than 64 others is taken, what is behind all of them is not.
 *
 * Source: the anti-replay window of IPsec (RFC 4303, section 3.4.3), for counters with gaps.
 *
 * @module
 */

/** How many packets may overtake another. */
export const REPLAY_WINDOW = 64;

/** The window of one sender. */
export class ReplayWindow {
  readonly #floor: bigint;
  // What was taken, ascending. Most packets come in order, so every search starts at the end.
  readonly #taken = new BigUint64Array(REPLAY_WINDOW);
  #count = 0;

  /** Makes a window to which every counter up to `floor` is old. */
  constructor(floor: bigint) {
    this.#floor = floor;
  }

  /** Whether a packet with that counter would be taken: it is new, and not behind the window. */
  fits(counter: bigint): boolean {
    return this.#place(counter) !== undefined;
  }

  /** Takes a counter. Only for packets that were verified, or a forged one could push the window ahead. @returns whether it fits. */
  take(counter: bigint): boolean {
    const place = this.#place(counter);
    if (place === undefined) return false;
    if (this.#count < REPLAY_WINDOW) {
      this.#taken.copyWithin(place + 1, place, this.#count);
      this.#taken[place] = counter;
      this.#count++;
    } else {
      this.#taken.copyWithin(0, 1, place); // the oldest drops out
      this.#taken[place - 1] = counter;
    }
    return true;
  }

  /** Before which of the counters that were taken this one belongs; `undefined` when it is old. */
  #place(counter: bigint): number | undefined {
    if (counter <= this.#floor) return undefined;
    let place = this.#count;
    while (place > 0 && this.#at(place - 1) > counter) place--;
    if (place > 0 && this.#at(place - 1) === counter) return undefined;
    return place === 0 && this.#count === REPLAY_WINDOW ? undefined : place;
  }

  #at(place: number): bigint {
    return this.#taken[place] ?? 0n;
  }
}
