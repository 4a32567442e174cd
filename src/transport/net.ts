/**
 * Real sockets as one {@linkcode Transport}.
 *
 * @module
 */

import { connectTcp, listenTcp } from "./tcp.ts";
import type { Transport } from "./transport.ts";
import { openDatagram } from "./udp.ts";

/**
 * The network of this machine: TCP and UDP.
 *
 * @example
 * ```ts
 * import { netTransport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = await netTransport.listen({ hostname: "127.0.0.1" });
 * const connection = await netTransport.connect(listener.address);
 * assertEquals(connection.remote, listener.address);
 * connection.close();
 * listener.close();
 * ```
 */
export const netTransport: Transport = {
  listen: listenTcp,
  connect: connectTcp,
  datagram: openDatagram,
};
