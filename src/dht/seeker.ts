/**
 * Looking for nodes of the DHT: those of former times, members of the group, peers that we are connected to, at addresses
 * that were given, and whom discovery finds.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { LeftAlone } from "../endpoint/left_alone.ts";
import type { Link } from "../endpoint/link.ts";
import { PeerError, TimeoutError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import type { Address } from "../transport/transport.ts";
import type { DhtNode } from "./dht_node.ts";
import { DHT_CAPABILITY } from "./native_wire.ts";

/** How long discovery is asked, in milliseconds. */
const LOOK_MS = 1_500;

/** Time between two looks while nobody is known, twice as long each time up to a minute, and then, in milliseconds. */
const ALONE_MS = 5_000;
const MAX_ALONE_MS = 60_000;
const EVERY_MS = 600_000;

/** How long it may take to connect to somebody, and to be told then where its node is, in milliseconds. */
const MEET_MS = 3_000;

/** Peers that are connected to at the same time to ask them. */
const MAX_MEETING = 8;

/** How long whom discovery finds is left alone when it has no node, in milliseconds: twice as long each time. */
const LEAVE_ALONE = { firstMs: 60_000, mostMs: 600_000, max: 1_024 };

/** Nodes that are enough to go on by: lookups find the others. */
const ENOUGH = 8;

/** Where peers are found. */
export interface DhtDirectory {
  /** Peers, as they are found. */
  find(options: { signal: AbortSignal }): AsyncIterable<{
    readonly peerId: string;
    readonly addresses: readonly Address[];
  }>;
}

/** What a {@linkcode DhtSeeker} needs. */
export interface DhtSeekerParts {
  readonly clock: Clock;
  readonly endpoint: Endpoint;
  readonly node: DhtNode;
  /** Addresses of peers that take connections. */
  readonly seeds: readonly Address[];
  /** Where peers are found. @default nowhere */
  readonly directory: DhtDirectory | undefined;
  /** Where nodes may take packets: the members of a group. */
  readonly known: () => readonly Address[];
}

/** Looks for nodes; see the module. */
export class DhtSeeker {
  readonly #parts: DhtSeekerParts;
  readonly #closing = new AbortController();
  readonly #listening: Disposable;
  readonly #meeting = new Set<Promise<void>>();
  // Whoever is connected to, to be asked, is a peer that connects, too: nobody is asked twice.
  readonly #asking = new Map<Link, Promise<void>>();
  readonly #leftAlone: LeftAlone;
  #looking: Promise<void> | undefined;
  #timer: Timer | undefined;
  #aloneMs = ALONE_MS;

  /** Takes note of peers that connect; looks for others when it is told to. */
  constructor(parts: DhtSeekerParts) {
    this.#parts = parts;
    this.#leftAlone = new LeftAlone(parts.clock, LEAVE_ALONE);
    this.#listening = parts.endpoint.onLink((link) => this.#connected(link));
  }

