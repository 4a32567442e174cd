/**
 * Peers with somebody at their sockets.
 *
 * @module
 */

import type { ManualClock } from "../../src/clock.ts";
import { DISCOVERY_PORT } from "../../src/discovery/discovery.ts";
import { Peer, type PeerOptions } from "../../src/peer.ts";
import type { MemoryNetwork } from "../../src/transport/memory.ts";
import { netTransport } from "../../src/transport/net.ts";
import type { Address, Transport } from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { Tap } from "./tap.ts";

export const LOOPBACK = "127.0.0.1";

/** See the module; disposing closes it. */
export class TappedPeer implements AsyncDisposable {
  readonly peer: Peer;
  readonly tap: Tap;
  /** Where it is asked who is there. */
  readonly discovery: Address;

  private constructor(peer: Peer, tap: Tap, discovery: Address) {
    this.peer = peer;
    this.tap = tap;
    this.discovery = discovery;
  }

  /** Opens one on the loopback address, with ports of its own unless the options say which. */
  static async open(options: PeerOptions = {}): Promise<TappedPeer> {
    const { discoveryPort = await freeUdpPort(), ...rest } = options;
    const own = { hostname: LOOPBACK, port: 0, discoveryPort };
    return await TappedPeer.#open(netTransport, LOOPBACK, { ...own, ...rest });
  }

  /** Opens one on a host of a network in memory. */
  static async at(
    network: MemoryNetwork,
    host: string,
    clock: ManualClock,
    options: PeerOptions = {},
  ): Promise<TappedPeer> {
    const common = { name: `to ${host}`, family: "IPv4", address: host, loopback: false } as const;
    const interfaces = () => [{ ...common, broadcast: undefined, index: undefined }];
    return await TappedPeer.#open(network.host(host), host, { clock, interfaces, ...options });
  }

  static async #open(
    transport: Transport,
    hostname: string,
    options: PeerOptions,
  ): Promise<TappedPeer> {
    const tap = new Tap(transport);
    const peer = await Peer.open({ ...options, transport: tap });
    const { discoveryPort: port = DISCOVERY_PORT } = options;
    return new TappedPeer(peer, tap, { hostname, port });
  }

  /** Where it takes requests. */
  get udp(): Address {
    return this.#at(this.peer.udpAddress);
  }

  /** Where it takes connections. */
  get tcp(): Address {
    return this.#at(this.peer.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer.close();
  }

  #at(address: Address | undefined): Address {
    if (address === undefined) throw new Error("It does not listen there");
    return { hostname: this.discovery.hostname, port: address.port };
  }
}

/** A UDP port that nobody has. */
export async function freeUdpPort(): Promise<number> {
  const socket = await openDatagram({ hostname: LOOPBACK });
  socket.close();
  return socket.address.port;
}
