/**
 * Requests over UDP: the same messages and handlers as on connections, without a connection.
 *
 * A message is one packet of service code 0x14. Beside the headers of a link (see `link.ts`; those of answers in parts
 * are not used) there are two more:
 *
 * | header   | code | id     | body        |                                                                         |
 * |----------|------|--------|-------------|-------------------------------------------------------------------------|
 * | `:retry` | 0x1e | its id | `{ t }`     | prove your address: ask again with this token (see `address_proofs.ts`) |
 * | `:pad`   | 0x14 | its id | `{ bytes }` | the answer has that many bytes, more than three times as many as your packet |
 *
 * **Proof.** Whatever may be answered or reach a handler, requests, messages without an answer and `:ping` alike, carries
 * a token that proves that its sender receives what is sent to its address. Before that, all that is sent to an address
 * is a `:retry`, never larger than the packet it answers, and nothing is kept, queued or handled for it. An id of 0 gets
 * none, so who sends a message without an answer asks for a token by a `:ping` first. A `:cancel` needs no token: nothing
 * answers it, and it has the id of a request that had one.
 *
 * **Promised.** A request is sent again until it is answered or its time is over. Its handler runs once all the same:
 * repetitions find it at work, or its answer, which is kept for 30 s unless 16,384 later answers, or 2 MiB of them, come
 * first. An answer counts only with the id of the request, 53 random bits, and from the address that was asked. Nothing
 * that we send in answer is more than three times as large as the packet it answers. A caller whose answer is larger is
 * told so, and asks again with a padded packet, which costs it a round trip; so does the token, once a minute or two.
 *
 * **Not promised.** That a message without an answer arrives, or arrives once. Who asks: an address is no identity, so
 * what must know its caller wants a connection. That a packet of more than 1,200 bytes arrives: networks lose large ones
 * more often. Order.
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
import { AddressProofs, ProofDemand, RETRY_HEADER } from "./address_proofs.ts";
import { DatagramIncoming } from "./datagram_incoming.ts";
import { DatagramOutgoing, type DatagramRequestOptions } from "./datagram_outgoing.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Priority } from "./inbox.ts";
import type { RequestEvent, RequestsDispatcher } from "./requests_dispatcher.ts";
import type { RequestsEndPoint } from "./requests_endpoint.ts";
import { Tracing } from "./tracing.ts";

/** Answers kept for who asks again, unless told otherwise. */
export const MAX_REPLIES = 32_768;

/** What {@linkcode DatagramCalls} need. */
export interface DatagramCallsOptions {
  /** The port that packets leave by. */
  endpoint: RequestsEndPoint;
  /** Where what comes in on that port is handed out; its codes 0x14 and 0x1e must be free. */
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
  /**
   * Whether addresses are proven before anything is done for them. Both sides must agree. Without it code 0x1e stays
   * free; that is for networks whose packets are sealed with a secret key, so that nobody else sends any.
   *
   * @default {true}
   */
  proveAddresses?: boolean;
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
  readonly #demand: ProofDemand | undefined;
  readonly #registrations: Disposable;
  // Between being found to lack proof and being taken, which follows at once.
  #unproven: RequestEvent | undefined;
  // The last that was found to be numeric: most requests go where the one before went.
  #lastHostname = "";
  readonly #encoder = new Encoder({ initialBytes: SHARED_BYTES });

