/**
 * Byte connections over TCP.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { ClosedError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import { assertPort, fromRuntimeAddress, printableAddress, zoneOf } from "./socket_address.ts";
import { isClosedResource, reasonOf, socketError } from "./socket_error.ts";
import type { Address, Connection, ConnectOptions, Listener, ListenOptions } from "./transport.ts";

/** How long to wait before accepting again when the machine lacks descriptors or memory: doubles from the first. */
const ACCEPT_RETRY_MS = { first: 5, longest: 1000 };

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
      return new TcpListener(listener, zoneOf(hostname), logger);
    } catch (error) {
      throw socketError("listen on", { hostname, port }, error);
    }
  });
}

/**
 * Connects over TCP; a host name's addresses are tried one after another until one answers.
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
    return new TcpConnection(conn, zoneOf(hostname));
  } catch (error) {
    signal?.throwIfAborted();
    throw socketError("connect to", to, error);
  }
}

class TcpListener implements Listener {
  readonly address: Address;
  readonly #listener: Deno.TcpListener;
  readonly #zone: string;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  #accepting = false;

  constructor(listener: Deno.TcpListener, zone: string, logger: Logger) {
    this.address = fromRuntimeAddress(listener.addr, zone);
    this.#listener = listener;
    this.#zone = zone;
    this.#logger = logger;
  }

  async accept(): Promise<Connection | undefined> {
    if (this.#accepting) throw new TypeError("Cannot accept: another accept is under way");
    this.#accepting = true;
    try {
      for (let failures = 0; !this.#closing.signal.aborted; failures++) {
        try {
          return new TcpConnection(await this.#listener.accept(), this.#zone);
        } catch (error) {
          if (isClosedResource(error)) break;
          await this.#recover(error, failures);
        }
      }
      return undefined;
    } finally {
      this.#accepting = false;
    }
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#listener.close();
  }

  // The kernel reports two kinds of trouble in accept, and neither is a reason to stop. A connection that died in the
  // queue has left it, so the next one can be taken at once. When descriptors or memory are short the same error comes
  // back until some are free: trying again at once would spin.
  async #recover(error: unknown, failures: number): Promise<void> {
    const fields = { address: printableAddress(this.address), reason: reasonOf(error) };
    if (diedInQueue(error)) {
      return this.#logger.debug("connection died before it was accepted", fields);
    }
    const waitMs = Math.min(ACCEPT_RETRY_MS.first * 2 ** failures, ACCEPT_RETRY_MS.longest);
    this.#logger.warn("cannot accept connections for now", { ...fields, waitMs });
    // Rejects only because the listener closes, which the loop looks at next.
    await sleep(systemClock, waitMs, { signal: this.#closing.signal }).catch(() => {});
  }
}

class TcpConnection implements Connection {
  readonly local: Address;
  readonly remote: Address;
  readonly #conn: Deno.TcpConn;
  #closed = false;
  #writing = false;

  constructor(conn: Deno.TcpConn, zone: string) {
    this.local = fromRuntimeAddress(conn.localAddr, zone);
    this.remote = fromRuntimeAddress(conn.remoteAddr, zone);
    this.#conn = conn;
    try {
      conn.setNoDelay(true);
    } catch {
      // Some systems refuse this on a connection that is dead already. The first read says so.
    }
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#conn.read(into).catch(this.#fail);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#writing) throw new TypeError("Cannot write: another write is under way");
    this.#writing = true;
    try {
      let written = await this.#conn.write(bytes);
      while (written < bytes.length) written += await this.#conn.write(bytes.subarray(written));
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#writing = false;
    }
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite().catch(this.#fail);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  // Bound once: a read in the hot path makes no closure.
  readonly #fail = (cause: unknown): never => {
    const address = printableAddress(this.remote);
    const how = this.#closed ? "was closed" : `broke: ${reasonOf(cause)}`;
    throw new ClosedError(`Connection to ${address} ${how}`, { cause, details: { address } });
  };
}

function diedInQueue(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted;
}
