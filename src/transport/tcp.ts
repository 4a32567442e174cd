/**
 * Byte connections over TCP.
 *
 * @module
 */

import { silentLogger } from "../log.ts";
import { assertPort, fromRuntimeAddress, zoneOf } from "./socket_address.ts";
import { socketError } from "./socket_error.ts";
import { StreamConnection, StreamListener } from "./stream_socket.ts";
import type { Address, Connection, ConnectOptions, Listener, ListenOptions } from "./transport.ts";

/**
 * Listens for TCP connections.
 *
 * @example
 * ```ts
 * import { connectTcp, listenTcp } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = await listenTcp({ hostname: "127.0.0.1" });
 * const client = await connectTcp(listener.address);
 * const server = await listener.accept();
 * await client.write(new TextEncoder().encode("hi"));
 * const into = new Uint8Array(16);
 * assertEquals(await server?.read(into), 2);
 * client.close();
 * server?.close();
 * listener.close();
 * ```
 *
 * @throws {TransportError} when the port is taken or the address is not ours.
 * @throws {UnsupportedError} when the program may not listen there.
 * @throws {RangeError} for a port that is none.
 */
export function listenTcp(options: ListenOptions = {}): Promise<Listener> {
  const { hostname = "0.0.0.0", port = 0, logger = silentLogger } = options;
  return Promise.try(() => {
    assertPort(port, 0);
    try {
      const listener = Deno.listen({ transport: "tcp", hostname, port });
      const zone = zoneOf(hostname);
      const address = fromRuntimeAddress(listener.addr, zone);
      return new StreamListener(listener, address, (conn) => take(conn, zone), logger);
    } catch (error) {
      throw socketError("listen on", { hostname, port }, error);
    }
  });
}

/**
 * Connects over TCP; a host name's addresses are tried one after another until one answers.
 *
 * @example
 * ```ts
 * import { connectTcp, listenTcp } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const listener = await listenTcp({ hostname: "127.0.0.1" });
 * const client = await connectTcp(listener.address);
 * const server = await listener.accept();
 * await server?.write(new TextEncoder().encode("hi"));
 * await server?.closeWrite();
 * const into = new Uint8Array(16);
 * assertEquals([await client.read(into), await client.read(into)], [2, null]);
 * client.close();
 * server?.close();
 * listener.close();
 * ```
 *
 * @throws {TransportError} when nobody answers there.
 * @throws {UnsupportedError} when the program may not connect there.
 * @throws {RangeError} for a port that is none.
 */
export async function connectTcp(to: Address, options: ConnectOptions = {}): Promise<Connection> {
  const { hostname, port } = to;
  const { signal } = options;
  assertPort(port, 1);
  try {
    const conn = await Deno.connect({
      transport: "tcp",
      hostname,
      port,
      ...(signal === undefined ? {} : { signal }),
    });
    return take(conn, zoneOf(hostname));
  } catch (error) {
    signal?.throwIfAborted();
    throw socketError("connect to", to, error);
  }
}

function take(conn: Deno.TcpConn, zone: string): Connection {
  try {
    conn.setNoDelay(true);
  } catch {
    // Some systems refuse this on a connection that is dead already. The first read says so.
  }
  const local = fromRuntimeAddress(conn.localAddr, zone);
  return new StreamConnection(conn, { local, remote: fromRuntimeAddress(conn.remoteAddr, zone) });
}
