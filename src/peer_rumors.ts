/**
 * The rumors of a peer, native ones and PeerConnect's: whom they are told, and what is said of the peer to who searches.
 *
 * Where no group was joined, native ones go to peers that discovery finds (`peer_neighbors.ts`). PeerConnect's go to nodes
 * that its discovery finds, once they have answered a probe or accepted a connection: a reply to a find can come in anybody's
 * name. They leave from the peer's own port, so these are nodes of its family of addresses.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { PeerConnectDiscovery } from "./discovery/dialects/peerconnect.ts";
import type { ForeignPeer } from "./discovery/foreign.ts";
import type { UdpPort } from "./endpoint/udp_port.ts";
import { PeerConnectGossip, type PeerConnectRumor } from "./gossip/dialects/peerconnect_gossip.ts";
import { type HeardRumor, RumorMill } from "./gossip/rumor_mill.ts";
import type { FoundPeer, SearchOptions } from "./gossip/rumor_search.ts";
import { layerLog } from "./log.ts";
import type { Membership } from "./membership/membership.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import { type LookOptions, Lookout } from "./peer_lookout.ts";
import { Neighbors } from "./peer_neighbors.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerParts } from "./peer_parts.ts";
import { hostFacing, recordOf } from "./peer_record.ts";
import { type Address, formatAddress } from "./transport/transport.ts";

/** How long a node is believed to be there, in milliseconds: four looks. */
const NODE_MS = 250_000;

/** Nodes that are remembered. */
const MAX_NODES = 64;

/** How long a node may take to answer a probe, and again to accept a connection, in milliseconds. */
const PROBE_MS = 1_000;

/** How long the last word may take to leave over a connection, in milliseconds. */
const LAST_WORD_MS = 500;

/** Whose rumors: of kith's own peers, or of PeerConnect's nodes. */
export type RumorDialect = "native" | "peerconnect";

/** What {@linkcode PeerRumors} need. */
export interface RumorNeeds extends PeerParts {
  /** How the peer was opened. */
  readonly options: PeerOptions;
  /** Who is in its group, once it has joined one. */
  readonly membership: () => Membership | undefined;
}

/**
 * The rumors of one kind, as a peer gives them.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const local = { hostname: "127.0.0.1", port: 0, network: "at home" };
 * await using bob = await Peer.open(local);
 * const heard = bob.rumors().watch();
 *
 * const seeds = bob.address === undefined ? [] : [bob.address];
 * await using alice = await Peer.open({ ...local, seeds });
 * assertEquals(await alice.rumors().tell("the kettle is on"), 1);
 *
 * for await (const { author, message } of heard) {
 *   assertEquals([author, message], [alice.peerId, "the kettle is on"]);
 *   break;
 * }
 * ```
 */
export interface Rumors<Heard> {
  /**
   * Tells a text to a few peers, who tell others: it reaches most, and not certainly all. Where nobody is known yet, some
   * are looked for first.
   *
   * @returns how many it was sent to; 0 when nobody was found.
   * @throws {InvalidPacketError} `too-large` for more than 16 KiB, or among PeerConnect's nodes more than fits a packet of
   * 1,200 bytes. @throws {ClosedError} when the peer is closed. @throws the signal's reason.
   */
  tell(text: string, options?: LookOptions): Promise<number>;

  /**
   * The messages that come from now on, each once, until the signal aborts, the peer is closed or the loop is left.
   * Overflow policy: where 1,024 wait the oldest are dropped and counted.
   */
  watch(options?: { signal?: AbortSignal }): AsyncGenerator<Heard, void, void>;

  /**
   * Looks for peers whose name contains a text, and gives each answer as it comes: at most 64, for three seconds unless told
   * otherwise. Peers without a name do not answer, and natively only those do who know where we are: the group, where it was
   * joined, else the peers that were found, which are looked for first, for no longer, as in {@linkcode Rumors.tell}.
   *
   * @throws {ClosedError} when the peer is closed. @throws {LimitError} `limit` when there are 32 searches already.
   * @throws {InvalidPacketError} `too-large` as in {@linkcode Rumors.tell}.
   */
  search(text: string, options?: SearchOptions): AsyncGenerator<FoundPeer, void, void>;
}

/** What {@linkcode OpenRumors} are made of. */
interface OpenRumorsParts<Heard> {
  /** Tells and hears. */
  readonly gossip: {
    tell(text: string): number;
    watch(options: { signal?: AbortSignal }): AsyncGenerator<Heard, void, void>;
    search(text: string, options: SearchOptions): AsyncGenerator<FoundPeer, void, void>;
  };
  /** Sees to it that somebody can be told. */
  readonly ready: (options: LookOptions) => Promise<void>;
  readonly close: () => Promise<void>;
}

class OpenRumors<Heard> implements Rumors<Heard>, AsyncDisposable {
  readonly #parts: OpenRumorsParts<Heard>;

  constructor(parts: OpenRumorsParts<Heard>) {
    this.#parts = parts;
  }

  async tell(text: string, options: LookOptions = {}): Promise<number> {
    await this.#parts.ready(options);
    return this.#parts.gossip.tell(text);
  }

  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<Heard, void, void> {
    return this.#parts.gossip.watch(options);
  }

  async *search(text: string, options: SearchOptions = {}): AsyncGenerator<FoundPeer, void, void> {
    const { signal } = options;
    if (signal?.aborted) return;
    await this.#parts.ready(options).catch((error) => {
      if (!signal?.aborted) throw error;
    });
    yield* this.#parts.gossip.search(text, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.close();
  }
}

