/**
 * `kith dht get`
 *
 * @module
 */

import type { DhtValue } from "../dht/dht_options.ts";
import { toKey } from "../dht/node_id.ts";
import { InvalidPacketError, NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { encodeJson } from "../wire/json.ts";
import { readable } from "./call.ts";
import { knownNodes, openClient, patience } from "./dht_client.ts";
import { keyOf, labelOf, parseTarget, type Target } from "./dht_target.ts";
import { toNotation } from "./notation.ts";
import { type Output, roundMs } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Longest value in a list for people, in UTF-16 units. */
const MAX_SHOWN_CHARS = 2_000;

/** Prints the value of a name or a key; with `--all` those of all authors. */
export async function runGet(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const target = parseTarget(options);
  await using used = await openClient(invocation);
  const { peer } = used;
  using limit = patience(invocation);
  const found = await get(peer, target, limit.signal);
  if (found === undefined) throw nothing(target, peer.dht.stat().nodes);
  const { others, hops, asked, ...first } = found;
  const key = toKey(keyOf(target, peer.peerId));
  const facts = { key, hops, rttMs: roundMs(found.rttMs), asked };
  if (options.has("all")) {
    for (const { value, author, seq } of [first, ...others]) {
      show(value, { author: author ?? null, seq: seq ?? null, ...facts }, output, { list: true });
    }
    return;
  }
  const { value, author, seq } = first;
  show(
    value,
    { author: author ?? null, seq: seq ?? null, ...facts, others: others.length },
    output,
  );
  if (others.length > 0 && !output.json) {
    const more = others.length === 1 ? "1 other has" : `${others.length} others have`;
    output.note(
      `this is what ${author?.slice(0, 8)} put; ${more} put something, too (--all shows it)`,
    );
  }
}

async function get(peer: Peer, target: Target, signal: AbortSignal): Promise<DhtValue | undefined> {
  if ("key" in target) return await peer.dht.fetch(target.key, { signal });
  const { name, author, own, plain } = target;
  const whose = author === undefined ? {} : { author };
  return await peer.dht.get(name, { ...whose, own, plain, signal });
}

/**
 * Prints a value that somebody put: as it is for people, or in a list on a line behind its author.
 *
 * @throws {InvalidPacketError} `too-large` for what is nested too deeply to be printed; in a list that is noted.
 */
export function show(
  value: unknown,
  facts: Readonly<Record<string, unknown>>,
  output: Output,
  { list = false }: { readonly list?: boolean } = {},
): void {
  const shown = toNotation(value);
  try {
    const line = () =>
      printable(typeof shown === "string" ? shown : encodeJson(shown), MAX_SHOWN_CHARS);
    const text = list ? `${facts.author ?? "-".padEnd(40)}  ${line()}` : readable(shown);
    output.result({ value: shown, ...facts }, text);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const message = `Cannot print the value: ${cause.message}`;
    if (!list) throw new InvalidPacketError("too-large", message, { cause });
    output.note(`${facts.author}: ${message}`);
  }
}

/** The error where nodes answer, and nobody has it. */
function nothing(target: Target, nodes: number): NotFoundError {
  const isShared = !("key" in target) && !target.own && !target.plain;
  const hint = isShared ? "; what was put with --own is at PEERID/KEY" : "";
  const known = knownNodes(nodes);
  return new NotFoundError(
    "no-key",
    `Nobody has a value for "${labelOf(target)}": ${known}${hint}`,
    { details: { key: labelOf(target), nodes } },
  );
}
