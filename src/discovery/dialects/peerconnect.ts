/**
 * Finding PeerConnect's nodes and being found by them: its multicast find and find reply, and its probes of liveness.
 *
 * What is said there is plain and proven by nobody, so it is spoken only when asked for, and believed no further than it
 * must be: a reply goes to the host that a find came from, whatever address stands in it, and a node is where its reply
 * came from. A reply is a byte or so longer than its find, which cannot be padded; what an attacker gains by asking in
 * somebody else's name is bounded by how many are given. Signs of life are always shorter than probes.
 *
 * We are known by our id and not by our address, so that two peers on one host find each other; the originals there are
 * blind to each other.
 *
 * In a closed network these packets are not sealed and pass the seal as they are: who turns this on there shows to
 * everybody that somebody is there, and under which id.
 *
 * Source: the PeerConnect discovery protocol, and the liveness of contacts in its requests module.
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import { isLoopback, type RateOptions, TokenBuckets } from "../../endpoint/limits.ts";
import { type RequestEvent, UNCODED } from "../../endpoint/requests_dispatcher.ts";
import { sourceOf } from "../../endpoint/source.ts";
import { ClosedError, InvalidPacketError, TransportError } from "../../errors.ts";
import { type Logger, printable, silentLogger } from "../../log.ts";
import { Metrics } from "../../metrics.ts";
import {
  type Address,
  type Datagram,
  formatAddress,
  type Transport,
} from "../../transport/transport.ts";
import { decodeDatagram, SERVICE_CODE } from "../../wire/datagram.ts";
import { decodeWireData, type WireData } from "../../wire/message.ts";
import { idToDecimal } from "../../wire/remote_peer.ts";
import { Attempts } from "../attempts.ts";
import type { FindForeignOptions, ForeignDiscovery, ForeignPeer } from "../foreign.ts";
import { DISCOVERY_PORT, MULTICAST_V4, MULTICAST_V6 } from "../groups.ts";
import type { LocalInterface } from "../interfaces.ts";
import { addressOn, platformOf } from "../platform.ts";
import {
  hostnameOf,
  type PeerConnectLink,
  PeerConnectLinks,
  type PeerConnectPort,
} from "./peerconnect_links.ts";
import { type AliveOptions, PeerConnectLiveness } from "./peerconnect_liveness.ts";
import {
  encodeFind,
  encodeFindReply,
  encodeSignOfLife,
  isProbe,
  parsePeerConnect,
  type PeerConnectContact,
  type PeerConnectProbe,
} from "./peerconnect_packets.ts";
import { PeerConnectSearch } from "./peerconnect_search.ts";

/** Replies per address: a node sends two finds every 3 s, and there may be several on a host. */
const REPLIES_PER_ADDRESS: Readonly<RateOptions> = { perSecond: 4, burst: 16 };

/** Replies to all addresses together, which can be forged. */
const REPLIES: Readonly<RateOptions> = { perSecond: 100, burst: 200 };

/** The codes that a message may come with, and none at all. */
const CODES = [
  SERVICE_CODE.peerconnectKademlia,
  SERVICE_CODE.peerconnectDiscovery,
  SERVICE_CODE.peerconnectGossip,
  UNCODED,
];

/** Those that belong to others, of which only probes and what answers ours are for us. */
const SHARED_CODES: readonly number[] = [
  SERVICE_CODE.peerconnectKademlia,
  SERVICE_CODE.peerconnectGossip,
];

/** What a {@linkcode PeerConnectDiscovery} needs. */
export interface PeerConnectOptions {
  /**
   * The network for its own sockets. That of a closed network must not be the sealed one: sealed questions that come to
   * the same port would be opened there too, and be taken for replayed where they belong.
   */
  transport: Transport;
  /** The peer's port, on which it is reached; discovery does not close it. */
  udp: PeerConnectPort;
  /** Who we are, 20 bytes; sent as decimal text, to everybody. */
  peerId: Uint8Array;
  /** Use only the interface with this address. @default every interface */
  hostname?: string | undefined;
  /** Use only interfaces of these names, `!` before those not to use; see `interfaceFilter`. @default {[]} */
  only?: readonly string[];
  /** The port that finds are sent to. @default {3486} */
  port?: number | undefined;
  /** Lists all interfaces, those too that are left out: who asks there is known by that. @default {localInterfaces} */
  interfaces?: () => LocalInterface[];
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `peerconnect.*`, and `discovery.failures`. @default {new Metrics()} */
  metrics?: Metrics;
}

