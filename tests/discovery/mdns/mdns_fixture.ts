/**
 * A network in memory with multicast DNS on it, and somebody who hears and says whatever a test wants.
 *
 * @module
 */

import { decodeDnsMessage, encodeDnsMessage } from "../../../src/discovery/mdns/dns_message.ts";
import type {
  DnsMessage,
  DnsName,
  DnsQuestion,
  DnsRecord,
} from "../../../src/discovery/mdns/dns_record.ts";
import type { LocalInterface } from "../../../src/discovery/interfaces.ts";
import { Mdns, MDNS_PORT, type MdnsOptions } from "../../../src/discovery/mdns/mdns.ts";
import type { MdnsPeer } from "../../../src/discovery/mdns/mdns_browser.ts";
import { MDNS_GROUP_V4 } from "../../../src/discovery/mdns/mdns_links.ts";
import { Metrics } from "../../../src/metrics.ts";
import {
  type Address,
  type DatagramSocket,
  MemoryNetwork,
  type Transport,
} from "../../../src/transport/mod.ts";
import { CountingClock } from "../../endpoint/fixture.ts";

export const SERVICE: DnsName = ["_kith", "_tcp", "local"];
export const GROUP: Address = { hostname: MDNS_GROUP_V4, port: MDNS_PORT };
/** Probes at most 250 ms late and three times 250 ms long; then it is announced. */
export const ANNOUNCED_MS = 1_001;

/** Hosts are named by their addresses, 10.0.0.x. */
export class Lan implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly metrics = new Metrics();
  readonly #network = new MemoryNetwork();
  readonly #parts = new AsyncDisposableStack();

  host(name: string): Transport {
    return this.#network.host(name);
  }

  async open(host: string, options: Partial<MdnsOptions> = {}): Promise<Mdns> {
    return this.#parts.use(
      await Mdns.open({
        transport: this.host(host),
        interfaces: () => [interfaceOf(host)],
        clock: this.clock,
        metrics: this.metrics,
        ...options,
      }),
    );
  }

  /** A peer with that label, announced. */
  async announce(host: string, label: string, options: Partial<MdnsOptions> = {}): Promise<Mdns> {
    const mdns = await this.open(host, {
      announce: { tcpPort: 3485 },
      newLabel: () => label,
      ...options,
    });
    await this.clock.advance(ANNOUNCED_MS);
    return mdns;
  }

  async stranger(host: string, port = MDNS_PORT): Promise<Stranger> {
    const stranger = await Stranger.open(this.host(host), this.clock, port);
    this.#parts.use(stranger);
    return stranger;
  }

  /** Looks for a while. */
  async find(mdns: Mdns, forMs = 500): Promise<MdnsPeer[]> {
    using search = new Looking(mdns);
    await this.clock.advance(forMs);
    return await search.end();
  }

  counted(name: string): number {
    return this.metrics.snapshot()[name] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.#network.close();
  }
}

/** A search that goes on. */
export class Looking implements Disposable {
  readonly found: MdnsPeer[] = [];
  readonly #ended = new AbortController();
  readonly #over: Promise<void>;

  constructor(mdns: Mdns) {
    this.#over = this.#look(mdns);
  }

  async end(): Promise<MdnsPeer[]> {
    this.#ended.abort();
    await this.#over;
    return this.found;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }

  async #look(mdns: Mdns): Promise<void> {
    for await (const peer of mdns.find({ signal: this.#ended.signal })) this.found.push(peer);
  }
}

/** A message that was heard. */
export interface Heard extends DnsMessage {
  readonly atMs: number;
  readonly from: Address;
  readonly bytes: Uint8Array;
}

/** Hears everything that is said to the group and to itself. */
export class Stranger implements AsyncDisposable {
  readonly heard: Heard[] = [];
  readonly #socket: DatagramSocket;
  readonly #loop: Promise<void>;

  private constructor(socket: DatagramSocket, clock: CountingClock) {
    this.#socket = socket;
    this.#loop = this.#listen(clock);
  }

  static async open(host: Transport, clock: CountingClock, port: number): Promise<Stranger> {
    const groups = port === MDNS_PORT
      ? [{ group: MDNS_GROUP_V4, interfaceAddress: "10.0.0.1" }]
      : [];
    return new Stranger(await host.datagram({ port, shared: true, groups }), clock);
  }

  async say(message: Partial<DnsMessage>, to: Address = GROUP): Promise<void> {
    await this.#socket.send(encodeDnsMessage(message), to);
  }

  async sayBytes(bytes: Uint8Array): Promise<void> {
    await this.#socket.send(bytes, GROUP);
  }

  async ask(question: Partial<DnsQuestion>, rest: Partial<DnsMessage> = {}): Promise<void> {
    const asked: DnsQuestion = { name: SERVICE, type: "PTR", unicast: false, ...question };
    await this.say({ questions: [asked], ...rest });
  }

  /** What was answered since the last time. */
  answers(): Heard[] {
    return this.heard.splice(0).filter(({ response }) => response);
  }

  /** What was asked since the last time. */
  queries(): Heard[] {
    return this.heard.splice(0).filter(({ response }) => !response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#loop;
  }

  async #listen(clock: CountingClock): Promise<void> {
    for (;;) {
      const datagram = await this.#socket.receive();
      if (datagram === undefined) return;
      const { data, from } = datagram;
      if (data.length < 12) continue; // its own nonsense
      const bytes = data.slice();
      this.heard.push({ ...decodeDnsMessage(bytes), atMs: clock.now(), from, bytes });
    }
  }
}

export function interfaceOf(address: string, rest: Partial<LocalInterface> = {}): LocalInterface {
  const broadcast = address.replace(/\d+$/, "255");
  const base = { name: "eth0", index: undefined, loopback: address.startsWith("127.") };
  return { ...base, family: "IPv4", address, broadcast, ...rest };
}

/** What somebody says of a service of that label at 10.0.0.9. */
export function recordsOf(label: string, rest: { port?: number; address?: string } = {}) {
  const { port = 4444, address = "10.0.0.9" } = rest;
  const instance = [label, ...SERVICE];
  const host = [label, "local"];
  return {
    ptr: { type: "PTR", name: SERVICE, target: instance, ttlS: 120, flush: false },
    srv: {
      type: "SRV",
      name: instance,
      priority: 0,
      weight: 0,
      port,
      target: host,
      ttlS: 120,
      flush: true,
    },
    txt: { type: "TXT", name: instance, strings: ["v=1"], ttlS: 120, flush: true },
    a: { type: "A", name: host, address, ttlS: 120, flush: true },
  } satisfies Record<string, DnsRecord>;
}

/** The types of records, in order. */
export function typesOf(records: readonly DnsRecord[] = []): string[] {
  return records.map(({ type }) => type);
}
