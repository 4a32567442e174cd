/**
 * `kith dht providers`
 *
 * @module
 */

import type { DhtProvider } from "../dht/dht_options.ts";
import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { formatAddress } from "../transport/transport.ts";
import { encodeJson } from "../wire/json.ts";
import { openClient, patience } from "./dht_client.ts";
import { checkedName } from "./dht_target.ts";
import { toNotation } from "./notation.ts";
import { UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Longest thing that somebody says besides, for people, in UTF-16 units. */
const MAX_SHOWN_CHARS = 200;

/** Lists who has something of a name. */
export async function runProviders(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const [, name, ...more] = options.args;
  if (name === undefined || more.length > 0) throw new UsageError("One NAME is wanted");
  checkedName(name);
  await using used = await openClient(invocation);
  const { peer } = used;
  using limit = patience(invocation);
  const providers = await peer.dht.providers(name, { signal: limit.signal });
  if (providers.length === 0) {
    throw new NotFoundError("no-peer", `Nobody provides "${printable(name, 64)}"`, {
      details: { name: printable(name, 64), nodes: peer.dht.stat().nodes },
    });
  }
  for (const provider of providers.toSorted(byId)) show(provider, output);
}

function byId(a: DhtProvider, b: DhtProvider): number {
  return a.peerId < b.peerId ? -1 : 1;
}

/** What a provider says of itself: what it says it has signed, and no more. */
function show({ peerId, addresses, data = null }: DhtProvider, output: Output): void {
  const where = addresses.map(formatAddress);
  const said = toNotation(data);
  try {
    const text = typeof said === "string" ? said : said === null ? "" : encodeJson(said);
    output.result(
      { peerId, addresses: where, data: said },
      `${peerId}  ${where.join(" ")}  ${printable(text, MAX_SHOWN_CHARS)}`.trimEnd(),
    );
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    output.note(`${peerId}: ${error.message}`);
  }
}
