/**
 * Who we are connected to: a record per peer, its links, and which of them two peers share.
 *
 * Two peers that open a *shared* link to each other at the same time end with one. Both keep the one that the peer with
 * the smaller id opened and drain the other, which both see, so neither has to ask. Links that are not shared belong to
 * whoever opened them and are left alone.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Link } from "./link.ts";

/** Events that may wait for a watcher; the oldest are dropped and counted, the table itself tells what is. */
const MAX_WAITING_EVENTS = 1024;

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
  readonly #watchers = new Set<(event: PeerEvent) => void>();

  /** Empty. */
  constructor(self: PeerInfo, clock: Clock, metrics: Metrics) {
    this.#self = self;
    this.#clock = clock;
    this.#metrics = metrics;
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
    const ours = [...links].filter((link) => link.shared && sameProgram(link.peer, peer));
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
    void link.closed.then((why) => this.#remove(link, why));
    if (isNew) this.#emit({ type: "added", peer });
    if (rival === undefined) return link;
    const best = this.#better(rival, link);
    const other = best === link ? rival : link;
    // Of two that one side opened only that side knows which came first there.
    if (best.direction !== other.direction || link.direction === "out") {
      this.#metrics.counter("link.duplicates").add();
      void other.drain();
    }
    return best;
  }

  /** What happens from now on. Leaving the loop ends it. Overflow policy: the oldest events are dropped and counted. */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<PeerEvent, void, void> {
    const events: PeerEvent[] = [];
    let arrival = Promise.withResolvers<void>();
    const push = (event: PeerEvent) => {
      if (events.length >= MAX_WAITING_EVENTS) {
        events.shift();
        this.#metrics.counter("peers.events-dropped").add();
      }
      events.push(event);
      arrival.resolve();
    };
    this.#watchers.add(push);
    const { signal } = options;
    const watchers = this.#watchers;
    const wake = () => arrival.resolve();
    signal?.addEventListener("abort", wake, { once: true });
    return (async function* () {
      try {
        while (!signal?.aborted) {
          const event = events.shift();
          if (event !== undefined) yield event;
          else {
            arrival = Promise.withResolvers();
            await arrival.promise;
          }
        }
      } finally {
        signal?.removeEventListener("abort", wake);
        watchers.delete(push);
      }
    })();
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
    for (const push of this.#watchers) push(event);
  }

  /** Which of two shared links both sides keep. */
  #better(older: Link, newer: Link): Link {
    if (older.direction === newer.direction) return older;
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
