/**
 * Where PeerConnect's finds are heard, and which of our addresses those who are there can reach.
 *
 * One shared socket hears the IPv4 group on every interface, and one for each interface the IPv6 group. They receive only:
 * what answers leaves from the port that it names. That is the peer's own port for its family; for the other family each
 * interface has one of its own, which takes the same packets.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { RequestsDispatcher } from "../../endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../endpoint/requests_endpoint.ts";
import type { Logger } from "../../log.ts";
import type { Metrics } from "../../metrics.ts";
import type { Address, DatagramSocket, Transport } from "../../transport/transport.ts";
import type { Attempts } from "../attempts.ts";
import { GroupSocket } from "../group_socket.ts";
import { MULTICAST_V4, MULTICAST_V6 } from "../groups.ts";
import { sharedBits } from "../interface_network.ts";
import { keyOf, type LocalInterface } from "../interfaces.ts";
import { addressOn, bindForGroup, platformOf } from "../platform.ts";
import { InterfaceSockets, Sockets, type Take } from "../sockets.ts";
import { UsedInterfaces } from "../used_interfaces.ts";
import { followInterfaces } from "../watched_interfaces.ts";

/** A port that packets of PeerConnect leave from and come in on. */
export interface PeerConnectPort {
  /** Where it is bound. */
  readonly address: Address;
  /** Who takes what comes in. */
  readonly requests: Pick<RequestsDispatcher, "register">;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** One of our addresses. */
export interface PeerConnectLink {
  /** The interface that it is on. */
  readonly local: LocalInterface;
  /** Where we take requests there. */
  readonly port: PeerConnectPort;
}

/** What {@linkcode PeerConnectLinks} needs. */
export interface PeerConnectLinksOptions {
  /** The network. */
  transport: Transport;
  /** The peer's own port, for links of its family. */
  udp: PeerConnectPort;
  /** The port that finds are sent to. */
  port: number;
  /** Use only the interface with this address. */
  hostname: string | undefined;
  /** Use only interfaces of these names, `!` before those not to use. */
  only: readonly string[] | undefined;
  /** Lists the interfaces. */
  interfaces: (() => LocalInterface[]) | undefined;
  /** Told of every port but the peer's own, before anything comes in there. */
  onPort: (port: PeerConnectPort) => void;
  /** Takes what comes to the groups. */
  take: Take;
  /** Told what failed. */
  attempts: Attempts;
  /** Where time comes from. */
  clock: Clock;
  /** Where to say what was dropped. */
  log: Logger;
  /** Counts what comes in on ports of our own. */
  metrics: Metrics;
}

/** A link, and what was opened for it. */
interface OpenLink extends PeerConnectLink {
  close(): Promise<void>;
}

/** Our addresses, and who is heard there; see the module. */
export class PeerConnectLinks implements AsyncDisposable {
  readonly #options: PeerConnectLinksOptions;
  readonly #sockets: Sockets;
  readonly #interfaces: UsedInterfaces;
  readonly #group4: GroupSocket;
  readonly #groups6: InterfaceSockets;
  readonly #links = new Map<string, OpenLink>();
  readonly #closing = new AbortController();
  #updating: Promise<void> = Promise.resolve();

