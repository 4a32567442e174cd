/**
 * The endpoint: one port that connections come in on, the links there are, and the handlers that serve them all.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { ClosedError, HandshakeError, type LimitError } from "../errors.ts";
import { layerLog, type Logger, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { madeBy } from "../secure/credential.ts";
import { Identity } from "../secure/identity.ts";
import { Network } from "../secure/network.ts";
import type { FramedConnection } from "../transport/framed.ts";
import type { Address, Connection, Listener } from "../transport/transport.ts";
import { type Accepted, Acceptor, type Protocol, type Taker } from "./acceptor.ts";
import { type ConnectLinkOptions, Dialer, type LinkOrigin } from "./dialer.ts";
import {
  Dispatcher,
  type Handler,
  type HandlerOptions,
  type Middleware,
  type Via,
} from "./dispatcher.ts";
import type { EndpointOptions, Guard } from "./endpoint_options.ts";
import { FlightRecorder } from "./flight_recorder.ts";
import { Greeter } from "./greeter.ts";
import { infoOfHello, INSTANCE_BYTES, type PeerInfo, PREFACE } from "./handshake.ts";
import { answerHttp } from "./http_hint.ts";
import { Heart } from "./heart.ts";
import { DRAIN_MS, Link } from "./link.ts";
import { listen } from "./listen.ts";
import { NewestFirst } from "./newest_first.ts";
import { PeerTable } from "./peer_table.ts";
import { Resources } from "./resources.ts";
import { HandlerSlots } from "./slots.ts";
import { withTrace } from "./tracing.ts";
import { Traffic } from "./traffic.ts";
import { Turns } from "./turns.ts";

export type { EndpointLimits } from "./limits_table.ts";
export type { EndpointOptions, Guard, SelfInfo } from "./endpoint_options.ts";

/**
 * A port, its links and its handlers; see the module.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * bob.handle("greet", ({ name }) => `hello, ${name}`);
 *
 * await using alice = await Endpoint.open({ transport: network.host("a"), self, clientOnly: true });
 * const link = await alice.connect({ hostname: "bob", port: 1 });
 * assertEquals(await link.request("greet", { name: "alice" }), "hello, alice");
 * ```
 */
export class Endpoint implements AsyncDisposable {
  /** The peers that it is connected to. */
  readonly peers: PeerTable;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what happens. */
  readonly log: Logger;
  /** Counts `accept.*`, `link.*` and `peers.*`. */
  readonly metrics: Metrics;
  /** The messages of all its links. */
  readonly traffic: Traffic = new Traffic();
  /** The last messages of all its links, and of its UDP port. */
  readonly recorder: FlightRecorder;
  /** The limits, and what of them is in use. */
  readonly resources: Resources;
  /** The port that HTTP and WebSocket are on, for who asks on the wrong one. */
  webPort: number | undefined;
  readonly #self: PeerInfo;
  readonly #tokens: readonly string[];
  // The links on which the other side knows what we can show.
  readonly #shown = new WeakSet<Link>();
  readonly #dispatcher: Dispatcher;
  readonly #greeter: Greeter;
  readonly #acceptor: Acceptor;
  readonly #slots: HandlerSlots;
  readonly #turns = new Turns();
  readonly #handshakes = new NewestFirst();
  readonly #heart: Heart;
  readonly #links = new Set<Link>();
  readonly #offered: string[] = [];
  readonly #guards = new Set<Guard>();
  readonly #listeners = new Set<(link: Link) => void>();
  readonly #dialer: Dialer;
  readonly #closing = new AbortController();
  #draining = false;
  #opened = 0;
  #listener: Listener | undefined;
  #accepting: Promise<void> = Promise.resolve();

