/**
 * `kith peers`
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import { NotFoundError, PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import type { MemberDescription } from "../membership/description.ts";
import { MEMBERSHIP_CAPABILITY } from "../membership/membership.ts";
import type { Peer } from "../peer.ts";
import { MemberTable } from "./member_table.ts";
import { readMember, readMembers } from "./members.ts";
import { selfAddress, whomOf } from "./control/host.ts";
import { reachOptions, usePeer } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { noteRefused } from "./refusals.ts";
import type { Invocation } from "./verbs.ts";

/** How long to look for somebody who is in a group. */
const LOOK_MS = 3_000;

/** Pause before somebody else is asked, when whom we watched through is gone. */
const AGAIN_MS = 1_000;

/** Shows who is in the group, as a member of it sees that. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const [target, ...more] = options.args;
  if (more.length > 0) throw new UsageError("At most one PEER is wanted");
  await using used = await usePeer(invocation, { clientOnly: true });
  const { peer } = used;
  if (!options.has("watch")) {
    await using link = await findMember(peer, target, invocation);
    if (link === undefined) {
      output.note("Nobody was found who is in a group; run kith up to begin one");
      return noteRefused(peer.trust, output);
    }
    const members = readMembers(await link.request("members.list", {}, { signal }));
    const names = new Map(members.map((member) => [member.peerId, nameOf(member)]));
    if (!output.json) output.note(`as ${nameOf(link.peer)} sees it:`);
    for (const member of members) show(member, { link, output, names });
    return;
  }
  while (!signal.aborted) {
    await using link = await findMember(peer, target, invocation);
    if (link === undefined) {
      output.note("Nobody was found yet who is in a group");
      noteRefused(peer.trust, output);
    } else await watch(link, invocation);
    await sleep(systemClock, AGAIN_MS, { signal }).catch(() => {}); // interrupted
  }
}

/** What happens, as one member sees it, as long as it is there. */
async function watch(link: Link, { output, signal }: Invocation): Promise<void> {
  const { peerId, name } = link.peer;
  const forever = { signal, timeoutMs: Infinity }; // heartbeats tell when it is gone
  const names = new Map<string, string>();
  const seenBy = nameOf({ peerId, name });
  using table = output.live
    ? new MemberTable({ seenBy, draw: (table) => output.table(table) })
    : undefined;
  if (!output.json && table === undefined) output.note(`as ${seenBy} sees it:`);
  try {
    for await (const item of link.stream("members.watch", {}, forever)) {
      const { event, why, peerId } = Object(item) as Record<string, unknown>;
      const what = typeof event === "string" ? printable(event, 16) : "";
      const reason = typeof why === "string" ? printable(why, 200) : "";
      if (table !== undefined && peerId !== undefined) table.put(readMember(item), what);
      else if (table !== undefined) table.note(`${what}: ${reason}`);
      else if (peerId !== undefined) show(readMember(item), { link, output, names, event: what });
      else output.result({ event: what, why: reason }, `${what}: ${reason}`);
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof PeerError)) throw error;
    output.note(`${nameOf({ peerId, name })} tells no more: ${printable(error.message, 200)}`);
  }
}

/** Somebody who is in a group: who was asked for, or whoever is found first. */
async function findMember(
  peer: Peer,
  target: string | undefined,
  { options, signal, host }: Invocation,
): Promise<Link | undefined> {
  const reach = reachOptions(options, signal);
  if (target !== undefined) return await peer.link(whomOf(target, host), reach);
  // It is a member itself, and the only one that it need not look for.
  if (host !== undefined) return await peer.link(selfAddress(peer), reach);
  const timeoutMs = options.milliseconds("timeout") ?? LOOK_MS;
  for (const address of reach.peers ?? []) {
    const link = await tryMember(() => peer.endpoint.connect(address, { signal }));
    if (link !== undefined) return link;
  }
  for await (const { addresses: [address] } of peer.find({ timeoutMs, signal })) {
    if (address === undefined) continue;
    const link = await tryMember(() => peer.endpoint.connect(address, { signal }));
    if (link !== undefined) return link;
  }
  return undefined;
}

/** A connection to somebody who is in a group; nothing where that one is in none, or refuses. */
async function tryMember(connect: () => Promise<Link>): Promise<Link | undefined> {
  let link: Link | undefined;
  try {
    link = await connect();
    if (link.peer.capabilities.includes(MEMBERSHIP_CAPABILITY)) return link;
    throw new NotFoundError("no-endpoint", "it is in no group");
  } catch (error) {
    await link?.close();
    if (error instanceof PeerError) return undefined;
    throw error;
  }
}

/** How to show a member. */
interface Showing {
  readonly link: Link;
  readonly output: Output;
  /** What those who were shown are called. */
  readonly names: Map<string, string>;
  /** What has happened to it, where something has. */
  readonly event?: string;
}

function show(member: MemberDescription, { link, output, names, event }: Showing): void {
  const { peerId, state, rttMs, why, confirmedBy, addresses: [address = "-"] } = member;
  const { peerId: seenBy } = link.peer;
  names.set(peerId, nameOf(member));
  const who = confirmedBy.map((id) => names.get(id) ?? id.slice(0, 8)).join(", ");
  const by = who === "" ? "" : `, confirmed by ${who}`;
  const what = event === "updated" ? "it says something new of itself" : why;
  const round = rttMs === null ? "-" : `${rttMs.toFixed(1)} ms`;
  const facts = event === undefined ? {} : { event };
  output.result(
    { ...facts, ...member, seenBy },
    `${state.padEnd(8)}${peerId}  ${nameOf(member).padEnd(16)}  ${
      printable(address, 60)
    }  ${round}  ${printable(what, 200)}${by}`,
  );
}

function nameOf({ peerId, name }: { readonly peerId: string; readonly name: string }): string {
  return printable(name, 64) || peerId.slice(0, 8);
}
