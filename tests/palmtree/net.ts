/**
 * Palm trees in memory: a network of relays with latency, uplinks and downlinks, loss and death, on a clock of its own. What
 * goes over it goes through the codecs and the seals.
 *
 * @module
 */

import { seededRandom } from "../../src/clock.ts";
import { PeerError } from "../../src/errors.ts";
import { ChunkList, type ChunkSource } from "../../src/palmtree/chunk_list.ts";
import type { ChunkSet } from "../../src/palmtree/chunk_set.ts";
import {
  type ControlMessage,
  encodeControl,
  encodeStreamLink,
  parseControl,
  parseStreamLink,
} from "../../src/palmtree/control.ts";
import { encodeLinkFrame, type LinkFrame, parseLinkFrame } from "../../src/palmtree/link_frames.ts";
import type { Participant } from "../../src/palmtree/participant.ts";
import type { TreePlan } from "../../src/palmtree/planner.ts";
import { Relay } from "../../src/palmtree/relay.ts";
import type { RelayEvent, RelayTuning } from "../../src/palmtree/relay_options.ts";
import type { PalmTreeSession } from "../../src/palmtree/session.ts";
import { type OpenedPacket, SessionSeal } from "../../src/palmtree/session_seal.ts";
import { TreeHost } from "../../src/palmtree/tree_host.ts";
import { decodeDatagram, encodeDatagram } from "../../src/wire/datagram.ts";

/** Bytes of a chunk in these tests: few, so that they run fast; what takes time is the network. */
export const CHUNK_BYTES = 1_024;

/** 1 Gbit/s for chunks of 256 KiB, scaled to chunks of 1 KiB: bytes per millisecond. */
export const UPLINK = CHUNK_BYTES / 2.1;

export interface NetOptions {
  readonly receivers: number;
  readonly chunks?: number;
  readonly fanout?: number;
  /** One way, in milliseconds. */
  readonly latencyMs?: number;
  /** Of packets; links lose nothing. */
  readonly loss?: number;
  readonly seed?: number;
  /** Bytes per millisecond. */
  readonly uplink?: (place: number) => number;
  readonly downlink?: (place: number) => number;
  readonly tuning?: Partial<RelayTuning>;
}

interface Link {
  readonly ends: readonly [parent: Node, child: Node];
  readonly waiting: number[];
  isOpen: boolean;
  servedAt: number;
}

/** One participant. */
export class Node implements ChunkSource {
  readonly events: RelayEvent[] = [];
  readonly links = new Map<string, Link>();
  readonly kept = new Map<number, Uint8Array>();
  readonly relay: Relay;
  readonly seal: SessionSeal;
  host: TreeHost | undefined;
  isAlive = true;
  /** Whether what it gives is wrong. */
  isCorrupt = false;
  /** Whether it takes part and gives nothing. */
  isMute = false;
  doneMs: number | undefined;
  isSending = false;
  downFreeMs = 0;

  constructor(
    readonly net: PalmNet,
    readonly place: number,
    readonly self: Participant,
    have: ChunkSet | undefined,
  ) {
    const { session, content, options: { tuning } } = net;
    this.seal = new SessionSeal({ ...session, self: self.peerId });
    this.relay = new Relay(
      {
        self,
        session,
        content,
        ...(have === undefined ? {} : { have }),
        ...(tuning === undefined ? {} : { tuning }),
        root: { hostname: addressOf(0), isKith: true },
      },
      {
        send: (message, to) => this.send(message, to),
        connect: (to) => net.connect(this, to),
        close: (peerId) => net.close(this, peerId),
        tell: (peerId, frame) => net.tell(this, peerId, frame),
        give: (peerId, index) => net.give(this, peerId, index),
        keep: (index, data) => void this.kept.set(index, data),
        emit: (event) => {
          this.events.push(event);
          if (event.type === "complete") this.doneMs = net.nowMs;
        },
      },
    );
  }

  read(index: number): Uint8Array {
    const chunk = this.place === 0 ? chunkOf(index, this.net.content.sizeOf(index)) : undefined;
    return chunk ?? this.kept.get(index) ?? chunkOf(index, this.net.content.sizeOf(index));
  }

  send(message: ControlMessage, to: Participant): void {
    const payload = this.seal.seal(encodeControl(message), to.peerId);
    this.net.packet(this, encodeDatagram(undefined, payload), to.passive.hostname);
  }

  typesOf(): string[] {
    return this.events.map(({ type }) => type);
  }
}

/** The network; place 0 is the sender's. */
export class PalmNet {
  nowMs = 0;
  readonly options: NetOptions;
  readonly session: PalmTreeSession;
  readonly content: ChunkList;
  readonly nodes: Node[] = [];
  readonly settledMs: number[] = [];
  readonly #heap: { atMs: number; order: number; run: () => void }[] = [];
  readonly #random: () => number;
  #order = 0;

