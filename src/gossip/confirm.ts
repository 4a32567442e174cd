/**
 * Whether neighbours have what was published.
 *
 * @module
 */

import { type Clock, sleep } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import { ClosedError, PeerError } from "../errors.ts";
import { type MessageId, writeIds } from "./id_list.ts";
import type { Topic } from "./topic.ts";

/** How long to wait before neighbours are asked once more, in milliseconds. */
const ASK_AGAIN_MS = 50;

/** What to wait for. */
export interface ConfirmOptions {
  /** Where it was published. */
  readonly topic: Topic;
  /** What. */
  readonly id: MessageId;
  /** How many neighbours have to have it. */
  readonly count: number;
  /** How long that may take in milliseconds. */
  readonly timeoutMs: number;
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Time. */
  readonly clock: Clock;
  /** The connection to a neighbour. */
  readonly linkTo: (peerId: string) => Link | undefined;
}

/**
 * Asks neighbours whether they have a message until enough of them do. A question comes after the message on the same
 * connection, so the first is answered with yes as a rule.
 *
 * @returns those who have it, perhaps fewer than were asked for when the time is over.
 * @throws the signal's reason when it is aborted.
 */
export async function confirmed(options: ConfirmOptions): Promise<string[]> {
  const { count, timeoutMs, signal, clock } = options;
  const untilMs = clock.now() + timeoutMs;
  const have = new Set<string>();
  for (;;) {
    signal.throwIfAborted();
    await askAll(have, options, untilMs);
    if (have.size >= count || clock.now() >= untilMs) return [...have];
    await sleep(clock, ASK_AGAIN_MS, { signal });
  }
}

/** Asks those who are not known to have it, until all have answered or enough have it: nobody waits for the slowest. */
async function askAll(have: Set<string>, options: ConfirmOptions, untilMs: number): Promise<void> {
  const { topic, count, signal } = options;
  const enough = Promise.withResolvers<void>();
  const over = new AbortController();
  const asked = { ...options, signal: AbortSignal.any([signal, over.signal]) };
  const questions = topic.view.neighbors.filter(({ peerId }) => !have.has(peerId))
    .map(async ({ peerId }) => {
      if (await hasIt(peerId, asked, untilMs)) have.add(peerId);
      if (have.size >= count) enough.resolve();
    });
  await Promise.race([enough.promise, Promise.all(questions)]);
  over.abort(new ClosedError("Enough neighbours have confirmed it"));
}

async function hasIt(
  peerId: string,
  { topic, id, linkTo, signal, clock }: ConfirmOptions,
  untilMs: number,
): Promise<boolean> {
  const timeoutMs = untilMs - clock.now();
  if (timeoutMs <= 0) return false;
  try {
    const body = { t: topic.key, i: writeIds([id]) };
    const answer = await linkTo(peerId)?.request("gossip.has", body, { signal, timeoutMs });
    return isYes(answer);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof PeerError)) throw error;
    return false; // it does not say so
  }
}

function isYes(answer: unknown): boolean {
  const has = typeof answer === "object" && answer !== null && "has" in answer ? answer.has : [];
  return Array.isArray(has) && has[0] === true;
}
