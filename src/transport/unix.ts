/**
 * Byte connections within one machine, over a socket that is a file.
 *
 * Who may connect is whom the file's folder lets in, so it has to stand in one that is its owner's alone.
 *
 * @module
 */

import { type Logger, silentLogger } from "../log.ts";
import { socketError } from "./socket_error.ts";
import { StreamConnection, StreamListener } from "./stream_socket.ts";
import type { Address, Connection, ConnectOptions, Listener } from "./transport.ts";

/** Longest path of a socket in bytes that every system takes: macOS has room for 104 with the zero that ends it. */
export const MAX_UNIX_PATH_BYTES = 103;

/** How to listen on a unix socket. */
export interface ListenUnixOptions {
  /** Told of what goes wrong with single connections. @default {silentLogger} */
  logger?: Logger;
}

/**
 * Listens on a unix socket; closing removes its file.
 *
 * @example
 * ```ts
 * import { connectUnix, listenUnix } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * const listener = listenUnix(`${folder}/sock`);
 * const client = await connectUnix(`${folder}/sock`);
 * const server = await listener.accept();
 * await client.write(new TextEncoder().encode("hi"));
 * assertEquals(await server?.read(new Uint8Array(16)), 2);
 * client.close();
 * server?.close();
 * listener.close();
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @param path Of at most {@linkcode MAX_UNIX_PATH_BYTES} bytes.
 * @throws {TransportError} when there is a file of that name, also one that nobody listens on any more.
 * @throws {UnsupportedError} when the program may not listen there.
 */
export function listenUnix(path: string, options: ListenUnixOptions = {}): Listener {
  const { logger = silentLogger } = options;
  const address = addressOf(path);
  try {
    const listener = Deno.listen({ transport: "unix", path });
    return new StreamListener(listener, address, (conn) => take(conn, address), logger);
  } catch (error) {
    throw socketError("listen on", address, error);
  }
}

/**
 * Connects to a unix socket.
 *
 * @example
 * ```ts
 * import { connectUnix, listenUnix } from "@kith/kith/transport";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * const listener = listenUnix(`${folder}/sock`);
 * const client = await connectUnix(`${folder}/sock`);
 * assertEquals(client.remote, { hostname: `unix:${folder}/sock`, port: 0 });
 * client.close();
 * listener.close();
 * await assertRejects(() => connectUnix(`${folder}/sock`), Error, "Cannot connect");
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {TransportError} when nobody listens there.
 * @throws {UnsupportedError} when the program may not connect there.
 */
export async function connectUnix(path: string, options: ConnectOptions = {}): Promise<Connection> {
  const { signal } = options;
  const address = addressOf(path);
  signal?.throwIfAborted();
  try {
    return take(await Deno.connect({ transport: "unix", path }), address);
  } catch (error) {
    throw socketError("connect to", address, error);
  }
}

/** A unix socket has a path and no port. */
function addressOf(path: string): Address {
  return { hostname: `unix:${path}`, port: 0 };
}

function take(conn: Deno.UnixConn, address: Address): Connection {
  return new StreamConnection(conn, { local: address, remote: address });
}
