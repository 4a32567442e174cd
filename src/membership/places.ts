/**
 * Where a member is asked. One that only others have reached may have signed anybody's address: it is asked there seldom,
 * at one place at a time, and told nothing.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { packetSource, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import type { Address } from "../transport/transport.ts";
import { type Member, packetAddresses } from "./member.ts";

/** How often one host is asked for members that have never answered us from there. */
const PER_HOST: Readonly<RateOptions> = { perSecond: 0.1, burst: 8 };

/** Places of members; see the module. */
export class Places {
  readonly #clock: Pick<Clock, "random">;
  readonly #rates: TokenBuckets;

  /** Nobody was asked. */
  constructor(clock: Pick<Clock, "now" | "random">) {
    this.#clock = clock;
    this.#rates = new TokenBuckets(clock, PER_HOST);
  }

  /** Where to ask a member now: where it has answered us, else one of the places it names, or none for this time. */
  of(member: Member): Address[] {
    const addresses = packetAddresses(member);
    if (member.isReached) return addresses.slice(0, 1);
    const one = addresses[Math.floor(this.#clock.random() * addresses.length)];
    return one !== undefined && this.#rates.take(packetSource(one)) ? [one] : [];
  }
}
