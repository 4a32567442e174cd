/**
 * The one place where limits are enforced: what is in use, whether there may be more, and who was refused how often.
 *
 * Who is not known yet is counted by address and subnet, which it cannot choose freely; who has proven who it is, by its
 * peer id. Taking and giving back take constant time, and nothing is remembered of those who are gone but what a bounded
 * number of token buckets hold. Whatever is refused is an error that names its limit, and is counted as `limits.NAME`.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { LimitError } from "../errors.ts";
import { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import { CallRates } from "./call_rates.ts";
import type { Middleware } from "./dispatcher.ts";
import { ConnectionLimiter, failureRate, limitError } from "./limits.ts";
import { parseLimits } from "./limits_file.ts";
import {
  DEFAULT_LIMITS,
  describeLimits,
  type EndpointLimits,
  type LimitName,
  type LimitReport,
  type Limits,
} from "./limits_table.ts";
import { sourceOf } from "./source.ts";

/** What {@linkcode Resources} need. */
export interface ResourcesOptions {
  /** Limits that are not the default. @default {{}} */
  limits?: EndpointLimits;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Counts `limits.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/**
 * What an endpoint has, and how much of it is in use; see the module.
 *
 * @example
 * ```ts
 * import { Resources } from "@kith/kith/endpoint";
 * import { assertThrows } from "@std/assert";
 *
 * const resources = new Resources({ limits: { maxLinksPerAddress: 1 } });
 * const from = { hostname: "192.0.2.7", port: 50_000 };
 * using held = resources.holdLink(from);
 * assertThrows(() => resources.checkLink(from), Error, "There are 1 links already");
 * ```
 */
export class Resources {
  /** Every limit as it holds. */
  readonly limits: Limits;
  /** Whose handshakes failed too often. */
  readonly failures: ConnectionLimiter;
  /** What others may store here. */
  readonly stored: StoredBytes;
  readonly #metrics: Metrics;
  readonly #rates: CallRates;
  readonly #perAddress = new Tally();
  readonly #perSubnet = new Tally();
  readonly #shares = new Set<LinkShare>();
  readonly #gauges = new Map<LimitName, () => number>();
  #links = 0;

  /** Nothing is in use. @throws {TypeError | RangeError} for limits that are none, as `parseLimits`. */
  constructor(options: ResourcesOptions = {}) {
    const { limits = {}, clock = systemClock, metrics = new Metrics() } = options;
    this.limits = { ...DEFAULT_LIMITS, ...parseLimits(limits) };
    const { failuresPerAddress, failuresPerSubnet, maxStoredBytes } = this.limits;
    this.failures = new ConnectionLimiter(clock, {
      failuresPerAddress: failureRate(failuresPerAddress),
      failuresPerSubnet: failureRate(failuresPerSubnet),
    });
    this.stored = new StoredBytes(maxStoredBytes, metrics);
    this.#metrics = metrics;
    this.#rates = new CallRates(clock, this.limits.requestsPerSecond);
    const most = (of: (share: LinkShare) => number) => () => largest([...this.#shares].map(of));
    this.gauge("maxLinks", () => this.#links);
    this.gauge("maxLinksPerAddress", () => this.#perAddress.largest);
    this.gauge("maxLinksPerSubnet", () => this.#perSubnet.largest);
    this.gauge("maxActiveRequests", most((share) => share.requests));
    this.gauge("maxActiveBytes", most((share) => share.bytes));
    this.gauge("maxStreams", most((share) => share.streams));
    this.gauge("maxUnreadBytes", most((share) => share.unreadBytes()));
    this.gauge("maxStoredBytes", () => this.stored.used);
  }

  /** Addresses, subnets and callers that are remembered. */
  get remembered(): number {
    return this.#perAddress.size + this.#perSubnet.size + this.failures.size + this.#rates.size;
  }

  /** Says what is in use of a limit that is kept elsewhere. */
  gauge(name: LimitName, used: () => number): void {
    this.#gauges.set(name, used);
  }

  /**
   * Makes sure that there may be one more connection.
   *
   * @param from Where it comes from, if others open it; those of this machine only count for all.
   * @throws {LimitError} `limit`, naming `maxLinks`, `maxLinksPerAddress` or `maxLinksPerSubnet`.
   */
  checkLink(from?: Address): void {
    const { maxLinks, maxLinksPerAddress, maxLinksPerSubnet } = this.limits;
    const { address, subnet } = strangerAt(from);
    const broken = ([
      ["maxLinks", this.#links, maxLinks],
      ["maxLinksPerAddress", this.#perAddress.of(address), maxLinksPerAddress],
      ["maxLinksPerSubnet", this.#perSubnet.of(subnet), maxLinksPerSubnet],
    ] as const).find(([, used, max]) => used >= max);
    if (broken === undefined) return;
    const [name, , max] = broken;
    throw countRefusal(this.#metrics, limitError(`There are ${max} links already`, name, max));
  }

  /**
   * Counts a connection, until what is returned is disposed of.
   *
   * @throws {LimitError} as {@linkcode Resources.checkLink}.
   */
  holdLink(from?: Address): Disposable {
    this.checkLink(from);
    const { address, subnet } = strangerAt(from);
    const count = (by: 1 | -1) => {
      this.#links += by;
      this.#perAddress.add(address, by);
      this.#perSubnet.add(subnet, by);
    };
    count(1);
    return once(() => count(-1));
  }

  /**
   * Counts a link, and what is in use on it, until the share is disposed of.
   *
   * @throws {LimitError} as {@linkcode Resources.checkLink}.
   */
  share(from?: Address): LinkShare {
    const held = this.holdLink(from);
    const share = new LinkShare(this.limits, () => {
      held[Symbol.dispose]();
      this.#shares.delete(share);
    });
    this.#shares.add(share);
    return share;
  }

  /**
   * Holds each caller to `requestsPerSecond`.
   *
   * @param isPaced Whether a header's messages are data that the connection itself slows down: such are no calls.
   * @returns middleware `limits`; `undefined` where no rate is limited.
   */
  middleware(isPaced: (header: string) => boolean = () => false): Middleware | undefined {
    if (this.#rates.unlimited) return undefined;
    return {
      name: "limits",
      run: (body, context, next) => {
        const refusal = isPaced(context.header) ? undefined : this.#rates.take(context);
        if (refusal === undefined) return next(body);
        throw countRefusal(this.#metrics, refusal);
      },
    };
  }

  /** The limits, what of them is in use, and how often they refused something, for the status. */
  describe(): LimitReport[] {
    return describeLimits(this.limits, {
      used: (name) => this.#gauges.get(name)?.(),
      refused: (name) => this.#metrics.counter(counterOf(name)).value,
    });
  }
}

/**
 * What one link has in use, and may have.
 *
 * @example
 * ```ts
 * import { Resources } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * using share = new Resources({ limits: { maxStreams: 1 } }).share();
 * share.streams++;
 * assertEquals(share.refusal(0, true)?.details, { limit: "maxStreams", max: 1 });
 * ```
 */
export class LinkShare implements Disposable {
  /** The limits. */
  readonly limits: Limits;
  /** Calls at work. */
  requests = 0;
  /** Bytes of calls that wait or are at work. */
  bytes = 0;
  /** Calls among those that are answered in parts. */
  streams = 0;
  /** Bytes of answers that the other side has not taken. */
  unreadBytes: () => number = () => 0;
  readonly #onEnd: () => void;

  /** Nothing is in use. @param onEnd Called whenever it is disposed of. */
  constructor(limits: Limits = DEFAULT_LIMITS, onEnd: () => void = () => {}) {
    this.limits = limits;
    this.#onEnd = onEnd;
  }

  /** Why there may not be one more call. @param inParts Whether its caller would take the answer in parts. */
  refusal(bytes: number, inParts: boolean): LimitError | undefined {
    const { maxActiveRequests, maxActiveBytes, maxStreams } = this.limits;
    if (this.requests >= maxActiveRequests) {
      return fullOf("requests are at work", "maxActiveRequests", maxActiveRequests);
    }
    // One is always taken, or a limit below the largest message would refuse that for ever.
    if (this.bytes > 0 && this.bytes + bytes > maxActiveBytes) {
      return fullOf("bytes of requests are at work", "maxActiveBytes", maxActiveBytes);
    }
    if (inParts && this.streams >= maxStreams) {
      return fullOf("answers in parts are at work", "maxStreams", maxStreams);
    }
    return undefined;
  }

  /** The link has ended: nothing of it is in use any more. Harmless when repeated. */
  [Symbol.dispose](): void {
    this.#onEnd();
  }
}

/**
 * Bytes that others may store here while the program runs.
 *
 * @example
 * ```ts
 * import { StoredBytes } from "@kith/kith/endpoint";
 * import { assertThrows } from "@std/assert";
 *
 * const stored = new StoredBytes(1_000);
 * stored.reserve(600);
 * assertThrows(() => stored.reserve(600), Error, "600 of 1000 are taken");
 * ```
 */
export class StoredBytes {
  readonly #max: number;
  readonly #metrics: Metrics;
  #used = 0;

  /** Nothing is stored. @param max How much may be. @param metrics Counts what is refused. */
  constructor(max = Infinity, metrics: Metrics = new Metrics()) {
    this.#max = max;
    this.#metrics = metrics;
  }

  /** Bytes that are stored or promised. */
  get used(): number {
    return this.#used;
  }

  /** Bytes that may still be stored. */
  get left(): number {
    return Math.max(0, this.#max - this.#used);
  }

  /** Makes sure that there is room for so many more. @throws {LimitError} `limit`, naming `maxStoredBytes`. */
  check(bytes: number): void {
    if (this.#used + bytes <= this.#max) return;
    const text = `Cannot store ${bytes} bytes: ${this.#used} of ${this.#max} are taken`;
    throw countRefusal(this.#metrics, limitError(text, "maxStoredBytes", this.#max));
  }

  /** Sets bytes aside. @throws {LimitError} as {@linkcode StoredBytes.check}. */
  reserve(bytes: number): Reservation {
    this.check(bytes);
    return new Reservation(bytes, (change) => void (this.#used += change));
  }
}

/**
 * Bytes that are set aside for what has yet to come.
 *
 * @example
 * ```ts
 * import { StoredBytes } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const stored = new StoredBytes(1_000);
 * const reservation = stored.reserve(600);
 * reservation.keep(200);
 * reservation.release();
 * assertEquals([stored.used, stored.left], [200, 800]);
 * ```
 */
export class Reservation {
  readonly #change: (bytes: number) => void;
  #left: number;

  /** Sets bytes aside. @param change Told how many more, or fewer, are taken. */
  constructor(bytes: number, change: (bytes: number) => void) {
    this.#left = bytes;
    this.#change = change;
    change(bytes);
  }

  /** So many have come to stay. */
  keep(bytes: number): void {
    const covered = Math.min(bytes, this.#left);
    this.#left -= covered;
    this.#change(bytes - covered);
  }

  /** What has not come will not: it is free again. Harmless when repeated. */
  release(): void {
    this.#change(-this.#left);
    this.#left = 0;
  }
}

/** Counts that a limit of ours refused something, by the name in the error. @returns the error. */
export function countRefusal(metrics: Metrics, error: LimitError): LimitError {
  const { limit } = error.details;
  if (typeof limit === "string") metrics.counter(counterOf(limit)).add();
  return error;
}

/** How many there are of each key; keys of which there is none are not remembered. */
class Tally {
  readonly #counts = new Map<string, number>();

  get size(): number {
    return this.#counts.size;
  }

  get largest(): number {
    return largest([...this.#counts.values()]);
  }

  // What is not counted is below every limit, 0 too.
  of(key: string | undefined): number {
    return key === undefined ? -Infinity : this.#counts.get(key) ?? 0;
  }

  add(key: string | undefined, by: number): void {
    if (key === undefined) return;
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

/** What somebody else's connection is counted by; nothing for ours, and those of this machine. */
function strangerAt(from: Address | undefined): { address?: string; subnet?: string } {
  const source = from === undefined ? undefined : sourceOf(from.hostname);
  if (source === undefined || source.own) return {};
  const { address, subnet } = source;
  return subnet === undefined ? { address } : { address, subnet };
}

function fullOf(what: string, limit: LimitName, max: number): LimitError {
  return limitError(`Cannot call: ${max} ${what}`, limit, max);
}

function counterOf(limit: string): string {
  return `limits.${limit}`;
}

function largest(counts: readonly number[]): number {
  return counts.reduce((most, count) => Math.max(most, count), 0);
}

/** What does something when it is first disposed of. */
function once(end: () => void): Disposable {
  let over = false;
  return {
    [Symbol.dispose]: () => {
      if (!over) end();
      over = true;
    },
  };
}
