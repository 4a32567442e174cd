/**
 * One participant of a palm tree of originals: a relay with its plain packets, its raw links and its clock.
 *
 * Nothing that comes is proven. Packets are believed for where they come from, links are taken of those alone who were asked
 * and from the host where they are, and nobody has more neighbours than a tree of 4,096 gives it: so nobody has this machine
 * write to more addresses than a few.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../../clock.ts";
import { type Logger, silentLogger } from "../../log.ts";
import type { FileRecord } from "../../transfer/dialects/peerconnect_records.ts";
import {
  type Address,
  type Connection,
  isWildcard,
  type Transport,
} from "../../transport/transport.ts";
import type { ChunkList, ChunkSource } from "../chunk_list.ts";
import type { ControlMessage, StreamLink } from "../control.ts";
import type { Participant } from "../participant.ts";
import { encodeMetadata } from "../raw_stream.ts";
import { Relay } from "../relay.ts";
import { type Envelope, RELAY_STATE, type RelayEvent, type RelayTuning } from "../relay_options.ts";
import type { PalmTreeSession } from "../session.ts";
import { SessionSocket } from "../session_socket.ts";
import { UploadLimit } from "../upload_limit.ts";
import { RawChildren } from "./peerconnect_children.ts";
import { RawParent } from "./peerconnect_parent.ts";

/** Bytes of a chunk, as we count them: links show nothing of it. Content is at most 128 GiB by that. */
export const RAW_CHUNK_BYTES: number = 128 * 1024;

/** What sessions announce, as the originals do; a list of files is to be no longer. */
export const SAID_CHUNK_BYTES: number = 256 * 1024;

/** Most neighbours that somebody may be told of; a hypercube of 4,096 has 12. */
const MAX_NEIGHBORS = 16;

/** Time between two looks at what is due, in milliseconds. */
const TICK_MS = 100;

/** Originals say neither that they live nor how far they are: they are given more time, and are not waited for as long. */
const TUNING: Partial<RelayTuning> = { stallMs: 15_000, giveUpMs: 30_000 };

/** The network of palm trees of originals. */
export interface PeerConnectPalmPorts {
  /** The network. */
  readonly transport: Transport;
  /** Who we are, 40 hexadecimal digits; nobody can tell. */
  readonly peerId: string;
  /** The address of ours to bind. @default all of them */
  readonly hostname?: string | undefined;
  /** Which of our addresses somebody reaches us by. @default `hostname`, or 127.0.0.1 */
  readonly hostFor?: ((remote: Address) => string) | undefined;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock | undefined;
  /** Where to say what happens. @default {silentLogger} */
  readonly log?: Logger | undefined;
  /** Most bytes of contents that leave in a second. @default {Infinity} */
  readonly maxBytesPerSecond?: number | undefined;
  /** How relays are tuned. */
  readonly tuning?: Partial<RelayTuning> | undefined;
}

/** What a {@linkcode PeerConnectRelay} needs. */
export interface PeerConnectRelayOptions extends PeerConnectPalmPorts {
  /** The session. */
  readonly session: PalmTreeSession;
  /** Who we are, in decimal. */
  readonly self: string;
  /** Where we take links; 0 for who takes none. */
  readonly activePort: number;
  /** Where the inform came from, where the sender is not ourselves. */
  readonly root?: Address | undefined;
  /** What the content is, where that is known from the beginning. */
  readonly content?: ChunkList | undefined;
  /** Where chunks that are given are read from. */
  readonly source: ChunkSource;
  /** Keeps a chunk. @throws whatever keeps it from that */
  readonly keep: (index: number, data: Uint8Array) => void;
  /** What to wait for before more is read, if anything. */
  readonly room: () => Promise<void> | undefined;
  /** The parent says which files come. @throws {PeerError} when they are others than before */
  readonly take: (files: readonly FileRecord[], chunks: ChunkList) => Promise<void> | void;
  /** Hears what happens. */
  readonly emit: (event: RelayEvent) => void;
  /** A chunk that is to be given could not be read. */
  readonly unreadable: (error: unknown) => void;
  /** A child has taken everything, as far as our machine can tell. */
  readonly delivered?: (peerId: string) => void;
  /** Takes a packet that may be for somebody else than the relay. @returns whether it was */
  readonly receive?: (message: ControlMessage, envelope: Envelope) => boolean;
  /** Is called ten times a second. */
  readonly tick: (nowMs: number) => void;
}

