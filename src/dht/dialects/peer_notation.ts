/**
 * Nodes and peers as PeerConnect's dialect writes them: records of six fields, in bin where they stand alone.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import { decode, encode } from "../../wire/msgpack.ts";
import {
  idToHex,
  parseRemotePeer,
  PEER_STATUS,
  type RemotePeer,
  remotePeerToRecord,
} from "../../wire/remote_peer.ts";
import { contactOf } from "../contact.ts";
import { ID_BYTES } from "../node_id.ts";
import type { Asker } from "../questions.ts";
import { bad, type NodeNotation } from "./rpcudp_questions.ts";
import { isUsable } from "../usable.ts";

/** A node is a peer's record, a caller one in bin. @param record Who we are, for somebody. */
export function peerNotation(record: (asker: Address) => RemotePeer): NodeNotation {
  return {
    self: (to) => encode(encode(remotePeerToRecord(record(to)))),
    readCaller(packed, from) {
      const { id, tcpPort, username } = readPeer(decode(packed));
      return contactOf(id, from, { tcpPort, name: username });
    },
    node: ({ id, address: { hostname, port }, tcpPort, name }) => {
      const ip = hostname.replace(/%.*/, "");
      return remotePeerToRecord({
        ...{ id, username: name ?? "", ip, tcpPort, udpPort: port, status: PEER_STATUS.online },
      });
    },
    readNode(value, by) {
      const peer = tryRead(() => asRecord(value));
      if (peer === undefined) return undefined;
      const { id, ip, udpPort, tcpPort, username } = peer;
      const address = { hostname: ip, port: udpPort };
      return isUsable(address, by)
        ? contactOf(id, address, { tcpPort, name: username })
        : undefined;
    },
  };
}

/**
 * The sound ones of a list of records in bin, up to so many. The originals may wrap one in an array.
 *
 * @throws {InvalidPacketError} `bad-message` when it is no list.
 */
export function readPeers(value: unknown, max: number): RemotePeer[] {
  if (!Array.isArray(value)) throw bad("peers", "it is not an array");
  const peers = value.slice(0, max).map((item: unknown) => {
    return tryRead(() => readPeer(Array.isArray(item) ? item[0] : item));
  });
  return peers.filter((peer) => peer !== undefined);
}

function readPeer(value: unknown): RemotePeer {
  if (value instanceof Uint8Array) return asRecord(decode(value, { allowTrailing: true }));
  throw bad("peer", "it is not bin");
}

// A peer without a profile has an id of one byte, which is nobody's.
function asRecord(value: unknown): RemotePeer {
  const id = Array.isArray(value) ? value[0] : undefined;
  if (id instanceof Uint8Array && id.length === ID_BYTES) return parseRemotePeer(value);
  throw bad("peer", `its id is not bin of ${ID_BYTES} bytes`);
}

function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidPacketError) return undefined; // one of many: the others count
    throw error;
  }
}

/** Where a peer that speaks of itself is, is known better than from its words. */
export function seenAs(peer: RemotePeer, { address, contact }: Asker): RemotePeer {
  if (idToHex(peer.id) !== contact?.key) return peer;
  return { ...peer, ip: address.hostname.replace(/%.*/, ""), udpPort: address.port };
}
