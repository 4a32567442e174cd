/**
 * Short codes that only we can make, and that we know again without keeping a list of them.
 *
 * @module
 */

import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";

/** Bytes of a code: nobody guesses 128 bits. */
export const MAC_BYTES = 16;

/** Bytes of a secret: what SHA-256 makes full use of. */
const SECRET_BYTES = 32;

/**
 * HMAC-SHA256 (RFC 2104), cut to 16 bytes, under a random secret of this process that is replaced every period. A code
 * is known again in the period that it was made in and in the next one.
 */
export class RotatingMac {
  readonly #clock: Clock;
  readonly #periodMs: number;
  #period: number;
  #secret = randomBytes(SECRET_BYTES);
  #lastSecret = randomBytes(SECRET_BYTES);

  /** Makes the first secret; `periodMs` is how long each is in use. */
  constructor(clock: Clock, periodMs: number) {
    this.#clock = clock;
    this.#periodMs = periodMs;
    this.#period = this.#periodNow();
  }

  /** The number of the present period; it grows. */
  get period(): number {
    this.#rotate();
    return this.#period;
  }

  /** The code of a text: 16 bytes, which are the caller's. */
  sign(text: string): Uint8Array {
    this.#rotate();
    return mac(this.#secret, text);
  }

  /** Whether a code was made of that text, in this period or the last; in constant time. */
  verify(text: string, code: Uint8Array): boolean {
    return isSame(this.sign(text), code) || isSame(mac(this.#lastSecret, text), code);
  }

  #rotate(): void {
    const period = this.#periodNow();
    if (period === this.#period) return;
    this.#lastSecret = period === this.#period + 1 ? this.#secret : randomBytes(SECRET_BYTES);
    this.#secret = randomBytes(SECRET_BYTES);
    this.#period = period;
  }

  #periodNow(): number {
    return Math.floor(this.#clock.now() / this.#periodMs);
  }
}

/**
 * Whether two byte strings are the same, in a time that tells nothing but their lengths. For 16 bytes this is faster
 * than `timingSafeEqual`.
 */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}

function mac(secret: Uint8Array, text: string): Uint8Array {
  const digest = createHmac("sha256", secret).update(text).digest();
  return new Uint8Array(digest.subarray(0, MAC_BYTES));
}
