/**
 * PeerConnect's gossip, both ways: what its nodes tell each other is heard here and passed on, they pass on what is told
 * here, and each finds the other by its name.
 *
 * Everything is plain, and nobody proves who wrote what: a message is known by the address that brought it and no more. It
 * goes to the nodes that somebody else vouches for (`nodes`), and to those that sent gossip themselves, who get no more
 * bytes than came from them (`learned_nodes.ts`). A search is asked of up to 64 of them and answered to its source alone,
 * and only by a peer that has a name.
 *
 * Ids are remembered for ten minutes, the last 32,768 for certain, and a message that claims to be older than a minute is
 * refused. One that is dated in the future can be repeated by somebody when its id is forgotten: where that must not be,
 * messages are signed (`rumor_mill.ts`).
 *
 * In a closed network nothing of this is sealed either: what is told here, everybody on the way can read.
 *
 * Source: the PeerConnect gossip protocol.
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import { packetSource, type RateOptions, TokenBuckets } from "../../endpoint/limits.ts";
import type { RequestEvent } from "../../endpoint/requests_dispatcher.ts";
import { ClosedError, InvalidPacketError } from "../../errors.ts";
import { type Logger, printable, silentLogger } from "../../log.ts";
import { Metrics } from "../../metrics.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import { Watchers } from "../../watchers.ts";
import { SERVICE_CODE } from "../../wire/datagram.ts";
import { idToHex, type RemotePeer } from "../../wire/remote_peer.ts";
import { Recent } from "../recent.ts";
import { type GossipMessage, Rumor, type RumorOptions } from "../rumor.ts";
import {
  type FoundPeer,
  MAX_ANSWERS,
  RumorSearches,
  SearchAnswers,
  type SearchOptions,
} from "../rumor_search.ts";
import { assertFits, type RumorPort, RumorSends } from "../rumor_sends.ts";
import { shuffled } from "../shuffled.ts";
import { LearnedNodes } from "./learned_nodes.ts";
import {
  encodeGossip,
  encodeSearch,
  encodeSearchReply,
  parseGossip,
} from "./peerconnect_gossip_packets.ts";

/** Packets that are read from one address: each message comes a few times, from whoever passes it on. */
const PACKETS_PER_ADDRESS: Readonly<RateOptions> = { perSecond: 100, burst: 400 };

/** Packets that are read from all addresses together, which can be forged: what it costs at most to pass them on. */
const PACKETS: Readonly<RateOptions> = { perSecond: 1_000, burst: 2_000 };

/** Ids that are remembered: for longer than a message can claim to be young. */
const KNOWN_IDS = { keepMs: 600_000, maxEntries: 65_536 };

/** What a {@linkcode PeerConnectGossip} needs. */
export interface PeerConnectGossipOptions {
  /** The peer's port, on which it is reached; it is not closed with this. */
  readonly udp: RumorPort;
  /** Who we are, for whoever searches for our name: with the address by which that one reaches us. */
  readonly self: (asker: Address) => RemotePeer;
  /** The nodes that are known, where they take requests: where packets of theirs came from, not what they say. */
  readonly nodes: () => readonly Address[];
  /** How messages spread. @default as the original's, see {@linkcode RumorOptions} */
  readonly tuning?: RumorOptions;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
  /** Where to say what was dropped. @default {silentLogger} */
  readonly log?: Logger;
  /** Counts `peerconnect-gossip.*`. @default {new Metrics()} */
  readonly metrics?: Metrics;
}

/** A message that came. Its text is somebody's own, of up to 64 KiB, and must be shown with care. */
export interface PeerConnectRumor extends GossipMessage {
  /** Where it came from; who wrote it nobody proves. */
  readonly from: Address;
}