/**
 * Finds PeerConnect's nodes and is found by them; see the module.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { PeerConnectDiscovery } from "@kith/kith/discovery";
 * import { Endpoint, UdpPort } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const [network, clock] = [new MemoryNetwork(), new ManualClock()];
 * await using parts = new AsyncDisposableStack();
 * async function open(name: string): Promise<PeerConnectDiscovery> {
 *   const transport = network.host(name);
 *   const self = { name, capabilities: [], agent: "example" };
 *   const endpoint = parts.use(await Endpoint.open({ transport, self, clientOnly: true }));
 *   const udp = parts.use(await UdpPort.open(endpoint, { transport }));
 *   const peerId = new TextEncoder().encode(name.padEnd(20));
 *   const local = { name: "lan", address: name, family: "IPv4", loopback: false } as const;
 *   const interfaces = () => [{ ...local, broadcast: undefined, index: undefined }];
 *   const options = { transport, udp, peerId, interfaces, clock };
 *   return parts.use(await PeerConnectDiscovery.open(options));
 * }
 * await open("bob");
 * const alice = await open("alice");
 * const end = new AbortController();
 * const looking = Array.fromAsync(alice.find({ signal: end.signal }));
 * await clock.advance(500);
 * end.abort();
 * assertEquals((await looking).map(({ address }) => address.hostname), ["bob"]);
 * ```
 */
export class PeerConnectDiscovery implements ForeignDiscovery {
  /** Which program's way it speaks. */
  readonly dialect = "peerconnect";
  readonly #transport: Transport;
  readonly #peerId: string;
  readonly #port: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #attempts: Attempts;
  readonly #rates: TokenBuckets;
  readonly #allRates: TokenBuckets;
  readonly #liveness: PeerConnectLiveness;
  readonly #searches = new Set<PeerConnectSearch>();
  readonly #closing = new AbortController();
  readonly #parts = new AsyncDisposableStack();
  #links: PeerConnectLinks | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: PeerConnectOptions) {
    const { transport, peerId, port = DISCOVERY_PORT, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.#transport = transport;
    this.#peerId = idToDecimal(peerId);
    this.#port = port;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#attempts = new Attempts(log, metrics);
    this.#rates = new TokenBuckets(clock, REPLIES_PER_ADDRESS);
    this.#allRates = new TokenBuckets(clock, REPLIES);
    const send = (packet: Uint8Array, to: Address) => this.#send(packet, to);
    this.#liveness = new PeerConnectLiveness({ transport, send, clock });
  }

  /**
   * Starts to answer. What it cannot listen to is told in the log, and tried again.
   *
   * @throws {UnsupportedError} when interfaces may not be listed. @throws {RangeError} when the id is not 20 bytes.
   * @throws {TypeError} when somebody else takes packets of its own code on that port, or for an interface pattern that is
   * none.
   */
  static async open(options: PeerConnectOptions): Promise<PeerConnectDiscovery> {
    const discovery = new PeerConnectDiscovery(options);
    try {
      await discovery.#listen(options);
      return discovery;
    } catch (error) {
      await discovery.close();
      throw error;
    }
  }

  /**
   * Nodes as they reply, until the signal aborts, the loop is left or discovery is closed: finds go out on every interface
   * after 100 and 300 ms, and the same again after a rest of 3 s. A node is given once for each address that it replies
   * from, with its id in decimal; the port is the one that it takes requests on, over UDP. At most 1,024 are given.
   *
   * @throws {ClosedError} when discovery is closed.
   */
  async *find({ signal }: FindForeignOptions = {}): AsyncGenerator<ForeignPeer, void, void> {
    if (this.#closing.signal.aborted) {
      throw new ClosedError("Cannot look for PeerConnect nodes: discovery is closed");
    }
    const left = new AbortController();
    const ends = [left.signal, this.#closing.signal, ...(signal ? [signal] : [])];
    const ask = () => this.#askEverywhere();
    const clock = this.#clock;
    const search = new PeerConnectSearch({ ask, clock, signal: AbortSignal.any(ends) });
    this.#searches.add(search);
    try {
      yield* search.results;
    } finally {
      left.abort();
      await search.over;
      this.#searches.delete(search);
    }
  }

  /**
   * Asks a node whether it is still there: by a probe in both forms and, where nothing comes back, by connecting.
   *
   * @param address The IP address and port that it takes requests on.
   * @returns whether a packet came back from there, or a connection could be made.
   * @throws {ClosedError} when discovery is closed. @throws {UnsupportedError} when the program may not reach it.
   */
  isAlive(address: Address, options: AliveOptions = {}): Promise<boolean> {
    return this.#liveness.isAlive(address, options);
  }

  /** Stops answering and looking. Harmless when closed. */
  close(): Promise<void> {
    return this.#closed ??= this.#end();
  }

  /** The same as {@linkcode PeerConnectDiscovery.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(): Promise<void> {
    this.#closing.abort();
    this.#liveness.close();
    await Promise.all([...this.#searches].map(({ over }) => over));
    await this.#parts.disposeAsync();
  }

  async #listen(options: PeerConnectOptions): Promise<void> {
    const { transport, udp, hostname, only, interfaces } = options;
    const [attempts, clock, log, metrics] = [this.#attempts, this.#clock, this.#log, this.#metrics];
    for (const code of CODES) this.#parts.use(this.#register(udp, code));
    this.#links = this.#parts.use(
      await PeerConnectLinks.open({
        transport,
        udp,
        port: this.#port,
        hostname,
        only,
        interfaces,
        onPort: (port) => CODES.forEach((code) => this.#register(port, code)),
        take: (datagram) => this.#takeFind(datagram),
        attempts,
        clock,
        log,
        metrics,
      }),
    );
  }

  #register({ requests }: PeerConnectPort, code: number): Disposable {
    const takes = (event: RequestEvent) => this.#isOurs(event);
    return requests.register(code, ({ rootCode, request, fromAddr }) => {
      return this.#take(fromAddr, rootCode, () => request);
    }, SHARED_CODES.includes(code) ? { takes } : {});
  }

  /** Of a code that others have, too: who asks whether we are there, and who answers that question. */
  #isOurs({ request, fromAddr }: RequestEvent): boolean {
    return isProbe(request) || this.#liveness.awaits(request.msgId, fromAddr);
  }

