/**
 * A client: calls a server's endpoints by name, and makes the connection again when it breaks.
 *
 * ```
 *            open, connect                  it broke
 *  closed ---------------> connecting -> connected -> reconnecting -> connecting -> ...
 *     ^------------------------|             |             |
 *       refused, attempts used up, disconnect, close <-----'
 * ```
 *
 * A call that is made while there is no connection waits for one, within its own time. A call that was under way when
 * the connection broke rejects with `closed` and is never sent again: whether it ran is not known. After the client of
 * the witch-core network module.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../clock.ts";
import { DEFAULT_TCP_PORT } from "../endpoint/listen.ts";
import type { RequestOptions, StreamOptions } from "../endpoint/outgoing.ts";
import { REQUEST_TIMEOUT_MS } from "../endpoint/terms.ts";
import { ClosedError, TimeoutError } from "../errors.ts";
import { printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type {
  AnswerMessage,
  ClientConnection,
  Connector,
  RequestMessage,
} from "./client_connection.ts";
import { checkClientOptions, type ClientOptions, openConnector } from "./client_options.ts";
import { type ConnectionStatus, StatusBoard } from "./connection_status.ts";
import type {
  AnyEndpoints,
  CallArguments,
  CallName,
  CallResult,
  Endpoints,
  StreamPart,
} from "./endpoints.ts";
import { isRefusal, MAX_RECONNECT_DELAY_MS, reconnectDelayMs } from "./reconnect.ts";

/**
 * Calls a server; see the module.
 *
 * @example Calling anything, and the JSON of the witch-core network module
 * ```ts
 * import { Client, Endpoint, Server } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: network.host("server"), self });
 * await using server = new Server(endpoint);
 * server.register("greet", (name: string) => `hello, ${name}`);
 *
 * const transport = network.host("client");
 * await using client = await Client.open({ host: "server", transport });
 * assertEquals(await client.call("greet", "bob"), "hello, bob");
 * const answer = await client.sendAndReceive({ request: "echo", data: "x" });
 * assertEquals([answer.status, answer.echo], ["success", "x"]);
 * assertEquals(client.status.state, "connected");
 * ```
 */
export class Client<E extends Endpoints = AnyEndpoints> implements AsyncDisposable {
  /** Where the server is. */
  readonly address: Address;
  readonly #options: Required<
    Pick<ClientOptions, "timeoutMs" | "autoReconnect" | "maxReconnectAttempts" | "reconnectDelayMs">
  >;
  readonly #clock: Clock;
  readonly #connector: Connector;
  readonly #owned: AsyncDisposable | undefined;
  readonly #board = new StatusBoard();
  // While there is a connection; whoever needs one before waits for the next.
  #connection: ClientConnection | undefined;
  #next: PromiseWithResolvers<ClientConnection> | undefined;
  // From connect to disconnect, or to giving up, which leaves the reason behind.
  #life: AbortController | undefined;
  #failure: unknown;
  #living: Promise<void> = Promise.resolve();
  #over = false;

  private constructor(options: ClientOptions, connector: Connector, owned?: AsyncDisposable) {
    const { host = "127.0.0.1", port = DEFAULT_TCP_PORT, clock = systemClock } = options;
    const { timeoutMs = REQUEST_TIMEOUT_MS, autoReconnect = true } = options;
    const { maxReconnectAttempts = 3, reconnectDelayMs = 1_000 } = options;
    this.address = { hostname: host, port };
    this.#options = { timeoutMs, autoReconnect, maxReconnectAttempts, reconnectDelayMs };
    this.#clock = options.endpoint?.clock ?? clock;
    this.#connector = connector;
    this.#owned = owned;
  }

  /**
   * Connects to a server, once: only a connection that was there is made again. With the type of the server's endpoints
   * (`Client.open<typeof endpoints>`) names, data and answers are checked by the compiler.
   *
   * @throws {TransportError} when nobody answers there. @throws {TimeoutError} when that takes too long.
   * @throws {HandshakeError} `incompatible` when there is no common protocol, `denied`, or `bad-channel`.
   * @throws {LimitError} when the server has its `maxClients`. @throws {AuthError} when it wants to know us first.
   * @throws {TypeError | RangeError} for options that make no sense.
   */
  static async open<E extends Endpoints = AnyEndpoints>(
    options: ClientOptions = {},
  ): Promise<Client<E>> {
    checkClientOptions(options);
    const { connector, owned } = await openConnector(options);
    const client = new Client<E>(options, connector, owned);
    try {
      await client.connect(options);
    } catch (error) {
      await client.close();
      throw error;
    }
    return client;
  }

