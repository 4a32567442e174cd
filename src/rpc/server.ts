/**
 * A server: functions that others call by name, over whatever connections its endpoint has.
 *
 * ```
 * header   add, v1/add          the tag is the protocol; without one the server's preferred is called
 * body     { data }             the answer's result is what the function returned
 * ```
 *
 * It opens no port. It puts its endpoints on an `Endpoint`, says in handshakes which protocols it serves (`rpc/v1`), and
 * counts who is connected. After the server of the witch-core network module; its own lines of JSON are a dialect.
 *
 * @module
 */

import { type Middleware, noEndpoint, type RequestContext } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { isAsyncIterable } from "../endpoint/stream.ts";
import { REQUEST_TIMEOUT_MS } from "../endpoint/terms.ts";
import { UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import { type Caller, type CallOrigin, ServedCall } from "./call_context.ts";
import { type AdoptedClient, type ClientInfo, ClientList, type NewClient } from "./client_list.ts";
import type { EndpointContext, EndpointFunction, Endpoints } from "./endpoints.ts";
import {
  BUILT_IN_DESCRIPTIONS,
  builtIns,
  type PeerListEntry,
  peerListEntry,
  type ServerDescription,
  type ServerInfo,
  type ServerStatus,
} from "./handlers.ts";
import { observe } from "./middleware.ts";
import { capabilityOf } from "./protocols.ts";
import { type Entry, Registry } from "./registry.ts";
import type { Schema } from "./schema.ts";
import {
  checkServerOptions,
  type RegisterAllOptions,
  type RegisterOptions,
  type ServerOptions,
} from "./server_options.ts";

/**
 * Serves endpoints; see the module.
 *
 * @example A server and its client
 * ```ts
 * import { Client, Endpoint, schema, Server } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const endpoints = { add: ({ a, b }: { a: number; b: number }) => a + b };
 *
 * const network = new MemoryNetwork();
 * const self = { name: "sums", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: network.host("sums"), self });
 * await using server = new Server(endpoint, { serverName: "sums" });
 * const input = schema.object({ a: schema.number(), b: schema.number() });
 * server.registerAll(endpoints, { inputs: { add: input } });
 *
 * await using client = await Client.open<typeof endpoints>({
 *   host: "sums",
 *   transport: network.host("client"),
 * });
 * assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
 * assertEquals((await client.call("status")).client_count, 1);
 * ```
 */
export class Server implements AsyncDisposable {
  /** Drawn when it was made: a UUID. */
  readonly serverId: string = crypto.randomUUID();
  /** Its label. */
  readonly serverName: string;
  /** Tags of the protocols that it serves, the preferred first. */
  readonly protocols: readonly string[];
  /** Only servers of the same project belong together. */
  readonly projectId: string;
  /** The hash of its sources, empty where none was given. */
  readonly sourceHash: string;
  /** The version of its program. */
  readonly version: string;
  /** Most clients at the same time. */
  readonly maxClients: number;
  readonly #endpoint: Endpoint;
  readonly #startedMs: number;
  readonly #registry: Registry;
  readonly #clients: ClientList;
  readonly #morePeers: () => readonly PeerListEntry[];
  readonly #origins = new WeakMap<RequestContext, Caller>();
  readonly #parts = new DisposableStack();

  /**
   * Registers the built-in endpoints; what else it shall answer is registered afterwards.
   *
   * @throws {TypeError} when protocols are missing, doubled or no tags, the hash is none, or a header of a built-in is
   * taken on the endpoint. @throws {RangeError} when `maxClients` is not a whole number.
   */
  constructor(endpoint: Endpoint, options: ServerOptions = {}) {
    const { serverName = "", maxClients = 10, protocols = ["v1"], projectId = "default" } = options;
    const { sourceHash = "", version = "", peers = () => [] } = options;
    checkServerOptions({ protocols, maxClients, sourceHash });
    this.serverName = serverName;
    this.protocols = protocols;
    this.projectId = projectId;
    this.sourceHash = sourceHash;
    this.version = version;
    this.maxClients = maxClients;
    this.#endpoint = endpoint;
    this.#startedMs = endpoint.clock.now();
    this.#morePeers = peers;
    this.#clients = new ClientList(maxClients, endpoint.clock);
    this.#registry = new Registry(protocols, (header, entry, protocol) => {
      const { priority, access, name } = entry;
      const serve = (body: MessageBody, context: RequestContext) =>
        this.#serve(entry, protocol, body, context);
      const who = access === undefined ? {} : { access };
      return endpoint.handle(header, serve, { priority, ...who, scope: `call:${name}` });
    });
    this.#attach();
  }

  /**
   * Registers a function that clients can call.
   *
   * Without `input` the type of `data` is only what the function hopes for.
   *
   * @param name 1 to 128 characters, no `/`, no `:` at the start. That of a built-in replaces it.
   * @param handler Returns the answer, its promise, or an async iterable of its parts. What it throws is the caller's
   * error: a `PeerError` with its code, anything else as `internal` without its text.
   * @returns what takes it back.
   * @throws {TypeError} for a bad name, a protocol that the server does not serve, or a name that is taken.
   */
  register<I>(
    name: string,
    handler: (data: I, context: EndpointContext) => unknown,
    options: RegisterOptions<I> = {},
  ): Disposable {
    return this.#registry.add(this.#entry(name, handler, options));
  }

  /**
   * Registers every function of an object under its name. The object's type is the client's: see `Client.open`.
   *
   * @returns what takes them back. @throws {TypeError} as {@linkcode Server.register}, and then none is registered.
   */
  registerAll<E extends Endpoints>(endpoints: E, options: RegisterAllOptions<E> = {}): Disposable {
    const { inputs = {}, ...rest } = options;
    const schemas = new Map<string, Schema<unknown>>(Object.entries(inputs));
    using added = new DisposableStack();
    for (const [name, handler] of Object.entries(endpoints)) {
      const input = schemas.get(name);
      const one = input === undefined ? rest : { ...rest, input };
      added.use(this.#registry.add(this.#entry(name, handler, one)));
    }
    return added.move();
  }

  /**
   * Puts a middleware around every endpoint, and around whatever else its `Endpoint` handles: `authorize`, `limitRate`,
   * `logCalls`, `countCalls`, or one of your own. @returns what takes it out again.
   */
  use(middleware: Middleware): Disposable {
    return this.#endpoint.use(middleware);
  }

  /** Whether a name can be called, under a tag or under any. */
  hasEndpoint(name: string, protocol?: string): boolean {
    return this.#registry.find(name, protocol) !== undefined;
  }

  /** Whether those may call a name who cannot prove who they are. */
  isPublic(name: string): boolean {
    return this.#endpoint.dispatcher.isPublic(name);
  }

  /**
   * Calls an endpoint as if a client had: through the same middleware, checked and counted the same. For dialects.
   *
   * @param protocol The tag that is asked for. @default the server's preferred
   * @throws {NotFoundError} `no-endpoint`. @throws {UnsupportedError} when the answer comes in parts. Further what the
   * middleware, the check of the data and the function throw.
   */
  async call(
    name: string,
    data: unknown,
    origin: CallOrigin = {},
    protocol?: string,
  ): Promise<unknown> {
    const header = protocol === undefined ? name : `${protocol}/${name}`;
    const known = this.hasEndpoint(name, protocol);
    const registration = known ? this.#endpoint.dispatcher.find(header) : undefined;
    if (registration === undefined) throw noEndpoint(header);
    const { clock } = this.#endpoint;
    const { address = { hostname: "", port: 0 }, clientId = formatAddress(address) } = origin;
    const client = this.#clients.get(clientId);
    const connectedAt = origin.connectedAt ?? client?.connectedAt ?? clock.wallMs();
    const context: RequestContext = {
      header,
      endpoint: name,
      remote: address,
      via: origin.via ?? "tcp",
      peer: origin.peer,
      link: undefined,
      deadlineMs: origin.deadlineMs ?? clock.now() + REQUEST_TIMEOUT_MS,
      signal: origin.signal ?? new AbortController().signal,
    };
    this.#origins.set(context, { clientId, connectedAt });
    const answer = await registration.handler({ data }, context);
    if (!isAsyncIterable(answer)) return answer;
    throw new UnsupportedError(
      `Cannot call "${printable(header, 64)}" so: it answers in parts, which this dialect has not`,
    );
  }

  /** The clients that are connected, the oldest first. */
  clients(): ClientInfo[] {
    return this.#clients.list();
  }

  /**
   * Counts a connection of another dialect as a client, until it is disposed of.
   *
   * @throws {LimitError} `limit` when there are `maxClients` already.
   */
  adopt(client: NewClient): AdoptedClient {
    return this.#clients.adopt(client);
  }

  /** How it does. */
  status(): ServerStatus {
    return {
      status: "running",
      server_id: this.serverId,
      server_name: this.serverName,
      uptime: rounded((this.#endpoint.clock.now() - this.#startedMs) / 1_000),
      client_count: this.#clients.size,
      max_connections: this.maxClients,
      port: this.#endpoint.address?.port ?? 0,
      timestamp: this.timestamp(),
      limits: this.#endpoint.resources.describe(),
    };
  }

  /** What it is. */
  info(): ServerInfo {
    return {
      server_id: this.serverId,
      server_name: this.serverName,
      protocols: this.protocols,
      hash: this.sourceHash,
      endpoints: this.#registry.names,
      client_count: this.#clients.size,
      max_connections: this.maxClients,
      port: this.#endpoint.address?.port ?? 0,
      host: this.#endpoint.address?.hostname ?? "",
      project_id: this.projectId,
    };
  }

  /** Whom it is connected to: the peers of its endpoint, and who else there is. */
  peerList(): PeerListEntry[] {
    return [...this.#endpoint.peers.list().map(peerListEntry), ...this.#morePeers()];
  }

  /** What it can be called for, and what calls pass through. */
  describe(): ServerDescription {
    const { middleware } = this.#endpoint.dispatcher;
    return {
      server_id: this.serverId,
      server_name: this.serverName,
      version: this.version,
      project_id: this.projectId,
      protocols: this.protocols,
      middleware,
      endpoints: [...this.#registry.list()].map(({ entry, protocols }) => ({
        name: entry.name,
        protocols,
        description: entry.description,
        input: entry.input?.describe() ?? null,
        middleware: entry.input === undefined ? middleware : [...middleware, "validate"],
        calls: entry.stats.calls,
        errors: entry.stats.errors,
        mean_ms: rounded(entry.stats.totalMs / Math.max(1, entry.stats.calls)),
      })),
    };
  }

  /** Its time: ISO 8601, UTC. */
  timestamp(): string {
    return new Date(this.#endpoint.clock.wallMs()).toISOString();
  }

  /** Takes everything back from the endpoint, which stays open. Harmless when closed. */
  close(): Promise<void> {
    this.#parts.dispose();
    return Promise.resolve();
  }

  /** The same as {@linkcode Server.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #attach(): void {
    using parts = new DisposableStack();
    const endpoint = this.#endpoint;
    parts.defer(() => this.#registry.clear());
    for (const [name, handler] of Object.entries(builtIns(this))) {
      const description = BUILT_IN_DESCRIPTIONS[name as keyof typeof BUILT_IN_DESCRIPTIONS];
      this.#registry.add({ ...this.#entry(name, handler, { description }), builtIn: true });
    }
    for (const tag of this.protocols) parts.use(endpoint.offer(capabilityOf(tag)));
    for (const link of endpoint.links) this.#clients.addLink(link);
    parts.use(endpoint.guard((hello) => this.#clients.check(hello)));
    parts.use(endpoint.onLink((link) => this.#clients.addLink(link)));
    this.#parts.use(parts.move());
  }

  #entry<I>(name: string, handler: EndpointFunction, options: RegisterOptions<I>): Entry {
    const { input, protocols = this.protocols, description = "", priority = "request" } = options;
    const { access } = options;
    const stats = { calls: 0, errors: 0, totalMs: 0 };
    const how = { input, protocols, description, priority, access };
    return { name, handler, ...how, builtIn: false, stats };
  }

  #serve(
    { input, handler, stats }: Entry,
    protocol: string | undefined,
    body: MessageBody,
    request: RequestContext,
  ): unknown {
    const { clock } = this.#endpoint;
    const startedMs = clock.now();
    stats.calls++;
    return observe(() => {
      const data = input === undefined ? body.data : input.check(body.data);
      return handler(
        data as never,
        new ServedCall(request, this.#callerOf(request), protocol, this),
      );
    }, (code) => {
      stats.totalMs += clock.now() - startedMs;
      if (code !== undefined) stats.errors++;
    });
  }

  #callerOf(request: RequestContext): Caller {
    const { link, remote } = request;
    const known = link === undefined ? this.#origins.get(request) : this.#clients.of(link);
    const connectedAt = this.#endpoint.clock.wallMs();
    // A datagram comes from nobody who is connected: its address is all there is.
    return known ?? { clientId: formatAddress(remote), connectedAt };
  }
}

/** To three digits after the point: for people, and true all the same. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
