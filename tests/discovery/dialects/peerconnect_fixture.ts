/**
 * PeerConnect's nodes: ours on a network in memory, and one that is written from its description alone, byte by byte, so
 * that nothing of ours can make up for a fault of ours.
 *
 * @module
 */

import { ManualClock } from "../../../src/clock.ts";
import type { ForeignPeer } from "../../../src/discovery/foreign.ts";
import type { LocalInterface } from "../../../src/discovery/interfaces.ts";
import {
  PeerConnectDiscovery,
  type PeerConnectOptions,
} from "../../../src/discovery/dialects/peerconnect.ts";
import type { PeerConnectPort } from "../../../src/discovery/dialects/peerconnect_links.ts";
import { RequestsDispatcher } from "../../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../../src/endpoint/requests_endpoint.ts";
import { Metrics } from "../../../src/metrics.ts";
import { MemoryNetwork } from "../../../src/transport/memory.ts";
import type { Address, DatagramSocket, Transport } from "../../../src/transport/transport.ts";
import { Journal } from "../../endpoint/fixture.ts";

/** The port and the group that finds go to. */
export const FIND_PORT = 3486;
export const GROUP = "239.1.11.11";

/** Ids of which ours is none: 20 bytes, and the same in decimal. */
export const ORIGINAL_ID = "469099608771183077085495238363724627294301243880";

/** The id of somebody of ours, always the same for a name. */
export function idOf(name: string): Uint8Array {
  return new TextEncoder().encode(name.padEnd(20, "-"));
}

/** The same in decimal. */
export function decimalOf(name: string): string {
  return BigInt(`0x${idOf(name).toHex()}`).toString();
}

/** An interface with one address. */
export function interfaceOf(
  address: string,
  options: Partial<LocalInterface> = {},
): LocalInterface {
  const common = { family: "IPv4", broadcast: undefined, index: undefined } as const;
  return { name: `to ${address}`, address, loopback: false, ...common, ...options };
}

/** One of ours: its port, what it counts and says. */
export class Node implements AsyncDisposable {
  private constructor(
    readonly discovery: PeerConnectDiscovery,
    readonly endpoint: RequestsEndPoint,
    readonly metrics: Metrics,
    readonly log: Journal,
  ) {}

  static async open(
    name: string,
    options: Pick<PeerConnectOptions, "transport"> & Partial<PeerConnectOptions> & {
      /** The network of its port. @default the same */
      portTransport?: Transport;
    },
  ): Promise<Node> {
    const { metrics = new Metrics(), portTransport = options.transport, ...rest } = options;
    const log = new Journal();
    const requests = new RequestsDispatcher({ metrics, log });
    const { clock, hostname } = options;
    const endpoint = await RequestsEndPoint.open({
      transport: portTransport,
      dispatcher: requests,
      metrics,
      log,
      ...(clock === undefined ? {} : { clock }),
      ...(hostname === undefined ? {} : { hostname }),
    });
    const udp: PeerConnectPort = {
      address: endpoint.address,
      requests,
      send: (packet, to) => endpoint.sendPacket(packet, to),
    };
    const common = { udp, peerId: idOf(name), metrics, log };
    const discovery = await PeerConnectDiscovery.open({ ...common, ...rest });
    return new Node(discovery, endpoint, metrics, log);
  }

  /** Where it takes requests. */
  get address(): Address {
    return this.endpoint.address;
  }

  /** How often something happened that is counted as `peerconnect.NAME`. */
  count(name: string): number {
    return this.metrics.counter(`peerconnect.${name}`).value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discovery.close();
    await this.endpoint.close();
  }
}