  /** Starts to answer. @throws {TypeError} when somebody takes its codes already. */
  constructor(options: DatagramCallsOptions) {
    const { endpoint, requests, dispatcher, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics(), maxReplies = MAX_REPLIES } = options;
    this.#endpoint = endpoint;
    this.#dispatcher = dispatcher;
    this.#metrics = metrics;
    const encode = (header: string, id: number, body: MessageBody) =>
      this.#encode(header, id, body);
    const decode = (packet: Uint8Array) => decodeWireData(packet.subarray(HEADER_BYTES));
    const deliver = (packet: Uint8Array, to: Address) => endpoint.sendPacket(packet, to);
    const onSendError = () => metrics.counter("requests.send-errors").add();
    const send = (packet: Uint8Array, to: Address) => void deliver(packet, to).catch(onSendError);
    const proofs = options.proveAddresses ?? true ? new AddressProofs(clock) : undefined;
    this.#demand = proofs && new ProofDemand({ clock, metrics, send });
    const tracing = new Tracing(log, clock);
    this.#outgoing = new DatagramOutgoing({
      clock,
      tracing,
      metrics,
      encode,
      decode,
      send: deliver,
      proofs,
    });
    this.#incoming = new DatagramIncoming({
      dispatcher,
      clock,
      log,
      tracing,
      metrics,
      maxReplies,
      encode,
      send,
    });
    using registrations = new DisposableStack();
    if (proofs !== undefined) {
      const retry = (event: RequestEvent) => this.#takeRetry(event);
      registrations.use(requests.register(SERVICE_CODE.retryToken, retry, { urgent: () => true }));
    }
    registrations.use(
      requests.register(SERVICE_CODE.requests, (event) => this.#take(event), {
        priority: (event) => this.#priorityOf(event),
        urgent: (event) => this.#isUrgent(event),
      }),
    );
    this.#registrations = registrations.move();
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
    if (this.#isNumeric(to)) return this.#outgoing.request(to, header, body, options);
    return Promise.reject(wantsNumber(to));
  }

  /**
   * Sends a message that wants no answer, once, after a `:ping` where there is no proof of our address to send along.
   *
   * @returns when it has left, which says nothing about arrival.
   * @throws as {@linkcode DatagramCalls.request}, {@linkcode TimeoutError} only when nobody answers the `:ping`.
   */
  async notify(to: Address, header: string, body: MessageBody): Promise<void> {
    if (!this.#isNumeric(to)) throw wantsNumber(to);
    await this.#outgoing.notify(to, header, body);
  }

  /** Rejects what waits, tells the handlers, and answers nothing more. The port stays open. Harmless when closed. */
  close(): void {
    this.#registrations[Symbol.dispose]();
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

  // What lacks proof must not fill an inbox that others share with whoever forges their address.
  #isUrgent(event: RequestEvent): boolean {
    if (isControl(event.request)) return true;
    if (this.#demand === undefined || this.#demand.isMet(event)) return false;
    this.#unproven = event;
    return true;
  }

  #take(event: RequestEvent): Promise<void> | undefined {
    const { request } = event;
    if (!isNative(request)) throw new TypeError("An event of code 0x14 carries a native message");
    if (isControl(request)) {
      this.#control(event, request);
    } else if (event === this.#unproven) {
      this.#unproven = undefined;
      this.#demand?.make(event, request.msgId);
    } else {
      return this.#incoming.take(event, request);
    }
    return undefined;
  }

  #control(event: RequestEvent, message: NativeMessage): void {
    const { header, msgId } = message;
    if (header === ":ok" || header === ":error" || header === ":pad") {
      this.#outgoing.settle(message, event.fromAddr);
    } else if (header === ":cancel") {
      this.#incoming.cancel(event, msgId);
    } else if (header !== ":ping") {
      this.#metrics.counter("requests.unknown-control").add();
    } else if (this.#demand === undefined || this.#demand.isMet(event)) {
      this.#incoming.pong(event, msgId);
    } else {
      this.#demand.make(event, msgId);
    }
  }

  #takeRetry({ request, fromAddr }: RequestEvent): void {
    if (!isNative(request)) throw new TypeError("An event of code 0x1e carries a native message");
    if (request.header === RETRY_HEADER) return this.#outgoing.retry(request, fromAddr);
    this.#metrics.counter("requests.unknown-control").add();
  }

  /** Whether an address is one that answers can be compared with, or such comparisons work with names here. */
  #isNumeric({ hostname }: Address): boolean {
    if (hostname === this.#lastHostname) return true;
    if (isName(hostname) && !isName(this.#endpoint.address.hostname)) return false;
    this.#lastHostname = hostname;
    return true;
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

function wantsNumber({ hostname }: Address): TypeError {
  const name = printable(hostname, 80);
  return new TypeError(`Cannot request of "${name}" over UDP: give its address, not a name`);
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
