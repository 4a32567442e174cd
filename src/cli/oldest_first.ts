/**
 * Messages in the order in which people read them.
 *
 * @module
 */

import type { GossipMessage } from "../gossip/gossip_options.ts";

/** What was missed has come when nothing came for so long, in milliseconds: it is given in one go. */
const PAUSE_MS = 100;

/** When something comes all the time there is no use in waiting for a pause; in milliseconds. */
const LONGEST_MS = 1_000;

/** Most messages that are put in order: as many as others keep. */
const MAX_SORTED = 16_384;

/**
 * What comes at the beginning, the oldest first: from whom it comes, and so in which order, is chance. Then everything as
 * it comes. Leaving the loop closes nothing: who opened what the messages come from has to close that.
 */
export async function* oldestFirst(
  messages: AsyncIterable<GossipMessage>,
): AsyncGenerator<GossipMessage, void, void> {
  const source = messages[Symbol.asyncIterator]();
  const endMs = performance.now() + LONGEST_MS;
  const early: GossipMessage[] = [];
  let next = source.next();
  while (early.length < MAX_SORTED && performance.now() < endMs) {
    const result = await inTime(next, PAUSE_MS);
    if (result === undefined || result.done) break;
    early.push(result.value);
    next = source.next();
  }
  yield* early.sort((a, b) => a.createdMs - b.createdMs || a.seq - b.seq);
  for (let result = await next; !result.done; result = await source.next()) yield result.value;
}

/** What is promised, or nothing when that takes longer. */
async function inTime<T>(promised: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([promised, late]);
  } finally {
    clearTimeout(timer);
  }
}
