/**
 * A server of witch-core as the golden bytes have it, and both sides of its lines by hand.
 *
 * @module
 */

import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { LimitError, PeerError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  serveWitch,
  type WitchCallContext,
  type WitchCaller,
  type WitchHost,
  type WitchServerOptions,
} from "../../src/rpc/witch_server.ts";
import {
  type Address,
  type Connection,
  MemoryNetwork,
  type MemoryNetworkOptions,
} from "../../src/transport/mod.ts";
import { identityOf, infoOf, Journal } from "../endpoint/fixture.ts";

/** Where {@linkcode WitchWorld} listens. */
export const WITCH_SERVER: Address = { hostname: "server", port: 18990 };

/** The moment of the golden bytes: 2026-01-02T03:04:05.678901, wherever the machine is. */
export const VECTOR_MS = new Date(2026, 0, 2, 3, 4, 5, 678).getTime() + 0.901;

/** A clock that stands at {@linkcode VECTOR_MS}. */
export function vectorClock(): ManualClock {
  return new ManualClock({ epochMs: VECTOR_MS });
}

/** Calls an endpoint of a {@linkcode VectorHost}. */
export type VectorEndpoint = (data: unknown, context: WitchCallContext) => unknown;

/** The server of the golden bytes, with its four endpoints. */
export class VectorHost implements WitchHost {
  readonly serverId = "11111111-2222-3333-4444-555555555555";
  readonly serverName = "VectorServer";
  readonly projectId = "proj";
  readonly sourceHash: string = "1608ea132b3bebbb";
  readonly clients = new Set<WitchCaller>();
  readonly endpoints = new Map<string, VectorEndpoint>([
    // The original gives the whole message to an endpoint, and the data to what it calls a protocol.
    ["echo", (data, { message }) => ({ echo: "protocol_name" in message ? data : message })],
    ["boom", () => {
      throw new PeerError("internal", "division by zero");
    }],
    ["text", () => "plain"],
    ["none", () => undefined],
  ]);

  status(): object {
    return {
      status: "running",
      server_id: this.serverId,
      server_name: this.serverName,
      uptime: 0,
      client_count: this.clients.size,
      max_connections: 10,
      port: 18990,
      timestamp: "to be replaced",
    };
  }

  info(): object {
    return {
      server_id: this.serverId,
      server_name: this.serverName,
      protocols: ["v1", "v2"],
      hash: this.sourceHash,
      endpoints: [...this.endpoints.keys()],
      client_count: this.clients.size,
      max_connections: 10,
      port: 18990,
      host: "127.0.0.1",
      project_id: this.projectId,
    };
  }

  peerList(): readonly unknown[] {
    return [{ id: "other" }];
  }

  hasEndpoint(name: string): boolean {
    return this.endpoints.has(name);
  }

  async call(name: string, data: unknown, context: WitchCallContext): Promise<unknown> {
    return await this.endpoints.get(name)?.(data, context);
  }

  adopt(client: WitchCaller): Disposable {
    if (this.clients.size >= 10) throw new LimitError("limit", "There are 10 clients (maxClients)");
    this.clients.add(client);
    return { [Symbol.dispose]: () => void this.clients.delete(client) };
  }
}

/** How to open a {@linkcode WitchWorld}. */
export interface WitchWorldOptions extends WitchServerOptions {
  /** The network. */
  network?: MemoryNetworkOptions;
  /** Time for a handshake. */
  handshakeMs?: number;
}

/** A {@linkcode VectorHost} on an endpoint in memory. */
export class WitchWorld implements AsyncDisposable {
  readonly host = new VectorHost();
  readonly metrics = new Metrics();
  readonly log = new Journal();
  readonly clock: ManualClock;
  readonly endpoint: Endpoint;
  readonly serving: Disposable;
  readonly #network: MemoryNetwork;

  private constructor(
    network: MemoryNetwork,
    clock: ManualClock,
    endpoint: Endpoint,
    options: WitchServerOptions,
  ) {
    const { metrics, log } = this;
    this.clock = clock;
    this.endpoint = endpoint;
    this.serving = serveWitch(endpoint, this.host, { clock, metrics, log, ...options });
    this.#network = network;
  }

  static async open(options: WitchWorldOptions = {}): Promise<WitchWorld> {
    const { network: about, handshakeMs = 6_000, ...rest } = options;
    const network = new MemoryNetwork(about);
    const clock = vectorClock();
    const endpoint = await Endpoint.open({
      transport: network.host(WITCH_SERVER.hostname),
      identity: identityOf("server"),
      self: infoOf("server"),
      ...WITCH_SERVER,
      limits: { handshakeMs },
      clock,
    });
    return new WitchWorld(network, clock, endpoint, rest);
  }

  /** A connection of somebody, which speaks by hand. */
  async dial(): Promise<LineEnd> {
    return new LineEnd(await this.connect());
  }

  connect(): Promise<Connection> {
    return this.#network.host("stranger").connect(WITCH_SERVER);
  }

  /** Everything that was dialed breaks. */
  killStranger(): void {
    this.#network.kill("stranger");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.serving[Symbol.dispose]();
    await this.endpoint.close();
    this.#network.close();
  }
}

/** One end of a connection, spoken by hand in lines. */
export class LineEnd implements Disposable {
  readonly connection: Connection;
  readonly #buffer = new Uint8Array(1024);
  #unread = "";

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Writes bytes or text as they are: in one write, or in pieces of so many bytes. */
  async send(what: string | Uint8Array, pieceBytes = Infinity): Promise<void> {
    const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      await this.connection.write(bytes.subarray(at, at + pieceBytes));
    }
  }

  /** The next line with its LF, `undefined` at the end. Lines are ASCII: the originals escape all else. */
  async receive(): Promise<string | undefined> {
    for (;;) {
      const lf = this.#unread.indexOf("\n");
      if (lf >= 0) {
        const line = this.#unread.slice(0, lf + 1);
        this.#unread = this.#unread.slice(lf + 1);
        return line;
      }
      const count = await this.connection.read(this.#buffer);
      if (count === null) return undefined;
      this.#unread += new TextDecoder().decode(this.#buffer.subarray(0, count));
    }
  }

  /** Sends a line and gives what it is answered. */
  async ask(line: string): Promise<Record<string, unknown>> {
    await this.send(line + "\n");
    return JSON.parse(await this.receive() ?? "null");
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}
