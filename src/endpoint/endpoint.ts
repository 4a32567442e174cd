/**
 * The endpoint: one port that links come in on, the links there are, and the handlers that serve them all.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  PeerError,
} from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { FramedConnection } from "../transport/framed.ts";
import {
  type Address,
  type Connection,
  formatAddress,
  type Listener,
  type Transport,
} from "../transport/transport.ts";
import { decodeWireData, encodeWireData, type NativeMessage, wireData } from "../wire/message.ts";
import { identify, withinTime } from "./acceptor.ts";
import { Dispatcher, type Handler, type HandlerOptions } from "./dispatcher.ts";
import {
  acceptBody,
  commonVersion,
  denyBody,
  type Hello,
  helloBody,
  MAX_HANDSHAKE_BYTES,
  parseAccept,
  parseDeny,
  parseHello,
  type PeerInfo,
  PREFACE,
  VERSIONS,
} from "./handshake.ts";
import { Link } from "./link.ts";
import { listen } from "./listen.ts";

/** How long a connection that is refused may take to learn why. */
const LAST_WORDS_MS = 1_000;

/** How many connections, and for how long; every limit that is hit is counted and named. */
export interface EndpointLimits {
  /** Links at the same time; above any group of peers that share folders, below the usual 1024 descriptors. @default {512} */
  maxLinks?: number;
  /** Connections that have not finished their handshake; they cost a descriptor and 16 KiB each. @default {64} */
  maxPendingHandshakes?: number;
  /** Time for a whole handshake in milliseconds, as the PeerConnect acceptor has. @default {6000} */
  handshakeMs?: number;
  /** Largest message in bytes. @default {16777216} */
  maxFrameBytes?: number;
}

