/**
 * Proof that who asks receives what is sent to the address it asks from, before it gets more than it sent or costs
 * memory: a token that only a packet to that address can have told it.
 *
 * Nothing is kept about who was given a token: it can be computed again. Source: the address validation of QUIC
 * (RFC 9000, section 8.1) and the tokens of BitTorrent's DHT (BEP 5).
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { isSame, MAC_BYTES, RotatingMac } from "./rotating_mac.ts";

/** Bytes of a token. */
export const ADDRESS_TOKEN_BYTES: number = MAC_BYTES;

/** How long tokens are issued under one secret, in milliseconds; they are good for as long again. */
const ROTATE_MS = 60_000;

/** Most addresses whose token is remembered; of the others it is computed each time. */
const MAX_VERIFIED = 4_096;

/**
 * Issues and verifies tokens for addresses. A token is good for 60 to 120 seconds, for one address and port as the
 * socket writes them, and in the process that issued it.
 */
export class AddressTokens {
  readonly #mac: RotatingMac;
  // What came back in this period. Only who proved its address is in here: packets with forged ones push nobody out.
  readonly #verified = new Map<string, Uint8Array>();
  #period: number;

  /** Makes tokens whose age is measured on `clock`. */
  constructor(clock: Clock) {
    this.#mac = new RotatingMac(clock, ROTATE_MS);
    this.#period = this.#mac.period;
  }

  /** The token of an address: 16 bytes, which are the caller's. */
  issue(address: Address): Uint8Array {
    return this.#mac.sign(formatAddress(address));
  }

  /** Whether a token was issued to that address less than 60 to 120 seconds ago; in constant time. */
  verify(address: Address, token: Uint8Array): boolean {
    this.#forgetLastPeriod();
    const key = formatAddress(address);
    const known = this.#verified.get(key);
    if (known !== undefined && isSame(known, token)) return true;
    if (!this.#mac.verify(key, token)) return false;
    if (this.#verified.size >= MAX_VERIFIED) this.#forgetOldest();
    this.#verified.set(key, Uint8Array.from(token));
    return true;
  }

  #forgetLastPeriod(): void {
    const { period } = this.#mac;
    if (period === this.#period) return;
    this.#period = period;
    this.#verified.clear();
  }

  #forgetOldest(): void {
    for (const key of this.#verified.keys()) {
      this.#verified.delete(key);
      return;
    }
  }
}
