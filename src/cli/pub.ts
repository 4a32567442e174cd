/**
 * `kith pub`
 *
 * @module
 */

import { AuthError, InvalidPacketError, NotFoundError } from "../errors.ts";
import { topicKeyOf } from "../gossip/envelope.ts";
import type { Published } from "../gossip/gossip_options.ts";
import { MAX_MESSAGE_BYTES } from "../gossip/topic.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { parseData } from "./call.ts";
import { openPeer } from "./open_peer.ts";
import { asUsage, UsageError } from "./options.ts";
import { isHomeHeld } from "./running.ts";
import { readStdin } from "./stdin.ts";
import type { Invocation } from "./verbs.ts";

/** How long to look for somebody who takes part. */
const LOOK_MS = 10_000;

/** What may be published, by the word for it. */
const FORMS = ["text", "json", "bytes"] as const;

/** Longest stdin: a byte takes up to six characters of JSON, as `\u0000`, and there may be spaces. */
const MAX_INPUT_BYTES: Readonly<Record<typeof FORMS[number], number>> = {
  text: MAX_MESSAGE_BYTES,
  json: 8 * MAX_MESSAGE_BYTES,
  bytes: MAX_MESSAGE_BYTES,
};

/** Publishes one message, and ends when somebody has it. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const [topic, ...words] = options.args;
  if (!topic || words.length === 0) throw new UsageError("TOPIC and TEXT are wanted");
  asUsage(() => topicKeyOf(topic));
  const timeoutMs = options.milliseconds("timeout") ?? LOOK_MS;
  const data = await dataOf(words, invocation);
  // Whoever only publishes is not called by others, and so need not listen.
  await using peer = await openPeer(invocation, { clientOnly: true, seeds: true });
  const { from, seq, confirmedBy } = await publish(peer, topic, { ...invocation, data, timeoutMs });
  const who = confirmedBy.map((peerId) => peerId.slice(0, 8)).join(", ");
  const have = confirmedBy.length === 1 ? "has" : "have";
  output.result(
    { topic, from, seq, confirmedBy },
    `published to ${printable(topic, 64)} as ${from.slice(0, 8)}; ${who} ${have} it`,
  );
}

/** What the command line, or stdin, wants to have published. */
async function dataOf(words: readonly string[], { options, signal }: Invocation): Promise<unknown> {
  const form = options.choice("as", FORMS) ?? "text";
  const text = words.join(" ");
  if (text !== "-") {
    if (form === "json") return parseData(text);
    return form === "bytes" ? new TextEncoder().encode(text) : text;
  }
  const bytes = await readStdin(MAX_INPUT_BYTES[form], signal);
  if (form === "json") return parseData(bytes);
  return form === "bytes" ? bytes : lineOf(bytes);
}

/** A text without the line break that ends every file of it. @throws {InvalidPacketError} when it is none. */
function lineOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch (cause) {
    const why = "it is not UTF-8; --as bytes publishes it as it is";
    throw new InvalidPacketError("bad-message", `Cannot publish stdin: ${why}`, { cause });
  }
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
    if (seeds.length === 0 && asked.length === 0 && obstacle !== undefined) throw obstacle;
    throw nobody(topic, [...seeds, ...asked], what);
  }
}

/** The error where nobody took it. */
function nobody(topic: string, tried: readonly string[], invocation: Invocation): NotFoundError {
  const where = tried.length === 0
    ? "nobody could be asked"
    : `tried ${tried.map((way) => printable(way, 80)).join(", ")}`;
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
