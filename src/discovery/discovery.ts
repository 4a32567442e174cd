/**
 * Finding peers on the networks this machine is on: a question to everyone, answers to the asker alone.
 *
 * Questions go out on every interface by every method it has: IPv4 multicast (239.1.11.11), directed and limited
 * broadcast, IPv6 multicast (ff02::1:6). One interface that fails never stops the others.
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
import { ClosedError, IntegrityError, UnsupportedError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  formatAddress,
  type MulticastGroup,
  type Transport,
} from "../transport/transport.ts";
import { isLoopback } from "../endpoint/limits.ts";
import { Announcer, type OwnAnnouncement } from "./announcer.ts";
import { RotatingInstance } from "./instance.ts";
import { type LocalInterface, localInterfaces } from "./interfaces.ts";
import { type DiscoveryMethod, encodeQuestion, parseAnswer, parseQuestion } from "./packets.ts";
import { type FoundPeer, Search } from "./search.ts";

/** The port that questions are sent to, and the one PeerConnect uses. */
export const DISCOVERY_PORT = 3486;

/** The IPv4 group, that of PeerConnect. */
export const MULTICAST_V4 = "239.1.11.11";

/** The IPv6 group, that of PeerConnect. */
export const MULTICAST_V6 = "ff02::1:6";

