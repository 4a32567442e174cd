/**
 * Who we are connected to: a record per peer, its links, and which of them two peers share.
 *
 * Two peers that open a *shared* link to each other at the same time end with one. Both keep the one that the peer with
 * the smaller id opened and drain the other, which both see, so neither has to ask. A link that has been there for
 * longer than two handshakes take was not opened at the same time: it is asked whether it is alive, and only if it does
 * not answer does a newcomer take its place. Links that are not shared belong to whoever opened them and are left alone.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { PeerError } from "../errors.ts";
import type { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Link } from "./link.ts";

/** Events that may wait for a watcher; the oldest are dropped and counted, the table itself tells what is. */
const MAX_WAITING_EVENTS = 1024;

/** How long an old link may take to answer when another claims its place. */
const CHALLENGE_MS = 2_000;

/** A peer that we are connected to. */
export interface PeerRecord extends PeerInfo {
  /** Where its connections come from or go to. */
  readonly addresses: readonly Address[];
  /** When it was first connected, in milliseconds since 1970. */
  readonly since: number;
  /** The smoothed round trip of its best link, once a heartbeat has measured it. */
  readonly rttMs: number | undefined;
}

/** Something that happened to a peer. */
export interface PeerEvent {
  /** Connected, disconnected, or cut off because it does not read what it is sent. */
  readonly type: "added" | "removed" | "slow-consumer";
  /** Who. */
  readonly peer: PeerInfo;
  /** Why it was removed, where that was not in order. */
  readonly why?: string;
}

/** Events on their way to one who watches. */
class Watcher {
  readonly #dropped: () => void;
  #waiting: PeerEvent[] = [];
  #arrival: PromiseWithResolvers<void> | undefined;
  #ended = false;

  constructor(dropped: () => void) {
    this.#dropped = dropped;
  }

  push(event: PeerEvent): void {
    if (this.#waiting.length >= MAX_WAITING_EVENTS) {
      this.#waiting.shift();
      this.#dropped();
    }
    this.#waiting.push(event);
    this.#arrival?.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#arrival?.resolve();
  }