  constructor(options: NetOptions) {
    this.options = options;
    const { receivers, chunks = 100, fanout = 3, seed = 1 } = options;
    this.#random = seededRandom(seed);
    this.session = {
      originateId: idOf(0),
      sessionId: "s",
      key: "k",
      fanout,
      linkWaitMs: 3_000,
      adjacentPeers: [],
      chunkSize: CHUNK_BYTES,
      fileCount: 1,
    };
    const totalBytes = Math.max(0, chunks * CHUNK_BYTES - 100);
    this.content = ChunkList.of(totalBytes, CHUNK_BYTES, {
      read: (index) => chunkOf(index, Math.min(CHUNK_BYTES, totalBytes - index * CHUNK_BYTES)),
    });
    for (let place = 0; place <= receivers; place++) this.add();
  }

  get root(): Node {
    return this.node(0);
  }

  get receivers(): Node[] {
    return this.nodes.slice(1);
  }

  node(place: number): Node {
    const node = this.nodes[place];
    if (node === undefined) throw new RangeError(`No node ${place}`);
    return node;
  }

  /** Another participant, which nobody knows yet. */
  add(have?: ChunkSet): Node {
    const place = this.nodes.length;
    const hostname = addressOf(place);
    const self = {
      peerId: idOf(place),
      passive: { hostname, port: 50_000 },
      active: { hostname, port: 3_485 },
      isKith: true,
    };
    const node = new Node(this, place, self, have);
    this.nodes.push(node);
    node.relay.ready();
    this.after(this.#random() * 100, () => this.#tick(node));
    return node;
  }

  begin(plan?: TreePlan): void {
    const { root } = this;
    const chunks = this.content.count;
    root.host = new TreeHost({ self: root.self, relay: root.relay, chunks, messageId: "m" }, {
      send: (message, to) => root.send(message, to),
      changed: () => {},
      settled: () => void this.settledMs.push(this.nowMs),
    });
    root.host.begin(this.receivers.map(({ self }) => self), this.nowMs, plan);
  }

  after(delayMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + delayMs, order: this.#order++, run };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!isBefore(event, heap[up] ?? event)) break;
      heap[at] = heap[up] ?? event;
      at = up;
    }
    heap[at] = event;
  }

