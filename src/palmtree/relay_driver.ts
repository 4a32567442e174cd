/**
 * What the sender and its receivers have in common: a relay with its socket, its links and its clock.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { layerLog } from "../log.ts";
import type { Address, Transport } from "../transport/transport.ts";
import { idToDecimal } from "../wire/remote_peer.ts";
import type { ChunkList, ChunkSource } from "./chunk_list.ts";
import type { ChunkSet } from "./chunk_set.ts";
import type { ControlMessage } from "./control.ts";
import { LinkHub } from "./link_hub.ts";
import type { Participant } from "./participant.ts";
import { Relay } from "./relay.ts";
import type { Envelope, RelayEvent, RelayTuning } from "./relay_options.ts";
import type { PalmTreeSession } from "./session.ts";
import { SessionSocket } from "./session_socket.ts";
import { StreamLinks } from "./stream_links.ts";
import { UploadLimit } from "./upload_limit.ts";

/** Time between two looks at what is due, in milliseconds. */
const TICK_MS = 100;

/** So long the chunks that are on the way to all children may take at a limited pace, in milliseconds. */
const ON_THE_WAY_MS = 500;

/**
 * And so large may they be for one child, in bytes, and so many chunks: enough for who has to wait for its turn on a busy
 * machine for a moment, and in memory.
 */
const ON_THE_WAY_BYTES = 4 * 1024 * 1024;
const MAX_WINDOW_CHUNKS = 16;

/** The network of a palm tree, and how much of it may be used. */
export interface PalmPorts {
  /** Links and handlers. */
  readonly endpoint: Endpoint;
  /** Where the sockets for packets come from. */
  readonly transport: Transport;
  /** The address of ours to bind. @default all of them */
  readonly hostname?: string | undefined;
  /** Most bytes of chunks that leave in a second. @default {Infinity} */
  readonly maxBytesPerSecond?: number | undefined;
  /** How relays are tuned. */
  readonly tuning?: Partial<RelayTuning> | undefined;
}

/** What one relay is driven with. */
export interface RelayDriverOptions extends PalmPorts {
  /** The session. */
  readonly session: PalmTreeSession;
  /** What the content is. */
  readonly content: ChunkList;
  /** Where chunks that are given are read from. */
  readonly source: ChunkSource;
  /** What is there already. @default nothing, for the sender everything */
  readonly have?: ChunkSet | undefined;
  /** The sender, where it is not ourselves. */
  readonly root?: Participant | undefined;
  /** The key that only we and somebody have: the sender and each receiver. */
  readonly keyWith: (peerId: string) => Uint8Array | undefined;
  /** A link that was made for something else. */
  readonly borrowed: (peerId: string) => Link | undefined;
  /** Keeps a verified chunk. @throws whatever keeps it from that */
  readonly keep: (index: number, data: Uint8Array) => void;
  /** What to wait for before more chunks are taken, if anything. */
  readonly room: () => Promise<void> | undefined;
  /** Hears what happens. */
  readonly emit: (event: RelayEvent) => void;
  /** A chunk that is to be given could not be read. */
  readonly unreadable: (error: unknown) => void;
  /** Takes a packet that may be for somebody else than the relay. @returns whether it was */
  readonly take?: (message: ControlMessage, envelope: Envelope) => boolean;
  /** Is called ten times a second. */
  readonly tick?: (nowMs: number) => void;
}