/**
 * Tells and hears PeerConnect's nodes; see the module.
 *
 * @example
 * ```ts
 * import { RequestsDispatcher, RequestsEndPoint } from "@kith/kith/endpoint";
 * import { PeerConnectGossip } from "@kith/kith/gossip";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import type { RemotePeer } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * async function open(name: string) {
 *   const dispatcher = new RequestsDispatcher();
 *   const port = await RequestsEndPoint.open({ transport: network.host(name), dispatcher });
 *   return { requests: dispatcher, send: port.sendPacket.bind(port), address: port.address };
 * }
 * const [alice, bob] = [await open("alice"), await open("bob")];
 * const id = new Uint8Array(20);
 * const me: RemotePeer = { id, username: null, ip: "", tcpPort: 0, udpPort: 0, status: 1 };
 * const self = () => me;
 * await using teller = new PeerConnectGossip({ udp: alice, self, nodes: () => [bob.address] });
 * await using listener = new PeerConnectGossip({ udp: bob, self, nodes: () => [] });
 *
 * const heard = listener.watch();
 * assertEquals(teller.tell("the kettle is on"), 1);
 * assertEquals((await heard.next()).value?.message, "the kettle is on");
 * network.close();
 * ```
 */
export class PeerConnectGossip implements AsyncDisposable {
  readonly #self: (asker: Address) => RemotePeer;
  readonly #nodes: () => readonly Address[];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #rumor: Rumor<string, Address>;
  readonly #known = new Recent<true>(KNOWN_IDS);
  readonly #learned = new LearnedNodes();
  readonly #searches: RumorSearches;
  readonly #answers: SearchAnswers;
  readonly #rates: TokenBuckets;
  readonly #allRates: TokenBuckets;
  readonly #watchers: Watchers<PeerConnectRumor>;
  readonly #sends: RumorSends;
  readonly #registration: Disposable;
  // Asked for twice for each message: who can afford it, and then to send it.
  #latest: { readonly message: GossipMessage; readonly packet: Uint8Array } | undefined;
  #closed = false;

