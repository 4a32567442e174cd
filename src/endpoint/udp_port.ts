/**
 * The UDP port of an endpoint: requests without a connection, to the same handlers, and whatever else has a service code
 * of its own.
 *
 * @module
 */

import type { Address, Transport } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { DatagramCalls } from "./datagram_calls.ts";
import type { DatagramRequestOptions } from "./datagram_outgoing.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Endpoint } from "./endpoint.ts";
import { RequestsDispatcher } from "./requests_dispatcher.ts";
import { type BareHandler, RequestsEndPoint } from "./requests_endpoint.ts";
import type { Traffic } from "./traffic.ts";

/** How to open a {@linkcode UdpPort}. */
export interface UdpPortOptions {
  /** The network. */
  transport: Transport;
  /** Address to bind. @default every IPv4 address of the machine */
  hostname?: string | undefined;
  /** Port, 0 for any. @default {0} */
  port?: number | undefined;
  /** Only ask: none of the endpoint's handlers is reached. @default {false} */
  clientOnly?: boolean;
  /** As in `DatagramCallsOptions`. @default {true} */
  proveAddresses?: boolean;
}

/**
 * An endpoint's UDP port; see the module.
 *
 * @example
 * ```ts
 * import { Endpoint, UdpPort } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * const [a, b] = [network.host("a"), network.host("b")];
 * await using alice = await Endpoint.open({ transport: a, self, clientOnly: true });
 * await using bob = await Endpoint.open({ transport: b, self, clientOnly: true });
 * bob.handle("greet", ({ name }) => `hello, ${name}`);
 *
 * await using from = await UdpPort.open(alice, { transport: a });
 * await using to = await UdpPort.open(bob, { transport: b });
 * assertEquals(await from.request(to.address, "greet", { name: "alice" }), "hello, alice");
 * ```
 */
export class UdpPort implements AsyncDisposable {
  /** Who takes the events of which service code. */
  readonly requests: RequestsDispatcher;
  readonly #port: RequestsEndPoint;
  readonly #calls: DatagramCalls;

  private constructor(requests: RequestsDispatcher, port: RequestsEndPoint, calls: DatagramCalls) {
    this.requests = requests;
    this.#port = port;
    this.#calls = calls;
  }

  /**
   * Opens the port, and serves the endpoint's handlers on it.
   *
   * @throws {TransportError} when the port is taken or the address is not ours.
   * @throws {UnsupportedError} when the program may not listen there.
   */
  static async open(endpoint: Endpoint, options: UdpPortOptions): Promise<UdpPort> {
    const { clock, log, metrics, slots, turns, recorder } = endpoint;
    const dispatcher = options.clientOnly ? new Dispatcher() : endpoint.dispatcher;
    const requests = new RequestsDispatcher({ slots, turns, log, metrics });
    const port = await RequestsEndPoint.open({
      transport: options.transport,
      dispatcher: requests,
      clock,
      log,
      metrics,
      turns,
      recorder,
      ...(isWildcard(options.hostname) ? {} : { hostname: options.hostname }),
      ...(options.port === undefined ? {} : { port: options.port }),
    });
    const common = { endpoint: port, requests, dispatcher, clock, log, metrics };
    const calls = new DatagramCalls({ ...common, proveAddresses: options.proveAddresses ?? true });
    return new UdpPort(requests, port, calls);
  }

  /** Where it is bound, with the real port. */
  get address(): Address {
    return this.#port.address;
  }

  /** What went in and out, packets of every kind. */
  get traffic(): Traffic {
    return this.#port.traffic;
  }

  /** Sends a request, again and again until its answer comes. @throws as `DatagramCalls.request`. */
  request(
    to: Address,
    header: string,
    body: MessageBody,
    options?: DatagramRequestOptions,
  ): Promise<unknown> {
    return this.#calls.request(to, header, body, options);
  }

  /** Sends a message that wants no answer, once. @throws as `DatagramCalls.notify`. */
  notify(to: Address, header: string, body: MessageBody): Promise<void> {
    return this.#calls.notify(to, header, body);
  }

  /** Sends a whole packet, as `encodeDatagram` makes it. @throws {TransportError | ClosedError} when it cannot leave. */
  send(packet: Uint8Array, to: Address): Promise<void> {
    return this.#port.sendPacket(packet, to);
  }

  /** Gives packets that are no messages to a handler. @throws {TypeError} as `RequestsEndPoint.takeBare`. */
  takeBare(handler: BareHandler): Disposable {
    return this.#port.takeBare(handler);
  }

  /** Closes the port; requests that wait are rejected. Harmless when closed. */
  async close(): Promise<void> {
    this.#calls.close();
    await this.#port.close();
    this.requests[Symbol.dispose]();
  }

  /** The same as {@linkcode UdpPort.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Both kinds of wildcard are the IPv4 one here: a datagram socket has one family. */
function isWildcard(hostname: string | undefined): hostname is undefined {
  return hostname === undefined || hostname === "::";
}