/** What discovery needs. */
export interface DiscoveryOptions {
  /** The network. */
  transport: Transport;
  /** Whom to announce; without it, this end looks and cannot be found. */
  announce?: OwnAnnouncement;
  /** Use only the interface with this address. @default every interface */
  hostname?: string | undefined;
  /** The port for questions. @default {3486} */
  port?: number | undefined;
  /** The socket that answers leave from: its port is where the peer takes datagrams. @default one of its own */
  answerFrom?: AnswerSocket;
  /** Lists the interfaces. @default {localInterfaces} */
  interfaces?: () => LocalInterface[];
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `discovery.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/** A socket that answers leave from; discovery does not close it. */
export interface AnswerSocket {
  /** Where it is bound. */
  readonly address: Address;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** How to look. */
export interface FindOptions {
  /** Stops looking after this many milliseconds. @default {Infinity} */
  timeoutMs?: number;
  /** Stops looking when aborted. */
  signal?: AbortSignal;
}

/** Finds peers and, where it announces one, is found; see the module. */
export class Discovery implements AsyncDisposable {
  readonly #options: DiscoveryOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #port: number;
  readonly #instance: RotatingInstance;
  readonly #sockets = new Set<DatagramSocket>();
  readonly #loops = new Set<Promise<void>>();
  readonly #searches = new Set<Search>();
  readonly #asked = new Set<string>();
  #obstacle: UnsupportedError | undefined;
  #own: AnswerSocket | undefined;
  #own6: AnswerSocket | undefined;
  #closed = false;

  private constructor(options: DiscoveryOptions) {
    const { clock = systemClock, log = silentLogger } = options;
    const { metrics = new Metrics(), port = DISCOVERY_PORT } = options;
    this.#options = options;
    this.#instance = new RotatingInstance(clock);
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#port = port;
  }

  /**
   * Opens discovery and, where there is somebody to announce, starts to answer.
   *
   * @throws {TransportError} when there is no socket to be had.
   * @throws {UnsupportedError} when interfaces may not be listed or UDP is not to be had.
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
    return this.#own?.address ?? this.#own6?.address;
  }

  /** The ways that questions have gone out: method, destination and the address they left from. */
  get asked(): string[] {
    return [...this.#asked];
  }

  /** The permission or flag that was missing where a question could not go out, if one was. */
  get obstacle(): UnsupportedError | undefined {
    return this.#obstacle;
  }

  /**
   * Looks for peers, until the time is over, the signal aborts or the loop is left. A peer is given when it is first
   * found, and again when another address or another way to it is.
   */
  async *find(options: FindOptions = {}): AsyncGenerator<FoundPeer, void, void> {
    const { timeoutMs = Infinity, signal } = options;
    if (this.#closed) throw new ClosedError("Cannot look for peers: discovery is closed");
    const search = new Search(this.#clock);
    this.#searches.add(search);
    const stop = () => search.stop();
    const timer = timeoutMs === Infinity ? undefined : this.#clock.after(timeoutMs, stop);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    const sockets: DatagramSocket[] = [];
    try {
      const askers = await this.#openAskers(sockets);
      for (const socket of sockets) {
        this.#serve(socket, (datagram) => this.#takeAnswer(search, datagram));
      }
      search.repeat(() => {
        for (const asker of askers) void this.#ask(search, asker);
      });
      yield* search.results();
    } finally {
      timer?.cancel();
      signal?.removeEventListener("abort", stop);
      search.stop();
      for (const socket of sockets) this.#close(socket);
      this.#searches.delete(search);
    }
  }

  /** Stops answering and looking. Harmless when closed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const search of this.#searches) search.stop();
    for (const socket of [...this.#sockets]) this.#close(socket);
    await Promise.all(this.#loops);
  }

  /** The same as {@linkcode Discovery.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(announce: OwnAnnouncement): Promise<void> {
    const { hostname = "0.0.0.0", answerFrom } = this.#options;
    const own = answerFrom ??
      await this.#open({ hostname: isWildcard(hostname) ? "0.0.0.0" : hostname, port: 0 });
    if (own.address.hostname.includes(":")) this.#own6 = own;
    else this.#own = own;
    const interfaces = this.#interfaces();
    const [instance, clock, metrics] = [this.#instance, this.#clock, this.#metrics];
    const announcer = new Announcer({ announce, instance, clock, metrics });
    const answer = (datagram: Datagram) => this.#takeQuestion(announcer, datagram);
    const v4 = interfaces.filter(({ family }) => family === "IPv4");
    await this.#tolerate("listen for IPv4 questions", async () => {
      const groups = v4.map(({ address }) => ({ group: MULTICAST_V4, interfaceAddress: address }));
      this.#serve(await this.#openShared("0.0.0.0", groups), answer);
    });
    // A socket per interface: bound to the group on that link, it knows the zone that answers need.
    for (const { family, name, index } of interfaces) {
      if (family !== "IPv6" || index === undefined) continue;
      await this.#tolerate(`listen for IPv6 questions on ${name}`, async () => {
        this.#own6 ??= await this.#open({ hostname: "::", port: 0 });
        const groups = [{ group: MULTICAST_V6, interfaceIndex: index }];
        this.#serve(await this.#openShared(`${MULTICAST_V6}%${name}`, groups), answer);
      });
    }
  }

  async #openAskers(opened: DatagramSocket[]): Promise<Asker[]> {
    const askers: Asker[] = [];
    for (const { family, address, name, broadcast } of this.#interfaces()) {
      await this.#tolerate(`ask on ${name}`, async () => {
        const hostname = family === "IPv6" ? `${address}%${name}` : address;
        const socket = await this.#open({ hostname, port: 0 });
        opened.push(socket);
        if (family === "IPv6") {
          askers.push({ socket, to: `${MULTICAST_V6}%${name}`, via: "multicast6" });
          return;
        }
        askers.push({ socket, to: MULTICAST_V4, via: "multicast4" });
        askers.push({ socket, to: "255.255.255.255", via: "broadcast" });
        if (broadcast !== undefined) askers.push({ socket, to: broadcast, via: "broadcast" });
      });
    }
    return askers;
  }

  async #ask(search: Search, { socket, to, via }: Asker): Promise<void> {
    const question = encodeQuestion({ id: search.id, from: this.#instance.now().id, via });
    this.#metrics.counter("discovery.questions").add();
    await this.#tolerate(`ask ${to}`, async () => {
      await socket.send(question, { hostname: to, port: this.#port });
      this.#asked.add(`${via} to ${to} from ${socket.address.hostname}`);
    });
  }

  #takeQuestion(announcer: Announcer, { data, from }: Datagram): Promise<void> | undefined {
    const own = from.hostname.includes(":") ? this.#own6 : this.#own;
    if (own === undefined || this.#isForeign(from)) return undefined;
    const answer = announcer.answer(parseQuestion(data), from);
    if (answer === undefined) return undefined;
    return this.#tolerate(`answer ${formatAddress(from)}`, () => own.send(answer, from));
  }

  #takeAnswer(search: Search, { data, from }: Datagram): undefined {
    const answer = parseAnswer(data, search.id);
    if (answer === undefined || search.add(answer, from.hostname)) return;
    this.#metrics.counter("discovery.stale").add();
  }

  /** Whether a question came from elsewhere although only this machine is served. */
  #isForeign(from: Address): boolean {
    const { hostname } = this.#options;
    return hostname !== undefined && isLoopback(hostname) && !isLoopback(from.hostname);
  }

  #interfaces(): LocalInterface[] {
    const { hostname, interfaces = localInterfaces } = this.#options;
    const all = interfaces();
    if (hostname === undefined || isWildcard(hostname)) return all;
    const wanted = hostname === "localhost" ? "127.0.0.1" : hostname.replace(/%.*/, "");
    return all.filter(({ address }) => address === wanted);
  }

  #openShared(hostname: string, groups: MulticastGroup[]): Promise<DatagramSocket> {
    return this.#open({ hostname, port: this.#port, shared: true, groups });
  }

  async #open(options: Parameters<Transport["datagram"]>[0]): Promise<DatagramSocket> {
    const socket = await this.#options.transport.datagram(options);
    this.#sockets.add(socket);
    for (const error of socket.joinErrors) {
      this.#log.warn("could not join a multicast group", { why: error.message });
    }
    return socket;
  }

  #close(socket: DatagramSocket): void {
    this.#sockets.delete(socket);
    socket.close();
  }

  /** Reads a socket until it is closed; a packet that is not what it should be is counted and dropped. */
  #serve(socket: DatagramSocket, take: (datagram: Datagram) => Promise<void> | undefined): void {
    const loop = this.#tolerate(`receive on ${formatAddress(socket.address)}`, async () => {
      for (;;) {
        const datagram = await socket.receive();
        if (datagram === undefined) return;
        try {
          await take(datagram);
        } catch (error) {
          const fault = error instanceof IntegrityError ? "bad-signature" : "malformed";
          this.#metrics.counter(`discovery.${fault}`).add();
          this.#log.debug("dropped a packet", {
            from: formatAddress(datagram.from),
            why: error instanceof Error ? error.message : String(error),
          });
        }
      }
    });
    this.#loops.add(loop);
    void loop.finally(() => this.#loops.delete(loop));
  }

  /** Does what may fail on one interface without hurting the others. */
  async #tolerate(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof ClosedError) return;
      if (error instanceof UnsupportedError) this.#obstacle = error;
      this.#metrics.counter("discovery.failures").add();
      this.#log.debug(`could not ${what}`, {
        why: error instanceof Error ? error.message : String(error),
      });
    }
  }
}

interface Asker {
  readonly socket: DatagramSocket;
  readonly to: string;
  readonly via: DiscoveryMethod;
}

function isWildcard(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}
