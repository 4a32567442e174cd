/**
 * The networks of other Kademlia nodes that a peer is a node of: those of the well-known Python library, and PeerConnect's.
 *
 * It is one from the start where the dialect is on, and answers on its port for requests. PeerConnect's nodes are those that
 * its discovery finds; of plain Kademlia's somebody has to know one.
 *
 * @module
 */

import { KademliaWire } from "./dht/dialects/kademlia.ts";
import { KademliaNetwork, type WireParts } from "./dht/dialects/network.ts";
import { PeerConnectNetwork } from "./dht/dialects/peerconnect_network.ts";
import { PeerConnectDiscovery } from "./discovery/dialects/peerconnect.ts";
import type { ForeignPeer } from "./discovery/foreign.ts";
import type { UdpPort } from "./endpoint/udp_port.ts";
import { layerLog } from "./log.ts";
import { openStorage } from "./peer_dht.ts";
import { Lookout } from "./peer_lookout.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerParts } from "./peer_parts.ts";
import { hostFacing, recordOf } from "./peer_record.ts";

/** Where a node keeps what others set, in the home folder. */
const FILES = { kademlia: "kademlia.sqlite", peerconnect: "peerconnect.sqlite" } as const;

/** Nodes that are enough to go on by: lookups find the others. */
const ENOUGH = 8;

/** Which nodes: those of the Python library, or PeerConnect's. */
export type KademliaDialect = "kademlia" | "peerconnect";

/** What {@linkcode PeerKademlia} needs. */
export interface KademliaNeeds extends PeerParts {
  /** How the peer was opened. */
  readonly options: PeerOptions;
}

/** The networks; see the module. */
export class PeerKademlia implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #kademlia: KademliaNetwork<KademliaWire> | undefined;
  readonly #peerconnect: PeerConnectNetwork | undefined;

  /** Answers others where their dialect is on. */
  constructor(needs: KademliaNeeds) {
    const { udp, options: { dialects = [] } } = needs;
    if (udp === undefined) return;
    if (dialects.includes("kademlia")) {
      this.#kademlia = this.#stack.use(openKademlia(needs, udp));
    }
    if (dialects.includes("peerconnect")) {
      this.#peerconnect = openPeerConnect(needs, udp, this.#stack);
    }
  }

  /** The network of a dialect. @throws {TypeError} for a client, and for a dialect that is not on. */
  of(dialect: "kademlia"): KademliaNetwork<KademliaWire>;
  /** The same. */
  of(dialect: KademliaDialect): KademliaNetwork<KademliaWire> | PeerConnectNetwork;
  of(dialect: KademliaDialect): KademliaNetwork<KademliaWire> | PeerConnectNetwork {
    const network = dialect === "kademlia" ? this.#kademlia : this.#peerconnect;
    if (network !== undefined) return network;
    throw new TypeError(
      `Cannot take part: the peer does not speak ${dialect} (dialects), or is a client`,
    );
  }

  /** Takes part in none any more. Harmless when closed. */
  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** The same as {@linkcode PeerKademlia.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function openKademlia(needs: KademliaNeeds, udp: UdpPort): KademliaNetwork<KademliaWire> {
  return new KademliaNetwork({
    ...common(needs, "kademlia"),
    wire: (parts: WireParts) => new KademliaWire({ ...parts, udp }),
  });
}

function openPeerConnect(
  needs: KademliaNeeds,
  udp: UdpPort,
  stack: AsyncDisposableStack,
): PeerConnectNetwork {
  const { endpoint: { clock }, foreign, options } = needs;
  const log = layerLog(needs.endpoint.log, "dht");
  const network = stack.use(
    new PeerConnectNetwork({
      ...common(needs, "peerconnect"),
      udp,
      record: ({ hostname }) => recordOf(needs, udp, hostFacing(hostname, options)),
    }),
  );
  const finder = foreign.find((one) => one instanceof PeerConnectDiscovery);
  if (finder === undefined) return network;
  const { table } = network.values.node;
  const isIPv6 = udp.address.hostname.includes(":");
  const lookout = new Lookout<ForeignPeer>({
    ...{ clock, log },
    isNeeded: () => table.size < ENOUGH,
    isAlone: () => table.size === 0,
    find: (signal) => finder.find({ signal }),
    // A reply to a find can come in anybody's name: who is there answers, too, when it is asked.
    meet: async ({ address }, signal) => {
      if (address.hostname.includes(":") !== isIPv6) return;
      await network.join([address], { signal });
    },
  });
  stack.defer(() => lookout.close());
  return network;
}

function common(needs: KademliaNeeds, dialect: KademliaDialect) {
  const { identity, endpoint: { clock, metrics } } = needs;
  const log = layerLog(needs.endpoint.log, "dht");
  return { self: identity.id, storage: openStorage(needs, FILES[dialect]), clock, log, metrics };
}
