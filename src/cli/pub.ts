/**
 * `kith pub`
 *
 * @module
 */

import { AuthError, NotFoundError } from "../errors.ts";
import { topicKeyOf } from "../gossip/envelope.ts";
import type { Published } from "../gossip/gossip_options.ts";
import { MAX_MESSAGE_BYTES } from "../gossip/topic.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { describeTried } from "../reach_search.ts";
import { readData } from "./data_form.ts";
import { usePeer } from "./open_peer.ts";
import { asUsage, UsageError } from "./options.ts";
import { isHomeHeld } from "./running.ts";
import type { Invocation } from "./verbs.ts";

/** How long to look for somebody who takes part. */
const LOOK_MS = 10_000;

/** Publishes one message, and ends when somebody has it. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const [topic, ...words] = options.args;
  if (!topic || words.length === 0) throw new UsageError("TOPIC and TEXT are wanted");
  asUsage(() => topicKeyOf(topic));
  const timeoutMs = options.milliseconds("timeout") ?? LOOK_MS;
  const data = await readData(words, invocation, MAX_MESSAGE_BYTES);
  // Whoever only publishes is not called by others, and so need not listen.
  await using used = await usePeer(invocation, { clientOnly: true, seeds: true });
  const { peer } = used;
  const { from, seq, confirmedBy } = await publish(peer, topic, { ...invocation, data, timeoutMs });
  const who = confirmedBy.map((peerId) => peerId.slice(0, 8)).join(", ");
  const have = confirmedBy.length === 1 ? "has" : "have";
  output.result(
    { topic, from, seq, confirmedBy },
    `published to ${printable(topic, 64)} as ${from.slice(0, 8)}; ${who} ${have} it`,
  );
}

/** Publishes. @throws as `Gossip.publish`, saying what was tried and what would help. */
async function publish(
  peer: Peer,
  topic: string,
  what: Invocation & { readonly data: unknown; readonly timeoutMs: number },
): Promise<Published> {
  const { options, signal, data, timeoutMs } = what;
  try {
    return await peer.gossip.publish(topic, data, { confirm: 1, timeoutMs, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof NotFoundError)) throw error;
    const refusals = Number(error.details.refusals ?? 0);
    if (refusals > 0) throw refused(topic, refusals);
    const { asked, obstacle } = peer.discovery;
    const seeds = options.texts("peer");
    if (isKeptBy(peer, topic, what)) throw nobodyYet(topic, [...seeds, ...asked]);
    if (seeds.length === 0 && asked.length === 0 && obstacle !== undefined) throw obstacle;
    throw nobody(topic, [...seeds, ...asked], what);
  }
}

/** Whether a peer that stays up when the verb ends takes part: it gives what it keeps to those who come. */
function isKeptBy({ gossip }: Peer, topic: string, { host }: Invocation): boolean {
  const status = gossip.topics().find((one) => one.topic === topic);
  return host !== undefined && status !== undefined && status.subscriptions > 0 && status.kept > 0;
}

/** The error where nobody took it, and somebody may yet. */
function nobodyYet(topic: string, tried: readonly string[]): NotFoundError {
  const name = printable(topic, 64);
  return new NotFoundError(
    "no-peer",
    `Nobody else takes part in "${name}" yet: it is kept here for those who come within half an hour`,
    { details: { topic: name, tried, kept: true } },
  );
}

/** The error where nobody took it. */
function nobody(topic: string, tried: readonly string[], invocation: Invocation): NotFoundError {
  const where = tried.length === 0
    ? "nobody could be asked"
    : describeTried(tried.map((way) => printable(way, 80)));
  const isOurs = invocation.options.text("access") === "invited"
    ? "; with --access invited only those are welcome who show an invite of this home, or are pinned"
    : "";
  const isSame = isHomeHeld(invocation)
    ? "; a kith that runs with this home is the same peer, and is answered instead of this one: " +
      "with --home DIR or --ephemeral this one is another"
    : "";
  return new NotFoundError(
    "no-peer",
    `Nobody who takes part in "${printable(topic, 64)}" was found: ${where}${isOurs}${isSame}`,
    { details: { topic: printable(topic, 64), tried } },
  );
}

function refused(topic: string, refusals: number): AuthError {
  const scope = printable(topic, 64);
  return new AuthError(
    "not-allowed",
    `Nobody in "${scope}" let us in: it is for the invited. Who takes part makes an invite with ` +
      `kith invite --scope 'topic:${scope}', and --invite-file shows it`,
    { details: { topic: scope, refusals } },
  );
}