/** See the module. */
export class PeerConnectRelay implements AsyncDisposable {
  /** Who we are. */
  readonly self: Participant;
  /** The machine. */
  readonly relay: Relay;
  /** The links to children. */
  readonly children: RawChildren;
  /** The link from the parent. */
  readonly parent: RawParent;
  readonly #options: PeerConnectRelayOptions;
  readonly #clock: Clock;
  readonly #socket: SessionSocket;
  readonly #limit: UploadLimit;
  readonly #hosts = new Map<string, string>();
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(self: Participant, socket: SessionSocket, options: PeerConnectRelayOptions) {
    const { clock = systemClock, log = silentLogger, session, content, root } = options;
    this.self = self;
    this.#options = options;
    this.#clock = clock;
    this.#socket = socket;
    this.#limit = new UploadLimit(clock, options.maxBytesPerSecond);
    if (root !== undefined) this.#hosts.set(session.originateId, root.hostname);
    const common = { clock, log, relay: () => this.relay };
    this.children = new RawChildren({ ...options, ...common, self, limit: this.#limit });
    this.parent = new RawParent({
      ...common,
      chunkBytes: RAW_CHUNK_BYTES,
      saidBytes: session.chunkSize,
      hostOf: (peerId) => this.#hosts.get(peerId),
      take: options.take,
      room: options.room,
    });
    this.relay = new Relay({
      ...{ self, session, content, tuning: { ...TUNING, ...options.tuning } },
      ...(root === undefined ? {} : { root: { hostname: root.hostname, isKith: false } }),
    }, {
      send: (message, to) => this.send(message, to),
      connect: (to) => this.children.connect(to),
      close: (peerId) => this.children.close(peerId) || this.parent.close(peerId),
      tell: () => {}, // originals understand nothing of it
      give: (peerId, index) => this.children.give(peerId, index),
      keep: options.keep,
      emit: options.emit,
    });
    this.relay.ready();
    this.#tick();
  }

  /** Binds a socket; from then on packets and links are taken. @throws {TransportError | UnsupportedError} */
  static async open(options: PeerConnectRelayOptions): Promise<PeerConnectRelay> {
    const { clock = systemClock, log = silentLogger, activePort: port, root } = options;
    const socket = await SessionSocket.open({ ...options, clock, log, isPlain: true });
    const hostname = hostFor(options, root ?? socket.address);
    const passive = { hostname, port: socket.address.port };
    const self = { peerId: options.self, passive, active: { hostname, port }, isKith: false };
    const relay = new PeerConnectRelay(self, socket, options);
    socket.listen((message, envelope) => relay.#take(message, envelope));
    return relay;
  }

  /** Says which files come, to the relay and to children. @throws {RangeError} when there are too many */
  announce(files: readonly FileRecord[], content: ChunkList): void {
    const metadata = encodeMetadata(files.map(({ name, size }) => ({ name, size, seeked: 0 })));
    const sizeOf = (index: number) => content.sizeOf(index);
    this.children.announce({ metadata, chunks: content.count, sizeOf });
    if (this.#options.content === undefined) this.relay.announce(content, this.#clock.now());
  }

  /** Takes a link that somebody opens, until it ends. @throws as `RawParent.link` */
  async link(link: StreamLink, connection: Connection): Promise<void> {
    await this.parent.link(link, connection);
  }

  /** Sends a packet, which may get lost. */
  send(message: ControlMessage, to: Participant): void {
    this.#socket.send(this.#asSeenBy(message, to), to);
  }

  /** Ends all links and closes the socket. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.relay.stop();
    this.#limit.close();
    this.children[Symbol.dispose]();
    this.parent[Symbol.dispose]();
    await this.#socket[Symbol.asyncDispose]();
  }

  #tick(): void {
    this.#timer = this.#clock.after(TICK_MS, () => this.#tick());
    const nowMs = this.#clock.now();
    this.relay.tick(nowMs);
    this.#options.tick(nowMs);
  }

  #take(message: ControlMessage, envelope: Envelope): void {
    const { receive = () => false } = this.#options;
    if (this.#isClosed || receive(message, envelope)) return;
    const placed = this.#withRoot(message);
    if (placed === undefined) return;
    const isNew = this.relay.state < RELAY_STATE.linksKnown;
    const isTaken = this.relay.receive(placed, envelope, this.#clock.now());
    if (!isTaken || !isNew || placed.type !== "state-update") return;
    for (const { peerId, passive } of placed.neighbors) this.#hosts.set(peerId, passive.hostname);
  }

  /** A message with the sender where it was seen when it informed us; `undefined` for one that names too many. */
  #withRoot(message: ControlMessage): ControlMessage | undefined {
    const { root, session: { originateId } } = this.#options;
    if (root === undefined) return message;
    const { hostname } = root;
    if (message.type === "gather") {
      return { ...message, replyAddr: { hostname, port: message.replyAddr.port } };
    }
    if (message.type !== "state-update") return message;
    if (message.neighbors.length > MAX_NEIGHBORS) return undefined;
    const neighbors = message.neighbors.map((one) => {
      if (one.peerId !== originateId) return one;
      const { passive: { port }, active } = one;
      return { ...one, passive: { hostname, port }, active: { hostname, port: active.port } };
    });
    return { type: "state-update", neighbors };
  }

  /** A message of the sender with its own addresses as whoever gets it reaches them. */
  #asSeenBy(message: ControlMessage, { passive: to }: Participant): ControlMessage {
    const { peerId, passive, active } = this.self;
    if (this.#options.root !== undefined) return message;
    const hostname = hostFor(this.#options, to);
    const here = { hostname, port: passive.port };
    if (message.type === "gather") return { ...message, replyAddr: here };
    if (message.type !== "state-update") return message;
    const neighbors = message.neighbors.map((one) => {
      if (one.peerId !== peerId) return one;
      return { ...one, passive: here, active: { hostname, port: active.port } };
    });
    return { ...message, neighbors };
  }
}

/** The address by which somebody reaches us. */
export function hostFor({ hostname, hostFor }: PeerConnectPalmPorts, remote: Address): string {
  if (hostname !== undefined && !isWildcard(hostname)) return hostname;
  return hostFor?.(remote) ?? "127.0.0.1";
}
