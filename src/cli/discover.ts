/**
 * `kith discover`
 *
 * @module
 */

import type { ForeignPeer } from "../discovery/foreign.ts";
import type { FoundPeer } from "../discovery/search.ts";
import { printable } from "../log.ts";
import { formatAddress } from "../transport/transport.ts";
import { openPeer } from "./open_peer.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** How long to look; witch-core nodes are not asked but listened for, and speak every five seconds. */
const LOOK_MS = 2_000;
const LISTEN_MS = 6_000;

/** Lists who answers within the time. @throws {UnsupportedError} when a permission was missing to ask anybody. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  await using peer = await openPeer(invocation, { clientOnly: true, anonymous: true, seeds: true });
  const listens = peer.foreign.some(({ dialect }) => dialect === "witch");
  const timeoutMs = options.milliseconds("timeout") ?? (listens ? LISTEN_MS : LOOK_MS);
  const found = new Map<string, FoundPeer>();
  const foreign = new Map<string, ForeignPeer>();
  await Promise.all([
    each(peer.find({ timeoutMs, signal }), (other) => found.set(other.peerId, other)),
    each(peer.findForeign({ timeoutMs, signal }), (other) => {
      foreign.set(`${other.dialect} ${other.id} ${formatAddress(other.address)}`, other);
    }),
  ]);
  for (const other of [...found.values()].sort(compareByName)) showPeer(other, output);
  for (const other of foreign.values()) showForeign(other, output);
  if (found.size + foreign.size > 0 || signal.aborted) return;
  const { asked, obstacle } = peer.discovery;
  if (asked.length === 0 && obstacle !== undefined) throw obstacle; // nobody could have answered
  const what = asked.length === 0 ? "could be asked" : `answered in ${timeoutMs / 1000} s`;
  output.note(`Nobody ${what}; kith doctor says what may be in the way`);
}

/** By name, then by id, so that the same peers are listed in the same order every time. */
export function compareByName(a: NamedPeer, b: NamedPeer): number {
  return compareText(a.name, b.name) || compareText(a.peerId, b.peerId);
}

type NamedPeer = Pick<FoundPeer, "name" | "peerId">;

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function each<T>(found: AsyncIterable<T>, take: (one: T) => void): Promise<void> {
  for await (const one of found) take(one);
}

function showPeer({ peerId, name, addresses, via }: FoundPeer, output: Output): void {
  const where = addresses.map(formatAddress);
  const label = printable(name, 64) || "(no name)";
  output.result(
    { peerId, name, addresses: where, via },
    `${peerId}  ${label.padEnd(16)}  ${where.join(" ")}  via ${via.join(", ")}`,
  );
}

/** A peer of another program: what it says of itself, which nobody has proven. */
function showForeign({ dialect, id, name, address, protocols }: ForeignPeer, output: Output): void {
  const where = formatAddress(address);
  const label = printable(name, 64) || "(no name)";
  output.result(
    { dialect, id, name, addresses: [where], protocols },
    `${dialect.padEnd(11)}  ${label.padEnd(16)}  ${where}  ${printable(id, 64)}`,
  );
}
