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
import { Watchers } from "../watchers.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Link } from "./link.ts";

/** How long an old link may take to answer when another claims its place. */
const CHALLENGE_MS = 2_000;

/** What is known of a peer besides its connections, by those who watch who is alive. */
export interface PeerStatus {
  /** `alive`, `suspect`, `dead` or `gone`. */
  readonly state: "alive" | "suspect" | "dead" | "gone";
  /** Why, in words. */
  readonly why: string;
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
}

/** A peer that we are connected to. */
export interface PeerRecord extends PeerInfo {
  /** Where its connections come from or go to. */
  readonly addresses: readonly Address[];
  /** When it was first connected, in milliseconds since 1970. */
  readonly since: number;
  /** The smoothed round trip of its best link, once a heartbeat has measured it. */
  readonly rttMs: number | undefined;
  /** What the membership knows of it, where it is a member. */
  readonly status: PeerStatus | undefined;
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

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "bob", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * await using alice = await Endpoint.open({ transport: network.host("a"), self, clientOnly: true });
 *
 * const link = await alice.connect({ hostname: "bob", port: 1 });
 * assertEquals(alice.peers.list().map(({ name }) => name), ["bob"]);
 * await link.close();
 * assertEquals(alice.peers.get(link.peer.peerId), undefined);
 * ```
 */
export class PeerTable {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #self: PeerInfo;
  readonly #entries = new Map<string, Entry>();
  readonly #statuses = new Map<string, PeerStatus>();
  readonly #watchers: Watchers<PeerEvent>;
  readonly #simultaneousMs: number;
  readonly #addedMs = new WeakMap<Link, number>();

  /** Empty. @param handshakeMs The longest a handshake takes. */
  constructor(self: PeerInfo, clock: Clock, metrics: Metrics, handshakeMs: number) {
    this.#self = self;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#simultaneousMs = 2 * handshakeMs;
    this.#watchers = new Watchers({
      onDrop: () => metrics.counter("peers.events-dropped").add(),
    });
  }

  /** The peers there are, oldest first. */
  list(): PeerRecord[] {
    return [...this.#entries.values()].map((entry) => this.#recordOf(entry));
  }

  /** The peer with that id. */
  get(peerId: string): PeerRecord | undefined {
    const entry = this.#entries.get(peerId);
    return entry === undefined ? undefined : this.#recordOf(entry);
  }

  /** What the membership knows of a peer, connected or not; `undefined` where it is no member. */
  statusOf(peerId: string): PeerStatus | undefined {
    return this.#statuses.get(peerId);
  }

  /** Takes note of what the membership knows of a peer; `undefined` when that is nothing any more. */
  note(peerId: string, status: PeerStatus | undefined): void {
    if (status === undefined) this.#statuses.delete(peerId);
    else this.#statuses.set(peerId, status);
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
    return this.#watchers.watch(options);
  }

  /** Ends what is watched. */
  close(): void {
    this.#watchers.close();
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
    this.#watchers.push(event);
  }

  #recordOf({ peer, since, links }: Entry): PeerRecord {
    const addresses = [...links].map(({ remote }) => remote);
    const measured = [...links].map(({ rttMs }) => rttMs).filter((rttMs) => rttMs !== undefined);
    return {
      ...peer,
      addresses,
      since,
      rttMs: measured.length === 0 ? undefined : Math.min(...measured),
      status: this.#statuses.get(peer.peerId),
    };
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
