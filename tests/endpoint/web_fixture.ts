/**
 * An endpoint with a web port on the loopback address, and those who come there.
 *
 * @module
 */

import { Endpoint, type EndpointOptions } from "../../src/endpoint/endpoint.ts";
import { WEB_PATH, WebPort } from "../../src/endpoint/web.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  asConnection,
  type Connection,
  connectWebSocket,
  netTransport,
} from "../../src/transport/mod.ts";
import { identityOf, infoOf, settle, Stranger } from "./fixture.ts";

/** Where everything is. */
export const LOOPBACK = "127.0.0.1";

/** An endpoint with a web port on real sockets, and one that connects to it. */
export class WebPair implements AsyncDisposable {
  readonly server: Endpoint;
  readonly web: WebPort;
  readonly client: Endpoint;
  readonly metrics: Metrics;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    parts: AsyncDisposableStack,
    ends: { server: Endpoint; web: WebPort; client: Endpoint },
  ) {
    this.server = ends.server;
    this.web = ends.web;
    this.client = ends.client;
    this.metrics = ends.server.metrics;
    this.#parts = parts;
  }

  static async open(options: Partial<EndpointOptions> = {}): Promise<WebPair> {
    await using parts = new AsyncDisposableStack();
    const metrics = new Metrics();
    const server = parts.use(await openEndpoint("server", { metrics, ...options }));
    const web = parts.use(await WebPort.open(server, { hostname: LOOPBACK, port: 0 }));
    const client = parts.use(await openEndpoint("client", { clientOnly: true }));
    return new WebPair(parts.move(), { server, web, client });
  }

  get url(): string {
    return `ws://${LOOPBACK}:${this.web.address.port}`;
  }

  /** Asks for a WebSocket by hand. @returns the connection and the status of the answer. */
  async upgrade(
    headers: readonly string[] = [],
    path = WEB_PATH,
  ): Promise<{ connection: Connection; status: number }> {
    const connection = await netTransport.connect(this.web.address);
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${LOOPBACK}:${this.web.address.port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==",
      ...headers,
    ];
    await connection.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
    const into = new Uint8Array(4_096);
    const count = await connection.read(into) ?? 0;
    const status = /^HTTP\/1.1 (\d{3})/.exec(new TextDecoder().decode(into.subarray(0, count)));
    return { connection, status: Number(status?.[1]) };
  }

  /** A WebSocket of somebody who speaks by hand. */
  async stranger(): Promise<Stranger & { text: (message: string) => Promise<void> }> {
    const socket = await connectWebSocket(this.url + WEB_PATH);
    return Object.assign(new Stranger(asConnection(socket)), {
      text: (message: string) => socket.send(message),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

/** Opens an endpoint on the loopback address. */
export function openEndpoint(name: string, options: Partial<EndpointOptions>): Promise<Endpoint> {
  const common = { transport: netTransport, hostname: LOOPBACK, port: 0 };
  return Endpoint.open({ ...common, identity: identityOf(name), self: infoOf(name), ...options });
}

/** Waits for what happens at the other end of a socket. @throws {Error} when it does not. */
export async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`Waited in vain for ${holds}`);
    await settle();
  }
}
