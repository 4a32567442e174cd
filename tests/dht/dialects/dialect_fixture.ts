/**
 * Nodes of dialects on ports of their own, and packets that a test makes up.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Clock, ManualClock, systemClock } from "../../../src/clock.ts";
import { type Contact, contactOf } from "../../../src/dht/contact.ts";
import { KademliaWire } from "../../../src/dht/dialects/kademlia.ts";
import {
  KademliaNetwork,
  type KademliaNetworkOptions,
  type WireParts,
} from "../../../src/dht/dialects/network.ts";
import {
  PeerConnectKademlia,
  type PeerConnectKademliaParts,
} from "../../../src/dht/dialects/peerconnect_kademlia.ts";
import { PeerConnectNetwork } from "../../../src/dht/dialects/peerconnect_network.ts";
import { decodeRpc } from "../../../src/dht/dialects/rpcudp.ts";
import { compareDistance, type NodeId, toKey } from "../../../src/dht/node_id.ts";
import { type Answer, type Asker, HEARD, type Question } from "../../../src/dht/questions.ts";
import { type DhtRecord, plainRecord } from "../../../src/dht/record.ts";
import {
  type RequestHandler,
  RequestsDispatcher,
} from "../../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../../src/endpoint/requests_endpoint.ts";
import { LimitError } from "../../../src/errors.ts";
import { Metrics } from "../../../src/metrics.ts";
import {
  type Address,
  type Datagram,
  netTransport,
  type Transport,
} from "../../../src/transport/mod.ts";
import { decodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { decodeWireData } from "../../../src/wire/message.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import type { RemotePeer } from "../../../src/wire/remote_peer.ts";
import { Journal } from "../../endpoint/fixture.ts";

/** An id that begins with some bytes and ends with zeros. */
export function idOf(...first: number[]): NodeId {
  const id = new Uint8Array(20);
  id.set(first);
  return id;
}

/** Where somebody is who has no socket. */
export const BOB: Address = { hostname: "192.0.2.11", port: 3486 };

