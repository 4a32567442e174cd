/**
 * The connections that gossip goes over: one for each peer that something is said to, opened when it is first needed and
 * closed some time after the last word. What waits is bounded; whatever finds no room gets lost, which gossip takes.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { ClosedError, NotFoundError, PeerError, TimeoutError } from "../errors.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { layerLog, printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { Contact } from "./contact.ts";
import { PeerQueue } from "./peer_queue.ts";

/** From so many bytes on that wait for one peer publishers wait, too, but for no slow peer longer than that. */
const CONGESTED_BYTES = 256 * 1_024;
const LONGEST_WAIT_MS = 1_000;

/** Connections that are being opened at the same time. */
const MAX_DIALING = 8;

/** Peers that wait for one to be opened: more are not taken on. */
const MAX_WAITING_PEERS = 64;

/** How long opening one may take, in milliseconds. */
const DIAL_MS = 3_000;

/** How long a connection that we opened may be of no use before it is closed, in milliseconds. */
const IDLE_MS = 15_000;

/** Peers that are remembered at most, besides neighbours. */
const MAX_PEERS = 1_024;

/** What {@linkcode PeerLinks} needs. */
export interface PeerLinksParts {
  /** Opens connections. */
  readonly endpoint: Endpoint;
  /** Whether a peer is a neighbour, whose connection stays. */
  readonly isNeighbor: (peerId: string) => boolean;
  /** A peer cannot be reached, or the connection to a neighbour has ended. */
  readonly gone: (peerId: string) => void;
}

/** A peer that something is said to. */
interface Entry {
  contact: Contact;
  readonly queue: PeerQueue;
  /** The connection that we have opened. */
  own: Link | undefined;
  isDialing: boolean;
  /** Whether something was said or heard since the last look, and when that look was. */
  isUsed: boolean;
  usedMs: number;
}

/** See the module. */
export class PeerLinks {
  readonly #parts: PeerLinksParts;
  readonly #entries = new Map<string, Entry>();
  // Made once for each connection, because that is asked for with every packet.
  readonly #sources = new WeakMap<Link, Contact>();
  readonly #watched = new WeakSet<Link>();
  readonly #waiting: Entry[] = [];
  readonly #closing = new AbortController();
  readonly #work = new Set<Promise<void>>();
  #room: PromiseWithResolvers<void> | undefined;
  #dialing = 0;
  #isClosed = false;
  #timer: Timer;

  /** Has no connections. */
  constructor(parts: PeerLinksParts) {
    this.#parts = parts;
    this.#timer = this.#sweepLater();
  }

