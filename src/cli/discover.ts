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
  const byName = [...found.values()].sort((a, b) =>
    a.name < b.name || a.peerId < b.peerId ? -1 : 1
  );
  for (const { peerId, name, addresses, via } of byName) {
    const where = addresses.map(formatAddress);
    const label = printable(name, 64) || "(no name)";
    output.result(
      { peerId, name: printable(name, 64), addresses: where, via },
      `${peerId}  ${label.padEnd(16)}  ${where.join(" ")}  via ${via.join(", ")}`,
    );
  }
  if (found.size === 0 && !signal.aborted) output.note(`Nobody answered in ${timeoutMs / 1000} s`);
}
