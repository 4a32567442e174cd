/**
 * PeerConnect's gossip: nodes of ours, and one that is written from its description alone, byte by byte.
 *
 * @module
 */

import type { ManualClock } from "../../../src/clock.ts";
import { RequestsDispatcher } from "../../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../../src/endpoint/requests_endpoint.ts";
import {
  PeerConnectGossip,
  type PeerConnectGossipOptions,
} from "../../../src/gossip/dialects/peerconnect_gossip.ts";
import { Metrics } from "../../../src/metrics.ts";
import { MemoryNetwork } from "../../../src/transport/memory.ts";
import type { Address, DatagramSocket, Transport } from "../../../src/transport/transport.ts";
import type { RemotePeer } from "../../../src/wire/remote_peer.ts";
import { CountingClock, Journal } from "../../endpoint/fixture.ts";

/** The id of somebody, always the same for a name. */
export function idOf(name: string): Uint8Array {
  return new TextEncoder().encode(name.padEnd(20, "-"));
}

/** One of ours on its port. */
export class Gossiper implements AsyncDisposable {
  readonly nodes: Address[] = [];

  private constructor(
    readonly name: string,
    readonly endpoint: RequestsEndPoint,
    readonly requests: RequestsDispatcher,
    readonly metrics: Metrics,
    readonly log: Journal,
    make: (self: Gossiper) => PeerConnectGossip,
  ) {
    this.gossip = make(this);
  }

  readonly gossip: PeerConnectGossip;

  static async open(
    name: string,
    transport: Transport,
    options: Partial<PeerConnectGossipOptions> & { hostname?: string } = {},
  ): Promise<Gossiper> {
    const { hostname, ...rest } = options;
    const [metrics, log] = [new Metrics(), new Journal()];
    const requests = new RequestsDispatcher({ metrics, log });
    const { clock = new CountingClock() } = options;
    const endpoint = await RequestsEndPoint.open({
      ...{ transport, dispatcher: requests, metrics, log, clock },
      ...(hostname === undefined ? {} : { hostname }),
    });
    const { address } = endpoint;
    const self = (): RemotePeer => ({
      ...{ id: idOf(name), username: name, ip: address.hostname },
      ...{ tcpPort: 3485, udpPort: address.port, status: 1 },
    });
    const send = (packet: Uint8Array, to: Address) => endpoint.sendPacket(packet, to);
    return new Gossiper(name, endpoint, requests, metrics, log, ({ nodes }) => {
      const parts = { udp: { requests, send }, self, nodes: () => nodes, clock, log, metrics };
      return new PeerConnectGossip({ ...parts, ...rest });
    });
  }

  /** Where it takes packets. */
  get address(): Address {
    return this.endpoint.address;
  }

  /** How often something happened that is counted as `peerconnect-gossip.NAME`. */
  count(name: string): number {
    return this.metrics.counter(`peerconnect-gossip.${name}`).value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gossip.close();
    await this.endpoint.close();
    this.requests.close();
  }
}

