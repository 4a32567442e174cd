/**
 * Interfaces that come and go: cables that are plugged in, Wi-Fi that is joined, tunnels that are opened.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import type { Attempts } from "./attempts.ts";
import type { LocalInterface } from "./interfaces.ts";

/**
 * How often the interfaces are listed, in milliseconds. No runtime tells when they change. Whoever answers and whoever
 * asks both need to see a new one, and a question is sent at once there: a peer is found within twice this.
 */
export const LIST_EVERY_MS = 2_000;

/** What {@linkcode followInterfaces} needs. */
export interface FollowOptions {
  /** Lists the interfaces. */
  list: () => readonly LocalInterface[];
  /** Told of a listing that failed. */
  attempts: Attempts;
  /** Where time comes from. */
  clock: Clock;
  /** Ends it. */
  signal: AbortSignal;
}

/**
 * Hands the interfaces over now, and again every two seconds until aborted. They are handed over whether they changed or
 * not: what failed on one of them is worth another attempt.
 *
 * @param take Takes them in; must not throw. The next listing waits for it.
 * @throws what listing them throws the first time; later on that is noted, and the last list stays.
 */
export async function followInterfaces(
  { list, attempts, clock, signal }: FollowOptions,
  take: (interfaces: readonly LocalInterface[]) => Promise<void>,
): Promise<void> {
  let timer: Timer | undefined;
  const later = () => {
    if (!signal.aborted) timer = clock.after(LIST_EVERY_MS, () => void again());
  };
  const again = async () => {
    await attempts.tolerate("list interfaces", () => take(list()));
    later();
  };
  await take(list());
  signal.addEventListener("abort", () => timer?.cancel(), { once: true });
  later();
}