  /** Lets time pass until something is so, or until a moment. @returns whether it is so. */
  run(untilMs: number, isSo: () => boolean = () => false): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs;) {
      this.#pop();
      this.nowMs = next.atMs;
      next.run();
      if (isSo()) return true;
      next = this.#heap[0];
    }
    this.nowMs = untilMs;
    return isSo();
  }

  /** Lets time pass until all receivers that are alive have everything. */
  finish(untilMs = 60_000): boolean {
    return this.run(untilMs, () => {
      return this.receivers.every(({ isAlive, relay }) => !isAlive || relay.have.isFull);
    });
  }

  /** @param isSilent Whether nobody is told, as when a cable is cut; else links break. */
  kill(node: Node, isSilent: boolean): void {
    node.isAlive = false;
    for (const link of [...node.links.values()]) {
      if (isSilent) continue;
      const other = otherOf(link, node);
      this.#later(() => this.#down(other, node));
    }
  }

  packet(from: Node, packet: Uint8Array, hostname: string): void {
    if (!from.isAlive || this.#random() < (this.options.loss ?? 0)) return;
    const to = this.nodes.find(({ self }) => self.passive.hostname === hostname);
    this.#later(() => {
      if (to === undefined || !to.isAlive) return;
      const { payload } = decodeDatagram(packet, { code: false, exact: false });
      const opened = openOrNothing(to.seal, payload);
      if (opened === undefined) return;
      const message = parseControl(opened.payload);
      if (message === undefined) return;
      const envelope = { sealedBy: opened.sealedBy, address: from.self.passive };
      const isHosts = to.host?.receive(message, envelope, this.nowMs) ?? false;
      if (!isHosts) to.relay.receive(message, envelope, this.nowMs);
    });
  }

  connect(parent: Node, { peerId, passive }: Participant): void {
    const child = this.nodes.find(({ self }) => self.passive.hostname === passive.hostname);
    const { sessionId } = this.session;
    const kind = "file";
    const first = { kind, from: parent.self.peerId, sessionId, passive } as const;
    const greeting = parseStreamLink(encodeStreamLink(first));
    if (child === undefined || !child.isAlive) {
      return this.after(3_000, () => parent.relay.linkFailed(peerId, this.nowMs));
    }
    this.after(3 * this.latencyMs, () => {
      if (!parent.isAlive || !child.isAlive) return;
      if (!child.relay.linkOffered(greeting?.from ?? "", this.nowMs)) {
        return this.#later(() => parent.relay.linkFailed(peerId, this.nowMs));
      }
      const link: Link = { ends: [parent, child], waiting: [], isOpen: true, servedAt: 0 };
      parent.links.set(child.self.peerId, link);
      child.links.set(parent.self.peerId, link);
      this.#later(() => parent.isAlive && parent.relay.linkUp(peerId, this.nowMs));
    });
  }

  close(node: Node, peerId: string): void {
    const link = node.links.get(peerId);
    if (link === undefined) return;
    const other = otherOf(link, node);
    this.#later(() => this.#down(other, node, link));
    node.links.delete(peerId);
  }

  tell(node: Node, peerId: string, frame: LinkFrame): void {
    // Behind the OK that it may follow.
    this.after(this.latencyMs + 0.001, () => {
      const link = this.nodeOf(peerId)?.links.get(node.self.peerId);
      const to = this.nodeOf(peerId);
      if (!node.isAlive || to === undefined || !to.isAlive || link === undefined) return;
      to.relay.frame(node.self.peerId, parseLinkFrame(encodeLinkFrame(frame)), this.nowMs);
    });
  }

  give(node: Node, peerId: string, index: number): void {
    node.links.get(peerId)?.waiting.push(index);
    this.#pump(node);
  }

  nodeOf(peerId: string): Node | undefined {
    return this.nodes.find(({ self }) => self.peerId === peerId);
  }

  get latencyMs(): number {
    return this.options.latencyMs ?? 0.5;
  }

  #later(run: () => void): void {
    this.after(this.latencyMs, run);
  }

  #tick(node: Node): void {
    if (!node.isAlive) return;
    node.relay.tick(this.nowMs);
    node.host?.tick(this.nowMs);
    this.after(100, () => this.#tick(node));
  }

  #down(node: Node, other: Node, only?: Link): void {
    const link = node.links.get(other.self.peerId);
    if (link === undefined || (only !== undefined && link !== only)) return;
    link.isOpen = false;
    node.links.delete(other.self.peerId);
    if (node.isAlive) node.relay.linkDown(other.self.peerId, this.nowMs);
  }

  /** The uplink writes one chunk at a time, in turns to those who wait. */
  #pump(node: Node): void {
    if (node.isSending || !node.isAlive || node.isMute) return;
    const links = [...node.links.values()].filter(({ ends: [parent], waiting }) => {
      return parent === node && waiting.length > 0;
    });
    const link = links.toSorted((a, b) => a.servedAt - b.servedAt)[0];
    const index = link?.waiting.shift();
    if (link === undefined || index === undefined) return;
    link.servedAt = this.#order;
    const child = otherOf(link, node);
    const bytes = this.content.sizeOf(index);
    node.isSending = true;
    this.after(bytes / (this.options.uplink?.(node.place) ?? UPLINK), () => {
      node.isSending = false;
      if (!node.isAlive) return;
      this.#arrive(node, child, link, index, bytes);
      this.#pump(node);
    });
  }

  #arrive(node: Node, child: Node, link: Link, index: number, bytes: number): void {
    const data = node.read(index).slice();
    if (node.isCorrupt) data[index % data.length] = ~(data[index % data.length] ?? 0);
    const rate = this.options.downlink?.(child.place) ?? Infinity;
    child.downFreeMs = Math.max(this.nowMs + this.latencyMs, child.downFreeMs) + bytes / rate;
    this.after(child.downFreeMs - this.nowMs, () => {
      if (!link.isOpen || !child.isAlive) return;
      const { peerId } = node.self;
      const frame = parseLinkFrame(encodeLinkFrame({ type: "chunk", index, data }));
      if (child.links.get(peerId) === link) child.relay.frame(peerId, frame, this.nowMs);
      if (node.isAlive) node.relay.sent(child.self.peerId, index, this.nowMs);
    });
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (isBefore(heap[down + 1] ?? last, heap[down] ?? last) && down + 1 < heap.length) down++;
      const child = heap[down] ?? last;
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}

/** The id of a place. */
export function idOf(place: number): string {
  return String(1_000 + place);
}

/** The bytes of a chunk: different for each. */
export function chunkOf(index: number, size: number): Uint8Array {
  const chunk = new Uint8Array(size).fill(index);
  new DataView(chunk.buffer).setUint32(0, index);
  return chunk;
}

// Packets overtake each other: the older ones count as lost.
function openOrNothing(seal: SessionSeal, payload: Uint8Array): OpenedPacket | undefined {
  try {
    return seal.open(payload);
  } catch (error) {
    if (error instanceof PeerError) return undefined;
    throw error;
  }
}

function addressOf(place: number): string {
  return `10.0.${place >> 8}.${place & 255}`;
}

function otherOf({ ends: [parent, child] }: Link, node: Node): Node {
  return parent === node ? child : parent;
}

function isBefore(
  a: { atMs: number; order: number },
  b: { atMs: number; order: number },
): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
