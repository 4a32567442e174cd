/**
 * The web port: native connections over WebSocket, beside whatever else is served over HTTP.
 *
 * A WebSocket at `/kith` carries the same bytes as a TCP connection, preface, handshake and frames, in binary messages
 * whose borders mean nothing. Other parts take the WebSockets of other paths.
 *
 * @module
 */

import { layerLog, printable } from "../log.ts";
import { type HttpServer, serveHttp, type TlsIdentity } from "../transport/http.ts";
import { asConnection } from "../transport/message_connection.ts";
import type { Address, MessageSocket } from "../transport/transport.ts";
import {
  connectWebSocket,
  type UpgradedWebSocket,
  upgradeWebSocket,
  type UpgradeWebSocketOptions,
} from "../transport/websocket.ts";
import type { ConnectLinkOptions } from "./dialer.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Link } from "./link.ts";
import { listenAt } from "./listen.ts";
import { withinTime } from "./within_time.ts";

/** The port for HTTP and WebSocket unless told otherwise; a busy one means the next free one. */
export const DEFAULT_HTTP_PORT = 3488;

/** Where native connections come in. */
export const WEB_PATH = "/kith";

const NOTHING_HERE = `Nothing is here: a WebSocket at ${WEB_PATH} speaks kith\n`;

/** Time until what is connected to says that it speaks WebSocket, as long as a handshake may take. */
const UPGRADE_MS = 6_000;

/** How long those who are connected may take to agree that the port closes. */
const LAST_WORDS_MS = 1_000;

/** What a {@linkcode WebPort} needs. */
export interface WebPortOptions {
  /** Address to listen on. @default every address of the machine, IPv6 and IPv4 */
  hostname?: string | undefined;
  /** Port, 0 for any. @default {3488 or the next free one} */
  port?: number | undefined;
  /** Serves `https:` and `wss:`. @default {http: and ws:} */
  tls?: TlsIdentity | undefined;
}

/** Accepts the WebSocket that is asked for; when the port closes it is closed, too. @throws as `upgradeWebSocket`. */
export type Upgrade = (options?: UpgradeWebSocketOptions) => UpgradedWebSocket;

/**
 * Answers whoever asks for a WebSocket at a path, with the response of {@linkcode Upgrade} or a refusal. Whether a page
 * of another site asks is for the taker to see.
 */
export type WebTaker = (request: Request, remote: Address, upgrade: Upgrade) => Response;

/** Answers a plain request at a path. Whether a page of another site asks is for it to see. */
export type WebAnswerer = (request: Request, remote: Address) => Response;

/**
 * Serves an endpoint over HTTP; see the module.
 *
 * @example
 * ```ts
 * import { Endpoint, WebPort } from "@kith/kith/endpoint";
 * import { netTransport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: netTransport, self, clientOnly: true });
 * await using web = await WebPort.open(endpoint, { hostname: "127.0.0.1", port: 0 });
 * using path = web.serve("/hello", () => new Response("hello"));
 * const response = await fetch(`http://127.0.0.1:${web.address.port}/hello`);
 * assertEquals(await response.text(), "hello");
 * ```
 */
