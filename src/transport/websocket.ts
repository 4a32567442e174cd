/**
 * WebSockets, as clients and in an HTTP server.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { messageLimits, type MessageSocketOptions, NativeMessageSocket } from "./message_socket.ts";
import { permissionError, reasonOf } from "./socket_error.ts";
import type { Address, ConnectOptions, MessageSocket } from "./transport.ts";

/** How to connect a WebSocket. */
export interface ConnectWebSocketOptions extends ConnectOptions, MessageSocketOptions {
  /** Sub-protocols to offer, best first. @default {[]} */
  protocols?: readonly string[];
  /** Certificates of authorities, in PEM, that are trusted beside those of the system, for `wss:`. @default {[]} */
  caCerts?: readonly string[];
}

/** How to accept a WebSocket. */
export interface UpgradeWebSocketOptions extends MessageSocketOptions {
  /** The sub-protocol that was chosen from those the client offers. */
  protocol?: string;
  /** Half of this silence makes a ping; all of it without an answer ends the connection. 0 for never. @default {30000} */
  idleTimeoutMs?: number;
}

/** A WebSocket that was accepted, and the response that the HTTP handler has to return for it. */
export interface UpgradedWebSocket {
  /** Usable at once: what is sent before the response is out waits for it. */
  readonly socket: MessageSocket;
  /** What completes the handshake. */
  readonly response: Response;
}

/**
 * Connects a WebSocket.
 *
 * @example
 * ```ts
 * import { connectWebSocket, serveHttp, upgradeWebSocket } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const server = await serveHttp((request, remote) => {
 *   const { socket, response } = upgradeWebSocket(request, remote);
 *   socket.receive().then((text) => socket.send(`you said ${text}`)).catch(() => {}); // gone
 *   return response;
 * }, { hostname: "127.0.0.1" });
 *
 * const socket = await connectWebSocket(`ws://127.0.0.1:${server.address.port}`);
 * await socket.send("hello");
 * assertEquals(await socket.receive(), "you said hello");
 * socket.close();
 * await socket.closed;
 * await server.close();
 * ```
 *
 * @throws {TransportError} when nobody answers there, or not as a WebSocket.
 * @throws {UnsupportedError} when the program may not connect there.
 * @throws {TypeError} when `url` is no WebSocket URL, or one of `caCerts` is no certificate.
 */
export async function connectWebSocket(
  url: string | URL,
  options: ConnectWebSocketOptions = {},
): Promise<MessageSocket> {
  const { signal, protocols = [], caCerts = [] } = options;
  signal?.throwIfAborted();
  // The runtime would pass over what is none, and trust as before.
  if (!caCerts.every((text) => text.includes("-----BEGIN CERTIFICATE-----"))) {
    throw new TypeError("Cannot connect WebSocket: caCerts holds a text without a certificate");
  }
  const limits = messageLimits(options);
  const remote = addressOf(url);
  // A client of the runtime's own is needed to trust more than it does, and only until the handshake is over.
  using client = caCerts.length > 0 ? Deno.createHttpClient({ caCerts: [...caCerts] }) : undefined;
  const native = openNative(url, { protocols: [...protocols], ...(client && { client }) }, remote);
  const socket = new NativeMessageSocket(native, "client", remote, limits);
  await socket.established(signal);
  return socket;
}

/**
 * Accepts a WebSocket in an HTTP handler.
 *
 * @example
 * ```ts
 * import { connectWebSocket, serveHttp, upgradeWebSocket } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const server = await serveHttp((request, remote) => {
 *   if (new URL(request.url).pathname !== "/sync") return new Response("try /sync\n");
 *   const { socket, response } = upgradeWebSocket(request, remote);
 *   socket.send("welcome").catch(() => {}); // gone already
 *   return response;
 * }, { hostname: "127.0.0.1" });
 *
 * const socket = await connectWebSocket(`ws://127.0.0.1:${server.address.port}/sync`);
 * assertEquals(await socket.receive(), "welcome");
 * socket.close();
 * await socket.closed;
 * await server.close();
 * ```
 *
 * @param remote Where the request came from.
 * @throws {InvalidPacketError} `bad-message`, when the request does not ask for a WebSocket.
 */
export function upgradeWebSocket(
  request: Request,
  remote: Address,
  options: UpgradeWebSocketOptions = {},
): UpgradedWebSocket {
  const { protocol, idleTimeoutMs = 30_000 } = options;
  const limits = messageLimits(options);
  const { socket, response } = upgradeNative(request, {
    idleTimeout: idleTimeoutMs / 1000,
    ...(protocol === undefined ? {} : { protocol }),
  });
  return { socket: new NativeMessageSocket(socket, "server", remote, limits), response };
}

function openNative(url: string | URL, options: WebSocketOptions, remote: Address): WebSocket {
  try {
    return new WebSocket(url, options);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw permissionError("connect WebSocket to", remote, error);
    }
    throw new TypeError(`Cannot connect WebSocket: ${reasonOf(error)}`, { cause: error });
  }
}

function upgradeNative(
  request: Request,
  options: Deno.UpgradeWebSocketOptions,
): Deno.WebSocketUpgrade {
  try {
    return Deno.upgradeWebSocket(request, options);
  } catch (cause) {
    throw new InvalidPacketError(
      "bad-message",
      `Cannot accept WebSocket: ${reasonOf(cause)}`,
      { cause },
    );
  }
}

function addressOf(url: string | URL): Address {
  const parsed = URL.parse(url);
  if (parsed === null) throw new TypeError("Cannot connect WebSocket: the URL is not valid");
  const { hostname, port, protocol } = parsed;
  const usual = protocol === "wss:" || protocol === "https:" ? 443 : 80;
  return {
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? usual : Number(port),
  };
}
