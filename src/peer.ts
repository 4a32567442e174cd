/**
 * A peer: identity, endpoint, discovery, calls, sessions and file transfer put together.
 *
 * @module
 */

import type { Dht } from "./dht/dht.ts";
import type { KademliaWire } from "./dht/dialects/kademlia.ts";
import type { KademliaNetwork } from "./dht/dialects/network.ts";
import type { PeerConnectNetwork } from "./dht/dialects/peerconnect_network.ts";
import type { Discovery, FindOptions } from "./discovery/discovery.ts";
import type { FoundPeer } from "./discovery/search.ts";
import { findAll } from "./discovery/find_all.ts";
import type { ForeignDiscovery, ForeignPeer } from "./discovery/foreign.ts";
import type { Handler, HandlerOptions } from "./endpoint/dispatcher.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { FlightRecorder } from "./endpoint/flight_recorder.ts";
import type { Link } from "./endpoint/link.ts";
import type { RequestOptions } from "./endpoint/outgoing.ts";
import type { UdpPort } from "./endpoint/udp_port.ts";
import type { WebPort } from "./endpoint/web.ts";
import type { PeerConnectRumor } from "./gossip/dialects/peerconnect_gossip.ts";
import type { Gossip } from "./gossip/gossip.ts";
import type { HeardRumor } from "./gossip/rumor_mill_options.ts";
import { layerLog } from "./log.ts";
import { Membership } from "./membership/membership.ts";
import type { MembershipOptions } from "./membership/membership_options.ts";
import type { Metrics } from "./metrics.ts";
import type {
  ConnectOptions,
  Dialect,
  PeerOptions,
  ReceiveFilesOptions,
  SendFilesOptions,
  SentFiles,
} from "./peer_options.ts";
import type { Broadcast } from "./palmtree/broadcast.ts";
import type { PageOptions } from "./page/options.ts";
import { Page } from "./page/page.ts";
import { type BroadcastFilesOptions, PeerBroadcasts } from "./peer_broadcast.ts";
import { openDht } from "./peer_dht.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import { type FileSender, type FilesEvent, transferFiles, transferStream } from "./peer_files.ts";
import { locate, lookBeyond, type Whereabouts } from "./peer_whereabouts.ts";
import { openGossip } from "./peer_gossip.ts";
import { type KademliaDialect, PeerKademlia } from "./peer_kademlia.ts";
import { membershipParts } from "./peer_membership.ts";
import { pageParts } from "./peer_page.ts";
import { openParts, type PeerParts } from "./peer_parts.ts";
import { PeerConnectNode } from "./peer_peerconnect.ts";
import { PeerRumors, type RumorDialect, type Rumors } from "./peer_rumors.ts";
import { openStatus } from "./peer_status.ts";
import { openFolder } from "./peer_sync.ts";
import type { Reach, ReachOptions } from "./reach.ts";
import { ServerPeer, type ServerPeerOptions } from "./rpc/mesh.ts";
import { Server } from "./rpc/server.ts";
import type { ServerOptions } from "./rpc/server_options.ts";
import { serveWitch } from "./rpc/witch_server.ts";
import type { Access } from "./secure/access.ts";
import type { Identity } from "./secure/identity.ts";
import type { Network } from "./secure/network.ts";
import type { Trust } from "./secure/trust.ts";
import { connectSession } from "./session/native.ts";
import { connectPeerpy } from "./session/peerpy.ts";
import type { Session, SessionOptions } from "./session/session.ts";
import { Sessions, type SessionsOptions } from "./session/sessions.ts";
import type { States } from "./states.ts";
import type { StatusPage, StatusPageOptions } from "./status/status_page.ts";
import { TransferBoard, type TransferRow } from "./status/transfer_board.ts";
import type { FolderSync, FolderSyncOptions } from "./sync/folder_sync.ts";
import type { SkippedPath } from "./transfer/manifest.ts";
import { Receiver } from "./transfer/receive.ts";
import type { SendEvent } from "./transfer/send_options.ts";
import { netTransport } from "./transport/net.ts";
import { type Address, formatAddress } from "./transport/transport.ts";
import type { MessageBody } from "./wire/message.ts";

