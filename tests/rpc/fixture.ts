/**
 * A server on a network in memory, and clients of it.
 *
 * @module
 */

import type { Endpoint, EndpointOptions } from "../../src/endpoint/endpoint.ts";
import { Client } from "../../src/rpc/client.ts";
import type { ClientOptions } from "../../src/rpc/client_options.ts";
import type { ConnectionStatus } from "../../src/rpc/connection_status.ts";
import type { AnyEndpoints, Endpoints } from "../../src/rpc/endpoints.ts";
import { Server } from "../../src/rpc/server.ts";
import type { ServerOptions } from "../../src/rpc/server_options.ts";
import { infoOf, Served, SERVER } from "../endpoint/fixture.ts";

/** A server at `server:3485`, its clock and clients; all closed with it. */
export class World implements AsyncDisposable {
  readonly served: Served;
  readonly #parts = new AsyncDisposableStack();
  #server: Server;

  private constructor(served: Served, server: Server) {
    this.served = served;
    this.#server = server;
  }

  static async open(
    options: ServerOptions = {},
    endpointOptions: Partial<EndpointOptions> = {},
  ): Promise<World> {
    const served = await Served.open(endpointOptions);
    return new World(served, new Server(served.endpoint, options));
  }

  get server(): Server {
    return this.#server;
  }

  get clock(): Served["clock"] {
    return this.served.clock;
  }

  /** A client on a host of its own. */
  async client<E extends Endpoints = AnyEndpoints>(
    options: ClientOptions = {},
    host = "client",
  ): Promise<Client<E>> {
    const { network, clock } = this.served;
    const transport = network.host(host);
    return this.#parts.use(
      await Client.open<E>({ host: SERVER.hostname, transport, clock, ...options }),
    );
  }

  /** The server's program dies, with everything in it. */
  async kill(): Promise<void> {
    this.served.network.kill(SERVER.hostname);
    await this.served.endpoint.close();
  }

  /** It is started again. */
  async restart(options: ServerOptions = {}): Promise<Endpoint> {
    const { network, clock } = this.served;
    const transport = network.host(SERVER.hostname);
    const self = infoOf("server");
    const endpoint = await this.served.open("server", { transport, clock, self, ...SERVER });
    this.#server = new Server(endpoint, options);
    return endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    await this.#server.close();
    await this.served[Symbol.asyncDispose]();
  }
}

/** Every status from now on, as it comes. */
export function watch(client: Client): { seen: ConnectionStatus[]; done: Promise<void> } {
  const seen: ConnectionStatus[] = [];
  const done = (async () => {
    for await (const status of client.states()) seen.push(status);
  })();
  return { seen, done };
}