  /** Looks now, and from then on now and then. @returns when that is done. */
  look(): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.resolve();
    this.#timer?.cancel();
    return this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
      if (!this.#closing.signal.aborted) this.#lookLater();
    });
  }

  /** Asks peers at addresses where their nodes are, and those whether they are there. That some are not is only logged. */
  async meet(addresses: readonly Address[]): Promise<void> {
    await Promise.all(addresses.map((address) => this.#meet([address])));
  }

  /** Looks no more. */
  async close(): Promise<void> {
    this.#closing.abort(new TimeoutError("Nobody is looked for any more"));
    this.#timer?.cancel();
    this.#listening[Symbol.dispose]();
    await Promise.all([this.#looking, ...this.#meeting]);
  }

  get #isAlone(): boolean {
    return this.#parts.node.table.size === 0;
  }

  #lookLater(): void {
    const { clock } = this.#parts;
    const afterMs = this.#isAlone ? this.#aloneMs : EVERY_MS;
    this.#aloneMs = this.#isAlone ? Math.min(2 * this.#aloneMs, MAX_ALONE_MS) : ALONE_MS;
    this.#timer = clock.after(afterMs * (0.75 + clock.random() / 2), () => void this.look());
  }

  async #look(): Promise<void> {
    const { node, known, seeds, endpoint } = this.#parts;
    const { signal } = this.#closing;
    await this.#tolerate(node.recall({ signal }));
    for (const link of endpoint.links) this.#connected(link);
    const wasAlone = this.#isAlone;
    await Promise.all([
      this.#tolerate(node.join(known().slice(0, ENOUGH), { signal })),
      ...seeds.map((seed) => this.#meet([seed])),
    ]);
    if (this.#isAlone) await this.#lookAround();
    await Promise.all(this.#meeting);
    if (wasAlone && !this.#isAlone) await this.#tolerate(node.join([], { signal }));
  }

  /** Asks discovery, which is loud, where nobody else helps. */
  async #lookAround(): Promise<void> {
    const { directory, clock } = this.#parts;
    if (directory === undefined) return;
    const enough = new AbortController();
    const timer = clock.after(LOOK_MS, () => enough.abort());
    const signal = AbortSignal.any([enough.signal, this.#closing.signal]);
    await this.#tolerate((async () => {
      for await (const { peerId, addresses } of directory.find({ signal })) {
        if (this.#leftAlone.has(peerId)) continue;
        const meeting = this.#meet(addresses).then(() => {
          if (!this.#isAlone) enough.abort();
        });
        if (this.#meeting.size >= MAX_MEETING) await meeting;
      }
    })());
    timer.cancel();
  }

  /** A peer that has a node says where. */
  #connected(link: Link): void {
    const { node } = this.#parts;
    if (!hasNode(link)) return;
    this.#leftAlone.delete(link.peer.peerId); // it may be another program than before
    if (node.table.get(link.peer.peerId) !== undefined) return;
    this.#begin(this.#introduce(link));
  }

  #meet(addresses: readonly Address[]): Promise<void> {
    return this.#begin(this.#connect(addresses));
  }

  async #connect(addresses: readonly Address[]): Promise<void> {
    const { endpoint, clock } = this.#parts;
    const late = new AbortController();
    const timer = clock.after(MEET_MS, () => late.abort(new TimeoutError("Nobody answers there")));
    const signal = AbortSignal.any([late.signal, this.#closing.signal]);
    const idle = new Set<string>();
    try {
      for (const address of addresses.slice(0, 4)) {
        try {
          await using link = await endpoint.connect(address, { signal });
          if (hasNode(link)) return await this.#introduce(link);
          idle.add(link.peer.peerId); // at another address may be another program of the same peer
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof PeerError)) throw error;
        }
      }
      for (const peerId of idle) this.#leftAlone.add(peerId);
    } finally {
      timer.cancel();
    }
  }

  #introduce(link: Link): Promise<void> {
    let asking = this.#asking.get(link);
    if (asking === undefined) {
      asking = this.#ask(link).finally(() => this.#asking.delete(link));
      this.#asking.set(link, asking);
    }
    return asking;
  }

  async #ask(link: Link): Promise<void> {
    const { node } = this.#parts;
    const { signal } = this.#closing;
    const answer = await link.request("dht.where", {}, { timeoutMs: MEET_MS, signal });
    const { udp } = Object(answer) as { udp?: unknown };
    if (typeof udp !== "number" || !Number.isInteger(udp) || udp < 1 || udp > 65_535) return;
    const address = { hostname: link.remote.hostname, port: udp };
    await node.meet(address, signal);
  }

  /** Work that is waited for when this is closed. Never rejects. */
  #begin(work: Promise<void>): Promise<void> {
    const done = this.#tolerate(work).finally(() => this.#meeting.delete(done));
    this.#meeting.add(done);
    return done;
  }

  async #tolerate(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (this.#closing.signal.aborted || this.#parts.node.signal.aborted) return;
      const level = error instanceof PeerError ? "debug" : "warn";
      layerLog(this.#parts.endpoint.log, "dht")[level]("looking for nodes of the DHT", {
        why: printable(String(error)),
      });
    }
  }
}

/** Whether a peer takes part, as it says when it is connected to. */
function hasNode({ peer }: Link): boolean {
  return peer.capabilities.includes(DHT_CAPABILITY);
}