export type { BroadcastFilesOptions } from "./peer_broadcast.ts";
export type { FilesEvent } from "./peer_files.ts";
export {
  AGENT,
  type ConnectOptions,
  type Dialect,
  DIALECTS,
  type PeerOptions,
  type ReceiveFilesOptions,
  type SendFilesOptions,
  type SentFiles,
} from "./peer_options.ts";

/**
 * A peer on the network.
 *
 * @example Two peers, one call
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * await using bob = await Peer.open({ name: "bob", hostname: "127.0.0.1", port: 0 });
 * bob.serve().register("greet", ({ name }: { name: string }) => `hello, ${name}`);
 *
 * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * const answer = await alice.call(`127.0.0.1:${bob.address?.port}`, "greet", { name: "alice" });
 * assertEquals(answer, "hello, alice");
 * ```
 */
export class Peer implements AsyncDisposable {
  /** Who it is. */
  readonly identity: Identity;
  /** Whom it wants nothing to do with, and which name belongs to whom. */
  readonly trust: Trust;
  /** The invites and keys that it gives away. */
  readonly access: Access;
  /** Its links and handlers. */
  readonly endpoint: Endpoint;
  /** Where peers are found. */
  readonly discovery: Discovery;
  /** The discovery of other programs, for the dialects that it speaks. */
  readonly foreign: readonly ForeignDiscovery[];
  /** Topics: what is published in one reaches everybody who takes part in it. */
  readonly gossip: Gossip;
  /** What it is to PeerConnect's nodes, where that dialect is on: files, folders and texts. */
  readonly peerconnect: PeerConnectNode;
  /** What it went through when it was opened, and goes back through when it is closed. */
  readonly states: States;
  readonly #options: PeerOptions;
  readonly #all: PeerParts;
  readonly #reach: Reach;
  readonly #web: WebPort | undefined;
  readonly #udp: UdpPort | undefined;
  readonly #parts: AsyncDisposableStack;
  readonly #broadcasts: PeerBroadcasts;
  readonly #transfers = new TransferBoard();
  readonly #rumors: PeerRumors;
  readonly #kademlia: PeerKademlia;
  #membership: Membership | undefined;
  #dht: Dht | undefined;

