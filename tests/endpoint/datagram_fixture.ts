/**
 * Peers that call each other over UDP, and strangers that send packets by hand.
 *
 * @module
 */

import { type Clock, ManualClock } from "../../src/clock.ts";
import { DatagramCalls } from "../../src/endpoint/datagram_calls.ts";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { RequestsDispatcher } from "../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../src/endpoint/requests_endpoint.ts";
import { HandlerSlots } from "../../src/endpoint/slots.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  MemoryNetwork,
  type MemoryNetworkOptions,
  type Transport,
} from "../../src/transport/mod.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  type NativeMessage,
  wireData,
} from "../../src/wire/message.ts";
import { Journal } from "./fixture.ts";

/** A network in memory with a clock, and what was opened on it. */
export class Datagrams implements AsyncDisposable {
  readonly clock: ManualClock;
  readonly network: MemoryNetwork;
  readonly #opened = new AsyncDisposableStack();

  constructor(options: Omit<MemoryNetworkOptions, "clock"> = {}) {
    this.clock = new ManualClock({ seed: options.seed ?? 1 });
    this.network = new MemoryNetwork({ ...options, clock: this.clock });
  }

  /** A peer with calls over UDP on the host of that name. */
  async peer(name: string, options: PeerOptions = {}): Promise<DatagramPeer> {
    const { clock = this.clock } = options;
    const transport = options.transport ?? this.network.host(name);
    return this.#opened.use(await DatagramPeer.open(transport, clock, options));
  }

  /** Somebody on the host of that name who may send anything. */
  async stranger(name: string, port = 0): Promise<Stranger> {
    const socket = await this.network.host(name).datagram({ port });
    return this.#opened.adopt(new Stranger(socket), ({ socket }) => socket.close());
  }

  /** A stranger who has proven its address to a peer. */
  async caller(name: string, of: DatagramPeer): Promise<Stranger> {
    const stranger = await this.stranger(name);
    await stranger.prove(of.address);
    return stranger;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
    this.network.close();
  }
}

/** How a {@linkcode DatagramPeer} differs from others. */
export interface PeerOptions {
  transport?: Transport;
  clock?: Clock;
  slots?: HandlerSlots;
  maxReplies?: number;
  proveAddresses?: boolean;
}

/** One end of calls over UDP, with what it counts and says. */
export class DatagramPeer implements AsyncDisposable {
  readonly dispatcher: Dispatcher;
  readonly metrics: Metrics;
  readonly log: Journal;
  readonly requests: RequestsDispatcher;
  readonly endpoint: RequestsEndPoint;
  readonly calls: DatagramCalls;

  private constructor(endpoint: RequestsEndPoint, common: DatagramParts) {
    const { clock, metrics, log, requests, dispatcher, limits } = common;
    this.dispatcher = dispatcher;
    this.metrics = metrics;
    this.log = log;
    this.requests = requests;
    this.endpoint = endpoint;
    this.calls = new DatagramCalls({
      endpoint,
      requests,
      dispatcher,
      clock,
      metrics,
      log,
      ...limits,
    });
  }

  static async open(
    transport: Transport,
    clock: Clock,
    { slots = new HandlerSlots(), maxReplies, proveAddresses }: PeerOptions,
  ): Promise<DatagramPeer> {
    const [dispatcher, metrics, log] = [new Dispatcher(), new Metrics(), new Journal()];
    const requests = new RequestsDispatcher({ slots, metrics, log });
    const parts = { transport, dispatcher: requests, clock, metrics, log };
    const endpoint = await RequestsEndPoint.open(parts);
    const limits = {
      ...(maxReplies === undefined ? {} : { maxReplies }),
      ...(proveAddresses === undefined ? {} : { proveAddresses }),
    };
    return new DatagramPeer(endpoint, { clock, metrics, log, requests, dispatcher, limits });
  }

  get address(): Address {
    return this.endpoint.address;
  }

