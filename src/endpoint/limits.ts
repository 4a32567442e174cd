/**
 * How often others may try: token buckets, and what they decide about connections and requests.
 *
 * A bucket holds up to `burst` tokens and gets `perSecond` back; what costs more than there is, is refused. Connections
 * are judged before anybody is authenticated, by where they come from; requests by the peer that proved who it is.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { LimitError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import { LIMITS } from "./limits_table.ts";
import { type Source, sourceOf } from "./source.ts";

export { isLoopback, packetSource, subnetOf } from "./source.ts";

/** A rate. */
export interface RateOptions {
  /** Tokens that come back per second; above 0. */
  perSecond: number;
  /** Tokens of a full bucket, 1 or more: what may happen at once after a rest. */
  burst: number;
  /** Most buckets remembered. @default {MAX_BUCKETS} */
  maxKeys?: number;
}

/** Most buckets remembered: eight times the links an endpoint has, in less than a megabyte. */
export const MAX_BUCKETS = 4096;

/** An empty bucket of failures is full again after so many seconds. */
const FORGIVEN_AFTER_S = 32;

/**
 * Failed handshakes per address: a program that is restarted, or a few behind one translator, with a wrong key or version
 * stay below it; who scans or guesses is held to one attempt a second.
 */
export const FAILURES_PER_ADDRESS: Readonly<RateOptions> = failureRate(
  LIMITS.failuresPerAddress.default,
);

/**
 * Failed handshakes per subnet: whoever has one IPv6 address has 2^64, so that addresses alone limit nobody. Eight times
 * an address' share, so that one broken host does not lock its neighbours out.
 */
export const FAILURES_PER_SUBNET: Readonly<RateOptions> = failureRate(
  LIMITS.failuresPerSubnet.default,
);

/** The part of the buckets that is forgotten together when there is no room, so that looking at all pays. */
const FORGOTTEN_PART = 1 / 16;

interface Bucket {
  /** What was in it then. */
  tokens: number;
  atMs: number;
}

/**
 * A token bucket per key, of which a bounded number is remembered.
 *
 * An unknown key's bucket is full. Where there is no room for another, full ones are forgotten first, which changes
 * nothing, then those that were used least recently, up to a sixteenth of all at a time; their keys start anew.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { TokenBuckets } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const clock = new ManualClock();
 * const buckets = new TokenBuckets(clock, { perSecond: 10, burst: 2 });
 * assertEquals([1, 2, 3].map(() => buckets.take("bob")), [true, true, false]);
 * await clock.advance(100);
 * assertEquals(buckets.take("bob"), true);
 * ```
 */
export class TokenBuckets {
  readonly #clock: Pick<Clock, "now">;
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxKeys: number;
  // In the order of their last use.
  readonly #buckets = new Map<string, Bucket>();

  /** Makes full buckets. @throws {RangeError} when a rate or limit is out of range. */
  constructor(clock: Pick<Clock, "now">, options: Readonly<RateOptions>) {
    const { perSecond, burst, maxKeys = MAX_BUCKETS } = options;
    assertRange("perSecond", perSecond, perSecond > 0 && perSecond < Infinity, "above 0");
    assertRange("burst", burst, burst >= 1 && burst < Infinity, "1 or more");
    assertRange(
      "maxKeys",
      maxKeys,
      Number.isInteger(maxKeys) && maxKeys >= 1,
      "an integer above 0",
    );
    this.#clock = clock;
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#maxKeys = maxKeys;
  }

