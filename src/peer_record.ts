/**
 * What a peer says of itself in PeerConnect's records.
 *
 * @module
 */

import { sharedBits } from "./discovery/interface_network.ts";
import { isLoopback } from "./endpoint/limits.ts";
import type { UdpPort } from "./endpoint/udp_port.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerParts } from "./peer_parts.ts";
import { PEER_STATUS, type RemotePeer } from "./wire/remote_peer.ts";

/** What the record is of. */
export interface RecordNeeds extends PeerParts {
  /** How the peer was opened. */
  readonly options: PeerOptions;
}

/** What we say of ourselves: to nobody a name that was not given, nor for one who is not to be found. */
export function recordOf(
  { identity, endpoint, options: { announce = true } }: RecordNeeds,
  udp: UdpPort,
  ip: string,
): RemotePeer {
  const { address, self: { name } } = endpoint;
  return {
    id: identity.id,
    username: announce && name !== "" ? name : null,
    ip,
    tcpPort: address?.port ?? 0,
    udpPort: udp.address.port,
    status: PEER_STATUS.online,
  };
}

/** Of our addresses the one that is most like the asker's, which it will reach if any. */
export function hostFacing(asker: string, options: PeerOptions): string {
  const own = hostsIfAllowed(options);
  if (isLoopback(asker)) return own.find(isLoopback) ?? "127.0.0.1";
  const [best = ""] = own.toSorted((a, b) => sharedBits(asker, b) - sharedBits(asker, a));
  return best;
}
