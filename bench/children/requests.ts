/**
 * Requests as fast as they are answered, so many in flight at any time; the same loops for every way to ask.
 *
 * | command  | answer                                                  |
 * |----------|---------------------------------------------------------|
 * | a number | `{ perSecond }` with that many in flight                |
 * | `p50`    | `{ p50Ms }`, the median time of one request at a time   |
 *
 * @module
 */

import { spread } from "../stats.ts";
import { type Ends, runServedPair } from "./served_pair.ts";

/** Bytes of each question and its answer. */
const PAYLOAD_BYTES = 64;
const ROUND_MS = 333;

/** Sends a payload to whoever echoes it. @returns the echo. */
export type Ask = (payload: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

const payload = crypto.getRandomValues(new Uint8Array(PAYLOAD_BYTES));

/** Is the server that echoes, or the client that asks. */
export async function runRequests(ends: Ends<Ask>): Promise<void> {
  await runServedPair(
    ends,
    (ask, command) => command === "p50" ? latency(ask) : rate(ask, Number(command)),
  );
}

async function rate(ask: Ask, inFlight: number): Promise<{ perSecond: number }> {
  let count = 0;
  let isOver = false;
  const askOn = async () => {
    for (; !isOver; count++) check(await ask(payload));
  };
  const startedAt = performance.now();
  setTimeout(() => isOver = true, ROUND_MS);
  await Promise.all(Array.from({ length: inFlight }, askOn));
  return { perSecond: count / (performance.now() - startedAt) * 1000 };
}

async function latency(ask: Ask): Promise<{ p50Ms: number }> {
  const times: number[] = [];
  let now = performance.now();
  for (const endsAt = now + ROUND_MS; now < endsAt;) {
    const askedAt = now;
    check(await ask(payload));
    now = performance.now();
    times.push(now - askedAt);
  }
  return { p50Ms: spread(times).median };
}

function check(echo: Uint8Array): void {
  if (echo.length !== PAYLOAD_BYTES) throw new Error("Cannot measure: the echo differs");
}

/** Matches answers with questions by their order, for ways to talk that keep it and carry no ids. */
export class Turns {
  readonly #waiting: ((echo: Uint8Array) => void)[] = [];

  /** The answer to the question that is being sent. */
  next(): Promise<Uint8Array> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Takes the answer to the oldest question. */
  settle(echo: Uint8Array): void {
    this.#waiting.shift()?.(echo);
  }
}