/** Hosts that reach each other. */
export class Village implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new CountingClock();
  readonly #parts = new AsyncDisposableStack();

  /** One of ours, on a host of its name. */
  async gossiper(name: string, options: Partial<PeerConnectGossipOptions> = {}): Promise<Gossiper> {
    const { clock } = this;
    return this.#parts.use(
      await Gossiper.open(name, this.network.host(name), { clock, ...options }),
    );
  }

  /** A node as the original is. */
  async original(name: string): Promise<OriginalGossip> {
    const { clock } = this;
    return this.#parts.use(await OriginalGossip.open(name, this.network.host(name), { clock }));
  }

  /** A socket on a host. */
  async socket(host: string): Promise<DatagramSocket> {
    const socket = await this.network.host(host).datagram();
    return this.#parts.adopt(socket, () => socket.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

/** What a packet says. */
export interface Said {
  readonly header: number;
  readonly id: string;
  readonly message: string | Uint8Array;
  readonly ttl?: number | undefined;
  readonly created: number;
  readonly bodyId?: string | undefined;
}

/** A node as the original is, from the description of its bytes. */
export class OriginalGossip implements AsyncDisposable {
  readonly nodes: Address[] = [];
  /** What it has accepted and passes on, as it came. */
  readonly accepted: Said[] = [];
  /** What it dropped because the body lacks a key. */
  readonly dropped: Said[] = [];
  /** Answers to its searches. */
  readonly replies: Said[] = [];
  readonly #socket: DatagramSocket;
  readonly #clock: ManualClock;
  readonly #used = new Map<string, Set<string>>();
  readonly #loop: Promise<void>;
  #wake: () => void = () => {};

  private constructor(readonly name: string, socket: DatagramSocket, clock: ManualClock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#loop = this.#serve();
  }

  static async open(
    name: string,
    transport: Transport,
    { clock, hostname }: { clock: ManualClock; hostname?: string },
  ): Promise<OriginalGossip> {
    const options = hostname === undefined ? {} : { hostname };
    return new OriginalGossip(name, await transport.datagram(options), clock);
  }

  get address(): Address {
    return this.#socket.address;
  }

  /** Tells a text as the original does: without its id in the body, and nobody repeats what it hears so. */
  async tell(id: string, message: string): Promise<void> {
    const created = this.#clock.wallMs() / 1_000;
    await this.#toAll(packetOf({ header: 0, id, message, ttl: 3, created }));
  }

  /** Searches for a name. */
  async search(id: string, text: string): Promise<void> {
    await this.#toAll(packetOf({ header: 1, id, message: text, created: 1 }));
  }

  /** Sends bytes from its port. */
  async send(packet: Uint8Array, to: Address): Promise<void> {
    await this.#socket.send(packet, to);
  }

  /** Waits until something holds that packets make true. */
  async until(isTrue: (self: this) => boolean): Promise<void> {
    while (!isTrue(this)) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#loop;
  }

  async #serve(): Promise<void> {
    const socket = this.#socket;
    for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
      const [data, from] = [got.data.slice(), got.from];
      const said = readPacket(data);
      if (said?.header === 0) await this.#relay(said, data);
      if (said?.header === 1 && this.name.includes(String(said.message))) {
        const { id } = said;
        await socket.send(packetOf({ header: 2, id, message: this.#record(), created: 2 }), from);
      }
      if (said?.header === 2) this.replies.push(said);
      this.#wake();
    }
  }

  // Neither its ttl nor the sender matters to the original.
  async #relay(said: Said, data: Uint8Array): Promise<void> {
    if (said.bodyId === undefined || said.ttl === undefined) {
      this.dropped.push(said);
      return;
    }
    if (this.#clock.wallMs() / 1_000 - said.created > 6) return;
    this.accepted.push(said);
    const used = this.#used.get(said.id) ?? new Set();
    this.#used.set(said.id, used);
    const further = this.nodes.filter(({ hostname, port }) => !used.has(`${hostname} ${port}`));
    for (const to of further.slice(0, 3)) {
      used.add(`${to.hostname} ${to.port}`);
      await this.#socket.send(data, to);
    }
  }

  async #toAll(packet: Uint8Array): Promise<void> {
    for (const to of this.nodes) await this.#socket.send(packet, to);
  }

  #record(): Uint8Array {
    const { hostname, port } = this.address;
    const id = [0xc4, 20, ...idOf(this.name)];
    const ports = [0xcd, 0x0d, 0x9d, 0xcd, port >> 8, port & 0xff];
    return Uint8Array.from([0x96, ...id, ...text(this.name), ...text(hostname), ...ports, 1]);
  }
}

const VERSION = [0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0];

/** A packet that says this. */
export function packetOf({ header, id, message, ttl, created, bodyId }: Said): Uint8Array {
  const fields = [
    [...text("message"), ...(typeof message === "string" ? text(message) : bin(message))],
    ttl === undefined ? [] : [...text("ttl"), ttl & 0xff],
    [...text("created"), ...float(created)],
    bodyId === undefined ? [] : [...text("id"), ...text(bodyId)],
  ].filter(({ length }) => length > 0);
  const body = [0x80 | fields.length, ...fields.flat()];
  const payload = [0x95, 0xa1, header, ...text(id), ...VERSION, ...body, 0xc0];
  return Uint8Array.from([2, 0, 0, payload.length >> 8, payload.length & 0xff, ...payload]);
}

/** Takes a packet of gossip apart; `undefined` for any other. */
export function readPacket(packet: Uint8Array): Said | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (packet[0] !== 2 || packet[5] !== 0x95 || packet[6] !== 0xa1) return undefined;
  let at = 7;
  const byte = () => packet[at++] ?? -1;
  const value = (): unknown => {
    const tag = byte();
    const wide = (bytes: number) => {
      const length = bytes === 1 ? byte() : byte() * 256 + byte();
      return packet.slice(at, at += length);
    };
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 256;
    if (tag === 0xcb) return view.getFloat64((at += 8) - 8);
    if (tag === 0xc4) return wide(1);
    if (tag === 0xd9) return decode(wide(1));
    if (tag === 0xda) return decode(wide(2));
    return decode(packet.slice(at, at += tag & 0x1f));
  };
  const header = byte();
  const id = String(value());
  at += VERSION.length;
  const body = new Map<unknown, unknown>();
  for (let left = byte() & 0x0f; left > 0; left--) body.set(value(), value());
  return {
    header,
    id,
    message: body.get("message") as string | Uint8Array,
    ttl: body.get("ttl") as number | undefined,
    created: Number(body.get("created")),
    bodyId: body.get("id") as string | undefined,
  };
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  if (bytes.length < 32) return [0xa0 | bytes.length, ...bytes];
  if (bytes.length < 256) return [0xd9, bytes.length, ...bytes];
  return [0xda, bytes.length >> 8, bytes.length & 0xff, ...bytes];
}

function bin(bytes: Uint8Array): number[] {
  return [0xc4, bytes.length, ...bytes];
}

function float(value: number): number[] {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return [0xcb, ...bytes];
}