/** A port whose packets a test makes up; what is sent is kept. */
export class FakePort {
  readonly sent: { readonly packet: Uint8Array; readonly to: Address }[] = [];
  readonly requests = { register: this.#register.bind(this) };
  #bare: ((datagram: Datagram) => boolean) | undefined;
  #coded: RequestHandler | undefined;

  takeBare(handler: (datagram: Datagram) => boolean): Disposable {
    this.#bare = handler;
    return { [Symbol.dispose]: () => this.#bare = undefined };
  }

  send(packet: Uint8Array, to: Address): Promise<void> {
    this.sent.push({ packet: packet.slice(), to });
    return Promise.resolve();
  }

  /** A bare packet comes in. @returns whether it was taken. */
  bare(data: Uint8Array, from: Address = BOB): boolean {
    return this.#bare?.({ data, from }) ?? false;
  }

  /** A packet of PeerConnect's comes in. @returns whether anybody takes it. */
  wrapped(packet: Uint8Array, from: Address = BOB): boolean {
    const { code, payload } = decodeDatagram(packet, { code: true, exact: true });
    assert(code === SERVICE_CODE.peerconnectKademlia);
    const request = decodeWireData(payload, { dialect: "peerconnect" });
    void this.#coded?.({ rootCode: code, request, fromAddr: from });
    return this.#coded !== undefined;
  }

  #register(code: number, handler: RequestHandler): Disposable {
    assertEquals(code, SERVICE_CODE.peerconnectKademlia);
    if (this.#coded !== undefined) throw new TypeError("It is taken");
    this.#coded = handler;
    return { [Symbol.dispose]: () => this.#coded = undefined };
  }

  /** The only packet since the last call. */
  only(): { readonly packet: Uint8Array; readonly to: Address } {
    const [first, ...more] = this.sent.splice(0);
    assert(first !== undefined && more.length === 0, `${more.length + 1} packets were sent`);
    return first;
  }
}

/** What a node would answer that knows these contacts and keeps what it is given. */
export class FakeNode {
  readonly askers: Asker[] = [];
  readonly questions: Question[] = [];
  readonly kept = new Map<string, DhtRecord>();
  contacts: Contact[] = [];
  refuses = false;

  readonly answer = (question: Question, asker: Asker): Answer => {
    this.questions.push(question);
    this.askers.push(asker);
    if (this.refuses) throw new LimitError("limit", "There is no room");
    if (question.type === "ping") return HEARD;
    if (question.type === "store") {
      this.kept.set(toKey(question.record.key), question.record);
      return HEARD;
    }
    const { target } = question;
    const kept = question.type === "find-value" ? this.kept.get(toKey(target)) : undefined;
    if (kept !== undefined) return { nodes: [], records: [kept] };
    const nodes = this.contacts.toSorted((a, b) => compareDistance(target, a.id, b.id));
    return { nodes, records: [] };
  };
}

/** A wire on a port that a test makes packets for. */
export interface Scene<Wire> {
  readonly wire: Wire;
  readonly port: FakePort;
  readonly node: FakeNode;
  readonly clock: ManualClock;
  readonly metrics: Metrics;
  readonly log: Journal;
}

/** Plain Kademlia's. */
export function kademliaScene(self: NodeId): Scene<KademliaWire> {
  const scene = sceneParts();
  const wire = new KademliaWire({ ...scene, udp: scene.port, self, answer: scene.node.answer });
  return { ...scene, wire };
}

/** PeerConnect's. */
export function peerConnectScene(
  self: RemotePeer,
  options: Partial<PeerConnectKademliaParts> = {},
): Scene<PeerConnectKademlia> {
  const scene = sceneParts();
  const record = () => self;
  const given = { ...scene, udp: scene.port, self: self.id, record, answer: scene.node.answer };
  return { ...scene, wire: new PeerConnectKademlia({ ...given, ...options }) };
}

function sceneParts() {
  const [port, node, clock] = [new FakePort(), new FakeNode(), new ManualClock()];
  return { port, node, clock, metrics: new Metrics(), log: new Journal() };
}

/** Somebody at an address. */
export function nodeAt(id: NodeId, hostname: string, port: number): Contact {
  return contactOf(id, { hostname, port });
}

/** A plain value. */
export function valueAt(key: NodeId, value: unknown): DhtRecord {
  return plainRecord(key, encode(value));
}

/** The packet of rpcudp in one of PeerConnect's. */
export function unwrap(packet: Uint8Array): Uint8Array {
  const { payload } = decodeDatagram(packet, { code: true, exact: true });
  const { data } = decodeWireData(payload, { dialect: "peerconnect" }).body;
  assert(data instanceof Uint8Array);
  return data;
}

/** A call that was sent. */
export function callIn(packet: Uint8Array): { id: Uint8Array; method: string; args: unknown[] } {
  const call = decodeRpc(packet);
  assert(call.type === "request");
  const { id, method, args } = call;
  return { id, method, args: args.map((arg) => decode(arg)) };
}

/** A UDP port with what is on it. */
export class DialectPort implements AsyncDisposable {
  readonly log = new Journal();

  private constructor(
    readonly endpoint: RequestsEndPoint,
    readonly requests: RequestsDispatcher,
    readonly metrics: Metrics,
    readonly clock: Clock,
  ) {}

  static async open(
    { transport = netTransport, hostname, clock = systemClock }: {
      transport?: Transport;
      hostname?: string;
      clock?: Clock;
    } = { hostname: "127.0.0.1" },
  ): Promise<DialectPort> {
    const metrics = new Metrics();
    const requests = new RequestsDispatcher({ metrics });
    const options = { transport, dispatcher: requests, hostname, metrics, clock };
    return new DialectPort(await RequestsEndPoint.open(options), requests, metrics, clock);
  }

  get address(): Address {
    return this.endpoint.address;
  }

  send(packet: Uint8Array, to: Address): Promise<void> {
    return this.endpoint.sendPacket(packet, to);
  }

  takeBare(handler: (datagram: Datagram) => boolean): Disposable {
    return this.endpoint.takeBare(handler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endpoint.close();
    this.requests.close();
  }
}

/** Several nodes of one dialect. */
export class Swarm implements AsyncDisposable {
  readonly ports: DialectPort[] = [];
  readonly #opened = new AsyncDisposableStack();

  /** Opens one more. */
  async add<Network extends AsyncDisposable>(
    network: (port: DialectPort) => Network,
    port?: DialectPort,
  ): Promise<Network> {
    const own = this.#opened.use(port ?? await DialectPort.open());
    this.ports.push(own);
    return this.#opened.use(network(own));
  }

  get addresses(): Address[] {
    return this.ports.map(({ address }) => address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }
}

/** A node of plain Kademlia on a port. */
export function kademliaOn(
  port: DialectPort,
  options: KademliaNetworkOptions & { readonly self?: NodeId } = {},
): KademliaNetwork<KademliaWire> {
  const { self = randomId() } = options;
  const { clock, log, metrics } = port;
  const wire = (parts: WireParts) => new KademliaWire({ ...parts, udp: port });
  return new KademliaNetwork({ self, clock, log, metrics, wire }, options);
}

/** A node of PeerConnect's network on a port. */
export function peerConnectOn(
  port: DialectPort,
  username: string,
  options: KademliaNetworkOptions & { readonly self?: NodeId } = {},
): PeerConnectNetwork {
  const { self = randomId() } = options;
  const { clock, log, metrics, address } = port;
  const { hostname: ip, port: udpPort } = address;
  const record = (): RemotePeer => {
    return { id: self, username, ip, tcpPort: 3485, udpPort, status: 1 };
  };
  return new PeerConnectNetwork({ self, clock, log, metrics, udp: port, record }, options);
}

function randomId(): NodeId {
  return crypto.getRandomValues(new Uint8Array(20));
}