export class WebPort implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #server: HttpServer;
  readonly #visitors: Visitors;

  private constructor(endpoint: Endpoint, server: HttpServer, visitors: Visitors) {
    this.#endpoint = endpoint;
    this.#server = server;
    this.#visitors = visitors;
  }

  /**
   * Starts to serve.
   *
   * @throws {TransportError} when a port that was asked for is taken or may not be used.
   */
  static async open(endpoint: Endpoint, options: WebPortOptions = {}): Promise<WebPort> {
    const { hostname, port, tls } = options;
    const visitors = new Visitors(endpoint);
    const place = { hostname, port, defaultPort: DEFAULT_HTTP_PORT };
    const server = await listenAt(place, (hostname, port) => {
      const logger = layerLog(endpoint.log, "transport");
      return serveHttp((request, remote) => visitors.answer(request, remote), {
        hostname,
        port,
        logger,
        tls,
      });
    });
    endpoint.webPort = server.address.port;
    return new WebPort(endpoint, server, visitors);
  }

  /** Where it listens. */
  get address(): Address {
    return this.#server.address;
  }

  /**
   * Takes the WebSockets that are asked for at a path; other requests there are answered as before.
   *
   * @param path Such as `/page`, exactly as it stands in the request; or `/page/*` for all that have one more name behind
   * it. @returns what gives the path back.
   * @throws {TypeError} when somebody has the path already.
   */
  take(path: string, taker: WebTaker): Disposable {
    return this.#visitors.take(path, taker);
  }

  /**
   * Answers the plain requests at a path, those that ask for no WebSocket; others there are answered as before.
   *
   * @param path Such as `/metrics`, exactly as it stands in the request. @returns what gives the path back.
   * @throws {TypeError} when somebody has the path already, and for that of native connections.
   */
  serve(path: string, answerer: WebAnswerer): Disposable {
    return this.#visitors.serve(path, answerer);
  }

  /** Closes the port and the links on it, within a second or so. Harmless when closed. */
  async close(): Promise<void> {
    if (this.#endpoint.webPort === this.address.port) this.#endpoint.webPort = undefined;
    await this.#visitors.leave();
    await this.#server.close();
  }

  /** The same as {@linkcode WebPort.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Connects to a peer's web port.
 *
 * @example
 * ```ts
 * import { connectWeb, Endpoint, WebPort } from "@kith/kith/endpoint";
 * import { netTransport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const self = { name: "", capabilities: [], agent: "example" };
 * const options = { transport: netTransport, self, clientOnly: true };
 * await using bob = await Endpoint.open(options);
 * bob.handle("greet", ({ name }) => `hello, ${name}`);
 * await using web = await WebPort.open(bob, { hostname: "127.0.0.1", port: 0 });
 *
 * await using alice = await Endpoint.open(options);
 * await using link = await connectWeb(alice, `ws://127.0.0.1:${web.address.port}`);
 * assertEquals(await link.request("greet", { name: "alice" }), "hello, alice");
 * ```
 *
 * @param url Such as `ws://127.0.0.1:3488/kith`; without a path that one is meant.
 * @throws as `Endpoint.connect`. @throws {TypeError} when it is no WebSocket URL.
 */
export async function connectWeb(
  endpoint: Endpoint,
  url: string | URL,
  options: ConnectLinkOptions = {},
): Promise<Link> {
  const target = webTarget(url);
  const late = new AbortController();
  const signals = [endpoint.signal, late.signal];
  if (options.signal !== undefined) signals.push(options.signal);
  const signal = AbortSignal.any(signals);
  const connecting = { close: () => late.abort() };
  const socket = await withinTime(connecting, endpoint.clock, UPGRADE_MS, () => {
    return connectWebSocket(target, { signal });
  });
  return await endpoint.attach(asConnection(socket), { ...options, via: "websocket" });
}

/** Who asks for something at the port, and the WebSockets of those who were let in. */
class Visitors {
  readonly #endpoint: Endpoint;
  readonly #takers = new Map<string, WebTaker>();
  readonly #answerers = new Map<string, WebAnswerer>();
  readonly #sockets = new Set<MessageSocket>();
  #closed = false;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  take(path: string, taker: WebTaker): Disposable {
    return register(this.#takers, path, taker);
  }

  serve(path: string, answerer: WebAnswerer): Disposable {
    return register(this.#answerers, path, answerer);
  }

  answer(request: Request, remote: Address): Response {
    const { pathname } = new URL(request.url);
    const isPlain = !asksForWebSocket(request);
    const answerer = isPlain ? this.#answerers.get(pathname) : undefined;
    if (answerer !== undefined) return answerer(request, remote);
    const taker = isPlain ? undefined : this.#takerOf(pathname);
    if (taker === undefined && pathname !== WEB_PATH) {
      return new Response(NOTHING_HERE, { status: 404 });
    }
    if (this.#closed) return new Response("Closing\n", { status: 503 });
    const upgrade: Upgrade = (options) => this.#upgrade(request, remote, options);
    if (taker !== undefined) return taker(request, remote, upgrade);
    // A page of another site must not use a visitor's peer: browsers say where a page is from, programs do not.
    const origin = request.headers.get("origin");
    if (origin !== null && !isOurOrigin(origin, request.headers.get("host"))) {
      this.#endpoint.metrics.counter("accept.refused.origin").add();
      return new Response("Cross-origin connections are not allowed\n", { status: 403 });
    }
    // The heartbeat of the link does what the socket's own would.
    const { socket, response } = upgrade({ idleTimeoutMs: 0 });
    this.#endpoint.adopt(asConnection(socket), "websocket");
    return response;
  }

  #takerOf(path: string): WebTaker | undefined {
    const above = path.slice(0, path.lastIndexOf("/"));
    return this.#takers.get(path) ?? this.#takers.get(`${above}/*`);
  }

  /** Lets nobody in any more and closes the WebSockets; those that do not agree to it in time are left open. */
  async leave(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#sockets) socket.close();
    const late = Promise.withResolvers<void>();
    const timer = this.#endpoint.clock.after(LAST_WORDS_MS, late.resolve);
    await Promise.race([Promise.all([...this.#sockets].map(({ closed }) => closed)), late.promise]);
    timer.cancel();
  }

  #upgrade(
    request: Request,
    remote: Address,
    options: UpgradeWebSocketOptions = {},
  ): UpgradedWebSocket {
    const upgraded = upgradeWebSocket(request, remote, options);
    const { socket } = upgraded;
    this.#sockets.add(socket);
    void socket.closed.then(() => this.#sockets.delete(socket));
    return upgraded;
  }
}

/** Has somebody answer at a path. @throws {TypeError} when somebody does already. */
function register<T>(all: Map<string, T>, path: string, one: T): Disposable {
  if (path === WEB_PATH || all.has(path)) {
    throw new TypeError(`Cannot take web path ${printable(path, 80)}: somebody has it already`);
  }
  all.set(path, one);
  return {
    [Symbol.dispose]: () => {
      if (all.get(path) === one) all.delete(path);
    },
  };
}

function asksForWebSocket({ headers }: Request): boolean {
  return headers.get("upgrade")?.toLowerCase() === "websocket";
}

function webTarget(url: string | URL): URL {
  const target = new URL(url);
  // The runtime would take `http:` for `ws:`.
  if (target.protocol !== "ws:" && target.protocol !== "wss:") {
    const scheme = printable(target.protocol, 20);
    throw new TypeError(`Cannot connect to a web port: ${scheme} is neither ws: nor wss:`);
  }
  if (target.pathname === "/") target.pathname = WEB_PATH;
  return target;
}

/**
 * Whether a page is from this very port. Its host must be an address or `localhost`: a name of its own can be made to
 * lead here by whoever owns it, and the page would pass for ours.
 */
export function isOurOrigin(origin: string, host: string | null): boolean {
  const parsed = URL.parse(origin);
  if (parsed === null || parsed.host !== host) return false;
  return /^(\d+\.\d+\.\d+\.\d+|\[.*\]|localhost)$/.test(parsed.hostname);
}