  /** Bytes of messages that wait for one peer at most at the moment. */
  get waitingBytes(): number {
    return Math.max(0, ...[...this.#entries.values()].map(({ queue }) => queue.bodyBytes));
  }

  /** The open connection to a peer. */
  linkTo(peerId: string): Link | undefined {
    return this.#entries.get(peerId)?.queue.link;
  }

  /** Whether there is room for a message to a peer. */
  hasRoom(peerId: string): boolean {
    return this.#entries.get(peerId)?.queue.hasRoom ?? true;
  }

  /** What to wait for before publishing more, where much waits for somebody. */
  room(): Promise<void> | undefined {
    if (this.waitingBytes < CONGESTED_BYTES) return undefined;
    this.#room ??= this.#waitForRoom();
    return this.#room.promise;
  }

  /** Something came from a peer, on this connection. @returns where it comes from, without the port that it listens on. */
  heard(link: Link): Contact {
    const contact = this.#sources.get(link) ?? sourceOf(link);
    this.#sources.set(link, contact);
    const entry = this.#entryOf(contact);
    // What is answered goes back where it came from, also where two programs have one identity.
    if (!entry.queue.uses(link)) this.#take(entry, link);
    entry.isUsed = true;
    return contact;
  }

  /** Sends a packet, as soon as that can be. */
  send(packet: Uint8Array, to: Contact, kind: "control" | "body"): void {
    if (this.#isClosed) return;
    const entry = this.#entries.get(to.peerId) ?? this.#entryOf(to);
    const { queue } = entry;
    entry.isUsed = true;
    const hasLeft = kind === "control" ? queue.sendControl(packet) : queue.sendBody(packet);
    if (hasLeft || queue.link !== undefined) return;
    this.#entryOf(to); // where it is may be news
    this.#dialLater(entry);
  }

  /** Connects to who is at an address, to learn who that is. @returns where it can be reached. */
  async meet(address: Address, signal: AbortSignal): Promise<Contact | undefined> {
    const { endpoint } = this.#parts;
    const until = AbortSignal.any([signal, this.#closing.signal]);
    try {
      const link = await endpoint.connect(address, { signal: until });
      const { hostname, port } = address;
      const contact = { peerId: link.peer.peerId, hosts: [hostname], port };
      const entry = this.#entryOf(contact);
      if (entry.queue.link !== undefined) await link.close();
      else this.#own(entry, link);
      return contact;
    } catch (error) {
      if (!(error instanceof PeerError) && !until.aborted) throw error;
      const why = printable(String(error));
      layerLog(endpoint.log, "gossip").debug("nobody to gossip with", {
        address: formatAddress(address),
        why,
      });
      return undefined;
    }
  }

  /** Waits until what was said has left, but no longer than that. */
  async flushed(limitMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#parts.endpoint.clock.after(limitMs, resolve);
    const links = [...this.#entries.values()].map(({ queue }) => queue.link);
    await Promise.race([late, Promise.allSettled(links.map((link) => link?.flush()))]);
    timer.cancel();
  }

  /** Closes the connections that were opened here. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort(new ClosedError("Gossip is closed"));
    this.#timer.cancel();
    this.#room?.resolve();
    const links = [...this.#entries.values()].flatMap(({ own }) => own ?? []);
    this.#entries.clear();
    await Promise.all([...links.map((link) => link.close()), ...this.#work]);
  }

  #entryOf(contact: Contact): Entry {
    const { peerId } = contact;
    const known = this.#entries.get(peerId);
    if (known !== undefined) {
      if (contact.port > 0 && known.queue.link === undefined) known.contact = contact;
      return known;
    }
    if (this.#entries.size >= MAX_PEERS) this.#sweep(0);
    const unsent = this.#parts.endpoint.metrics.counter("gossip.unsent");
    const entry: Entry = {
      contact,
      queue: new PeerQueue({ unsent, drained: () => this.#drained() }),
      own: undefined,
      isDialing: false,
      isUsed: true,
      usedMs: this.#now,
    };
    this.#entries.set(peerId, entry);
    return entry;
  }

  /** A connection that we have opened. */
  #own(entry: Entry, link: Link): void {
    entry.own = link;
    this.#take(entry, link);
  }

  /** What is said goes over this connection from now on. */
  #take(entry: Entry, link: Link): void {
    entry.queue.use(link);
    if (this.#watched.has(link)) return; // a peer may have two, and use one after the other
    this.#watched.add(link);
    void link.closed.then(() => this.#lost(entry, link));
  }

  #lost(entry: Entry, link: Link): void {
    const { queue, contact: { peerId } } = entry;
    if (entry.own === link) entry.own = undefined;
    if (!queue.uses(link)) return;
    queue.use(entry.own?.open ? entry.own : undefined);
    if (queue.link !== undefined) return;
    queue.clear();
    // Others may just have closed what was of no use.
    if (!this.#isClosed && this.#parts.isNeighbor(peerId)) this.#parts.gone(peerId);
  }

  #drained(): void {
    if (this.#room !== undefined && this.waitingBytes < CONGESTED_BYTES) this.#room.resolve();
  }

  #waitForRoom(): PromiseWithResolvers<void> {
    const room = Promise.withResolvers<void>();
    const timer = this.#parts.endpoint.clock.after(LONGEST_WAIT_MS, room.resolve);
    void room.promise.then(() => {
      timer.cancel();
      this.#room = undefined;
    });
    return room;
  }

  #dialLater(entry: Entry): void {
    if (entry.isDialing) return;
    entry.isDialing = true;
    // Whoever is needed most comes first: others are called by hearsay, and may not be there.
    if (this.#parts.isNeighbor(entry.contact.peerId)) this.#waiting.unshift(entry);
    else this.#waiting.push(entry);
    const given = this.#waiting.length > MAX_WAITING_PEERS ? this.#waiting.pop() : undefined;
    if (given !== undefined) {
      given.isDialing = false;
      given.queue.clear();
    }
    this.#dialNext();
  }

  #dialNext(): void {
    while (this.#dialing < MAX_DIALING && !this.#closing.signal.aborted) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#dialing++;
      const work = this.#dial(entry).finally(() => {
        this.#work.delete(work);
        this.#dialing--;
        entry.isDialing = false;
        this.#dialNext();
      });
      this.#work.add(work);
    }
  }

  async #dial(entry: Entry): Promise<void> {
    const { contact: { peerId, hosts, port } } = entry;
    const { endpoint } = this.#parts;
    const late = new AbortController();
    const timer = endpoint.clock.after(DIAL_MS, () => late.abort(LATE));
    const signal = AbortSignal.any([late.signal, this.#closing.signal]);
    const expect = (peer: { readonly peerId: string }) => {
      if (peer.peerId !== peerId) throw ANOTHER;
    };
    try {
      for (const hostname of port === 0 ? [] : hosts) {
        if (entry.queue.link !== undefined) return; // it was faster
        try {
          const link = await endpoint.connect({ hostname, port }, { signal, expect });
          if (this.#closing.signal.aborted) return await link.close();
          return this.#own(entry, link);
        } catch (error) {
          const log = layerLog(endpoint.log, "gossip");
          const what = { peerId, hostname, why: printable(String(error)) };
          if (error instanceof PeerError) log.debug("cannot reach a peer of a topic", what);
          else log.error("reaching a peer of a topic failed", what);
        }
      }
    } finally {
      timer.cancel();
    }
    if (entry.queue.link !== undefined || this.#isClosed) return;
    entry.queue.clear();
    endpoint.metrics.counter("gossip.unreachable").add();
    this.#parts.gone(peerId);
  }

  #sweepLater(): Timer {
    return this.#parts.endpoint.clock.after(IDLE_MS / 3, () => {
      this.#sweep(IDLE_MS);
      this.#timer = this.#sweepLater();
    });
  }

  /** Closes and forgets what has been of no use for so long. */
  #sweep(idleMs: number): void {
    for (const [peerId, entry] of this.#entries) {
      if (entry.isUsed) entry.usedMs = this.#now;
      entry.isUsed = false;
      const isUsed = this.#now - entry.usedMs < idleMs || entry.isDialing;
      if (isUsed || this.#parts.isNeighbor(peerId)) continue;
      this.#entries.delete(peerId);
      if (entry.own === undefined) continue;
      const work = entry.own.close().finally(() => this.#work.delete(work));
      this.#work.add(work);
    }
  }

  get #now(): number {
    return this.#parts.endpoint.clock.now();
  }
}

/** Why connecting is given up. */
const LATE = new TimeoutError("No answer in time");
const ANOTHER = new NotFoundError("no-peer", "Another peer is there");

/** Where a connection comes from, without the port that its peer listens on. */
function sourceOf({ peer: { peerId }, remote: { hostname } }: Link): Contact {
  return { peerId, hosts: [hostname], port: 0 };
}