/** The rumors of a peer, of every kind that it takes part in. */
export class PeerRumors implements AsyncDisposable {
  readonly #needs: RumorNeeds;
  readonly #stack = new AsyncDisposableStack();
  readonly #peerconnect: Rumors<PeerConnectRumor> | undefined;
  #native: Rumors<HeardRumor> | undefined;

  /** Takes part in those of PeerConnect where that dialect is on, in native ones when they are first asked for. */
  constructor(needs: RumorNeeds) {
    this.#needs = needs;
    const { udp, options: { dialects = [] } } = needs;
    if (udp === undefined || !dialects.includes("peerconnect")) return;
    this.#peerconnect = this.#stack.use(openPeerConnect(needs, udp));
  }

  /** Those of a kind, the same each time. @throws {TypeError} for a client, and for a dialect that is not on. */
  of(dialect: "native"): Rumors<HeardRumor>;
  /** The same. */
  of(dialect: RumorDialect): Rumors<HeardRumor> | Rumors<PeerConnectRumor>;
  of(dialect: RumorDialect): Rumors<HeardRumor> | Rumors<PeerConnectRumor> {
    const { udp } = this.#needs;
    if (udp === undefined) throw new TypeError("Cannot tell rumors: a client cannot be reached");
    if (dialect === "native") {
      return this.#native ??= this.#stack.use(openNative(this.#needs, udp));
    }
    if (this.#peerconnect !== undefined) return this.#peerconnect;
    throw new TypeError(`Cannot tell rumors: the peer does not speak ${dialect} (dialects)`);
  }

  /** Takes part in none any more. Harmless when closed. */
  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** The same as {@linkcode PeerRumors.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function openNative(needs: RumorNeeds, udp: UdpPort): OpenRumors<HeardRumor> {
  const { endpoint, identity, discovery, membership, admits, options } = needs;
  const { clock, metrics } = endpoint;
  const log = layerLog(endpoint.log, "gossip");
  const neighbors = new Neighbors({
    endpoint,
    udpAddress: udp.address,
    membership,
    receive: (peerId, payload) => mill.receive(peerId, payload),
  });
  const mill = new RumorMill({
    ...{ udp, identity, clock, log, metrics, admits },
    self: () => recordOf(needs, udp, hostsIfAllowed(options)[0] ?? ""),
    neighbors: () => neighbors.all(),
    stream: (peerId, payload) => neighbors.bring(peerId, payload),
  });
  const lookout = new Lookout({
    ...{ clock, log },
    isNeeded: () => membership() === undefined,
    isAlone: () => neighbors.all().length === 0,
    find: (signal) => discovery.find({ signal }),
    meet: (found, signal) => neighbors.meet(found, signal),
  });
  return new OpenRumors({
    gossip: mill,
    ready: async (options) => {
      neighbors.refresh();
      await lookout.ready(options);
    },
    close: async () => {
      const late = clock.after(LAST_WORD_MS, () => void neighbors.close());
      await lookout.close();
      await mill.close();
      late.cancel();
      await neighbors.close();
    },
  });
}

function openPeerConnect(needs: RumorNeeds, udp: UdpPort): OpenRumors<PeerConnectRumor> {
  const { endpoint: { clock, metrics }, foreign, options } = needs;
  const log = layerLog(needs.endpoint.log, "gossip");
  const finder = foreign.find((one) => one instanceof PeerConnectDiscovery);
  const nodes = new Nodes(clock);
  const gossip = new PeerConnectGossip({
    ...{ udp, clock, log, metrics },
    self: ({ hostname }) => recordOf(needs, udp, hostFacing(hostname, options)),
    nodes: () => nodes.all(),
  });
  const lookout = new Lookout<ForeignPeer>({
    ...{ clock, log },
    // Another program may have the port of finds: then nodes are those that speak to us.
    isNeeded: () => finder !== undefined,
    isAlone: () => nodes.all().length === 0,
    find: (signal) => finder?.find({ signal }) ?? nobody(),
    meet: async ({ address }, signal) => {
      if (isIPv6(address) !== isIPv6(udp.address)) return;
      if (await finder?.isAlive(address, { timeoutMs: PROBE_MS, signal })) nodes.add(address);
    },
  });
  return new OpenRumors({
    gossip,
    ready: (options) => lookout.ready(options),
    close: async () => {
      await lookout.close();
      await gossip.close();
    },
  });
}

function isIPv6({ hostname }: Address): boolean {
  return hostname.includes(":");
}

async function* nobody(): AsyncGenerator<never> {}

/** Nodes that were there a while ago. */
class Nodes {
  readonly #clock: Clock;
  readonly #nodes = new Map<string, { readonly address: Address; readonly untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Remembers one; where there are too many, the one that was met longest ago makes room. */
  add(address: Address): void {
    const key = formatAddress(address);
    this.#nodes.delete(key);
    this.#nodes.set(key, { address, untilMs: this.#clock.now() + NODE_MS });
    const [oldest = ""] = this.#nodes.keys();
    if (this.#nodes.size > MAX_NODES) this.#nodes.delete(oldest);
  }

  all(): Address[] {
    const nowMs = this.#clock.now();
    return [...this.#nodes.values()].flatMap(({ address, untilMs }) => {
      return untilMs > nowMs ? [address] : [];
    });
  }
}