  /** What comes to the groups: finds, and questions of other kinds on the same port. */
  #takeFind({ data, from }: Datagram): Promise<void> | undefined {
    if (data[0] !== SERVICE_CODE.peerconnectDiscovery) return undefined;
    return this.#take(from, SERVICE_CODE.peerconnectDiscovery, () => {
      const { payload } = decodeDatagram(data, { code: true, exact: true });
      return decodeWireData(payload, { dialect: "peerconnect" });
    });
  }

  #take(from: Address, code: number, read: () => WireData): Promise<void> | undefined {
    try {
      const request = read();
      if (this.#liveness.hear(request.msgId, from)) return undefined;
      const message = parsePeerConnect(request);
      if (message?.type === "probe") return this.#answerProbe(message, from);
      if (message === undefined || code !== SERVICE_CODE.peerconnectDiscovery) return undefined;
      if (message.peerId === this.#peerId) return undefined; // our own, come back
      return message.type === "find" ? this.#answerFind(message, from) : this.#note(message, from);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#drop("malformed", from, error.message);
      return undefined;
    }
  }

  #answerFind({ address }: PeerConnectContact, from: Address): Promise<void> | undefined {
    const link = this.#links?.to(from);
    if (link === undefined) return undefined;
    const source = sourceOf(from.hostname);
    if (sourceOf(address.hostname).address !== source.address) {
      return this.#drop("forged", from, `reply_addr names ${printable(address.hostname, 64)}`);
    }
    // On this machine the ports are different programs.
    const asker = isLoopback(from.hostname) ? formatAddress(from) : source.address;
    if (!this.#rates.take(asker) || !this.#allRates.take("")) return this.#drop("rate", from);
    this.#metrics.counter("peerconnect.replies").add();
    const { local, port } = link;
    const uri = { hostname: local.address, port: port.address.port };
    const to = { hostname: from.hostname, port: address.port };
    return this.#attempts.tolerate("reply to a find", () => {
      return port.send(encodeFindReply(this.#peerId, uri), to);
    });
  }

  #answerProbe({ id }: PeerConnectProbe, from: Address): Promise<void> | undefined {
    const link = this.#links?.to(from);
    if (link === undefined) return undefined;
    this.#metrics.counter("peerconnect.probes").add();
    return this.#attempts.tolerate("answer a probe", () => {
      return link.port.send(encodeSignOfLife(id), from);
    });
  }

  /** Gives a node to who looks. It is where its reply came from, whatever host it names. */
  #note({ peerId, address: { port } }: PeerConnectContact, from: Address): undefined {
    if (this.#searches.size === 0) return this.#drop("unasked", from);
    const address = { hostname: from.hostname, port };
    for (const search of this.#searches) search.add(peerId, address);
  }

  async #askEverywhere(): Promise<void> {
    await Promise.all([...this.#links?.all ?? []].map((link) => this.#askOn(link)));
  }

  /** Only a socket that is bound to an interface's address sends to the group there, so each find has its own. */
  async #askOn({ local, port }: PeerConnectLink): Promise<void> {
    const hostname = hostnameOf(local);
    const address = local.family === "IPv6" ? MULTICAST_V6 : MULTICAST_V4;
    const group = addressOn(platformOf(), address, local);
    const find = encodeFind(this.#peerId, { hostname, port: port.address.port });
    await this.#attempts.tolerate(`ask ${group} on ${local.name}`, async () => {
      const socket = await this.#transport.datagram({ hostname });
      try {
        await socket.send(find, { hostname: group, port: this.#port });
        this.#metrics.counter("peerconnect.finds").add();
      } finally {
        socket.close();
      }
    });
  }

  /** Sends from the port that is nearest. */
  async #send(packet: Uint8Array, to: Address): Promise<void> {
    const link = this.#links?.to(to);
    if (link === undefined) throw new TransportError(`Cannot send to ${shown(to)}: no link there`);
    await link.port.send(packet, to);
  }

  #drop(why: "forged" | "malformed" | "rate" | "unasked", from: Address, detail = ""): undefined {
    this.#metrics.counter(`peerconnect.${why}`).add();
    this.#log.debug("dropped a packet of PeerConnect", { from: shown(from), why, detail });
  }
}

function shown(address: Address): string {
  return printable(formatAddress(address), 100);
}
