/**
 * The sockets of multicast DNS: one way out for each address of each interface, as interfaces come and go.
 *
 * What is for the group is received on one shared socket for IPv4 and one per interface for IPv6. What is sent leaves
 * from a socket of the interface's own address, on the shared port as well, because who answers from another port is
 * not believed (RFC 6762, 6).
 *
 * A socket does not tell on which interface an IPv4 packet came in. The sender's address does: it is one of the
 * interface's network, or the packet comes from elsewhere and is dropped (RFC 6762, 11).
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import type { Logger } from "../../log.ts";
import type { Metrics } from "../../metrics.ts";
import type {
  Address,
  Datagram,
  DatagramSocket,
  MulticastGroup,
  Transport,
} from "../../transport/transport.ts";
import type { Attempts } from "../attempts.ts";
import { GroupSocket } from "../group_socket.ts";
import { isInNetwork, networkBits } from "../interface_network.ts";
import { keyOf, type LocalInterface } from "../interfaces.ts";
import { addressOn, bindForGroup, platformOf } from "../platform.ts";
import { InterfaceSockets, type OnInterface, Sockets, type Take } from "../sockets.ts";
import { followInterfaces } from "../watched_interfaces.ts";

/** The IPv4 group (RFC 6762, 3). */
export const MDNS_GROUP_V4 = "224.0.0.251";

/** The IPv6 group (RFC 6762, 3). */
export const MDNS_GROUP_V6 = "ff02::fb";

/** One address of one interface, to send from. What cannot leave is noted, and hurts nobody. */
export interface MdnsLink {
  /** The same for the same address on the same interface. */
  readonly key: string;
  /** The address. */
  readonly local: LocalInterface;
  /** Every address of that interface. */
  readonly siblings: readonly LocalInterface[];
  /** Sends a packet to the group. */
  multicast(packet: Uint8Array): Promise<void>;
  /** Sends a packet back to where one came from. */
  reply(packet: Uint8Array, to: Address): Promise<void>;
}

/** What {@linkcode MdnsLinks} need. */
export interface MdnsLinksOptions {
  /** The network. */
  readonly transport: Transport;
  /** The shared port. */
  readonly port: number;
  /** Lists the interfaces. */
  readonly interfaces: () => readonly LocalInterface[];
  /** Told what fails. */
  readonly attempts: Attempts;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Told of packets that are dropped. */
  readonly log: Logger;
  /** Counts `mdns.off-link`, and `discovery.malformed` as discovery does. */
  readonly metrics: Metrics;
  /** Takes a packet that came by that link; what it throws is counted. */
  readonly take: (datagram: Datagram, link: MdnsLink) => void;
  /** Told when links have come or gone. */
  readonly changed: () => void;
}

/** The links there are; see the module. */
export class MdnsLinks {
  readonly #options: MdnsLinksOptions;
  readonly #platform = platformOf();
  readonly #sockets: Sockets;
  readonly #senders: InterfaceSockets;
  readonly #receiver4: GroupSocket;
  readonly #receivers6: InterfaceSockets;
  readonly #closing = new AbortController();
  #links: readonly MdnsLink[] = [];

  /** Has none yet. */
  constructor(options: MdnsLinksOptions) {
    const { attempts, port } = options;
    this.#options = options;
    const sockets = this.#sockets = new Sockets(options);
    const take: Take = (datagram) => this.#receive(datagram);
    this.#senders = new InterfaceSockets({
      sockets,
      attempts,
      what: "speak multicast DNS",
      open: (local) => this.#open(addressOn(this.#platform, local.address, local)),
      take, // what is for this address alone does not reach the sockets of the group
    });
    this.#receiver4 = new GroupSocket({
      sockets,
      attempts,
      what: "multicast DNS over IPv4",
      group: MDNS_GROUP_V4,
      port,
      take,
    });
    this.#receivers6 = new InterfaceSockets({
      sockets,
      attempts,
      what: "hear multicast DNS",
      open: (local) =>
        this.#open(bindForGroup(this.#platform, MDNS_GROUP_V6, local), [{
          group: MDNS_GROUP_V6,
          interfaceIndex: local.index ?? 0,
        }]),
      take,
    });
  }

  /** The links there are now. */
  get all(): readonly MdnsLink[] {
    return this.#links;
  }

  /** The link of that key, if it is there. */
  get(key: string): MdnsLink | undefined {
    return this.#links.find((link) => link.key === key);
  }

  /** Opens links on every interface, and from now on as they come. @throws what listing the interfaces throws. */
  async open(): Promise<void> {
    const { attempts, clock, interfaces: list } = this.#options;
    const { signal } = this.#closing;
    await followInterfaces({ list, attempts, clock, signal }, (locals) => this.#update(locals));
  }

  /** Closes them all. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#links = [];
    this.#senders.close();
    this.#receivers6.close();
    await this.#sockets.closeAll();
  }

  async #update(locals: readonly LocalInterface[]): Promise<void> {
    await this.#senders.update(locals);
    await this.#receivers6.update(locals.filter(({ index }) => index !== undefined));
    await this.#receiver4.update(locals);
    if (this.#closing.signal.aborted) return;
    const before = this.#links.map(({ key }) => key).join();
    this.#links = [...this.#senders.all].map((sender) => this.#linkOver(sender, locals));
    if (this.#links.map(({ key }) => key).join() !== before) this.#options.changed();
  }

  #linkOver({ local, socket }: OnInterface, locals: readonly LocalInterface[]): MdnsLink {
    const { attempts, port } = this.#options;
    const group = local.family === "IPv6" ? MDNS_GROUP_V6 : MDNS_GROUP_V4;
    const everybody = { hostname: addressOn(this.#platform, group, local), port };
    const what = `send multicast DNS on ${local.name} (${local.address})`;
    const send = (packet: Uint8Array, to: Address) =>
      attempts.tolerate(what, () => socket.send(packet, to));
    return {
      key: keyOf(local),
      local,
      siblings: locals.filter(({ name }) => name === local.name),
      multicast: (packet) => send(packet, everybody),
      reply: send,
    };
  }

  #open(hostname: string, groups: readonly MulticastGroup[] = []): Promise<DatagramSocket> {
    return this.#sockets.open({ hostname, port: this.#options.port, shared: true, groups });
  }

  #receive(datagram: Datagram): undefined {
    const link = this.#linkOf(datagram.from);
    if (link === undefined) this.#options.metrics.counter("mdns.off-link").add();
    else this.#options.take(datagram, link);
  }

  /** The link whose network an address is in; the smallest where networks lie in each other. */
  #linkOf({ hostname }: Address): MdnsLink | undefined {
    const links = this.#links.filter(({ local }) => {
      return hostname.endsWith(addressOn(this.#platform, "", local)) &&
        isInNetwork(hostname, local);
    });
    return links.sort((a, b) => networkBits(b.local) - networkBits(a.local))[0];
  }
}
