/**
 * When to try again after a connection broke. Pure: time and chance are the caller's.
 *
 * A server that is restarted loses all its clients at one moment, and must not get them back at one moment. Attempt `k`
 * (1, 2, 3, ...) after the break is made at
 *
 * ```
 * t(k) = delayMs * (2^(k - 1 + phase) - 1)        phase in [0, 1), drawn once per break
 *
 *        0    1         3                   7  x delayMs
 *        |-1--|----2----|---------3---------|          one attempt somewhere in each
 * ```
 *
 * The intervals double, they leave no gap, and each attempt may be anywhere in its own: full jitter, but one draw for
 * all of them. That is what keeps a crowd apart. `t + delayMs` is spread evenly on a logarithmic scale, so at whatever
 * time `s` after the break the server is back, every client comes between `s` and `2s` (plus `delayMs`), at a rate that
 * falls as 1/t: it begins at 1/ln 2 = 1.44 times its mean, and nothing about it depends on `s`. With a draw for each
 * delay, as usual, sums of draws heap up in the middle, stragglers stretch the end, and the rate passes three times its
 * mean; and a client with bad luck spends all its attempts in the first tenth of a second.
 *
 * @module
 */

import { PeerError } from "../errors.ts";

/** Longest wait between two attempts: a server that is back after an hour is found within half a minute. */
export const MAX_RECONNECT_DELAY_MS = 30_000;

/** Codes by which the other side says that it does not want us: asking again changes nothing. */
const REFUSALS: ReadonlySet<string> = new Set([
  "denied",
  "incompatible",
  "strict-violation",
  "not-authenticated",
  "not-allowed",
  "key-changed",
  "limit",
  "rate",
]);

/** What {@linkcode reconnectDelayMs} goes by. */
export interface ReconnectOptions {
  /** The first attempt is made within this many milliseconds. @default {1000} */
  delayMs?: number;
  /** No wait is longer than this many milliseconds. @default {MAX_RECONNECT_DELAY_MS} */
  maxDelayMs?: number;
}

/**
 * How long to wait before an attempt to connect again, after the break or the attempt before; see the module.
 *
 * @example
 * ```ts
 * import { reconnectDelayMs } from "@kith/kith/rpc";
 * import { assertEquals } from "@std/assert";
 *
 * const delays = (phase: number) => [1, 2, 3].map((attempt) => reconnectDelayMs(attempt, phase));
 * assertEquals(delays(0), [0, 1000, 2000]);
 * assertEquals(delays(0.5).map(Math.round), [414, 1414, 2828]);
 * ```
 *
 * @param attempt 1 for the first.
 * @param phase A random number in [0, 1), the same for all attempts after one break.
 */
export function reconnectDelayMs(
  attempt: number,
  phase: number,
  options: ReconnectOptions = {},
): number {
  const { delayMs = 1_000, maxDelayMs = MAX_RECONNECT_DELAY_MS } = options;
  const factor = attempt === 1 ? 2 ** phase - 1 : 2 ** (attempt - 2 + phase);
  return Math.min(delayMs * factor, maxDelayMs);
}

/**
 * Whether an error is the other side's refusal, which an attempt to connect again would only get again.
 *
 * @example
 * ```ts
 * import { HandshakeError, TransportError } from "@kith/kith";
 * import { isRefusal } from "@kith/kith/rpc";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(isRefusal(new HandshakeError("denied", "Not here")), true);
 * assertEquals(isRefusal(new TransportError("Nobody listens")), false);
 * ```
 */
export function isRefusal(error: unknown): boolean {
  return error instanceof PeerError && REFUSALS.has(error.code);
}
