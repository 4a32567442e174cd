/**
 * Members of a group on a network in memory: the real driver, on endpoints with hosts of their own.
 *
 * @module
 */

import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { UdpPort } from "../../src/endpoint/udp_port.ts";
import type { MemberEvent } from "../../src/membership/member.ts";
import {
  Membership,
  type MembershipOptions,
  type MembershipParts,
} from "../../src/membership/membership.ts";
import type { SwimTuning } from "../../src/membership/options.ts";
import type { Identity } from "../../src/secure/identity.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import type { Address, Transport } from "../../src/transport/transport.ts";
import { identityOf, infoOf, Journal } from "../endpoint/fixture.ts";

/** Ten times as fast as usual, so that a minute of it costs little. */
export const FAST: Partial<SwimTuning> = {
  probeMs: 100,
  probeTimeoutMs: 50,
  newsMs: 20,
  syncMs: 3_000,
  repairMs: 1_000,
};

/** What everybody listens on. */
export const TCP_PORT = 3_485;
export const UDP_PORT = 3_486;

/** Where the member on a host takes connections. */
export function at(hostname: string): Address {
  return { hostname, port: TCP_PORT };
}

/** How somebody takes part. */
export interface NodeOptions
  extends MembershipOptions, Partial<Omit<MembershipParts, "identity" | "endpoint" | "udp">> {
  /** Whose identity and name it has. @default those of its host */
  as?: string;
  /** The network as it sees it. @default as it is */
  through?: (transport: Transport) => Transport;
}

/** Somebody who takes part, and what it has seen. */
export class Node {
  readonly #parts: MembershipParts;
  readonly #reading: Promise<void>;
  readonly host: string;
  readonly endpoint: Endpoint;
  readonly membership: Membership;
  readonly log: Journal;
  /** What happened, as far as it knows. */
  readonly events: MemberEvent[] = [];

  constructor(
    host: string,
    endpoint: Endpoint,
    udp: UdpPort,
    log: Journal,
    { identity, options }: { readonly identity: Identity; readonly options: NodeOptions },
  ) {
    this.host = host;
    this.endpoint = endpoint;
    this.log = log;
    this.#parts = { endpoint, udp, identity, hosts: () => [host], ...options };
    this.membership = this.takePart(options);
    this.#reading = this.#read();
  }

  /** Takes part once more. */
  takePart({ tuning, ...options }: MembershipOptions = {}): Membership {
    return new Membership(this.#parts, { ...options, tuning: { ...FAST, ...tuning } });
  }

  get peerId(): string {
    return this.endpoint.self.peerId;
  }

  /** What happened to somebody, as far as it knows: `joined`, `suspect` ... */
  happenedTo({ peerId }: Node): string[] {
    return this.events.flatMap((event) => {
      return "member" in event && event.member.peerId === peerId ? [event.type] : [];
    });
  }

  /** What it believes of somebody. */
  stateOf({ peerId }: Node): string | undefined {
    return this.membership.get(peerId)?.state;
  }

  /** Who it believes is there, by name, itself among them. */
  get present(): string[] {
    const there = this.membership.members().filter(({ state }) => {
      return state === "alive" || state === "suspect";
    });
    return there.map(({ name }) => name).sort();
  }

  async close(): Promise<void> {
    await this.membership.close();
    await this.#reading;
    await this.#parts.udp.close();
    await this.endpoint.close();
  }

  async #read(): Promise<void> {
    for await (const event of this.membership.watch()) this.events.push(event);
  }
}

/** See the module; disposing closes all. */
export class Group implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork({ clock: this.clock });
  readonly #nodes = new Set<Node>();

  /** Somebody takes part. */
  async open(host: string, options: NodeOptions = {}): Promise<Node> {
    const { as = host, through = (transport) => transport } = options;
    const transport = through(this.network.host(host));
    const [identity, log, { clock }] = [identityOf(as), new Journal(), this];
    const limits = { heartbeatMs: Infinity };
    const common = { transport, identity, self: infoOf(as), hostname: host, clock, log, limits };
    const endpoint = await Endpoint.open({ ...common, port: TCP_PORT });
    const udp = await UdpPort.open(endpoint, { transport, hostname: host, port: UDP_PORT });
    try {
      const node = new Node(host, endpoint, udp, log, { identity, options });
      this.#nodes.add(node);
      return node;
    } catch (error) {
      await udp.close();
      await endpoint.close();
      throw error;
    }
  }

  /** Those who all join the first of them, and know each other when it is over. */
  async joined(hosts: readonly string[], options: NodeOptions = {}): Promise<Node[]> {
    const [first = ""] = hosts;
    const nodes: Node[] = [];
    for (const host of hosts) nodes.push(await this.open(host, { seeds: [at(first)], ...options }));
    await this.until(() => nodes.every(({ present }) => present.length === hosts.length));
    return nodes;
  }

  /** Somebody says goodbye. */
  async close(node: Node): Promise<void> {
    this.#nodes.delete(node);
    await this.run(node.close());
  }

  /** Somebody's program dies: nothing of it reaches anybody any more. */
  async kill(node: Node): Promise<void> {
    this.network.kill(node.host);
    await this.close(node);
  }

  /** Lets time pass until something is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => isDone = true;
    work.then(done, done);
    await this.until(() => isDone);
    return await work;
  }

  /** Lets time pass until something is so. @throws {Error} when that takes longer than the limit. */
  async until(holds: () => boolean, limitMs = 30_000): Promise<void> {
    const endMs = this.clock.now() + limitMs;
    while (!holds()) {
      if (this.clock.now() >= endMs) throw new Error(`It did not come to that: ${holds}`);
      await this.clock.advance(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(Promise.all([...this.#nodes].map((node) => node.close())));
    this.network.close();
  }
}
