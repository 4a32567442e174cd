/**
 * Requests over UDP: the same messages and handlers as on connections, without a connection.
 *
 * A message is one packet of service code 0x14. Beside the headers of a link (see `link.ts`; those of answers in parts
 * are not used) there is one more:
 *
 * | header | id     | body        |                                                                                 |
 * |--------|--------|-------------|---------------------------------------------------------------------------------|
 * | `:pad` | its id | `{ bytes }` | the answer has that many bytes, more than three times as many as your packet     |
 *
 * **Promised.** A request is sent again until it is answered or its time is over. Its handler runs once all the same:
 * repetitions find it at work, or its answer, which is kept for 30 s unless 16,384 later answers, or 2 MiB of them, come
 * first. An answer counts only with the id of the request, 53 random bits, and from the address that was asked. Nothing
 * that we send in answer is more than three times as large as the packet it answers, so whoever forges an address cannot
 * make us send there more than three times what it sends itself. A caller whose answer is larger is told so, and asks
 * again with a padded packet, which costs it a round trip.
 *
 * **Not promised.** That a message without an answer arrives, or arrives once. Who asks: addresses can be forged, so what
 * must know its caller wants a connection. That a packet of more than 1,200 bytes arrives: networks lose large ones more
 * often. Order.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import { MAX_DATAGRAM_OUT_BYTES, SERVICE_CODE, SOFT_DATAGRAM_BYTES } from "../wire/datagram.ts";
import { Encoder } from "../wire/encoder.ts";
import {
  decodeWireData,
  type MessageBody,
  type NativeMessage,
  type WireData,
  writeMessage,
} from "../wire/message.ts";
import { DatagramIncoming } from "./datagram_incoming.ts";
import { DatagramOutgoing, type DatagramRequestOptions } from "./datagram_outgoing.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Priority } from "./inbox.ts";
import type { RequestEvent, RequestsDispatcher } from "./requests_dispatcher.ts";
import type { RequestsEndPoint } from "./requests_endpoint.ts";

/** Answers kept for who asks again, unless told otherwise. */
export const MAX_REPLIES = 32_768;

/** What {@linkcode DatagramCalls} need. */
export interface DatagramCallsOptions {
  /** The port that packets leave by. */
  endpoint: RequestsEndPoint;
  /** Where what comes in on that port is handed out; its code 0x14 must be free. */
  requests: RequestsDispatcher;
  /** Who handles what, as on connections. Handlers that are `inline` are not offered. */
  dispatcher: Dispatcher;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Hears of handlers that fail. @default {silentLogger} */
  log?: Logger;
  /** Counts `requests.*`. @default {new Metrics()} */
  metrics?: Metrics;
  /** Answers kept for who asks again: at least as many as are given while a caller waits to do so. @default {32768} */
  maxReplies?: number;
}

const HEADER_BYTES = 5;
const NO_LENGTH = new Uint8Array(HEADER_BYTES - 1);
/** Packets share buffers of this size, each of which stays in memory as long as one of its packets is needed. */
const SHARED_BYTES = 8 * 1024;

/**
 * Calls over UDP, in both directions; see the module for what they promise.
 *
 * @example
 * ```ts
 * import { RequestsDispatcher, RequestsEndPoint } from "@kith/kith";
 * import { DatagramCalls, Dispatcher } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * async function open(name: string, dispatcher = new Dispatcher()) {
 *   const requests = new RequestsDispatcher();
 *   const transport = network.host(name);
 *   const endpoint = await RequestsEndPoint.open({ transport, dispatcher: requests });
 *   return { endpoint, calls: new DatagramCalls({ endpoint, requests, dispatcher }) };
 * }
 *
 * const greeter = new Dispatcher();
 * greeter.handle("greet", ({ name }) => `hello, ${name}`);
 * const alice = await open("alice", greeter);
 * const bob = await open("bob");
 * const answer = await bob.calls.request(alice.endpoint.address, "greet", { name: "bob" });
 * assertEquals(answer, "hello, bob");
 *
 * for (const { endpoint, calls } of [alice, bob]) {
 *   calls.close();
 *   await endpoint.close();
 * }
 * ```
 */
export class DatagramCalls implements Disposable {
  readonly #endpoint: RequestsEndPoint;
  readonly #dispatcher: Dispatcher;
  readonly #metrics: Metrics;
  readonly #outgoing: DatagramOutgoing;
  readonly #incoming: DatagramIncoming;
  readonly #registration: Disposable;
  // The last that was found to be numeric: most requests go where the one before went.
  #lastHostname = "";
  readonly #encoder = new Encoder({ initialBytes: SHARED_BYTES });