  /** Buckets remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Takes tokens out of a key's bucket, all or none.
   *
   * @param cost How many, 0 or more. @default {1}
   * @returns whether there were enough.
   * @throws {RangeError} when the cost is negative or not a number.
   */
  take(key: string, cost = 1): boolean {
    assertRange("cost", cost, cost >= 0, "0 or more");
    const nowMs = this.#clock.now();
    const known = this.#buckets.get(key);
    if (known !== undefined) this.#buckets.delete(key);
    else if (this.#buckets.size >= this.#maxKeys) this.#makeRoom(nowMs);
    const bucket = known ?? { tokens: this.#burst, atMs: nowMs };
    this.#buckets.set(key, bucket);
    const tokens = this.#tokensOf(bucket, nowMs);
    if (tokens < cost) return false;
    bucket.tokens = tokens - cost;
    bucket.atMs = nowMs;
    return true;
  }

  /** What is in a key's bucket, with fractions. Looking does not count as use. */
  peek(key: string): number {
    const bucket = this.#buckets.get(key);
    return bucket === undefined ? this.#burst : this.#tokensOf(bucket, this.#clock.now());
  }

  #tokensOf({ tokens, atMs }: Bucket, nowMs: number): number {
    return Math.min(this.#burst, tokens + (nowMs - atMs) * this.#perMs);
  }

  // Each call looks at all buckets and leaves room for a part of them: a constant number of looks per new key.
  #makeRoom(nowMs: number): void {
    const buckets = this.#buckets;
    for (const [key, bucket] of buckets) {
      if (this.#tokensOf(bucket, nowMs) >= this.#burst) buckets.delete(key);
    }
    const kept = this.#maxKeys - Math.ceil(this.#maxKeys * FORGOTTEN_PART);
    for (const key of buckets.keys()) {
      if (buckets.size <= kept) break;
      buckets.delete(key);
    }
  }
}

/** How often handshakes may fail; every field has a reasoned default. */
export interface ConnectionRates {
  /** Failures per address. @default {FAILURES_PER_ADDRESS} */
  failuresPerAddress?: Readonly<RateOptions>;
  /** Failures per subnet; see {@linkcode subnetOf}. @default {FAILURES_PER_SUBNET} */
  failuresPerSubnet?: Readonly<RateOptions>;
  /**
   * Limit this machine too. All its programs and users share one address: a single one that fails would lock out all
   * others, the owner's command line among them, and who is on the machine has easier ways to disturb. @default {false}
   */
  limitLoopback?: boolean;
}

/**
 * Decides about connections before anybody is authenticated: refuses those from where too many handshakes failed.
 *
 * A failure costs a token of its address and one of its subnet, a success nothing. So an attacker cannot make us forget
 * many addresses from one subnet either: its bucket is empty first.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { ConnectionLimiter } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const limiter = new ConnectionLimiter(new ManualClock());
 * const stranger = { hostname: "192.0.2.7", port: 50_000 };
 * assertEquals(limiter.admit(stranger), undefined);
 * for (let failure = 0; failure < 32; failure++) limiter.failed(stranger);
 * assertEquals(limiter.admit(stranger)?.details, { limit: "failuresPerAddress", max: 32 });
 * ```
 */
export class ConnectionLimiter {
  readonly #addresses: TokenBuckets;
  readonly #subnets: TokenBuckets;
  readonly #maxPerAddress: number;
  readonly #maxPerSubnet: number;
  readonly #limitLoopback: boolean;

  /** A limiter to which nobody has failed yet. @throws {RangeError} when a rate is out of range. */
  constructor(clock: Pick<Clock, "now">, rates: ConnectionRates = {}) {
    const { failuresPerAddress = FAILURES_PER_ADDRESS, failuresPerSubnet = FAILURES_PER_SUBNET } =
      rates;
    this.#addresses = new TokenBuckets(clock, failuresPerAddress);
    this.#subnets = new TokenBuckets(clock, failuresPerSubnet);
    this.#maxPerAddress = failuresPerAddress.burst;
    this.#maxPerSubnet = failuresPerSubnet.burst;
    this.#limitLoopback = rates.limitLoopback ?? false;
  }

  /** Addresses and subnets that are remembered for their failures. */
  get size(): number {
    return this.#addresses.size + this.#subnets.size;
  }

  /**
   * Whether a connection may come in.
   *
   * @returns `rate` with the limit's name and `max` in its details when it may not; `undefined` when it may.
   */
  admit(address: Address): LimitError | undefined {
    const source = this.#sourceOf(address);
    if (source === undefined) return undefined;
    if (this.#addresses.peek(source.address) < 1) {
      return tooManyFailures("address", "failuresPerAddress", this.#maxPerAddress);
    }
    if (source.subnet !== undefined && this.#subnets.peek(source.subnet) < 1) {
      return tooManyFailures("subnet", "failuresPerSubnet", this.#maxPerSubnet);
    }
    return undefined;
  }

  /** Notes a handshake from there that failed: garbage, too slow, refused, or pushed out half open. */
  failed(address: Address): void {
    const source = this.#sourceOf(address);
    if (source === undefined) return;
    // An empty bucket refuses to give: many may be under way when the last token goes, and nobody owes any.
    this.#addresses.take(source.address);
    if (source.subnet !== undefined) this.#subnets.take(source.subnet);
  }

  // What an address counts as; nothing where it is exempt.
  #sourceOf({ hostname }: Address): Source | undefined {
    const source = sourceOf(hostname);
    return source.own && !this.#limitLoopback ? undefined : source;
  }
}

/** The rate of failures for so many at once. */
export function failureRate(burst: number): Readonly<RateOptions> {
  return { perSecond: burst / FORGIVEN_AFTER_S, burst };
}

/**
 * The error for what there is as much of as there may be.
 *
 * @param what What there is, or cannot be done; the limit's name is put behind it.
 */
export function limitError(what: string, limit: string, max?: number): LimitError {
  const details = max === undefined ? { limit } : { limit, max };
  return new LimitError("limit", `${what} (${limit})`, { details });
}

/**
 * The error for whoever comes too often, with the same text and facts everywhere.
 *
 * @param what What could not be done and what there is too much of, in the plural: `Cannot x: the y`.
 * @param max The bucket's `burst`.
 */
export function rateError(what: string, limit: string, max: number): LimitError {
  return new LimitError("rate", `${what} exceed ${limit} ${max}`, { details: { limit, max } });
}

function tooManyFailures(of: string, limit: string, max: number): LimitError {
  return rateError(`Cannot accept a connection: failures from its ${of}`, limit, max);
}

function assertRange(name: string, value: number, inside: boolean, range: string): void {
  if (!inside) throw new RangeError(`${name} must be ${range}: current value is ${value}`);
}