  /** How often something happened that is counted as `requests.NAME`. */
  count(name: string): number {
    return this.metrics.counter(`requests.${name}`).value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calls.close();
    this.requests.close();
    await this.endpoint.close();
  }
}

interface DatagramParts {
  clock: Clock;
  metrics: Metrics;
  log: Journal;
  requests: RequestsDispatcher;
  dispatcher: Dispatcher;
  limits: Pick<PeerOptions, "maxReplies" | "proveAddresses">;
}

/** Somebody who speaks packets by hand. */
export class Stranger {
  readonly socket: DatagramSocket;
  #token: Uint8Array = new Uint8Array(16);

  constructor(socket: DatagramSocket) {
    this.socket = socket;
  }

  get address(): Address {
    return this.socket.address;
  }

  /** What it sends to prove its address. */
  get token(): Uint8Array {
    return this.#token;
  }

  /** Has a peer tell the token that proves this address, and sends it along from now on. */
  async prove(to: Address): Promise<void> {
    await this.send(to, ":ping", 1);
    const { body } = (await this.receive()).message;
    if (!(body.t instanceof Uint8Array)) throw new TypeError("That is no token");
    this.#token = body.t;
  }

  /** Sends a message with terms that have a token, of zeros unless there is a better one. @returns its packet's bytes. */
  async send(to: Address, header: string, msgId: number, body: MessageBody = {}): Promise<number> {
    const terms = body[":"] as MessageBody | undefined;
    const packet = packetOf(header, msgId, { ...body, ":": { token: this.#token, ...terms } });
    await this.socket.send(packet, to);
    return packet.length;
  }

  /** Tells who asks a token, or something that is none. */
  async retry(to: Address, msgId: number, t: unknown, header = ":retry"): Promise<void> {
    const payload = encodeWireData(wireData(header, { t }, { msgId }));
    await this.socket.send(encodeDatagram(SERVICE_CODE.retryToken, payload), to);
  }

  /** The next message, and its packet's code and bytes. */
  async receive(): Promise<{ message: NativeMessage; code: number | undefined; bytes: number }> {
    const { data } = await this.socket.receive() ?? closed();
    const { code, payload } = decodeDatagram(data, { code: true, exact: true });
    return { message: decodeWireData(payload), code, bytes: data.length };
  }
}

/** A socket whose packets a test makes up; what is sent is kept. */
export class ScriptedSocket implements DatagramSocket {
  readonly address: Address;
  readonly joinErrors = [];
  readonly dropped = 0;
  readonly sent: { data: Uint8Array; to: Address }[] = [];
  readonly #script: (Datagram | Error)[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(hostname: string) {
    this.address = { hostname, port: 3486 };
  }

  /** The network that has only this socket. */
  get transport(): Transport {
    const none = () => Promise.reject(new TypeError("There are only datagrams here"));
    return { listen: none, connect: none, datagram: () => Promise.resolve(this) };
  }

  /** How much of what was pushed was not received yet. */
  get unread(): number {
    return this.#script.length;
  }

  /** What `receive` gives, or throws, next. */
  push(next: Datagram | Error): void {
    this.#script.push(next);
    this.#waiting?.resolve();
  }

  send(data: Uint8Array, to: Address): Promise<void> {
    this.sent.push({ data: data.slice(), to });
    return Promise.resolve();
  }

  async receive(): Promise<Datagram | undefined> {
    while (!this.#closed) {
      const next = this.#script.shift();
      if (next instanceof Error) throw next;
      if (next !== undefined) return next;
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    return undefined;
  }

  close(): void {
    this.#closed = true;
    this.#waiting?.resolve();
  }
}

/** A packet of the service code for requests. */
export function packetOf(
  header: string,
  msgId: number,
  body: MessageBody,
): Uint8Array<ArrayBuffer> {
  const payload = encodeWireData(wireData(header, body, { msgId }));
  return encodeDatagram(SERVICE_CODE.requests, payload);
}

function closed(): never {
  throw new Error("The socket closed");
}