/** See the module. */
export class RelayDriver implements AsyncDisposable {
  /** Who we are. */
  readonly self: Participant;
  /** The machine. */
  readonly relay: Relay;
  readonly #options: RelayDriverOptions;
  readonly #socket: SessionSocket;
  readonly #links: StreamLinks;
  readonly #limit: UploadLimit;
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(self: Participant, socket: SessionSocket, options: RelayDriverOptions) {
    const { endpoint, session, content, have, root, maxBytesPerSecond, tuning } = options;
    this.self = self;
    this.#options = options;
    this.#socket = socket;
    this.#limit = new UploadLimit(endpoint.clock, maxBytesPerSecond);
    this.#links = new StreamLinks({
      endpoint,
      hub: LinkHub.of(endpoint),
      session,
      self,
      relay: () => this.relay,
      borrowed: options.borrowed,
      room: options.room,
    });
    this.relay = new Relay({
      self,
      session,
      content,
      tuning: { windowChunks: windowFor(options), ...tuning },
      ...(have === undefined ? {} : { have }),
      ...(root === undefined ? {} : { root: { hostname: root.passive.hostname, isKith: true } }),
    }, {
      send: (message, to) => socket.send(message, to),
      connect: (to) => this.#links.connect(to),
      close: (peerId) => this.#links.close(peerId),
      tell: (peerId, frame) => this.#links.tell(peerId, frame),
      give: (peerId, index) => this.#give(peerId, index),
      keep: options.keep,
      emit: options.emit,
    });
    this.relay.ready();
    this.#tick();
  }

  /** Binds a socket; from then on packets and links are taken. @throws {TransportError | UnsupportedError} */
  static async open(options: RelayDriverOptions): Promise<RelayDriver> {
    const { endpoint, transport, hostname, session, keyWith } = options;
    const selfId = idToDecimal(Uint8Array.fromHex(endpoint.self.peerId));
    const socket = await SessionSocket.open({
      transport,
      hostname,
      clock: endpoint.clock,
      session,
      self: selfId,
      keyWith,
      log: layerLog(endpoint.log, "palmtree"),
    });
    const { address } = socket;
    const active = endpoint.address ?? { hostname: address.hostname, port: 0 };
    const self = { peerId: selfId, passive: address, active, isKith: true };
    const driver = new RelayDriver(self, socket, options);
    socket.listen(
      (message, envelope) => driver.#take(message, envelope),
      (peerId, address) => driver.relay.isAt(peerId, address),
    );
    return driver;
  }

  /** Bytes of chunks that were written, whatever became of them. */
  get writtenBytes(): number {
    return this.#links.writtenBytes;
  }

  /** Sends a packet, which may get lost. */
  send(message: ControlMessage, to: Participant): void {
    this.#socket.send(message, to);
  }

  /** Ends all links and closes the socket. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.relay.stop();
    this.#limit.close();
    this.#links[Symbol.dispose]();
    await this.#socket[Symbol.asyncDispose]();
  }

  #tick(): void {
    const { clock } = this.#options.endpoint;
    this.#timer = clock.after(TICK_MS, () => this.#tick());
    const nowMs = clock.now();
    this.relay.tick(nowMs);
    this.#options.tick?.(nowMs);
  }

  #take(message: ControlMessage, envelope: Envelope): void {
    const { take = () => false, endpoint, root } = this.#options;
    if (this.#isClosed || take(message, envelope)) return;
    const placed = withAddresses(message, envelope.address, root);
    this.relay.receive(placed, envelope, endpoint.clock.now());
  }

  #give(peerId: string, index: number): void {
    this.#limit.take(this.#options.content.sizeOf(index), () => {
      try {
        this.#links.give(peerId, index, this.#options.source.read(index));
      } catch (error) {
        // The relay must not be called back before it returns.
        queueMicrotask(() => this.#options.unreadable(error));
      }
    });
  }
}

/** Chunks on the way to a child; few at a limited pace: who waits its turn must not seem to take nothing. */
function windowFor({ maxBytesPerSecond = Infinity, session }: RelayDriverOptions): number {
  const paced = ON_THE_WAY_MS * maxBytesPerSecond / 1_000 / session.fanout;
  const chunks = Math.floor(Math.min(paced, ON_THE_WAY_BYTES) / session.chunkSize);
  return Math.max(1, Math.min(MAX_WINDOW_CHUNKS, chunks));
}

/**
 * A message with addresses as they are from here: nobody knows all of its own, so what comes from somewhere is believed to
 * live there, and where the sender is was seen when it informed us.
 */
function withAddresses(
  message: ControlMessage,
  from: Address,
  root: Participant | undefined,
): ControlMessage {
  if (message.type === "upgrade" && message.active !== undefined) {
    return { ...message, active: { hostname: from.hostname, port: message.active.port } };
  }
  if (root === undefined) return message;
  if (message.type === "gather") return { ...message, replyAddr: root.passive };
  if (message.type !== "state-update") return message;
  const neighbors = message.neighbors.map((one) => one.peerId === root.peerId ? root : one);
  return { ...message, neighbors };
}