  async *events(done: () => void): AsyncGenerator<PeerEvent, void, void> {
    try {
      for (;;) {
        const events = this.#waiting;
        this.#waiting = [];
        yield* events;
        if (this.#waiting.length > 0) continue;
        if (this.#ended) return;
        this.#arrival = Promise.withResolvers();
        await this.#arrival.promise;
      }
    } finally {
      done();
    }
  }
}

interface Entry {
  readonly peer: PeerInfo;
  readonly since: number;
  readonly links: Set<Link>;
}

/** See the module. */
export class PeerTable {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #self: PeerInfo;
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Set<Watcher>();
  readonly #simultaneousMs: number;
  readonly #addedMs = new WeakMap<Link, number>();
  #closed = false;

  /** Empty. @param handshakeMs The longest a handshake takes. */
  constructor(self: PeerInfo, clock: Clock, metrics: Metrics, handshakeMs: number) {
    this.#self = self;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#simultaneousMs = 2 * handshakeMs;
  }

  /** The peers there are, oldest first. */
  list(): PeerRecord[] {
    return [...this.#entries.values()].map(recordOf);
  }

  /** The peer with that id. */
  get(peerId: string): PeerRecord | undefined {
    const entry = this.#entries.get(peerId);
    return entry === undefined ? undefined : recordOf(entry);
  }

  /** The shared link to a running program of a peer, if there is one. */
  shared(peer: PeerInfo): Link | undefined {
    const links = this.#entries.get(peer.peerId)?.links ?? [];
    const ours = [...links].filter((link) => {
      return link.shared && link.open && sameProgram(link.peer, peer);
    });
    return ours.reduce<Link | undefined>(
      (best, link) => best === undefined ? link : this.#better(best, link),
      undefined,
    );
  }

  /** Adds a link, and drains one of two that are shared. @returns the one to use. */
  add(link: Link): Link {
    const { peer } = link;
    let entry = this.#entries.get(peer.peerId);
    const isNew = entry === undefined;
    const rival = link.shared ? this.shared(peer) : undefined;
    entry ??= { peer, since: this.#clock.wallMs(), links: new Set() };
    this.#entries.set(peer.peerId, entry);
    entry.links.add(link);
    this.#addedMs.set(link, this.#clock.now());
    void link.closed.then((why) => this.#remove(link, why));
    if (isNew) this.#emit({ type: "added", peer });
    if (rival === undefined || sameProgram(peer, this.#self)) return link;
    return this.#settle(rival, link);
  }

  /**
   * What happens from now on, until the signal aborts, the endpoint closes or the loop is left. Overflow policy: the
   * oldest events are dropped and counted.
   */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<PeerEvent, void, void> {
    const watcher = new Watcher(() => this.#metrics.counter("peers.events-dropped").add());
    this.#watchers.add(watcher);
    const end = () => {
      this.#watchers.delete(watcher);
      watcher.end();
    };
    const { signal } = options;
    if (this.#closed || signal?.aborted) end();
    signal?.addEventListener("abort", end, { once: true });
    return watcher.events(() => {
      signal?.removeEventListener("abort", end);
      end();
    });
  }

  /** Ends what is watched. */
  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  /** Says that something happened to a peer. */
  report(event: PeerEvent): void {
    this.#emit(event);
  }

  #remove(link: Link, why: unknown): void {
    const entry = this.#entries.get(link.peer.peerId);
    if (entry === undefined || !entry.links.delete(link) || entry.links.size > 0) return;
    this.#entries.delete(link.peer.peerId);
    this.#emit({
      type: "removed",
      peer: link.peer,
      ...(why instanceof Error ? { why: why.message } : {}),
    });
  }

  #emit(event: PeerEvent): void {
    for (const watcher of this.#watchers) watcher.push(event);
  }

  /** Drains one of two shared links. @returns the one to use. */
  #settle(older: Link, newer: Link): Link {
    // Of two that the other side opened only that side knows which came first there.
    if (older.direction === "in" && newer.direction === "in") return older;
    this.#metrics.counter("link.duplicates").add();
    if (!this.#areSimultaneous(older, newer)) {
      void this.#challenge(older, newer);
      return older;
    }
    const best = this.#better(older, newer);
    void (best === older ? newer : older).drain();
    return best;
  }

  #areSimultaneous(older: Link, newer: Link): boolean {
    const gapMs = (this.#addedMs.get(newer) ?? 0) - (this.#addedMs.get(older) ?? 0);
    return gapMs <= this.#simultaneousMs;
  }

  /** An old link stays if it answers. */
  async #challenge(older: Link, newer: Link): Promise<void> {
    try {
      await older.ping({ timeoutMs: CHALLENGE_MS });
      await newer.drain();
    } catch (error) {
      this.#metrics.counter("link.replaced").add();
      if (older.open && error instanceof PeerError) await older.close();
    }
  }

  /** Which of two shared links both sides keep. */
  #better(older: Link, newer: Link): Link {
    if (older.direction === newer.direction || !this.#areSimultaneous(older, newer)) return older;
    const ours = older.direction === "out" ? older : newer;
    return orderOf(this.#self) < orderOf(older.peer) ? ours : ours === older ? newer : older;
  }
}

function orderOf({ peerId, instance = "" }: PeerInfo): string {
  return `${peerId}${instance}`;
}

function sameProgram(a: PeerInfo, b: PeerInfo): boolean {
  return orderOf(a) === orderOf(b);
}

function recordOf({ peer, since, links }: Entry): PeerRecord {
  const addresses = [...links].map(({ remote }) => remote);
  const measured = [...links].map(({ rttMs }) => rttMs).filter((rttMs) => rttMs !== undefined);
  return {
    ...peer,
    addresses,
    since,
    rttMs: measured.length === 0 ? undefined : Math.min(...measured),
  };
}
