/**
 * Peers on a network in memory.
 *
 * @module
 */

import { assertRejects } from "@std/assert";
import { ManualClock } from "../src/clock.ts";
import { Discovery } from "../src/discovery/discovery.ts";
import { Endpoint } from "../src/endpoint/endpoint.ts";
import { NotFoundError } from "../src/errors.ts";
import { Peer, type PeerOptions } from "../src/peer.ts";
import { Identity } from "../src/secure/identity.ts";
import { type Address, MemoryNetwork } from "../src/transport/mod.ts";

/** Long enough for a search to find who is there, and somebody else of that name. */
export const SEARCH_MS = 500;

/** Peers on a network in memory, each on a host of its own. */
export class Town implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly #peers = new Map<string, Peer>();
  readonly #others = new AsyncDisposableStack();

  options(host: string) {
    const { network, clock } = this;
    const common = { name: `to ${host}`, family: "IPv4", address: host, loopback: false } as const;
    const interfaces = () => [{ ...common, broadcast: undefined, index: undefined }];
    return { transport: network.host(host), clock, interfaces } satisfies PeerOptions;
  }

  async open(host: string, options: PeerOptions = {}): Promise<Peer> {
    const peer = await Peer.open({ ...this.options(host), ...options });
    this.#peers.set(host, peer);
    return peer;
  }

  /**
   * Somebody who is announced by one name, and calls itself by another when it is asked.
   *
   * @param announcer Who announces it, if that is somebody else.
   */
  async impostor(
    host: string,
    [announced, name]: readonly [announced: string, called: string],
    announcer?: Identity,
  ): Promise<Endpoint> {
    const identity = Identity.generate();
    const self = { name, capabilities: [], agent: "" };
    const endpoint = await Endpoint.open({ ...this.options(host), identity, self });
    this.#others.use(endpoint);
    const tcpPort = endpoint.address?.port ?? 0;
    const announce = { identity: announcer ?? identity, name: announced, tcpPort };
    this.#others.use(await Discovery.open({ ...this.options(host), announce }));
    return endpoint;
  }

  addressOf(host: string): Address {
    const port = this.#peers.get(host)?.address?.port;
    if (port === undefined) throw new Error(`Nobody listens at ${host}`);
    return { hostname: host, port };
  }

  at(host: string): string {
    return `${host}:${this.addressOf(host).port}`;
  }

  udpAt(host: string): string {
    const port = this.#peers.get(host)?.udpAddress?.port;
    return `udp://${host}:${port}`;
  }

  /** The error of looking for somebody for as long as given. */
  async cannotReach(peer: Peer, target: string, timeoutMs = 5_000): Promise<NotFoundError> {
    const looking = assertRejects(() => peer.link(target, { timeoutMs }), NotFoundError);
    looking.catch(() => {}); // looked at below
    await this.clock.advance(timeoutMs);
    return await looking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peer) => peer.close()));
    await this.#others.disposeAsync();
    this.network.close();
  }
}