/** Hosts that reach each other. */
export class Village implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly #parts = new AsyncDisposableStack();

  /** One of ours on a host, of its name unless the options say where. */
  async node(
    name: string,
    options: Partial<PeerConnectOptions> & { host?: string; portTransport?: Transport } = {},
  ): Promise<Node> {
    const { host = name, ...rest } = options;
    const common = { transport: this.network.host(host), clock: this.clock };
    const interfaces = () => [interfaceOf(host)];
    return this.#parts.use(await Node.open(name, { ...common, interfaces, ...rest }));
  }

  /** A node as the original is. */
  async original(host: string, options: { port?: number } = {}): Promise<Original> {
    const transport = this.network.host(host);
    return this.#parts.use(await Original.open(transport, { ip: host, ...options }));
  }

  /** A socket on a host. */
  async socket(host: string, port = 0): Promise<DatagramSocket> {
    const socket = await this.network.host(host).datagram({ port });
    return this.#parts.adopt(socket, () => socket.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

/** A node of PeerConnect as it is found. */
export function foreign(id: string, address: Address): ForeignPeer {
  return { dialect: "peerconnect", id, name: "", address, protocols: [] };
}

/** What a search finds in this time. */
export async function search(
  village: Village,
  { discovery }: Node,
  ms = 1_000,
): Promise<ForeignPeer[]> {
  const stop = new AbortController();
  const looking = Array.fromAsync(discovery.find({ signal: stop.signal }));
  await village.clock.advance(ms);
  stop.abort();
  return await looking;
}

/** What {@linkcode Original} hears. */
export interface Heard {
  readonly data: Uint8Array;
  readonly from: Address;
}

/** A node as the original is, from the description of its bytes. */
export class Original implements AsyncDisposable {
  /** Every packet that came to its own port. */
  readonly heard: Heard[] = [];
  /** Those who were found: what their replies said. */
  readonly found: Contact[] = [];
  readonly #requests: DatagramSocket;
  readonly #group: DatagramSocket;
  readonly #ip: string;
  readonly #findPort: number;
  readonly #loops: Promise<void>[];
  #wake: () => void = () => {};

  private constructor(
    requests: DatagramSocket,
    group: DatagramSocket,
    { ip, port }: { ip: string; port: number },
  ) {
    this.#requests = requests;
    this.#group = group;
    this.#ip = ip;
    this.#findPort = port;
    this.#loops = [this.#serve(requests), this.#serve(group)];
  }

  /** Opens its two sockets. `ip` is its address, `port` the one that finds go to. */
  static async open(
    transport: Transport,
    { ip, port = FIND_PORT }: { ip: string; port?: number },
  ): Promise<Original> {
    const requests = await transport.datagram({ hostname: ip });
    const groups = [{ group: GROUP, interfaceAddress: ip }];
    const group = await transport.datagram({ hostname: "0.0.0.0", port, shared: true, groups });
    return new Original(requests, group, { ip, port });
  }

  /** Where it takes requests. */
  get address(): Address {
    return this.#requests.address;
  }

  /** Asks who is there, of everybody or of one host. */
  async find(to = GROUP): Promise<void> {
    const packet = findOf(ORIGINAL_ID, this.#ip, this.address.port);
    await this.#requests.send(packet, { hostname: to, port: this.#findPort });
  }

  /** Sends bytes from its port. */
  async send(packet: Uint8Array, to: Address): Promise<void> {
    await this.#requests.send(packet, to);
  }

  /** Waits until so many packets have come to its own port. */
  async received(count: number): Promise<readonly Heard[]> {
    while (this.heard.length < count) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#requests.close();
    this.#group.close();
    await Promise.all(this.#loops);
  }

  async #serve(socket: DatagramSocket): Promise<void> {
    for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
      const [data, from] = [got.data.slice(), got.from];
      if (socket === this.#requests) {
        this.heard.push({ data, from });
        this.#wake();
      }
      const contact = data[0] === 1 ? readContact(data) : undefined;
      if (contact?.header === 1) this.found.push(contact);
      // Not to where it came from: to what it says.
      if (contact?.header === 0 && contact.id !== ORIGINAL_ID) {
        const reply = replyOf(ORIGINAL_ID, this.#ip, this.address.port);
        await this.#requests.send(reply, { hostname: contact.ip, port: contact.port });
      }
    }
  }
}

/** What a find or a reply says. */
export interface Contact {
  readonly header: number;
  readonly id: string;
  readonly key: string;
  readonly ip: string;
  readonly port: number;
}

const VERSION = [0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0];

/** A find. */
export function findOf(id: string, ip: string, port: number): Uint8Array {
  return coded(1, contactBytes(0, id, "reply_addr", ip, port));
}

/** A reply to a find. */
export function replyOf(id: string, ip: string, port: number): Uint8Array {
  return coded(1, contactBytes(1, id, "connect_uri", ip, port));
}

/** A probe as the original sends it, or with a code. */
export function probeOf(id: string, code?: number): Uint8Array {
  const header = new TextEncoder().encode("pinging peer for removal");
  const payload = [0x95, 0xc4, header.length, ...header, ...text(id), ...VERSION, 0x80, 0xc0];
  return code === undefined
    ? Uint8Array.from([...length(payload), ...payload])
    : coded(code, payload);
}

/** A packet with a service code. */
export function coded(code: number, payload: readonly number[]): Uint8Array {
  return Uint8Array.from([code, ...length(payload), ...payload]);
}

/** Takes a find or a reply apart; `undefined` for what is neither. */
export function readContact(packet: Uint8Array): Contact | undefined {
  let at = 5;
  const byte = () => packet[at++] ?? -1;
  const short = () => byte() * 256 + byte();
  const string = () => {
    const tag = byte();
    const count = tag === 0xd9 ? byte() : tag & 0x1f;
    return new TextDecoder().decode(packet.subarray(at, at += count));
  };
  const integer = () => {
    const tag = byte();
    return tag < 0x80 ? tag : tag === 0xcc ? byte() : short();
  };
  if (byte() !== 0x95 || byte() !== 0xc4 || byte() !== 1) return undefined;
  const header = byte();
  const id = string();
  at += VERSION.length;
  if (byte() !== 0x81) return undefined;
  const key = string();
  if (byte() !== 0x92) return undefined;
  return { header, id, key, ip: string(), port: integer() };
}

function contactBytes(
  header: number,
  id: string,
  key: string,
  ip: string,
  port: number,
): number[] {
  const uri = [0x92, ...text(ip), 0xcd, port >> 8, port & 0xff];
  const body = [0x81, ...text(key), ...uri];
  return [0x95, 0xc4, 1, header, ...text(id), ...VERSION, ...body, 0xc0];
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return bytes.length < 32 ? [0xa0 | bytes.length, ...bytes] : [0xd9, bytes.length, ...bytes];
}

function length({ length }: readonly number[]): number[] {
  return [length >>> 24, length >>> 16 & 0xff, length >>> 8 & 0xff, length & 0xff];
}
