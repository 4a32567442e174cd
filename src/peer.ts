/**
 * A peer: identity, endpoint, discovery and file transfer put together.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";
import { Discovery } from "./discovery/discovery.ts";
import type { LocalInterface } from "./discovery/interfaces.ts";
import type { FindOptions } from "./discovery/discovery.ts";
import type { FoundPeer } from "./discovery/search.ts";
import type { Handler, HandlerOptions } from "./endpoint/dispatcher.ts";
import { Endpoint, type EndpointLimits } from "./endpoint/endpoint.ts";
import { MAX_NAME_CHARS, type PeerInfo } from "./endpoint/handshake.ts";
import type { Link, RequestOptions } from "./endpoint/link.ts";
import { NotFoundError, PeerError } from "./errors.ts";
import { type Logger, printable, silentLogger } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Identity } from "./secure/identity.ts";
import { buildManifest, type SkippedPath } from "./transfer/manifest.ts";
import type { TransferSummary } from "./transfer/incoming.ts";
import { Receiver, type ReceiverOptions } from "./transfer/receive.ts";
import { sendFiles } from "./transfer/send.ts";
import { netTransport } from "./transport/net.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
  type Transport,
} from "./transport/transport.ts";
import { VERSION } from "./version.ts";
import type { MessageBody } from "./wire/message.ts";

/** The software and version that a peer names in its handshake. */
export const AGENT: string = `kith/${VERSION}`;

/** How long to look for a peer and connect to it unless told otherwise. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** How long to go on looking after a match by name or prefix, for a second one that would make it ambiguous. */
const AMBIGUITY_MS = 200;

/** What a peer can do, as it says in its handshake. */
const CAPABILITIES = ["transfer/1"];

/** How to open a {@linkcode Peer}; every field has a default. */
export interface PeerOptions {
  /** Who it is. @default a new identity for this run */
  identity?: Identity;
  /** A label for people, at most 64 characters. @default {""} */
  name?: string;
  /** Only peers of the same network find each other. @default {""} */
  network?: string;
  /** Address to listen on and interface to look on. @default all */
  hostname?: string | undefined;
  /** TCP port, 0 for any. @default {3485 or the next free one} */
  port?: number | undefined;
  /** UDP port of the socket that discovery answers from, 0 for any. @default {0} */
  udpPort?: number | undefined;
  /** UDP port that discovery asks on. @default {3486} */
  discoveryPort?: number | undefined;
  /** Neither listen nor be found: only look, connect and send. @default {false} */
  clientOnly?: boolean;
  /** Limits of the endpoint. */
  limits?: EndpointLimits;
  /** The network. @default {netTransport} */
  transport?: Transport;
  /** Lists the network interfaces. @default those of the machine */
  interfaces?: () => LocalInterface[];
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counters. @default {new Metrics()} */
  metrics?: Metrics;
}

/** How to reach a peer. */
export interface ReachOptions {
  /** Time for finding it and connecting to it, in milliseconds. @default {10000} */
  timeoutMs?: number;
  /** Gives up when aborted. */
  signal?: AbortSignal;
  /** Ask at these addresses instead of looking around. */
  peers?: readonly Address[];
}

/** How to send files. */
export interface SendFilesOptions extends ReachOptions {
  /** Who shall have them: a peer id or an unambiguous beginning of one, a name, or `host:port`. */
  to: string;
  /** Called as bytes leave. */
  onProgress?: (bytes: number, totalBytes: number) => void;
}

/** What was sent, and what was not. */
export interface SentFiles extends TransferSummary {
  /** Bytes that had to be sent again. */
  readonly resentBytes: number;
  /** From acceptance to the receiver's confirmation. */
  readonly seconds: number;
  /** What was found in folders and is neither file nor folder. */
  readonly skipped: readonly SkippedPath[];
}

/**
 * A peer on the network.
 *
 * @example Two peers, one call
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * await using bob = await Peer.open({ name: "bob", hostname: "127.0.0.1", port: 0 });
 * bob.handle("greet", ({ name }) => `hello, ${name}`);
 *
 * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * const answer = await alice.request(`127.0.0.1:${bob.address?.port}`, "greet", { name: "alice" });
 * assertEquals(answer, "hello, alice");
 * ```
 */
