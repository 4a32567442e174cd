/**
 * PeerConnect's network, joined as one of its nodes: its values, and the lists of its peers.
 *
 * @module
 */

import { ClosedError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import type { RemotePeer } from "../../wire/remote_peer.ts";
import { ListRegistration } from "./list_registration.ts";
import { type ListedPeer, type ListSearchOptions, searchLists } from "./list_search.ts";
import {
  KademliaNetwork,
  type KademliaNetworkOptions,
  type KademliaNetworkParts,
  type WireParts,
} from "./network.ts";
import { PeerConnectKademlia, type PeerConnectKademliaPort } from "./peerconnect_kademlia.ts";
import type { AskOptions } from "./rpcudp_wire.ts";

/** What a {@linkcode PeerConnectNetwork} needs. */
export interface PeerConnectNetworkParts
  extends Omit<KademliaNetworkParts<PeerConnectKademlia>, "wire"> {
  /** The peer's port; it is not closed with the network. */
  readonly udp: PeerConnectKademliaPort;
  /** Who we are, for somebody: with the address by which that one reaches us. */
  readonly record: (asker: Address) => RemotePeer;
}

/**
 * A node of PeerConnect's network; see the module.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const open = (name: string) =>
 *   Peer.open({ name, transport: network.host(name), dialects: ["peerconnect"] });
 * await using bob = await open("bob");
 * await using alice = await open("alice");
 *
 * const nodes = alice.kademlia("peerconnect");
 * await nodes.join([{ hostname: "bob", port: bob.udpAddress?.port ?? 0 }]);
 * const found = await Array.fromAsync(nodes.search("bo"));
 * assertEquals(found.map(({ peerId }) => peerId), [bob.peerId]);
 * ```
 */
export class PeerConnectNetwork implements AsyncDisposable {
  /** What is set in it and got from it. The originals have that, too, and use it for nothing. */
  readonly values: KademliaNetwork<PeerConnectKademlia>;
  readonly #registration: ListRegistration;

  /** Answers others from now on; asks nobody before it joins. @throws as the constructor of {@linkcode PeerConnectKademlia}. */
  constructor(parts: PeerConnectNetworkParts, options: KademliaNetworkOptions = {}) {
    const { udp, record, log } = parts;
    const wire = (given: WireParts) => new PeerConnectKademlia({ ...given, udp, record });
    this.values = new KademliaNetwork({ ...parts, wire }, options);
    this.#registration = new ListRegistration({
      node: this.values.node,
      wire: this.values.wire,
      log,
    });
  }

  /**
   * Takes part from now on, and is in the list where others look for it a few seconds later.
   *
   * @returns how many nodes are known. @throws as {@linkcode KademliaNetwork.join}.
   */
  async join(addresses: readonly Address[] = [], options: AskOptions = {}): Promise<number> {
    const known = await this.values.join(addresses, options);
    this.#registration.start();
    return known;
  }

  /** Looks for peers by name, in the lists. @throws as {@linkcode searchLists}. @throws {ClosedError} when closed. */
  search(text: string, options: ListSearchOptions = {}): AsyncGenerator<ListedPeer, void, void> {
    if (this.values.node.signal.aborted) {
      throw new ClosedError("Cannot search: the node of the network is closed");
    }
    return searchLists(text, this.values, options);
  }

  /** Takes part no more. Harmless when closed. */
  async close(): Promise<void> {
    this.#registration.close();
    await this.values.close();
  }

  /** The same as {@linkcode PeerConnectNetwork.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
