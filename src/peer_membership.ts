/**
 * What membership is made of in a peer.
 *
 * @module
 */

import type { RememberedPeers } from "./discovery/sources/remembered_peers.ts";
import type { MemberMemory, MembershipParts } from "./membership/membership_options.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerParts } from "./peer_parts.ts";
import type { Trust } from "./secure/trust.ts";
import { type Address, parseAddress } from "./transport/transport.ts";

/** Members of earlier times that are looked for: one every ten seconds, so each within the hour. */
const MAX_RECALLED = 256;

/** How old what is known of the trusted may be, in milliseconds. */
const TRUST_MS = 1_000;

/** The parts of a peer that membership needs. @throws {TypeError} for a client. */
export function membershipParts(parts: PeerParts, options: PeerOptions): MembershipParts {
  const { endpoint, udp, identity, discovery, memory, trust } = parts;
  if (udp === undefined) throw new TypeError("Cannot join: a client cannot be reached by others");
  return {
    endpoint,
    udp,
    identity,
    home: options.home,
    hosts: () => hostsIfAllowed(options),
    directory: { find: ({ signal }) => discovery.find({ signal }) },
    admits: admitting(trust, () => endpoint.clock.now()),
    ...(memory === undefined ? {} : { memory: memoryOf(memory) }),
  };
}

function memoryOf(memory: RememberedPeers): MemberMemory {
  return {
    addresses: () => memory.all.slice(0, MAX_RECALLED).flatMap(bestAddress),
    remember: (member) => memory.remember({ ...member, isProven: true }),
  };
}

function bestAddress(
  { addresses: [best = ""] }: { readonly addresses: readonly string[] },
): Address[] {
  const address = parseAddress(best);
  return address === undefined ? [] : [address];
}

/** Whoever is kept out is no member; where there is an allow list, nobody else is one. */
function admitting(trust: Trust, now: () => number): (peerId: string) => boolean {
  let [isExclusive, untilMs] = [false, -Infinity];
  return (peerId) => {
    const nowMs = now();
    if (nowMs >= untilMs) [isExclusive, untilMs] = [trust.isExclusive, nowMs + TRUST_MS];
    const policy = trust.policyOf(peerId);
    return isExclusive ? policy === "allow" : policy !== "deny";
  };
}