  /** How its connection stands. */
  get status(): ConnectionStatus {
    return this.#board.current;
  }

  /** How its connection stands, and then every change until the client is closed. Of 64 that wait the oldest are dropped. */
  states(options: { signal?: AbortSignal } = {}): AsyncGenerator<ConnectionStatus, void> {
    return this.#board.watch(options);
  }

  /** The same client, for a server with those endpoints: what they are is only what the caller says. */
  as<Other extends Endpoints>(): Client<Other> {
    return this as unknown as Client<Other>;
  }

  /**
   * Calls an endpoint and waits for its answer.
   *
   * @throws {RemoteError} with the code and message of the server's error: `no-endpoint`, `bad-message`, `not-allowed`...
   * @throws {TimeoutError} after `timeoutMs`, connecting included. @throws {ClosedError} when the connection breaks
   * first, or there is none. What made the client give up, when it has.
   */
  call<Name extends CallName<E>>(
    name: Name,
    ...args: CallArguments<E, Name, RequestOptions>
  ): Promise<CallResult<E, Name>> {
    const [data, options = {}] = args;
    return this.#ask(name, options, (connection, timed) => {
      return connection.call(name, data, timed);
    }) as Promise<CallResult<E, Name>>;
  }

  /**
   * Calls an endpoint and wants no answer: nobody learns whether it went well.
   *
   * @returns what to wait for before sending more, where much is waiting to leave; nobody need.
   * @throws {ClosedError} when there is no connection at the moment: nothing was sent.
   */
  notify<Name extends CallName<E>>(
    name: Name,
    ...args: CallArguments<E, Name, never>
  ): Promise<void> | undefined {
    if (this.#connection !== undefined) return this.#connection.notify(name, args[0]);
    throw new ClosedError(
      `Cannot notify "${printable(name, 64)}": ${this.#label} is not connected`,
    );
  }

  /**
   * Calls an endpoint that answers in parts, which come no faster than they are taken. Leaving the loop cancels it.
   *
   * @throws as {@linkcode Client.call}, from the loop.
   */
  async *stream<Name extends CallName<E>>(
    name: Name,
    ...args: CallArguments<E, Name, StreamOptions>
  ): AsyncGenerator<StreamPart<E, Name>, void, void> {
    const [data, options = {}] = args;
    const { timeoutMs = this.#options.timeoutMs } = options;
    const connection = await this.#connected(name, timeoutMs, options.signal);
    const parts = connection.stream(name, data, { ...options, timeoutMs });
    yield* parts as AsyncGenerator<StreamPart<E, Name>, void, void>;
  }

  /**
   * Sends a message of the witch-core network module, `{ endpoint, data }` or `{ request, data }`, and gives the whole
   * answer: `{ status: "success", data, timestamp }`, or `{ status: "error", message, timestamp }`.
   *
   * @throws {TimeoutError | ClosedError} as {@linkcode Client.call}; the server's errors are answers.
   * @throws {TypeError} when the message says neither.
   */
  async sendAndReceive(
    message: RequestMessage,
    options: RequestOptions = {},
  ): Promise<AnswerMessage> {
    const what = message.endpoint ?? message.request ?? "message";
    const answer = await this.#ask(what, options, (connection, timed) => {
      return connection.ask(message, timed);
    });
    return answer as AnswerMessage;
  }

  /**
   * Connects, after `disconnect` or when the client has given up; when it is connected there is nothing to do.
   *
   * @throws as {@linkcode Client.open}. @throws {ClosedError} when the client was closed.
   */
  async connect(options: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#over) throw new ClosedError(`Cannot connect to ${this.#label}: the client is closed`);
    if (this.#life === undefined) {
      const life = this.#life = new AbortController();
      this.#board.set({ state: "connecting", attempt: 0 });
      this.#living = this.#living.then(() => this.#live(life));
    }
    await this.#connected("connect", Infinity, options.signal);
  }

  /** Ends the connection, until `connect`. Calls under way reject. Harmless when there is none. */
  async disconnect(): Promise<void> {
    const [connection, living] = [this.#connection, this.#living];
    if (this.#life !== undefined) this.#end(this.#life);
    await connection?.close();
    await living; // the life that ends, not one that `connect` begins meanwhile
  }

  /** Ends the connection for good. Harmless when closed. */
  async close(): Promise<void> {
    this.#over = true;
    await this.disconnect();
    this.#board.close();
    await this.#owned?.[Symbol.asyncDispose]();
  }

  /** The same as {@linkcode Client.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #label(): string {
    return formatAddress(this.address);
  }

  /** Asks on the connection there is or, within the same time, on the next. */
  #ask(
    what: string,
    options: RequestOptions,
    ask: (connection: ClientConnection, timed: RequestOptions) => Promise<unknown>,
  ): Promise<unknown> {
    const { timeoutMs = this.#options.timeoutMs } = options;
    if (this.#connection !== undefined) return ask(this.#connection, { ...options, timeoutMs });
    const deadlineMs = this.#clock.now() + timeoutMs;
    return this.#connected(what, timeoutMs, options.signal).then((connection) => {
      return ask(connection, { ...options, timeoutMs: deadlineMs - this.#clock.now() });
    });
  }

  /** The connection there is, or the next. @throws {TimeoutError} when it is not there in time. */
  async #connected(
    what: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ClientConnection> {
    signal?.throwIfAborted();
    if (this.#connection !== undefined) return this.#connection;
    if (this.#life === undefined) throw this.#failure;
    this.#next ??= Promise.withResolvers();
    const enough = Promise.withResolvers<never>();
    const abort = () => enough.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const timer = this.#clock.after(timeoutMs, () => {
      const text = `Cannot call "${printable(what, 64)}": no connection to ${this.#label} in time`;
      enough.reject(new TimeoutError(text));
    });
    try {
      return await Promise.race([this.#next.promise, enough.promise]);
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Keeps a connection until that is nobody's wish any more, or cannot be done. Never rejects. */
  async #live(life: AbortController): Promise<void> {
    const { signal } = life;
    try {
      let connection = await this.#dial(signal);
      for (;;) {
        if (signal.aborted) return await connection.close();
        this.#connection = connection;
        this.#next?.resolve(connection);
        this.#next = undefined;
        this.#board.set({ state: "connected", protocol: connection.protocol });
        const why = await connection.closed;
        if (signal.aborted) return;
        this.#connection = undefined;
        connection = await this.#dialAgain(why ?? endedInOrder(connection), signal);
      }
    } catch (error) {
      this.#end(life, error);
    }
  }

  async #dialAgain(why: unknown, signal: AbortSignal): Promise<ClientConnection> {
    const { autoReconnect, maxReconnectAttempts, reconnectDelayMs: firstMs } = this.#options;
    const phase = this.#clock.random();
    let error = why;
    for (let attempt = 1;; attempt++) {
      if (!autoReconnect || attempt > maxReconnectAttempts || isRefusal(error)) throw error;
      const maxDelayMs = Math.max(firstMs, MAX_RECONNECT_DELAY_MS);
      const delayMs = reconnectDelayMs(attempt, phase, { delayMs: firstMs, maxDelayMs });
      this.#board.set({ state: "reconnecting", attempt, delayMs, error });
      await sleep(this.#clock, delayMs, { signal });
      this.#board.set({ state: "connecting", attempt });
      try {
        return await this.#dial(signal);
      } catch (failure) {
        signal.throwIfAborted();
        error = failure;
      }
    }
  }

  async #dial(signal: AbortSignal): Promise<ClientConnection> {
    const { timeoutMs } = this.#options;
    const late = new AbortController();
    const timer = this.#clock.after(timeoutMs, () => {
      const text = `Cannot connect to ${this.#label}: no answer within timeoutMs ${timeoutMs}`;
      late.abort(new TimeoutError(text, { details: { limit: "timeoutMs", max: timeoutMs } }));
    });
    try {
      return await this.#connector(this.address, {
        signal: AbortSignal.any([signal, late.signal]),
      });
    } finally {
      timer.cancel();
    }
  }

  /** From now on nobody connects, for that reason or because nobody wants to. Harmless when repeated. */
  #end(life: AbortController, error?: unknown): void {
    if (this.#life !== life) return;
    this.#life = undefined;
    this.#connection = undefined;
    this.#failure = error ?? new ClosedError(`The connection to ${this.#label} was closed here`);
    this.#next?.reject(this.#failure);
    this.#next = undefined;
    life.abort(this.#failure);
    this.#board.set({ state: "closed", ...(error === undefined ? {} : { error }) });
  }
}

function endedInOrder({ label }: ClientConnection): ClosedError {
  return new ClosedError(`${label} closed the connection`);
}