  private constructor(options: EndpointOptions) {
    const { transport, self, limits = {}, clock = systemClock } = options;
    const { metrics = new Metrics() } = options;
    const log = layerLog(options.log ?? silentLogger, "endpoint");
    const { identity = Identity.generate(), network = new Network(), trust = () => {} } = options;
    const { tokens = [], plain = false } = options;
    this.#tokens = tokens;
    const { peerId } = identity;
    const publicKey = identity.publicKey.toHex();
    const instance = crypto.getRandomValues(new Uint8Array(INSTANCE_BYTES)).toHex();
    this.#self = { instance, ...self, peerId, publicKey };
    this.clock = clock;
    this.recorder = new FlightRecorder(clock);
    this.log = log;
    this.metrics = metrics;
    this.resources = new Resources({ limits, clock, metrics });
    const { resources } = this;
    const { maxFrameBytes, maxPendingHandshakes, handshakeMs, maxHandlers } = resources.limits;
    this.peers = new PeerTable(this.#self, clock, metrics, handshakeMs);
    const { access = "public", isInvited = () => false, lapseOf = () => undefined } = options;
    const { isExclusive } = options;
    const exclusive = isExclusive === undefined ? {} : { isExclusive };
    this.#dispatcher = new Dispatcher({ access, isInvited, lapseOf, ...exclusive });
    const { heartbeatMs } = this.resources.limits;
    this.#heart = new Heart({ links: this.#links, heartbeatMs, trust, clock, log, metrics });
    this.#greeter = new Greeter({
      identity,
      self: () => this.self,
      network,
      trust,
      clock,
      maxFrameBytes,
      plain,
      turn: () => this.#handshakes.next(),
    });
    this.#dialer = new Dialer({
      transport,
      greeter: this.#greeter,
      clock,
      handshakeMs,
      signal: this.signal,
      check: () => this.#checkLinks(),
      links: this.#links,
      link: (framed, peer, how) => this.#link(framed, peer, how),
    });
    this.#slots = new HandlerSlots(maxHandlers);
    resources.gauge("maxHandlers", () => this.#slots.atWork);
    const rates = resources.middleware((header) => this.#dispatcher.find(header)?.inline ?? false);
    if (rates !== undefined) this.#dispatcher.use(rates);
    const { failures: limiter } = resources;
    const times = { maxPendingHandshakes, handshakeMs };
    const turnAway = (connection: Connection, why: LimitError) =>
      this.#greeter.turnAway(connection, why);
    const hold = ({ remote }: Connection) => resources.holdLink(remote);
    this.#acceptor = new Acceptor({ clock, log, metrics, limiter, hold, turnAway, ...times });
    resources.gauge("maxPendingHandshakes", () => this.#acceptor.pending);
    this.#acceptor.take("native", (accepted) => this.#welcome(accepted));
    this.#acceptor.take("http", (accepted) => answerHttp(accepted, this.webPort));
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

  /** Who we are, with what is offered at the moment. */
  get self(): PeerInfo {
    const { capabilities } = this.#self;
    return { ...this.#self, capabilities: [...new Set([...capabilities, ...this.#offered])] };
  }

  /** Fires when it closes. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** Where it listens; `undefined` for a client. */
  get address(): Address | undefined {
    return this.#listener?.address;
  }

  /** The links there are. */
  get links(): ReadonlySet<Link> {
    return this.#links;
  }

  /** The handlers and the middleware. */
  get dispatcher(): Dispatcher {
    return this.#dispatcher;
  }

  /** The slots that handlers run in. */
  get slots(): HandlerSlots {
    return this.#slots;
  }

  /** Whose turn it is, among those that read from sockets. */
  get turns(): Turns {
    return this.#turns;
  }

  /** Registers the handler of a header, for every link. @returns what takes it back. @throws {TypeError} */
  handle(header: string, handler: Handler, options?: HandlerOptions): Disposable {
    return this.#dispatcher.handle(header, handler, options);
  }

  /** Puts a middleware around every handler. @returns what takes it out again. */
  use(middleware: Middleware): Disposable {
    return this.#dispatcher.use(middleware);
  }

  /** Registers who takes connections of another protocol. @returns what takes it back. @throws {TypeError} */
  take(protocol: Protocol, taker: Taker): Disposable {
    return this.#acceptor.take(protocol, taker);
  }

  /** Says in handshakes from now on that we can do something. @returns what takes it back. */
  offer(capability: string): Disposable {
    this.#offered.push(capability);
    return {
      [Symbol.dispose]: () => {
        const index = this.#offered.indexOf(capability);
        if (index >= 0) this.#offered.splice(index, 1);
      },
    };
  }

  /** Asks before a peer that connects, and has proven who it is, is accepted. @returns what takes the guard off. */
  guard(guard: Guard): Disposable {
    this.#guards.add(guard);
    return { [Symbol.dispose]: () => void this.#guards.delete(guard) };
  }

  /** Calls `listener` with every new link, before anything is read from it. @returns what ends that. */
  onLink(listener: (link: Link) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Connects to a peer.
   *
   * @throws {TransportError} when nobody answers there. @throws {HandshakeError} `denied`, `incompatible`, or
   * `bad-channel` when what answers is no kith peer. @throws {TimeoutError} when the handshake takes too long.
   * @throws {LimitError} when there are `maxLinks` here or there. @throws {ClosedError} when the endpoint is closed.
   */
  async connect(to: Address, options: ConnectLinkOptions = {}): Promise<Link> {
    return this.#show(await this.#dialer.connect(to, options));
  }

  /** Shakes hands as the one who connected, over a connection of any kind. @throws as {@linkcode Endpoint.connect}. */
  async attach(
    connection: Connection,
    options: ConnectLinkOptions & { via?: Via } = {},
  ): Promise<Link> {
    return this.#show(await this.#dialer.attach(connection, options));
  }

  /** Takes a connection as if it had come in on the port: its first bytes say what it speaks. */
  adopt(connection: Connection, via: Via): void {
    this.#acceptor.accept(connection, via);
  }

  /**
   * Takes on nothing new, lets what is in flight finish, then closes.
   *
   * @param limitMs After this it closes all the same. @default {5000}
   */
  async drain(limitMs: number = DRAIN_MS): Promise<void> {
    this.#draining = true;
    this.#listener?.close();
    await Promise.all([...this.#links].map((link) => link.drain(limitMs)));
    await this.close();
  }

  /** Stops listening, gives up connecting and closes every link. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("Cannot connect: the endpoint is closed"));
    this.#listener?.close();
    this.#heart.stop();
    this.peers.close();
    await Promise.all([
      this.#acceptor.close(),
      this.#accepting,
      ...[...this.#links].map((link) => link.close()),
    ]);
  }

  /** The same as {@linkcode Endpoint.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #acceptAll(listener: Listener): Promise<void> {
    for (;;) {
      const connection = await listener.accept();
      if (connection === undefined) return;
      this.#acceptor.accept(connection, "tcp");
    }
  }

  /** The acceptor's side of a native connection. */
  async #welcome({ connection, first, via, established }: Accepted): Promise<void> {
    const rest = first.subarray(PREFACE.length);
    await this.#greeter.welcome(connection, rest, (hello, framed) => {
      this.#checkLinks(connection.remote);
      for (const guard of this.#guards) guard(hello, connection.remote);
      const { shared } = hello;
      this.#link(framed, infoOfHello(hello), { direction: "in", via, shared });
      established();
    });
  }

  /** @param from Where a link comes from that others open. */
  #checkLinks(from?: Address): void {
    if (this.#draining) throw new HandshakeError("denied", "The peer is closing down");
    this.resources.checkLink(from);
  }

  #link(
    framed: FramedConnection,
    peer: PeerInfo,
    how: LinkOrigin,
  ): Link {
    this.#closing.signal.throwIfAborted();
    const { clock, log, metrics } = this;
    const { remote } = framed.connection;
    const share = this.resources.share(how.direction === "in" ? remote : undefined);
    // What it reads later belongs to nothing that happens to open it now.
    const link = withTrace(undefined, () =>
      new Link({
        framed,
        peer,
        dispatcher: this.#dispatcher,
        clock,
        log,
        metrics,
        slots: this.#slots,
        turns: this.#turns,
        traffic: this.traffic,
        recorder: this.recorder,
        number: ++this.#opened,
        share,
        onSlow: () => this.peers.report({ type: "slow-consumer", peer }),
        ...how,
      }));
    this.#links.add(link);
    if (how.direction === "out") this.#show(link);
    void link.closed.then(() => {
      this.#links.delete(link);
      share[Symbol.dispose]();
    });
    for (const listener of this.#listeners) listener(link);
    withTrace(undefined, () => this.#heart.keepBeating());
    return this.peers.add(link);
  }

  /** Shows the peer at the other end what it has given us, once. */
  #show(link: Link): Link {
    if (this.#shown.has(link)) return link;
    this.#shown.add(link);
    const tokens = madeBy(link.peer.peerId, this.#tokens);
    if (tokens.length > 0 && link.open) link.show(tokens);
    return link;
  }
}
