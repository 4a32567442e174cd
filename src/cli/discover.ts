/**
 * `kith discover`
 *
 * @module
 */

import type { FoundPeer } from "../discovery/search.ts";
import { printable } from "../log.ts";
import { formatAddress } from "../transport/transport.ts";
import { openPeer } from "./open_peer.ts";
import type { Invocation } from "./verbs.ts";

/** How long to look. */
const LOOK_MS = 2_000;

/** Lists who answers within the time. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const timeoutMs = options.milliseconds("timeout") ?? LOOK_MS;
  await using peer = await openPeer(invocation, { clientOnly: true, anonymous: true });
  const found = new Map<string, FoundPeer>();
  for await (const other of peer.find({ timeoutMs, signal })) {
    found.set(`${other.peerId} ${other.tcpPort}`, other);
  }
  for (const { peerId, name, addresses, via } of [...found.values()].sort(compareByName)) {
    const where = addresses.map(formatAddress);
    const label = printable(name, 64) || "(no name)";
    output.result(
      { peerId, name, addresses: where, via },
      `${peerId}  ${label.padEnd(16)}  ${where.join(" ")}  via ${via.join(", ")}`,
    );
  }
  if (found.size === 0 && !signal.aborted) output.note(`Nobody answered in ${timeoutMs / 1000} s`);
}

/** By name, then by id, so that the same peers are listed in the same order every time. */
export function compareByName(a: NamedPeer, b: NamedPeer): number {
  return compareText(a.name, b.name) || compareText(a.peerId, b.peerId);
}

type NamedPeer = Pick<FoundPeer, "name" | "peerId">;

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