/** What an endpoint needs. */
export interface EndpointOptions {
  /** The network. */
  transport: Transport;
  /** Who we are. */
  self: PeerInfo;
  /** Address to listen on. @default every address of the machine, IPv6 and IPv4 */
  hostname?: string | undefined;
  /** Port to listen on, 0 for any. @default {3485 or the next free one} */
  port?: number | undefined;
  /** Do not listen: only connect. @default {false} */
  clientOnly?: boolean;
  /** Limits. */
  limits?: EndpointLimits;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `accept.*` and `link.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/** A port, its links and its handlers; see the module. */
export class Endpoint implements AsyncDisposable {
  /** Who we are. */
  readonly self: PeerInfo;
  readonly #transport: Transport;
  readonly #limits: Required<EndpointLimits>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #dispatcher = new Dispatcher();
  readonly #links = new Set<Link>();
  readonly #pending = new Map<Connection, Promise<void>>();
  readonly #closing = new AbortController();
  #listener: Listener | undefined;
  #accepting: Promise<void> = Promise.resolve();

  private constructor(options: EndpointOptions) {
    const { transport, self, limits = {}, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.self = self;
    this.#transport = transport;
    this.#limits = {
      maxLinks: 512,
      maxPendingHandshakes: 64,
      handshakeMs: 6_000,
      maxFrameBytes: 16 * 1024 * 1024,
      ...limits,
    };
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
  }

  /**
   * Opens an endpoint and, unless `clientOnly`, starts to listen.
   *
   * @throws {TransportError} when a port that was asked for is taken or may not be used.
   */
  static async open(options: EndpointOptions): Promise<Endpoint> {
    const endpoint = new Endpoint(options);
    if (!options.clientOnly) {
      const listener = await listen(options.transport, options.hostname, options.port);
      endpoint.#listener = listener;
      endpoint.#accepting = endpoint.#acceptAll(listener);
    }
    return endpoint;
  }

  /** Where it listens; `undefined` for a client. */
  get address(): Address | undefined {
    return this.#listener?.address;
  }

  /** The links there are. */
  get links(): ReadonlySet<Link> {
    return this.#links;
  }

  /** Registers the handler of a header, for every link. @returns what takes it back. @throws {TypeError} */
  handle(header: string, handler: Handler, options?: HandlerOptions): Disposable {
    return this.#dispatcher.handle(header, handler, options);
  }

  /**
   * Connects to a peer.
   *
   * @throws {TransportError} when nobody answers there. @throws {HandshakeError} `denied`, `incompatible`, or
   * `bad-channel` when what answers is no kith peer. @throws {TimeoutError} when the handshake takes too long.
   * @throws {LimitError} when there are `maxLinks` here or there. @throws {ClosedError} when the endpoint is closed.
   */
  async connect(to: Address, options: { signal?: AbortSignal } = {}): Promise<Link> {
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    this.#checkLinks();
    const signal = options.signal === undefined
      ? closing
      : AbortSignal.any([closing, options.signal]);
    const connection = await this.#transport.connect(to, { signal });
    const abort = () => connection.close();
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      const greeted = withinTime(connection, this.#clock, this.#limits.handshakeMs, () => {
        return this.#greet(connection);
      });
      return await greeted;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Stops listening, gives up connecting and closes every link. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("Cannot connect: the endpoint is closed"));
    this.#listener?.close();
    for (const connection of this.#pending.keys()) connection.close();
    await Promise.all([...this.#links].map((link) => link.close()));
    await Promise.all([this.#accepting, ...this.#pending.values()]);
  }

  /** The same as {@linkcode Endpoint.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #acceptAll(listener: Listener): Promise<void> {
    for (;;) {
      const connection = await listener.accept();
      if (connection === undefined) return;
      const full = this.#pending.size >= this.#limits.maxPendingHandshakes;
      const met = full ? this.#turnAway(connection) : this.#admit(connection);
      this.#pending.set(connection, met.finally(() => this.#pending.delete(connection)));
    }
  }

  /** Refuses a connection unheard, in one write and without waiting for it to be read: there may be a flood of them. */
  async #turnAway(connection: Connection): Promise<void> {
    this.#metrics.counter("accept.refused.maxPendingHandshakes").add();
    const { maxPendingHandshakes: max } = this.#limits;
    const error = limitError(`There are ${max} handshakes already`, "maxPendingHandshakes", max);
    const framed = this.#greeter(connection);
    try {
      await framed.send(encodeWireData(wireData(":deny", denyBody(error))));
    } catch (cause) {
      this.#log.debug("could not say why", { cause: String(cause) });
    } finally {
      framed.close();
    }
  }

  async #admit(connection: Connection): Promise<void> {
    try {
      await withinTime(connection, this.#clock, this.#limits.handshakeMs, () => {
        return this.#welcome(connection);
      });
      this.#metrics.counter("accept.linked").add();
    } catch (error) {
      const code = error instanceof PeerError ? error.code : "connect";
      if (this.#closing.signal.aborted) return;
      this.#metrics.counter(`accept.refused.${code}`).add();
      this.#log.warn("refused a connection", {
        from: formatAddress(connection.remote),
        code,
        why: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** The acceptor's side of the handshake. */
  async #welcome(connection: Connection): Promise<void> {
    const { rest } = await identify(connection);
    const greeter = this.#greeter(connection);
    greeter.reader.push(rest);
    try {
      const { header, body } = await receiveMessage(greeter);
      if (header !== ":hello") throw unexpected(header, ":hello");
      const hello = parseHello(body);
      const version = this.#admissible(hello);
      // Nothing waits between the check and the link, or others could be admitted in between.
      const framed = this.#framed(greeter);
      framed.writer.frame(encodeWireData(wireData(":accept", acceptBody(this.self, version))));
      this.#link(framed, hello);
      await framed.flush();
    } catch (error) {
      if (error instanceof PeerError && !(error instanceof ClosedError)) {
        greeter.writer.frame(encodeWireData(wireData(":deny", denyBody(error))));
        await greeter.hangUp(LAST_WORDS_MS);
      }
      throw error;
    }
  }

  /** The dialer's side of the handshake. */
  async #greet(connection: Connection): Promise<Link> {
    const greeter = this.#greeter(connection);
    greeter.writer.encoder.raw(PREFACE);
    greeter.writer.frame(encodeWireData(wireData(":hello", helloBody(this.self))));
    // Who is turned away unheard cannot write, but can read why.
    greeter.flush().catch(() => {});
    const { header, body } = await receiveMessage(greeter).catch((cause) => {
      throw notKith(connection.remote, cause);
    });
    if (header === ":deny") throw parseDeny(body);
    if (header !== ":accept") throw unexpected(header, ":accept");
    const peer = parseAccept(body);
    commonVersion(VERSIONS, { min: peer.version, max: peer.version });
    this.#checkLinks(); // others may have been made meanwhile
    return this.#link(this.#framed(greeter), peer);
  }

  #admissible(hello: Hello): number {
    this.#checkLinks();
    return commonVersion(VERSIONS, hello.versions);
  }

  #checkLinks(): void {
    const { maxLinks } = this.#limits;
    if (this.#links.size < maxLinks) return;
    throw limitError(`There are ${maxLinks} links already`, "maxLinks", maxLinks);
  }

  /** The connection until both sides know each other: it carries small messages only. */
  #greeter(connection: Connection): FramedConnection {
    const maxFrameBytes = Math.min(this.#limits.maxFrameBytes, MAX_HANDSHAKE_BYTES);
    return new FramedConnection(connection, { maxFrameBytes, clock: this.#clock });
  }

  /** The connection from then on, with what has come already. */
  #framed({ connection, reader }: FramedConnection): FramedConnection {
    const { maxFrameBytes } = this.#limits;
    const framed = new FramedConnection(connection, { maxFrameBytes, clock: this.#clock });
    framed.reader.push(reader.buffer.subarray(reader.stop, reader.stop + reader.pendingBytes));
    return framed;
  }

  #link(framed: FramedConnection, peer: PeerInfo): Link {
    this.#closing.signal.throwIfAborted();
    const link = new Link({
      framed,
      peer,
      dispatcher: this.#dispatcher,
      clock: this.#clock,
      log: this.#log,
      metrics: this.#metrics,
    });
    this.#links.add(link);
    void link.closed.then(() => this.#links.delete(link));
    return link;
  }
}

async function receiveMessage(framed: FramedConnection): Promise<NativeMessage> {
  const frame = await framed.receive();
  if (frame === undefined) throw new ClosedError("The connection ended during the handshake");
  return decodeWireData(frame);
}

function unexpected(header: string, wanted: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot shake hands: "${printable(header, 40)}" came instead of "${wanted}"`,
  );
}

function limitError(text: string, limit: string, max: number): LimitError {
  return new LimitError("limit", `${text} (${limit})`, { details: { limit, max } });
}

function notKith(remote: Address, cause: unknown): unknown {
  if (!(cause instanceof InvalidPacketError || cause instanceof ClosedError)) return cause;
  return new HandshakeError(
    "bad-channel",
    `Cannot connect: what answers at ${formatAddress(remote)} is no kith peer`,
    { cause },
  );
}
