/**
 * `kith rumor`
 *
 * @module
 */

import { NotFoundError } from "../errors.ts";
import { type FoundPeer, SEARCH_MS } from "../gossip/rumor_search.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import type { RumorDialect } from "../peer_rumors.ts";
import { describeTried } from "../reach_search.ts";
import { formatAddress } from "../transport/transport.ts";
import { idToDecimal } from "../wire/remote_peer.ts";
import { type Host, selfAddress } from "./control/host.ts";
import { usePeer } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { holdHome } from "./running.ts";
import type { Invocation } from "./verbs.ts";

/** Whose rumors. */
const RUMOR_DIALECTS: readonly RumorDialect[] = ["native", "peerconnect"];

/** Tells a text that gets around, or finds peers by name in the same way. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const text = options.args.join(" ");
  const name = options.text("search");
  if ((text === "") === (name === undefined)) {
    throw new UsageError("TEXT is wanted, or --search NAME");
  }
  const timeoutMs = options.milliseconds("timeout") ?? SEARCH_MS;
  const dialect = options.choice("dialect", RUMOR_DIALECTS) ?? "native";
  using _held = holdHome(invocation); // a peer does not hear itself
  await using used = await usePeer(invocation, { clientOnly: false, seeds: true });
  const { peer } = used;
  const way = { dialect, output, signal, timeoutMs, host: invocation.host };
  await (name === undefined ? tell(peer, text, way) : search(peer, name, way));
}

/** How to go about it. */
interface Way {
  readonly dialect: RumorDialect;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** The running peer, where it is that one that asks. */
  readonly host: Host | undefined;
}

async function tell(peer: Peer, text: string, way: Way): Promise<void> {
  const { dialect, output, signal, timeoutMs } = way;
  const told = await peer.rumors(dialect).tell(text, { signal, timeoutMs });
  if (told === 0) throw nobody("Nobody was told", peer, way);
  output.result(
    { told, dialect },
    `told ${told === 1 ? "1 peer, which tells" : `${told} peers, which tell`} others`,
  );
}

async function search(peer: Peer, name: string, way: Way): Promise<void> {
  const { dialect, host, output, signal, timeoutMs } = way;
  let found = 0;
  if (host !== undefined && peer.name.includes(name)) {
    found++; // it is up like the others, and not asked
    print({ peerId: peer.peerId }, peer.name, selfAddress(peer), output);
  }
  for await (const one of peer.rumors(dialect).search(name, { signal, timeoutMs })) {
    found++;
    show(one, dialect, output);
  }
  if (found > 0 || signal.aborted) return;
  const seconds = timeoutMs / 1_000;
  const what = `Nobody whose name contains "${printable(name, 64)}" answered in ${seconds} s`;
  throw nobody(what, peer, way);
}

/** What a peer says of itself; natively its id is proven, in a dialect nothing is. */
function show({ peerId, peer }: FoundPeer, dialect: RumorDialect, output: Output): void {
  const { id, ip, tcpPort, username } = peer;
  const facts = dialect === "native" ? { peerId } : { dialect, id: idToDecimal(id) };
  print(facts, username ?? "", formatAddress({ hostname: ip, port: tcpPort }), output);
}

function print(
  facts: { readonly peerId: string } | { readonly dialect: RumorDialect; readonly id: string },
  name: string,
  address: string,
  output: Output,
): void {
  const id = "id" in facts ? facts.id : facts.peerId;
  output.result(
    { ...facts, name, addresses: [address] },
    `${id}  ${printable(name, 64).padEnd(16)}  ${printable(address, 100)}`,
  );
}

function nobody(what: string, { discovery }: Peer, { dialect, host }: Way): NotFoundError {
  const tried = dialect === "native" ? discovery.asked : ["PeerConnect's finds"];
  const nowhere = host === undefined ? "there was no way to look" : "nobody else is known here";
  const where = tried.length > 0 ? describeTried(tried) : nowhere;
  return new NotFoundError("no-peer", `${what}: ${where}`, { details: { tried } });
}
