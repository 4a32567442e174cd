/**
 * What gossip is made of in a peer.
 *
 * @module
 */

import type { Discovery } from "./discovery/discovery.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { RequestContext } from "./endpoint/dispatcher.ts";
import type { Link } from "./endpoint/link.ts";
import type { Contact } from "./gossip/contact.ts";
import { Gossip } from "./gossip/gossip.ts";
import type { Membership } from "./membership/membership.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { Identity } from "./secure/identity.ts";
import { type Address, parseAddress } from "./transport/transport.ts";

/** What {@linkcode openGossip} needs. */
export interface GossipNeeds {
  /** How the peer was opened. */
  readonly options: PeerOptions;
  /** Who it is. */
  readonly identity: Identity;
  /** Its links and handlers. */
  readonly endpoint: Endpoint;
  /** Where peers are found. */
  readonly discovery: Discovery;
  /** Who is in its group, once it has joined one. */
  readonly membership: () => Membership | undefined;
  /** Whether somebody was given a scope. */
  readonly isInvited: (scope: string, caller: Pick<RequestContext, "peer" | "link">) => boolean;
}

/** Opens the topics of a peer: it takes part in none before it is told to. */
export function openGossip(needs: GossipNeeds): Gossip {
  const { options, identity, endpoint, discovery, membership, isInvited } = needs;
  return new Gossip({
    endpoint,
    identity,
    hosts: () => hostsIfAllowed(options),
    directory: { find: ({ signal }) => discovery.find({ signal }) },
    known: () => contactsOf(membership()),
    isInvited: (scope: string, link: Link) => isInvited(scope, { peer: link.peer, link }),
    isPrivate: options.access === "invited",
  }, { seeds: (options.seeds ?? []).flatMap(addressOf) });
}

/** Members that can be connected to. */
function contactsOf(membership: Membership | undefined): Contact[] {
  const [, ...others] = membership?.members() ?? [];
  return others.filter(({ state }) => state === "alive").map(({ peerId, streamAddresses }) => {
    const [first] = streamAddresses;
    return {
      peerId,
      hosts: streamAddresses.map(({ hostname }) => hostname).slice(0, 4),
      port: first?.port ?? 0,
    };
  });
}

function addressOf(seed: string | Address): Address[] {
  const address = typeof seed === "string" ? parseAddress(seed) : seed;
  return address === undefined ? [] : [address];
}