  /** Starts to answer. @throws {TypeError} when somebody takes code 0x14 already. */
  constructor(options: DatagramCallsOptions) {
    const { endpoint, requests, dispatcher, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics(), maxReplies = MAX_REPLIES } = options;
    this.#endpoint = endpoint;
    this.#dispatcher = dispatcher;
    this.#metrics = metrics;
    const encode = (header: string, id: number, body: MessageBody) =>
      this.#encode(header, id, body);
    const send = (packet: Uint8Array, to: Address) => endpoint.sendPacket(packet, to);
    const decode = (packet: Uint8Array) => decodeWireData(packet.subarray(HEADER_BYTES));
    this.#outgoing = new DatagramOutgoing({ clock, metrics, encode, decode, send });
    const onSendError = () => metrics.counter("requests.send-errors").add();
    this.#incoming = new DatagramIncoming({
      dispatcher,
      clock,
      log,
      metrics,
      maxReplies,
      encode,
      send: (packet, to) => void endpoint.sendPacket(packet, to).catch(onSendError),
    });
    this.#registration = requests.register(SERVICE_CODE.requests, (event) => this.#take(event), {
      priority: (event) => this.#priorityOf(event),
      urgent: ({ request }) => isControl(request),
    });
  }

  /** How many requests wait for their answers. */
  get inFlight(): number {
    return this.#outgoing.size;
  }

  /**
   * Sends a request, again and again until its answer comes.
   *
   * @param to Numeric, because that is what the answer's address is compared with.
   * @throws {RemoteError} with the code and message of the other side's error; `too-large` when its answer fits no packet.
   * @throws {TimeoutError} after `timeoutMs`. @throws {ClosedError} when the calls are closed first.
   * @throws {InvalidPacketError} `too-large` for a request of more than 64,512 bytes.
   * @throws {LimitError} when 65,536 requests are in flight. @throws {TransportError} when the packet cannot leave.
   * @throws {TypeError} for a host name. @throws {RangeError} for a time out of range.
   */
  request(
    to: Address,
    header: string,
    body: MessageBody,
    options: DatagramRequestOptions = {},
  ): Promise<unknown> {
    const { hostname } = to;
    if (hostname !== this.#lastHostname) {
      if (isName(hostname) && !isName(this.#endpoint.address.hostname)) {
        const text = `Cannot request of "${hostname}" over UDP: give its address, not a name`;
        return Promise.reject(new TypeError(text));
      }
      this.#lastHostname = hostname;
    }
    return this.#outgoing.request(to, header, body, options);
  }

  /**
   * Sends a message that wants no answer, once. @returns when it has left, which says nothing about arrival.
   *
   * @throws as {@linkcode DatagramCalls.request}, as far as it concerns sending.
   */
  async notify(to: Address, header: string, body: MessageBody): Promise<void> {
    await this.#endpoint.sendPacket(this.#encode(header, 0, body), to);
  }

  /** Rejects what waits, tells the handlers, and answers nothing more. The port stays open. Harmless when closed. */
  close(): void {
    this.#registration[Symbol.dispose]();
    this.#outgoing.close();
    this.#incoming.close();
  }

  /** The same as {@linkcode DatagramCalls.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  // What nobody takes is refused at once, whatever its place; that needs none before the others.
  #priorityOf({ request: { header } }: RequestEvent): Priority {
    return this.#dispatcher.find(String(header))?.priority ?? "request";
  }

  #take(event: RequestEvent): Promise<void> | undefined {
    const { request } = event;
    if (!isNative(request)) throw new TypeError("An event of code 0x14 carries a native message");
    if (!isControl(request)) return this.#incoming.take(event, request);
    const { header, msgId } = request;
    if (header === ":ok" || header === ":error" || header === ":pad") {
      this.#outgoing.settle(request, event.fromAddr);
    } else if (header === ":cancel") {
      this.#incoming.cancel(event, msgId);
    } else if (header === ":ping") {
      this.#incoming.pong(event, msgId);
    } else {
      this.#metrics.counter("requests.unknown-control").add();
    }
    return undefined;
  }

  /** Makes a packet, encoded where it stays. @throws {InvalidPacketError} `too-large`. */
  #encode(header: string, id: number, body: MessageBody): Uint8Array {
    const encoder = this.#encoder;
    const { bytes, length: start } = encoder;
    if (bytes.length - start < SOFT_DATAGRAM_BYTES || bytes.length > SHARED_BYTES) {
      encoder.replaceBuffer(new Uint8Array(SHARED_BYTES));
      return this.#encode(header, id, body);
    }
    try {
      encoder.byte(SERVICE_CODE.requests);
      encoder.raw(NO_LENGTH);
      writeMessage(encoder, header, id, body);
      const payloadBytes = encoder.length - start - HEADER_BYTES;
      if (payloadBytes > MAX_DATAGRAM_OUT_BYTES) throw tooLarge(header, payloadBytes);
      encoder.patchUint32(start + 1, payloadBytes);
    } catch (error) {
      encoder.truncate(start);
      throw error;
    }
    return encoder.bytes.subarray(start, encoder.length);
  }
}

/** Whether a message is about a request and not one. */
function isControl({ header }: WireData): boolean {
  return typeof header === "string" && header.charCodeAt(0) === 0x3a;
}

// Those of the port are; but anybody may submit an event.
function isNative(message: WireData): message is NativeMessage {
  return typeof message.header === "string" && typeof message.msgId === "number";
}

function isName(hostname: string): boolean {
  return !hostname.includes(":") && !/^[\d.]+$/.test(hostname);
}

function tooLarge(header: string, got: number): InvalidPacketError {
  const what = header === ":ok" || header === ":error"
    ? "the answer"
    : `"${printable(header, 64)}"`;
  return new InvalidPacketError(
    "too-large",
    `Cannot send ${what}: ${got} bytes exceed maxDatagramOutBytes ${MAX_DATAGRAM_OUT_BYTES}, ask over TCP`,
    { details: { limit: "maxDatagramOutBytes", max: MAX_DATAGRAM_OUT_BYTES, got } },
  );
}
