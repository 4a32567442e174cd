/**
 * The HTTP server that hubs and status pages sit on; a handler accepts WebSockets with `upgradeWebSocket`.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import { assertPort, fromRuntimeAddress, printableAddress, zoneOf } from "./socket_address.ts";
import { reasonOf, socketError } from "./socket_error.ts";
import type { Address, ListenOptions } from "./transport.ts";

/** How long requests that are being answered may take to finish when the server closes. */
const GRACE_MS = 5000;

/** Answers a request that came from `remote`. */
export type HttpHandler = (request: Request, remote: Address) => Response | Promise<Response>;

/** A running HTTP server. */
export interface HttpServer {
  /** Where it listens, with the real port. */
  readonly address: Address;
  /**
   * Stops listening and waits, 5 s at most, for requests that are being answered. WebSockets accepted on it break:
   * whoever has some closes them first. Harmless when closed.
   */
  close(): Promise<void>;
}

/**
 * Serves HTTP. A handler that throws answers 400 when the request broke the format (`InvalidPacketError`), else 500 and
 * a line in the log; the caller is told no more than that.
 *
 * @example
 * ```ts
 * import { serveHttp } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const server = await serveHttp(() => new Response("ok"), { hostname: "127.0.0.1" });
 * const response = await fetch(`http://127.0.0.1:${server.address.port}/`);
 * assertEquals(await response.text(), "ok");
 * await server.close();
 * ```
 *
 * @throws {TransportError} when the port is taken or the address is not ours.
 * @throws {UnsupportedError} when the program may not listen there.
 * @throws {RangeError} for a port that is none.
 */
export function serveHttp(handler: HttpHandler, options: ListenOptions = {}): Promise<HttpServer> {
  const { hostname = "0.0.0.0", port = 0, logger = silentLogger } = options;
  const zone = zoneOf(hostname);
  const onError = (error: unknown): Response => {
    if (error instanceof InvalidPacketError) return new Response("Bad Request\n", { status: 400 });
    logger.error("HTTP handler failed", { reason: reasonOf(error) });
    return new Response("Internal Server Error\n", { status: 500 });
  };
  return Promise.try(() => {
    assertPort(port, 0);
    const aborting = new AbortController();
    try {
      const server = Deno.serve(
        { hostname, port, signal: aborting.signal, onListen() {}, onError },
        (request, info) => handler(request, fromRuntimeAddress(info.remoteAddr, zone)),
      );
      const address = fromRuntimeAddress(server.addr, zone);
      logger.debug("HTTP server listens", { address: printableAddress(address) });
      return { address, close: () => shutDown(server, aborting) };
    } catch (error) {
      throw socketError("serve HTTP on", { hostname, port }, error);
    }
  });
}

async function shutDown(server: Deno.HttpServer, aborting: AbortController): Promise<void> {
  const timer = setTimeout(() => aborting.abort(), GRACE_MS);
  try {
    await server.shutdown();
  } finally {
    clearTimeout(timer);
  }
}