  private constructor(options: PeerConnectLinksOptions) {
    const { attempts, port, take } = options;
    this.#options = options;
    this.#interfaces = new UsedInterfaces(options);
    this.#sockets = new Sockets(options);
    this.#group4 = new GroupSocket({
      sockets: this.#sockets,
      attempts,
      what: "IPv4 finds",
      group: MULTICAST_V4,
      port,
      take,
    });
    this.#groups6 = new InterfaceSockets({
      sockets: this.#sockets,
      attempts,
      what: "listen for IPv6 finds",
      open: (local) => this.#openGroup6(local),
      take,
    });
  }

  /**
   * Starts to listen on every interface that there is, and follows them as they come and go.
   *
   * @throws {UnsupportedError} when interfaces may not be listed.
   */
  static async open(options: PeerConnectLinksOptions): Promise<PeerConnectLinks> {
    const links = new PeerConnectLinks(options);
    const { attempts, clock } = options;
    const { signal } = links.#closing;
    await followInterfaces({ list: () => links.#list(), attempts, clock, signal }, (interfaces) => {
      return links.#updating = links.#update(interfaces);
    });
    return links;
  }

  /** Every address that there is now. */
  get all(): Iterable<PeerConnectLink> {
    return this.#links.values();
  }

  /**
   * The link by which somebody is reached: of IPv6 the one of its zone, of IPv4 the one whose address begins most like
   * its own, since a socket for all interfaces does not tell on which one a packet came.
   *
   * @returns `undefined` for who is not served: of a family that no interface has, from elsewhere where only this machine
   * is, or on a network that is left out.
   */
  to(address: Address): PeerConnectLink | undefined {
    if (this.#interfaces.isLeftOut(address)) return undefined;
    const { hostname } = address;
    const family = hostname.includes(":") ? "IPv6" : "IPv4";
    let [best, most]: [PeerConnectLink | undefined, number] = [undefined, -Infinity];
    for (const link of this.#links.values()) {
      if (link.local.family !== family) continue;
      const likeness = likenessOf(link.local, hostname);
      if (likeness > most) [best, most] = [link, likeness];
    }
    return best;
  }

  /** Stops listening. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#groups6.close();
    await this.#updating;
    await this.#sockets.closeAll();
    for (const link of this.#links.values()) await link.close();
  }

  /** The same as {@linkcode PeerConnectLinks.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #list(): LocalInterface[] {
    return this.#interfaces.list().filter(({ family, index }) => {
      return family === "IPv4" || index !== undefined;
    });
  }

  /** Opens what is new, and what could not be opened before; closes what is gone. */
  async #update(interfaces: readonly LocalInterface[]): Promise<void> {
    const wanted = new Map(interfaces.map((local) => [keyOf(local), local]));
    for (const [key, link] of this.#links) {
      if (wanted.has(key)) continue;
      this.#links.delete(key);
      await link.close();
    }
    for (const [key, local] of wanted) {
      if (this.#links.has(key) || this.#closing.signal.aborted) continue;
      await this.#options.attempts.tolerate(`open a port on ${local.name}`, async () => {
        this.#links.set(key, await this.#openLink(local));
      });
    }
    await this.#group4.update(interfaces);
    await this.#groups6.update(interfaces.filter(({ family }) => family === "IPv6"));
  }

  /** The peer's own port where it has that family; else one of ours. */
  async #openLink(local: LocalInterface): Promise<OpenLink> {
    const { transport, udp, clock, log, metrics, onPort } = this.#options;
    if ((local.family === "IPv6") === udp.address.hostname.includes(":")) {
      return { local, port: udp, close: () => Promise.resolve() };
    }
    const requests = new RequestsDispatcher({ log, metrics });
    const common = { transport, dispatcher: requests, clock, log, metrics };
    const endpoint = await RequestsEndPoint.open({ ...common, hostname: hostnameOf(local) });
    const send = (packet: Uint8Array, to: Address) => endpoint.sendPacket(packet, to);
    const port = { address: endpoint.address, requests, send };
    onPort(port);
    const close = async () => {
      await endpoint.close();
      requests.close();
    };
    return { local, port, close };
  }

  // Bound to the group on that link, it knows the zone that replies need.
  #openGroup6(local: LocalInterface): Promise<DatagramSocket> {
    const groups = [{ group: MULTICAST_V6, interfaceIndex: local.index ?? 0 }];
    const hostname = bindForGroup(platformOf(), MULTICAST_V6, local);
    return this.#sockets.open({ hostname, port: this.#options.port, shared: true, groups });
  }
}

/** An interface's address to bind to: one of IPv6 needs its zone. */
export function hostnameOf(local: LocalInterface): string {
  return addressOn(platformOf(), local.address, local);
}

/** How likely somebody is on the link of an interface; more is better, and only that. */
function likenessOf(local: LocalInterface, hostname: string): number {
  if (local.family === "IPv6") return Number(hostname.endsWith(addressOn(platformOf(), "", local)));
  return sharedBits(local.address, hostname);
}