  /**
   * Takes part from now on.
   *
   * @throws {TypeError} when somebody else takes the packets of gossip on that port. @throws {RangeError} for a tuning out
   * of range.
   */
  constructor(options: PeerConnectGossipOptions) {
    const { udp, self, nodes, tuning = {}, clock = systemClock } = options;
    const { log = silentLogger, metrics = new Metrics() } = options;
    this.#self = self;
    this.#nodes = nodes;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#rumor = new Rumor({
      clock,
      remember: ({ id }, nowMs) => this.#known.add(id, true, nowMs),
      peers: (message) => this.#peersFor(message),
      keyOf: formatAddress,
      send: (message, to) => this.#sendTo(to, this.#packetOf(message)),
    }, tuning);
    this.#searches = new RumorSearches(clock);
    this.#answers = new SearchAnswers(clock);
    this.#rates = new TokenBuckets(clock, PACKETS_PER_ADDRESS);
    this.#allRates = new TokenBuckets(clock, PACKETS);
    this.#watchers = new Watchers({ onDrop: () => this.#count("lost") });
    const unsent = metrics.counter("peerconnect-gossip.unsent");
    this.#sends = new RumorSends({ port: udp, unsent, log });
    this.#registration = udp.requests.register(SERVICE_CODE.peerconnectGossip, (event) => {
      this.#take(event);
    });
  }

  /**
   * Tells a text to a few nodes, who tell others.
   *
   * @returns how many it was sent to; 0 when no node is known.
   * @throws {InvalidPacketError} `too-large` when it does not fit a packet of 1,200 bytes, which leaves about 1,050 for it.
   * @throws {ClosedError} when closed.
   */
  tell(text: string): number {
    this.#assertOpen();
    const { hops } = this.#rumor;
    const message = { id: crypto.randomUUID(), message: text, ttl: hops, created: this.#nowS() };
    assertFits(this.#packetOf(message));
    this.#count("told");
    return this.#rumor.tell(message);
  }

  /**
   * The messages that come from now on, each once, until the signal aborts, this is closed or the loop is left. Overflow
   * policy: where 1,024 wait the oldest are dropped, and counted as `peerconnect-gossip.lost`.
   */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<PeerConnectRumor, void, void> {
    return this.#watchers.watch(options);
  }

  /**
   * Looks for peers whose name contains a text: asks up to 64 nodes, and gives each answer as it comes, one of a node and
   * one of a peer. Upper and lower case differ, and every name contains the empty text.
   *
   * @throws {ClosedError} when closed. @throws {LimitError} `limit` when there are 32 searches already.
   * @throws {InvalidPacketError} `too-large` when no packet can hold the text.
   */
  search(text: string, options: SearchOptions = {}): AsyncGenerator<FoundPeer, void, void> {
    this.#assertOpen();
    const id = crypto.randomUUID();
    const packet = encodeSearch(id, text, this.#nowS());
    const to = this.#someOf(this.#reachable(packet.length), MAX_ANSWERS);
    const ask = () => this.#sendTo(to, packet);
    return this.#searches.search({ ...options, id, ask, asked: new Set(to.map(formatAddress)) });
  }

  /** Takes part no more. Harmless when closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#registration[Symbol.dispose]();
    this.#searches.close();
    this.#watchers.close();
    await this.#sends.settled();
  }

  /** The same as {@linkcode PeerConnectGossip.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #take({ request, fromAddr: from, packetBytes = 0 }: RequestEvent): void {
    if (!this.#rates.take(packetSource(from)) || !this.#allRates.take("")) {
      return this.#drop("rate", from);
    }
    try {
      const packet = parseGossip(request);
      switch (packet?.type) {
        case "message":
          return this.#hear(packet.message, from, packetBytes);
        case "search":
          return this.#answer(packet.id, packet.text, from);
        case "reply":
          return this.#noteFound(packet.id, packet.peer, from);
        case undefined:
          return this.#drop("unknown", from);
        default:
          packet satisfies never;
      }
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#drop("malformed", from, error.message);
    }
  }

  #hear(message: GossipMessage, from: Address, packetBytes: number): void {
    const verdict = this.#rumor.hear(message, formatAddress(from));
    if (verdict === "stale") return this.#drop("stale", from);
    this.#learned.heard(from, packetBytes);
    this.#count(verdict);
    if (verdict === "heard") this.#watchers.push({ ...message, from });
  }

  /** To the packet's source and nowhere else. */
  #answer(id: string, text: string, from: Address): void {
    const self = this.#self(from);
    if (!self.username?.includes(text)) return;
    if (!this.#answers.take(id, packetSource(from))) return this.#drop("unanswered", from);
    this.#count("answers");
    this.#sends.packet(encodeSearchReply(id, self, this.#nowS()), from);
  }

  #noteFound(id: string, peer: RemotePeer, from: Address): void {
    const found = { peerId: idToHex(peer.id), peer, from };
    if (!this.#searches.take(id, formatAddress(from), found)) this.#drop("unasked", from);
  }

  /** Whom a message can be sent; what no packet can hold stays here. */
  #peersFor(message: GossipMessage): readonly Address[] {
    try {
      return this.#reachable(this.#packetOf(message).length);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#count("too-large");
      return [];
    }
  }

  #reachable(packetBytes: number): Address[] {
    return [...this.#nodes(), ...this.#learned.affording(packetBytes)];
  }

  /** A few of them by chance, each once. */
  #someOf(addresses: readonly Address[], count: number): Address[] {
    const unique = new Map(addresses.map((address) => [formatAddress(address), address]));
    return [...shuffled(unique.values(), () => this.#clock.random()).take(count)];
  }

  #packetOf(message: GossipMessage): Uint8Array {
    if (this.#latest?.message !== message) {
      this.#latest = { message, packet: encodeGossip(message) };
    }
    return this.#latest.packet;
  }

  #sendTo(to: readonly Address[], packet: Uint8Array): void {
    for (const address of to) {
      this.#learned.sent(address, packet.length);
      this.#sends.packet(packet, address);
    }
  }

  #nowS(): number {
    return this.#clock.wallMs() / 1_000;
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError("Cannot tell or search: gossip is closed");
  }

  #count(what: "answers" | "heard" | "known" | "lost" | "told" | "too-large"): void {
    this.#metrics.counter(`peerconnect-gossip.${what}`).add();
  }

  #drop(
    why: "malformed" | "rate" | "stale" | "unanswered" | "unasked" | "unknown",
    from: Address,
    detail = "",
  ): void {
    this.#metrics.counter(`peerconnect-gossip.${why}`).add();
    const shown = printable(formatAddress(from), 100);
    this.#log.debug("dropped a packet of PeerConnect's gossip", { from: shown, why, detail });
  }
}