  private constructor(parts: PeerParts, options: PeerOptions, stack: AsyncDisposableStack) {
    this.identity = parts.identity;
    this.trust = parts.trust;
    this.access = parts.access;
    this.endpoint = parts.endpoint;
    this.discovery = parts.discovery;
    this.#web = parts.web;
    this.#udp = parts.udp;
    this.#reach = parts.reach;
    this.foreign = parts.foreign;
    this.states = parts.states;
    this.#options = options;
    this.#all = parts;
    this.#parts = stack;
    const needs = { ...parts, options, membership: () => this.#membership };
    this.gossip = stack.use(openGossip(needs));
    this.peerconnect = stack.use(new PeerConnectNode(needs));
    this.#rumors = stack.use(new PeerRumors(needs));
    this.#kademlia = stack.use(new PeerKademlia(needs));
    const { transport = netTransport, hostname } = options;
    this.#broadcasts = stack.use(
      new PeerBroadcasts({
        ...{ endpoint: this.endpoint, transport, hostname },
        link: (target, options) => this.link(target, options),
      }),
    );
    parts.reach.lookWith((...asked) => this.#lookBeyond(...asked));
  }

  /**
   * Opens a peer: it listens, answers those who look for it, and can look for others.
   *
   * @throws {RangeError} when the name is too long, or a port is none. @throws {TransportError} when a port asked for is taken.
   * @throws {UnsupportedError} when a permission or `--unstable-net` is missing; the text names it.
   */
  static async open(options: PeerOptions = {}): Promise<Peer> {
    const { parts, stack } = await openParts(options);
    return new Peer(parts, options, stack);
  }

  /** 40 hexadecimal digits. */
  get peerId(): string {
    return this.identity.peerId;
  }

  /** Its label. */
  get name(): string {
    return this.endpoint.self.name;
  }

  /** The network that it is in. */
  get network(): Network {
    return this.#all.network;
  }

  /** Where it accepts connections; `undefined` for a client. */
  get address(): Address | undefined {
    return this.endpoint.address;
  }

  /** Where it takes datagrams; `undefined` for a client. */
  get udpAddress(): Address | undefined {
    return this.#udp?.address;
  }

  /** Where it serves HTTP and WebSocket; `undefined` where it does not. */
  get httpAddress(): Address | undefined {
    return this.#web?.address;
  }

  /** Who is in its group; `undefined` before it has joined one. */
  get membership(): Membership | undefined {
    return this.#membership;
  }

  /** Values and peers that are found without a server. It takes part once it has joined, or is asked for something. */
  get dht(): Dht {
    return this.#dht ??= this.#parts.use(openDht({
      ...this.#all,
      options: this.#options,
      membership: () => this.#membership,
    }));
  }

  /** What happened, how often. */
  get metrics(): Metrics {
    return this.endpoint.metrics;
  }

  /** Its last messages: when, which way, of which kind and how large, never what they say. */
  get flightRecorder(): FlightRecorder {
    return this.endpoint.recorder;
  }

  /** The transfers at work: what it sends first, then what comes in. */
  get transfers(): TransferRow[] {
    return this.#transfers.rows;
  }

  /** Registers a handler for requests and messages with a header. @returns what takes it back. */
  handle(header: string, handler: Handler, options?: HandlerOptions): Disposable {
    return this.endpoint.handle(header, handler, options);
  }

  /** Peers around, as they are found. */
  find(options?: FindOptions): AsyncGenerator<FoundPeer, void, void>;
  /**
   * Where a peer accepts connections, wherever it is: among those that we are connected to, in the group, in the DHT.
   *
   * @param peerId 40 hexadecimal digits. @returns `undefined` when nobody knows it. @throws {TypeError} for no peer id.
   */
  find(peerId: string, options?: { signal?: AbortSignal }): Promise<Whereabouts | undefined>;
  find(
    what: string | FindOptions = {},
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<FoundPeer, void, void> | Promise<Whereabouts | undefined> {
    if (typeof what !== "string") return this.discovery.find(what);
    const { endpoint, membership } = this;
    return locate(what, { endpoint, membership, dht: () => this.dht }, options);
  }

  /** Peers of the other programs whose dialects it speaks, as they are found; nothing about them is proven. */
  findForeign(options: FindOptions = {}): AsyncGenerator<ForeignPeer, void, void> {
    return findAll(this.foreign, options, this.endpoint.clock);
  }

  /**
   * Takes part in a group from now on: who is alive in it is known without a server. Once for a peer.
   *
   * @returns at once; `ready` resolves when those who are there have been asked.
   * @throws {TypeError} for a client, and the second time. @throws {RangeError} when name and tags are too long.
   */
  join(options: MembershipOptions = {}): Membership {
    if (this.#membership !== undefined) throw new TypeError("Cannot join: it takes part already");
    const { project = "default" } = this.#options;
    const parts = membershipParts(this.#all, this.#options);
    const membership = new Membership(parts, { project, ...options });
    this.#membership = membership;
    const { states } = this;
    this.#parts.defer(() => states.close("adding peers", () => membership.close()));
    void states.run("adding peers", () => membership.ready, { blocking: false });
    return membership;
  }

  /**
   * Rumors: texts that are told to a few, who tell others, and peers that are found by name the same way. Native ones go to
   * the group, or where none was joined to peers that discovery finds; the peer hears them, and passes them on, from the
   * first call on. Those of dialect `peerconnect` it does from the start where that dialect is on.
   *
   * @returns the same object each time.
   * @throws {TypeError} for a client, and for a dialect that is not on.
   */
  rumors(dialect?: "native"): Rumors<HeardRumor>;
  /** The same, for PeerConnect's nodes: who wrote what nobody proves. */
  rumors(dialect: "peerconnect"): Rumors<PeerConnectRumor>;
  /** The same. */
  rumors(dialect: RumorDialect): Rumors<HeardRumor> | Rumors<PeerConnectRumor>;
  rumors(dialect: RumorDialect = "native"): Rumors<HeardRumor> | Rumors<PeerConnectRumor> {
    return this.#rumors.of(dialect);
  }

  /**
   * The network of the Python library's nodes of Kademlia, of which the peer is one where dialect `kademlia` is on: to join
   * it, somebody has to know one of them.
   *
   * @throws {TypeError} for a client, and for a dialect that is not on.
   */
  kademlia(dialect?: "kademlia"): KademliaNetwork<KademliaWire>;
  /** That of PeerConnect's nodes, where dialect `peerconnect` is on: its discovery finds some. */
  kademlia(dialect: "peerconnect"): PeerConnectNetwork;
  kademlia(dialect: KademliaDialect = "kademlia"): KademliaNetwork | PeerConnectNetwork {
    return this.#kademlia.of(dialect);
  }

  /**
   * Connects to a peer.
   *
   * @param target A peer id or an unambiguous beginning of one, a name, `host:port`, or a `ws:` address.
   * @throws {NotFoundError} `no-peer` when nobody fits, or more than one; `details.tried` says where we looked.
   * @throws {HandshakeError | LimitError | TimeoutError} when it is there and refuses, or answers too slowly.
   */
  link(target: string, options: ReachOptions = {}): Promise<Link> {
    return this.#reach.link(target, options);
  }

  /**
   * Opens a session: data of an agreed type, both ways, in order.
   *
   * @example
   * ```ts
   * import { Peer } from "@kith/kith";
   * import { assertEquals } from "@std/assert";
   *
   * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0 });
   * const sessions = bob.sessions({ accept: (offer) => offer.dataType === "json" });
   *
   * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
   * const session = await alice.connect(`127.0.0.1:${bob.address?.port}`, { dataType: "json" });
   * await session.send({ text: "hello" });
   *
   * for await (const incoming of sessions) {
   *   for await (const data of incoming) {
   *     assertEquals(data, { text: "hello" });
   *     break;
   *   }
   *   break;
   * }
   * ```
   *
   * @param target As in {@linkcode Peer.link}.
   * @throws {HandshakeError} `denied` when the other side does not want it. Further as {@linkcode Peer.link}.
   */
  async connect(target: string, options: ConnectOptions = {}): Promise<Session> {
    const { answerMs, dialect = "native", timeoutMs, peers, ...rest } = options;
    const terms = { ...rest, ...(answerMs === undefined ? {} : { timeoutMs: answerMs }) };
    const reach = {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(peers === undefined ? {} : { peers }),
      ...(rest.signal === undefined ? {} : { signal: rest.signal }),
    };
    if (dialect === "peerpy") return await this.#connectPeerpy(target, reach, terms);
    return await connectSession(this.endpoint, await this.link(target, reach), terms);
  }

  /** Takes sessions that others open, from now on. Iterate over the result to have them. */
  sessions(options: Omit<SessionsOptions, "dialects">): Sessions {
    const dialects = this.#dialectsServed.filter((dialect) => dialect === "peerpy");
    return this.#parts.use(Sessions.open(this.endpoint, { ...options, dialects }));
  }

  /** Serves endpoints that others call by name; without more, what every server answers: status, info, echo ... */
  serve(options: ServerOptions = {}): Server {
    const server = this.#parts.use(
      new Server(this.endpoint, { serverName: this.name, ...options }),
    );
    if (this.#dialectsServed.includes("witch")) {
      this.#parts.use(serveWitch(this.endpoint, server));
    }
    return server;
  }

  /** Joins the servers of the same project, wherever discovery finds them. */
  mesh(options: ServerPeerOptions = {}): ServerPeer {
    const directory = { find: (options: { signal: AbortSignal }) => this.discovery.find(options) };
    const mesh = new ServerPeer(this.endpoint, { serverName: this.name, directory, ...options });
    return this.#parts.use(mesh);
  }

  /** Connects, calls an endpoint of a server and closes the connection again. @throws as `link` and `Link.request`. */
  call(
    target: string,
    name: string,
    data?: unknown,
    options: ReachOptions & RequestOptions = {},
  ): Promise<unknown> {
    return this.request(target, name, data === undefined ? {} : { data }, options);
  }

  /**
   * Connects, asks and closes the connection again; or asks over UDP, where there is no connection.
   *
   * @param target As in {@linkcode Peer.link}, or `udp://host:port`.
   * @throws as {@linkcode Peer.link} and {@linkcode Link.request}.
   */
  async request(
    target: string,
    header: string,
    body: MessageBody = {},
    options: ReachOptions & RequestOptions = {},
  ): Promise<unknown> {
    if (target.startsWith("udp://")) return await this.#reach.ask(target, header, body, options);
    await using link = await this.link(target, options);
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
    const { onProgress = () => {} } = options;
    const skipped: SkippedPath[] = [];
    for await (const event of this.transfer(paths, { ...options, dryRun: false, watch: false })) {
      if (event.type === "skipped") {
        skipped.push(event.skipped);
        const { path, reason } = event.skipped;
        layerLog(this.endpoint.log, "transfer").warn(`not sent: ${reason}`, { path });
      }
      if (event.type === "progress") onProgress(event.bytes, event.totalBytes);
      if (event.type !== "done") continue;
      const { type: _, ...done } = event;
      return { ...done, skipped };
    }
    throw new Error("unreachable: a transfer ends with done or throws");
  }

  /**
   * The same, told as it happens: who accepted, how far it is, what is tried again. Leaving the loop cancels it; what has
   * arrived is kept, and is not sent again the next time.
   *
   * @example
   * ```ts
   * import { Peer } from "@kith/kith";
   * import { assertEquals } from "@std/assert";
   *
   * const dir = await Deno.makeTempDir();
   * await Deno.writeTextFile(`${dir}/hello.txt`, "hello");
   * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0 });
   * bob.receive({ dir: `${dir}/inbox`, accept: () => true });
   *
   * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
   * const to = `127.0.0.1:${bob.address?.port}`;
   * for await (const event of alice.transfer([`${dir}/hello.txt`], { to })) {
   *   if (event.type === "done") assertEquals([event.files, event.resentBytes], [1, 0]);
   * }
   * assertEquals(await Deno.readTextFile(`${dir}/inbox/hello.txt`), "hello");
   * await Deno.remove(dir, { recursive: true });
   * ```
   *
   * @throws as {@linkcode Peer.send}.
   */
  transfer(
    paths: readonly string[],
    options: SendFilesOptions,
  ): AsyncGenerator<FilesEvent, void, void> {
    return transferFiles(this.#sender, paths, options);
  }

  /** Sends what comes from somewhere as one file, whose size nobody knows. @throws as {@linkcode Peer.send}. */
  transferStream(
    source: AsyncIterable<Uint8Array>,
    name: string,
    options: SendFilesOptions,
  ): AsyncGenerator<SendEvent, void, void> {
    return transferStream(this.#sender, source, name, options);
  }

  /**
   * Begins to send files and folders to many, who pass them on to each other: iterate over the result to learn how far
   * everybody is, or wait for its `done`.
   *
   * @throws {NotFoundError} `no-path` when a path does not exist. What is wrong with a receiver ends nobody else's.
   */
  broadcast(paths: readonly string[], options: BroadcastFilesOptions): Promise<Broadcast> {
    return this.#broadcasts.send(paths, options);
  }

  /**
   * Serves web pages on this machine that show what it sees and have it do things, from now on. Once for a peer.
   *
   * @throws {TypeError} when it was opened without `web`, and the second time.
   */
  page(options: PageOptions = {}): Page {
    return this.#parts.use(new Page(pageParts(this, this.#web), options));
  }

  /**
   * Serves the status page and `/metrics` on the web port from now on, for callers of this machine. Once for a peer.
   *
   * @throws {TypeError} when it was opened without `web`, and the second time.
   */
  statusPage(options: StatusPageOptions = {}): StatusPage {
    return this.#parts.use(openStatus(this, {
      web: this.#web,
      udp: this.#udp,
      dialects: this.#dialectsServed,
      hosts: () => hostsIfAllowed(this.#options),
      dht: () => this.#dht,
      transfers: this.#transfers,
      broadcasts: this.#broadcasts,
    }, options));
  }

  /** Receives files into a folder, from now on. Iterate over the result to learn what comes. */
  receive(options: ReceiveFilesOptions): Receiver {
    const { clock } = this.endpoint;
    const log = layerLog(this.endpoint.log, "transfer");
    const receiver = this.#parts.use(Receiver.open(this.endpoint, { clock, log, ...options }));
    this.#parts.use(this.#transfers.watch(receiver));
    const { maxTotalBytes, writer, maxBytesPerSecond } = options;
    if (writer === undefined && this.address !== undefined) {
      this.#parts.use(this.#broadcasts.receiveInto(receiver, { maxBytesPerSecond }));
    }
    if (this.peerconnect.isOn && writer === undefined) {
      const limits = maxTotalBytes === undefined ? {} : { maxTotalBytes };
      this.#parts.use(this.peerconnect.receiveInto(receiver, limits));
      this.#parts.use(this.peerconnect.takePart(receiver, { ...limits, maxBytesPerSecond }));
    }
    return receiver;
  }

  /**
   * Opens a folder to keep it alike with others: serve it to them, join those that they serve, or both.
   *
   * @example
   * ```ts
   * import { Peer } from "@kith/kith";
   * import { assertEquals } from "@std/assert";
   *
   * const dir = await Deno.makeTempDir();
   * await Deno.mkdir(`${dir}/photos`);
   * await Deno.writeTextFile(`${dir}/photos/cat.txt`, "meow");
   *
   * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0, web: true, httpPort: 0 });
   * await using photos = await bob.folder(`${dir}/photos`);
   * photos.serve();
   *
   * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
   * await using copy = await alice.folder(`${dir}/copy`);
   * const hub = await copy.join(`ws://127.0.0.1:${bob.httpAddress?.port}`);
   * await hub.sync();
   * assertEquals(await Deno.readTextFile(`${dir}/copy/cat.txt`), "meow");
   * await Deno.remove(dir, { recursive: true });
   * ```
   *
   * @param dir The folder; its index is kept in the peer's home.
   * @throws {NotFoundError} `no-path` when it is not there, and was before.
   * @throws {UnsupportedError} when none of the files that were in it is there, and when another process has it open.
   */
  async folder(dir: string, options: FolderSyncOptions = {}): Promise<FolderSync> {
    const { home } = this.#options;
    return this.#parts.use(await openFolder(dir, this, { home, web: this.#web }, options));
  }

  /** Closes everything in reverse order. Harmless when closed. */
  async close(): Promise<void> {
    await this.#parts.disposeAsync();
  }

  /** The same as {@linkcode Peer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #sender(): FileSender {
    const { endpoint } = this;
    const board = this.#transfers;
    return { endpoint, board, link: (target, options) => this.link(target, options) };
  }

  get #dialectsServed(): readonly Dialect[] {
    return this.#options.dialects ?? [];
  }

  /** The DHT helps where it is used already, or there is somebody to get to know it by. */
  async #lookBeyond(target: string, gateways: readonly Address[], signal: AbortSignal) {
    const { seeds = [] } = this.#options;
    if (this.#dht === undefined && gateways.length + seeds.length === 0) return [];
    return await lookBeyond(this.dht, target, gateways, signal);
  }

  async #connectPeerpy(
    target: string,
    reach: ReachOptions,
    options: SessionOptions,
  ): Promise<Session> {
    const connection = await this.#reach.dial(target, reach);
    // The name is where its listener would be asked for us: a peer that only connects has none, its socket must do.
    const { hostname, port } = connection.local;
    const peerName = formatAddress({ hostname, port: this.address?.port ?? port });
    return await connectPeerpy(connection, { peerName }, {
      clock: this.endpoint.clock,
      ...options,
    });
  }
}
