/**
 * How much a dialect may send to who has proven nothing.
 *
 * Nobody there proves where a packet comes from, and most answers are longer than their questions: whoever writes somebody
 * else's address on its packets has us send that one more than it spent itself. So what is answered is rationed by its
 * bytes, to each host and to all together. This machine's own programs are left alone: they have easier ways to disturb.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { isLoopback, type RateOptions, TokenBuckets } from "../../endpoint/limits.ts";
import { sourceOf } from "../../endpoint/source.ts";
import type { Address } from "../../transport/transport.ts";

/** Bytes to one host: some 80 full answers a second, and 340 at once. */
export const REPLY_BYTES_PER_HOST: Readonly<RateOptions> = { perSecond: 65_536, burst: 262_144 };

/** Bytes to all hosts together, which can be invented. */
export const REPLY_BYTES: Readonly<RateOptions> = { perSecond: 1_048_576, burst: 4_194_304 };

/** Rations answers; see the module. */
export class ReplyRates {
  readonly #perHost: TokenBuckets;
  readonly #all: TokenBuckets;

  /** Nothing was sent yet. */
  constructor(clock: Pick<Clock, "now">) {
    this.#perHost = new TokenBuckets(clock, REPLY_BYTES_PER_HOST);
    this.#all = new TokenBuckets(clock, REPLY_BYTES);
  }

  /** Whether an answer of so many bytes may go there, for a question of so many; it counts as sent then. */
  take(to: Address, replyBytes: number, questionBytes: number): boolean {
    if (replyBytes <= questionBytes || isLoopback(to.hostname)) return true;
    const { host } = sourceOf(to.hostname);
    return this.#perHost.take(host, replyBytes) && this.#all.take("", replyBytes);
  }
}
