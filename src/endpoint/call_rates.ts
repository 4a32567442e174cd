/**
 * How often each caller may call which endpoint.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { LimitError } from "../errors.ts";
import { printable } from "../log.ts";
import type { RequestContext } from "./dispatcher.ts";
import { rateError, TokenBuckets } from "./limits.ts";
import type { RequestRates } from "./limits_table.ts";
import { sourceOf } from "./source.ts";

/** The rate of endpoints that have none of their own. */
const DEFAULT_RATE = "default";

/** What calls are counted by. */
export type Caller = Pick<RequestContext, "endpoint" | "link" | "remote">;

/** A token bucket per caller and endpoint, for the endpoints that have a rate: what may come at once is a second's. */
export class CallRates {
  readonly #rates: RequestRates;
  readonly #buckets = new Map<string, TokenBuckets>();

  /** Nobody has called yet. @throws {RangeError} for a rate that is not above 0. */
  constructor(clock: Pick<Clock, "now">, rates: RequestRates) {
    this.#rates = rates;
    for (const [name, perSecond] of Object.entries(rates)) {
      const burst = Math.max(1, perSecond);
      this.#buckets.set(name, new TokenBuckets(clock, { perSecond, burst }));
    }
  }

  /** Whether no endpoint has a rate. */
  get unlimited(): boolean {
    return this.#buckets.size === 0;
  }

  /** Callers that are remembered, of each endpoint. */
  get size(): number {
    return this.#buckets.values().reduce((sum, { size }) => sum + size, 0);
  }

  /** Takes a call out of its caller's share. @returns `rate` when there is nothing left of it, else `undefined`. */
  take(caller: Caller): LimitError | undefined {
    const { endpoint } = caller;
    const name = this.#buckets.has(endpoint) ? endpoint : DEFAULT_RATE;
    const buckets = this.#buckets.get(name);
    if (buckets === undefined || buckets.take(`${idOf(caller)} ${endpoint}`)) return undefined;
    const what = `Cannot call "${printable(endpoint, 64)}": the caller's requests`;
    return rateError(what, "requestsPerSecond", this.#rates[name] ?? 0);
  }
}

/** Who calls: the peer that has proven who it is; where nobody has, as over UDP, the host. */
function idOf({ link, remote }: Caller): string {
  return link?.peer.peerId ?? sourceOf(remote.hostname).host;
}
