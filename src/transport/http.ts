/**
 * The HTTP server that hubs and status pages sit on; a handler accepts WebSockets with `upgradeWebSocket`.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import { assertPort, fromRuntimeAddress, printableAddress, zoneOf } from "./socket_address.ts";
import { reasonOf, socketError } from "./socket_error.ts";
import type { Address, ListenOptions } from "./transport.ts";

/** How long handlers may take to finish when the server closes. */
const GRACE_MS = 5000;

/** How long to wait before serving again when the machine lacks descriptors or memory. */
const RESTART_MS = 100;

/** Answers a request that came from `remote`. */
export type HttpHandler = (request: Request, remote: Address) => Response | Promise<Response>;

/** What a server proves itself by, in PEM: `https:` and `wss:` instead of `http:` and `ws:`. */
export interface TlsIdentity {
  /** The certificate, and those between it and the authority's. */
  readonly cert: string;
  /** Its private key. */
  readonly key: string;
}

/** How to serve HTTP. */
export interface ServeHttpOptions extends ListenOptions {
  /** Serves over TLS. @default in the clear */
  tls?: TlsIdentity | undefined;
}

/** A running HTTP server. */
export interface HttpServer {
  /** Where it listens, with the real port. */
  readonly address: Address;
  /**
   * Closes the server once the handlers that are at work have answered, or after 5 s; requests that come meanwhile get
   * 503. What is open then is cut: bodies that still stream, and WebSockets, which their owner had better close before.
   * Harmless when closed.
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
 * @throws {TransportError} when the port is taken or the address is not ours, or certificate and key are no good.
 * @throws {UnsupportedError} when the program may not listen there.
 * @throws {RangeError} for a port that is none.
 */
export function serveHttp(
  handler: HttpHandler,
  options: ServeHttpOptions = {},
): Promise<HttpServer> {
  const { hostname = "0.0.0.0", port = 0, logger = silentLogger, tls } = options;
  return Promise.try(() => {
    assertPort(port, 0);
    try {
      return new NativeHttpServer(handler, { hostname, port, logger, tls });
    } catch (error) {
      throw socketError("serve HTTP on", { hostname, port }, error);
    }
  });
}

interface Serving extends Required<Omit<ServeHttpOptions, "tls">> {
  readonly tls: TlsIdentity | undefined;
}

class NativeHttpServer implements HttpServer {
  readonly address: Address;
  readonly #serve: (port: number) => Deno.HttpServer<Deno.NetAddr>;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  readonly #atWork = new Set<Promise<Response>>();
  readonly #serving: Promise<void>;
  #aborting = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(handler: HttpHandler, { hostname, port, logger, tls }: Serving) {
    const zone = zoneOf(hostname);
    const onError = (error: unknown) => answerFailure(error, logger);
    this.#logger = logger;
    this.#serve = (port) => {
      const { signal } = this.#aborting = new AbortController();
      return Deno.serve(
        { hostname, port, signal, onListen() {}, onError, ...tls },
        (request, info) => {
          if (this.#closed !== undefined) return new Response("Closing\n", { status: 503 });
          const remote = fromRuntimeAddress(info.remoteAddr, zone);
          return this.#track(Promise.try(handler, request, remote));
        },
      );
    };
    const server = this.#serve(port);
    this.address = fromRuntimeAddress(server.addr, zone);
    this.#serving = this.#keepServing(server);
  }

  close(): Promise<void> {
    return this.#closed ??= this.#shutDown();
  }

  #track(answer: Promise<Response>): Promise<Response> {
    const forget = () => void this.#atWork.delete(answer);
    this.#atWork.add(answer);
    answer.then(forget, forget);
    return answer;
  }

  // The runtime gives up for good when it cannot accept, as when descriptors run out. What is open then is closed, above
  // all the connections of whoever took the descriptors, and serving begins anew.
  async #keepServing(first: Deno.HttpServer): Promise<void> {
    const { signal } = this.#closing;
    for (let server: Deno.HttpServer | undefined = first; !signal.aborted; server = undefined) {
      try {
        await (server ?? this.#serve(this.address.port)).finished;
      } catch (error) {
        this.#aborting.abort();
        const fields = { address: printableAddress(this.address), reason: reasonOf(error) };
        this.#logger.warn("cannot serve HTTP for now", fields);
        await sleep(systemClock, RESTART_MS, { signal }).catch(() => {}); // closes
      }
    }
  }

  // The runtime's own `shutdown` waits for ever for a handler or a body that does not end, and cannot be hurried.
  async #shutDown(): Promise<void> {
    const done = new AbortController();
    await Promise.race([
      Promise.allSettled(this.#atWork),
      sleep(systemClock, GRACE_MS, { signal: done.signal }),
    ]);
    done.abort();
    // A turn of the event loop, in which the runtime sends what a handler has just returned.
    await sleep(systemClock, 0);
    this.#closing.abort();
    this.#aborting.abort();
    await this.#serving;
  }
}

function answerFailure(error: unknown, logger: Logger): Response {
  if (error instanceof InvalidPacketError) return new Response("Bad Request\n", { status: 400 });
  logger.error("HTTP handler failed", { reason: reasonOf(error) });
  return new Response("Internal Server Error\n", { status: 500 });
}