export class Peer implements AsyncDisposable {
  /** Who it is. */
  readonly identity: Identity;
  /** Its links and handlers. */
  readonly endpoint: Endpoint;
  /** Where peers are found. */
  readonly discovery: Discovery;
  /** What happened, how often. */
  readonly metrics: Metrics;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    identity: Identity,
    endpoint: Endpoint,
    discovery: Discovery,
    metrics: Metrics,
    clock: Clock,
    log: Logger,
    parts: AsyncDisposableStack,
  ) {
    this.identity = identity;
    this.endpoint = endpoint;
    this.discovery = discovery;
    this.metrics = metrics;
    this.#clock = clock;
    this.#log = log;
    this.#parts = parts;
  }

  /**
   * Opens a peer: it listens, answers those who look for it, and can look for others.
   *
   * @throws {RangeError} when the name is too long. @throws {TransportError} when a port asked for is taken.
   * @throws {UnsupportedError} when a permission or `--unstable-net` is missing; the text names it.
   */
  static async open(options: PeerOptions = {}): Promise<Peer> {
    const { identity = Identity.generate(), name = "", network = "", clientOnly = false } = options;
    const { transport = netTransport, clock = systemClock, log = silentLogger } = options;
    const { metrics = new Metrics(), limits = {}, hostname, port, udpPort, interfaces } = options;
    if (name.length > MAX_NAME_CHARS) {
      throw new RangeError(
        `Name must have at most ${MAX_NAME_CHARS} characters: it has ${name.length}`,
      );
    }
    const { peerId } = identity;
    const self: PeerInfo = { peerId, name, capabilities: CAPABILITIES, agent: AGENT };
    const common = { transport, clock, log, metrics, hostname };
    await using parts = new AsyncDisposableStack();
    const endpoint = parts.use(await Endpoint.open({ ...common, self, port, clientOnly, limits }));
    const tcpPort = endpoint.address?.port;
    const announce = tcpPort === undefined ? {} : { announce: { peerId, name, tcpPort } };
    const discovery = parts.use(
      await Discovery.open({
        ...common,
        ...announce,
        ...(interfaces === undefined ? {} : { interfaces }),
        network,
        udpPort,
        port: options.discoveryPort,
      }),
    );
    return new Peer(identity, endpoint, discovery, metrics, clock, log, parts.move());
  }

  /** 40 hexadecimal digits. */
  get peerId(): string {
    return this.identity.peerId;
  }

  /** Its label. */
  get name(): string {
    return this.endpoint.self.name;
  }

  /** Where it accepts connections; `undefined` for a client. */
  get address(): Address | undefined {
    return this.endpoint.address;
  }

  /** Registers a handler for requests and messages with a header. @returns what takes it back. */
  handle(header: string, handler: Handler, options?: HandlerOptions): Disposable {
    return this.endpoint.handle(header, handler, options);
  }

  /** Peers around, as they are found. */
  find(options?: FindOptions): AsyncGenerator<FoundPeer, void, void> {
    return this.discovery.find(options);
  }

  /**
   * Connects to a peer.
   *
   * @param target A peer id or an unambiguous beginning of one, a name, or `host:port`.
   * @throws {NotFoundError} `no-peer` when nobody fits, or more than one; `details.tried` says where we looked.
   * @throws {HandshakeError | LimitError | TimeoutError} when it is there and refuses, or answers too slowly.
   */
  async connect(target: string, options: ReachOptions = {}): Promise<Link> {
    const { timeoutMs = CONNECT_TIMEOUT_MS, peers = [] } = options;
    const deadline = new AbortController();
    const timer = this.#clock.after(timeoutMs, () => deadline.abort(LATE));
    const signal = options.signal === undefined
      ? deadline.signal
      : AbortSignal.any([deadline.signal, options.signal]);
    try {
      const address = parseAddress(target);
      if (address !== undefined) return await this.#connectTo(target, [address], signal);
      if (peers.length > 0) return await this.#connectTo(target, peers, signal);
      const found = await this.#lookFor(target, signal);
      return await this.#connectTo(found.peerId, found.addresses, signal);
    } finally {
      timer.cancel();
    }
  }

  /** Connects, asks and closes the connection again. @throws as {@linkcode Peer.connect} and {@linkcode Link.request}. */
  async request(
    target: string,
    header: string,
    body: MessageBody = {},
    options: ReachOptions & RequestOptions = {},
  ): Promise<unknown> {
    await using link = await this.connect(target, options);
    return await link.request(header, body, options);
  }

  /**
   * Sends files and folders to one peer, verified at both ends.
   *
   * @throws {NotFoundError} `no-path` when a path does not exist, `no-peer` when nobody fits.
   * @throws {RemoteError} with the receiver's code when it refuses. Further as `sendFiles`.
   */
  async send(
    paths: readonly string[],
    options: SendFilesOptions,
  ): Promise<SentFiles> {
    const { to, onProgress = () => {}, signal } = options;
    const withSignal = signal === undefined ? {} : { signal };
    const built = await buildManifest(paths, withSignal);
    const { skipped } = built;
    for (const { path, reason } of skipped) this.#log.warn(`not sent: ${reason}`, { path });
    await using link = await this.connect(to, options);
    for await (const event of sendFiles(link, built, { clock: this.#clock, ...withSignal })) {
      if (event.type === "progress") onProgress(event.bytes, event.totalBytes);
      if (event.type !== "done") continue;
      const { files, bytes, sha256, resentBytes, seconds } = event;
      return { files, bytes, sha256, resentBytes, seconds, skipped };
    }
    throw new Error("unreachable: sendFiles ends with done or throws");
  }

  /** Receives files into a folder, from now on. Iterate over the result to learn what comes. */
  receive(options: ReceiverOptions): Receiver {
    return this.#parts.use(
      Receiver.open(this.endpoint, { clock: this.#clock, log: this.#log, ...options }),
    );
  }

  /** Closes everything in reverse order. Harmless when closed. */
  async close(): Promise<void> {
    await this.#parts.disposeAsync();
  }

  /** The same as {@linkcode Peer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #lookFor(target: string, signal: AbortSignal): Promise<FoundPeer> {
    const matches = new Map<string, FoundPeer>();
    const others = new Set<string>();
    const enough = new AbortController();
    let timer = this.#clock.after(0, () => {});
    try {
      const searching = AbortSignal.any([signal, enough.signal]);
      for await (const found of this.discovery.find({ signal: searching })) {
        if (!fits(found, target)) {
          if (others.size < 8) others.add(printable(found.name || found.peerId, 40));
          continue;
        }
        if (found.peerId === target) return found;
        if (matches.size === 0) timer = this.#clock.after(AMBIGUITY_MS, () => enough.abort());
        matches.set(found.peerId, found);
      }
    } finally {
      timer.cancel();
    }
    throwUnlessLate(signal);
    const [match] = matches.values();
    if (match !== undefined && matches.size === 1) return match;
    if (matches.size > 1) throw ambiguous(target, [...matches.keys()]);
    const { asked, obstacle } = this.discovery;
    if (asked.length === 0 && obstacle !== undefined) throw obstacle;
    throw notFound(target, asked, [...others]);
  }

  async #connectTo(
    target: string,
    addresses: readonly Address[],
    signal: AbortSignal,
  ): Promise<Link> {
    const failures: string[] = [];
    let lastError: unknown;
    for (const address of addresses) {
      try {
        const link = await this.endpoint.connect(address, { signal });
        if (parseAddress(target) !== undefined || fits(link.peer, target)) return link;
        await link.close();
        failures.push(`${formatAddress(address)}: another peer is there`);
      } catch (error) {
        throwUnlessLate(signal);
        lastError = error;
        const why = error === LATE ? "no answer in time" : (error as Error).message;
        failures.push(`${formatAddress(address)}: ${why}`);
      }
    }
    if (lastError instanceof PeerError && lastError.code !== "connect") throw lastError;
    throw notFound(target, failures, []);
  }
}

/** Why our own deadline aborts, to tell it from a caller's signal. */
const LATE = new Error("the time is over");

function throwUnlessLate(signal: AbortSignal): void {
  if (signal.aborted && signal.reason !== LATE) throw signal.reason;
}

function fits(peer: { peerId: string; name: string }, target: string): boolean {
  return peer.name === target ||
    (/^[0-9a-f]{4,40}$/.test(target) && peer.peerId.startsWith(target));
}

function notFound(
  target: string,
  tried: readonly string[],
  found: readonly string[],
): NotFoundError {
  const where = tried.length > 0 ? `tried ${tried.join("; ")}` : "there was no way to look";
  const others = found.length > 0 ? `; others answered: ${found.join(", ")}` : "";
  return new NotFoundError(
    "no-peer",
    `Cannot reach peer "${printable(target, 80)}": ${where}${others}`,
    { details: { tried, found } },
  );
}

function ambiguous(target: string, peerIds: readonly string[]): NotFoundError {
  return new NotFoundError(
    "no-peer",
    `"${printable(target, 80)}" is not one peer but ${peerIds.length}: ${
      peerIds.join(", ")
    }; use the peer id`,
    { details: { found: peerIds } },
  );
}
