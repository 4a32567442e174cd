/**
 * `kith dht stat`
 *
 * @module
 */

import type { DhtStat } from "../dht/dht_options.ts";
import { openClient } from "./dht_client.ts";
import { UsageError } from "./options.ts";
import { formatBytes, type Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Shows what a node here comes to know of the DHT. */
export async function runStat(invocation: Invocation): Promise<void> {
  if (invocation.options.args.length > 1) throw new UsageError("dht stat takes options only");
  await using used = await openClient(invocation);
  const { peer } = used;
  showStat(peer.dht.stat(), invocation.output);
}

/** Shows what a node knows and keeps. */
export function showStat(stat: DhtStat, output: Output): void {
  const { id, mode, nodes, failing, estimatedNodes, records, bytes, health } = stat;
  // When a bucket was looked into is a time of the node's own clock, which says nothing elsewhere.
  const buckets = stat.buckets.map(({ lastLookedUpMs: _, ...bucket }) => bucket);
  const rows = [
    ["id", id],
    ["mode", mode],
    ["nodes known", `${nodes}, ${failing} failing`],
    ["estimated network", `${estimatedNodes} ${estimatedNodes === 1 ? "node" : "nodes"}`],
    ["values kept", `${records}, ${formatBytes(bytes)}`],
    ["health", health.toFixed(2)],
  ];
  const lines = rows.map(([name = "", value]) => `${name.padEnd(18)}  ${value}`);
  const header = ["bucket", "common bits", "nodes", "failing", "waiting"];
  const table = buckets.map(({ low, bits, size, failing, replacements }) => [
    `${low.slice(0, 8)}...`,
    ...[bits, size, failing, replacements].map(String),
  ]);
  output.result(
    { id, mode, nodes, failing, estimatedNodes, records, bytes, health, buckets },
    [...lines, "", ...[header, ...table].map(aligned)].join("\n"),
  );
}

function aligned([first = "", ...figures]: readonly string[]): string {
  return [first.padEnd(18), ...figures.map((figure) => figure.padStart(11))].join("  ");
}
