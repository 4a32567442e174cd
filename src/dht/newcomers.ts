/**
 * Nodes that have asked us something and are not known yet: each is asked back, and counts once it has answered. So
 * whoever names an address that is not its own costs that address a packet a second at most, and brings in nobody.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { TokenBuckets } from "../endpoint/limits.ts";
import { packetSource, sourceOf } from "../endpoint/source.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { Contact } from "./contact.ts";
import { publicNetworkOf } from "./diversity.ts";

/** Nodes that are being asked at the same time, and that wait for it. */
const MAX_ASKING = 8;
const MAX_WAITING = 64;

/** How often somebody at one address is asked back. */
const PER_ADDRESS = { perSecond: 1, burst: 8 };

/** What {@linkcode Newcomers} need. */
export interface NewcomersParts {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Whether a node is still not known. */
  readonly isWanted: (contact: Contact) => boolean;
  /** Asks a node whether it is there. It never rejects. */
  readonly ask: (contact: Contact) => Promise<void>;
}

/** See the module. */
export class Newcomers {
  readonly #parts: NewcomersParts;
  readonly #rates: TokenBuckets;
  readonly #known = new Set<string>();
  #waiting: Contact[] = [];
  #isClosed = false;

  /** Nobody has come. */
  constructor(parts: NewcomersParts) {
    this.#parts = parts;
    this.#rates = new TokenBuckets(parts.clock, PER_ADDRESS);
  }

  /** Asks somebody back, unless that is under way or there are too many. */
  add(contact: Contact): void {
    // Who claims to be somebody else must not keep that one out.
    const place = placeOf(contact);
    if (this.#isClosed || this.#known.has(place)) return;
    if (this.#waiting.length >= MAX_WAITING) return;
    if (!this.#rates.take(hostOf(contact.address))) return;
    this.#known.add(place);
    this.#waiting.push(contact);
    this.#askNext();
  }

  /** Asks nobody any more. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
  }

  #askNext(): void {
    if (this.#known.size - this.#waiting.length >= MAX_ASKING) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    void this.#ask(next).finally(() => {
      this.#known.delete(placeOf(next));
      this.#askNext();
    });
  }

  async #ask(contact: Contact): Promise<void> {
    if (this.#parts.isWanted(contact)) await this.#parts.ask(contact);
  }
}

function placeOf({ key, address }: Contact): string {
  return `${key} ${formatAddress(address)}`;
}

/** Who is counted together: in a public network one host of IPv6 has as many addresses as it likes. */
export function hostOf(address: Address): string {
  const { hostname } = address;
  return publicNetworkOf(hostname) === undefined ? packetSource(address) : sourceOf(hostname).host;
}
