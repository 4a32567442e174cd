/**
 * Several who find foreign peers, as one.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import type { Clock } from "../clock.ts";
import type { FindOptions } from "./discovery.ts";
import type { ForeignDiscovery, ForeignPeer } from "./foreign.ts";

/** Peers that may wait for whoever iterates before those who find them have to. */
const MAX_WAITING = 256;

/** What all of them find, until the time is over, the signal aborts or the loop is left. @throws what one of them throws. */
export async function* findAll(
  finders: readonly ForeignDiscovery[],
  { timeoutMs = Infinity, signal }: FindOptions,
  clock: Clock,
): AsyncGenerator<ForeignPeer, void, void> {
  const channel = new Channel<ForeignPeer>(MAX_WAITING);
  const enough = new AbortController();
  const timer = clock.after(timeoutMs, () => enough.abort());
  const looking = signal === undefined ? enough.signal : AbortSignal.any([signal, enough.signal]);
  const finding = Promise.all(finders.map(async (finder) => {
    for await (const peer of finder.find({ signal: looking })) await channel.push(peer);
  })).finally(() => channel.close());
  finding.catch(() => {}); // looked at below
  try {
    yield* channel;
    await finding;
  } finally {
    timer.cancel();
    enough.abort();
    channel.close();
    await finding.catch(() => {}); // the loop was left, or its error was thrown
  }
}
