/**
 * Finding peers: a question to everyone on the networks this machine is on, answers to the asker alone; and hints where
 * peers may be, each of which is connected to.
 *
 * Questions go out on every interface by every method it has: IPv4 multicast (239.1.11.11), directed and limited
 * broadcast, IPv6 multicast (ff02::1:6). One interface that fails never stops the others, and one that appears while
 * somebody looks or can be found is used within seconds. Hints come from {@linkcode CandidateSource}s: lists, files,
 * name servers, memory. All of them look at the same time, the costly ones a little later:
 *
 * ```
 *   0 ms   multicast questions; lists, files, name servers, mDNS
 *  50 ms   broadcast questions
 * 400 ms   where peers were the last time: all of them if nobody was found, else the first eight
 * ```
 *
 * Each peer that can be found holds *shared* sockets on the well-known port, which receive questions and nothing else,
 * and a socket of its own that answers leave from. A found peer's address is the source of its answer and the port in
 * it; never an address that the answer names. Its answer is signed, so the peer id is whose key made it; that the peer
 * is also who listens at that port is known only once a connection has proven it.
 *
 * Of a named or keyed network nothing is seen here: the transport seals what leaves, and drops what others say. In the
 * open network a question shows an instance id that changes every ten minutes; an answer shows that, the public key, the
 * port, and the name where there is one.
 *
 * Source: the PeerConnect discovery protocol (groups, port, find and reply) and the peerpy discovery protocol
 * (broadcast), without their blindness to a second peer on the same host.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { ClosedError, UnsupportedError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import type { Address, Datagram, Transport } from "../transport/transport.ts";
import { Announcer, type OwnAnnouncement } from "./announcer.ts";
import { Asker } from "./asker.ts";
import { Attempts } from "./attempts.ts";
import { Candidates, type CandidateSource } from "./candidates.ts";
import { DISCOVERY_PORT } from "./groups.ts";
import { RotatingInstance } from "./instance.ts";
import type { LocalInterface } from "./interfaces.ts";
import { parseAnswer } from "./packets.ts";
import { type Probe, Prober } from "./prober.ts";
import type { PeerMemory } from "./sources/remembered_peers.ts";
import { type AnswerSocket, Responder } from "./responder.ts";
import { type FoundPeer, Search } from "./search.ts";
import { Sockets } from "./sockets.ts";
import { UsedInterfaces } from "./used_interfaces.ts";
import { followInterfaces } from "./watched_interfaces.ts";

export { DISCOVERY_PORT, MULTICAST_V4, MULTICAST_V6 } from "./groups.ts";
export type { AnswerSocket } from "./responder.ts";

/** What discovery needs. */
export interface DiscoveryOptions {
  /** The network. */
  transport: Transport;
  /** Whom to announce; without it, this end looks and cannot be found. */
  announce?: OwnAnnouncement;
  /** Who we are, 40 hexadecimal digits: who proves to be that is not somebody else. @default who is announced */
  ownId?: string;
  /** Use only the interface with this address. @default every interface */
  hostname?: string | undefined;
  /** Use only interfaces of these names, `!` before those not to use; see {@linkcode interfaceFilter}. @default {[]} */
  only?: readonly string[];
  /** The port for questions. @default {3486} */
  port?: number | undefined;
  /** The socket that answers leave from: its port is where the peer takes datagrams. @default one of its own */
  answerFrom?: AnswerSocket;
  /** Lists the interfaces. @default {localInterfaces} */
  interfaces?: () => LocalInterface[];
  /** Who else may know where peers are. @default {[]} */
  sources?: readonly CandidateSource[];
  /** Remembers who was found, and says where to ask when nobody else is. Discovery does not close it. @default nobody */
  memory?: PeerMemory;
  /** Connects to those that sources name, and proves who is there. Needed where there are sources or a memory. */
  probe?: Probe;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `discovery.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/** How to look. */
export interface FindOptions {
  /** Stops looking after this many milliseconds. @default {Infinity} */
  timeoutMs?: number;
  /** Stops looking when aborted. */
  signal?: AbortSignal;
}

/**
 * Finds peers and, where it announces one, is found; see the module.
 *
 * @example
 * ```ts
 * import { Identity } from "@kith/kith";
 * import { Discovery, type FoundPeer } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const lan = { name: "lan", family: "IPv4", broadcast: undefined, index: undefined } as const;
 * const on = (address: string) => ({
 *   transport: network.host(address),
 *   interfaces: () => [{ ...lan, address, loopback: false }],
 * });
 * const announce = { identity: Identity.generate(), name: "bob", tcpPort: 3485 };
 * await using bob = await Discovery.open({ ...on("bob"), announce });
 * await using alice = await Discovery.open(on("alice"));
 * const found: FoundPeer[] = [];
 * for await (const peer of alice.find({ timeoutMs: 5_000 })) {
 *   found.push(peer);
 *   break;
 * }
 * assertEquals(found[0]?.peerId, announce.identity.peerId);
 * assertEquals(found[0]?.addresses, [{ hostname: "bob", port: 3485 }]);
 * ```
 */
export class Discovery implements AsyncDisposable {
  readonly #options: DiscoveryOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #port: number;
  readonly #interfaces: UsedInterfaces;
  readonly #instance: RotatingInstance;
  readonly #attempts: Attempts;
  readonly #sockets: Sockets;
  readonly #sources: readonly CandidateSource[];
  readonly #prober: Prober | undefined;
  readonly #searches = new Set<Search>();
  readonly #lookouts = new Set<Promise<void>>();
  readonly #end = new AbortController();
  #responder: Responder | undefined;

  private constructor(options: DiscoveryOptions) {
    const { transport, clock = systemClock, log = silentLogger, metrics = new Metrics() } = options;
    const { port = DISCOVERY_PORT, sources = [], memory, probe } = options;
    const { interfaces, hostname, only } = options;
    const attempts = new Attempts(log, metrics);
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#port = port;
    this.#interfaces = new UsedInterfaces({ interfaces, hostname, only, clock });
    this.#instance = new RotatingInstance(clock);
    this.#attempts = attempts;
    this.#sockets = new Sockets({ transport, attempts, log, metrics });
    this.#sources = memory === undefined ? sources : [...sources, memory];
    this.#prober = probe && new Prober({ probe, attempts, clock, log, metrics });
    if (this.#sources.length > 0 && probe === undefined) {
      throw new TypeError("Sources of candidates need a probe that asks who is there");
    }
  }

  /**
   * Opens discovery and, where there is somebody to announce, starts to answer.
   *
   * @throws {TransportError} when there is no socket to be had.
   * @throws {UnsupportedError} when interfaces may not be listed or UDP is not to be had.
   * @throws {TypeError} for an interface pattern that is none, or sources without a probe.
   */
  static async open(options: DiscoveryOptions): Promise<Discovery> {
    const discovery = new Discovery(options);
    if (options.announce === undefined) return discovery;
    try {
      await discovery.#listen(options.announce);
      return discovery;
    } catch (error) {
      await discovery.close();
      throw error;
    }
  }

  /** The socket that answers leave from; `undefined` for one that only looks. */
  get address(): Address | undefined {
    return this.#responder?.address;
  }

  /** The ways that peers were looked for: method, destination, and for questions the address they left from. */
  get asked(): string[] {
    return this.#attempts.asked;
  }

  /** The permission or flag that was missing where somebody could not be asked, if one was. */
  get obstacle(): UnsupportedError | undefined {
    return this.#attempts.obstacle;
  }

  /**
   * Looks for peers, until the time is over, the signal aborts or the loop is left. A peer is given when it is first
   * found, and again when another address or another way to it is.
   *
   * @throws {UnsupportedError} when interfaces may not be listed, and there are no sources to go by.
   * @throws {ClosedError} when discovery is closed.
   */
  async *find(options: FindOptions = {}): AsyncGenerator<FoundPeer, void, void> {
    const { timeoutMs = Infinity, signal } = options;
    if (this.#end.signal.aborted) {
      throw new ClosedError("Cannot look for peers: discovery is closed");
    }
    const search = new Search(this.#clock);
    this.#searches.add(search);
    const stop = () => search.stop();
    const timer = timeoutMs === Infinity ? undefined : this.#clock.after(timeoutMs, stop);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    try {
      this.#followSources(search);
      await this.#askAround(search);
      for await (const found of search.results()) {
        this.#options.memory?.remember(found);
        yield found;
      }
    } finally {
      timer?.cancel();
      signal?.removeEventListener("abort", stop);
      search.stop();
      this.#searches.delete(search);
    }
  }

  /** Stops answering and looking. Harmless when closed. */
  async close(): Promise<void> {
    this.#end.abort();
    for (const search of this.#searches) search.stop();
    await this.#sockets.closeAll();
    await Promise.all(this.#lookouts);
    await this.#prober?.idle();
  }

  /** The same as {@linkcode Discovery.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(announce: OwnAnnouncement): Promise<void> {
    const { hostname, answerFrom } = this.#options;
    const [instance, clock, metrics] = [this.#instance, this.#clock, this.#metrics];
    const [sockets, attempts, port] = [this.#sockets, this.#attempts, this.#port];
    const announcer = new Announcer({ announce, instance, clock, metrics });
    const responder = await Responder.open({
      announcer,
      hostname,
      isLeftOut: (asker) => this.#interfaces.isLeftOut(asker),
      answerFrom,
      sockets,
      attempts,
      port,
    });
    this.#responder = responder;
    await this.#follow(this.#end.signal, (interfaces) => responder.update(interfaces));
  }

  async #askAround(search: Search): Promise<void> {
    if (search.signal.aborted) return;
    const asker = new Asker({
      searchId: search.id,
      signal: search.signal,
      instance: this.#instance,
      port: this.#port,
      sockets: this.#sockets,
      attempts: this.#attempts,
      clock: this.#clock,
      metrics: this.#metrics,
      take: (datagram) => this.#takeAnswer(search, datagram),
    });
    try {
      await this.#follow(search.signal, (interfaces) => asker.update(interfaces));
    } catch (error) {
      if (this.#sources.length === 0 || !(error instanceof UnsupportedError)) throw error;
      this.#attempts.failed("list interfaces", error);
    }
    asker.begin();
  }

  #followSources(search: Search): void {
    if (this.#prober === undefined || this.#sources.length === 0) return;
    const candidates = new Candidates({
      sources: this.#sources,
      prober: this.#prober,
      ownId: this.#options.ownId ?? this.#options.announce?.identity.peerId,
      attempts: this.#attempts,
      clock: this.#clock,
      log: this.#log,
      metrics: this.#metrics,
    }, search);
    const looking = candidates.look();
    this.#lookouts.add(looking);
    void looking.then(() => this.#lookouts.delete(looking));
  }

  #takeAnswer(search: Search, { data, from }: Datagram): undefined {
    const answer = parseAnswer(data, search.id);
    if (answer === undefined || search.add(answer, from.hostname)) return;
    this.#metrics.counter("discovery.stale").add();
  }

  #follow(
    signal: AbortSignal,
    take: (interfaces: readonly LocalInterface[]) => Promise<void>,
  ): Promise<void> {
    const [attempts, clock] = [this.#attempts, this.#clock];
    const list = () => this.#interfaces.list();
    return followInterfaces({ list, attempts, clock, signal }, take);
  }
}
