/**
 * Where a peer is, as far as those know whom a peer knows: for when it is not on the same network.
 *
 * @module
 */

import type { Contact } from "./dht/contact.ts";
import type { Dht } from "./dht/dht.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { Membership } from "./membership/membership.ts";
import { asPeerId, looksLikeId } from "./secure/trust_entry.ts";
import type { Address } from "./transport/transport.ts";

/** Where a peer accepts connections, and who says so. */
export interface Whereabouts {
  /** Who. */
  readonly peerId: string;
  /** Where, best first. That it is there, it proves when it is connected to. */
  readonly addresses: readonly Address[];
  /** We are connected to it; it is in our group; the DHT knows it. */
  readonly via: "table" | "membership" | "dht";
}

/** Who may know. */
export interface WhereaboutsParts {
  /** Whom we are connected to. */
  readonly endpoint: Endpoint;
  /** Who is in the group, once it has joined one. */
  readonly membership: Membership | undefined;
  /** The DHT; it is asked last. */
  readonly dht: () => Dht;
}

/**
 * Looks for a peer among those that we are connected to, in the group, and in the DHT, in that order.
 *
 * @returns `undefined` when nobody knows it. @throws {TypeError} when that is no peer id. @throws the signal's reason.
 */
export async function locate(
  peerId: string,
  { endpoint, membership, dht }: WhereaboutsParts,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Whereabouts | undefined> {
  const id = asPeerId(peerId);
  if (id === undefined) throw new TypeError("A peer id has 40 hexadecimal digits");
  const connected = reachedAt(endpoint, id);
  if (connected.length > 0) return { peerId: id, addresses: connected, via: "table" };
  const member = membership?.get(id);
  if (member?.state === "alive" && member.streamAddresses.length > 0) {
    return { peerId: id, addresses: member.streamAddresses, via: "membership" };
  }
  const contact = await dht().find(id, options);
  const addresses = contact === undefined ? [] : streamAddressesOf(contact);
  return addresses.length === 0 ? undefined : { peerId: id, addresses, via: "dht" };
}

/**
 * Whom a DHT knows by a target: the peer of that id, or those who provide that name.
 *
 * @param gateways Peers to get to know the DHT by. @default those that it finds itself
 */
export async function lookBeyond(
  dht: Dht,
  target: string,
  gateways: readonly Address[],
  signal: AbortSignal,
): Promise<Pick<Whereabouts, "peerId" | "addresses">[]> {
  if (gateways.length > 0 && await dht.join({ peers: gateways }) === 0) return [];
  const peerId = asPeerId(target);
  if (peerId === undefined) {
    return looksLikeId(target) ? [] : await dht.providers(target, { signal });
  }
  const contact = await dht.find(peerId, { signal });
  return contact === undefined ? [] : [{ peerId, addresses: streamAddressesOf(contact) }];
}

/** Where we have connected to a peer: where those come from who connect to us they accept nobody. */
function reachedAt({ links }: Endpoint, peerId: string): Address[] {
  return [...links].flatMap(({ peer, direction, remote }) => {
    return peer.peerId === peerId && direction === "out" ? [remote] : [];
  });
}

function streamAddressesOf({ address: { hostname }, tcpPort }: Contact): Address[] {
  return tcpPort === 0 ? [] : [{ hostname, port: tcpPort }];
}
