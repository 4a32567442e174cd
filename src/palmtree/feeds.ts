/**
 * What a relay gives to its children: to each the chunks that it lacks, in their order, a few at once, and independently of
 * the others.
 *
 * Nothing waits in memory for a slow child: what it has not got is what is there and not in its set. A child is lagging when
 * a chunk takes it too long, or when there is more for it and it took less than half of what the best of its siblings took
 * meanwhile, or less than a quarter of its share in what came to us. It is given one chunk at a time then, so that it takes
 * from its siblings no more than it can use.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { ChunkSet } from "./chunk_set.ts";
import type { RelayTuning } from "./relay_options.ts";

/** What feeds need. */
export interface FeedPorts {
  /** Sends a chunk to a child. */
  give(peerId: string, index: number): void;
  /** Bytes of a chunk. */
  sizeOf(index: number): number;
}

interface Feed {
  /** What it has or has been given; `undefined` until it has said what it has. */
  held: ChunkSet | undefined;
  /** Everything before is held. */
  cursor: number;
  /** Given and not written yet: when each was given. */
  readonly onTheWay: Map<number, number>;
  /** Whether it takes chunks only in their order, from the first on. */
  readonly isRaw: boolean;
  isLagging: boolean;
  /** Chunks that it took since children were compared last. */
  taken: number;
  sentBytes: number;
  /** When it took a chunk last. */
  takenMs: number;
}

/** A child that began to lag, or stopped to. */
export interface LagChange {
  /** Which. */
  readonly peerId: string;
  /** Whether it is lagging now. */
  readonly isLagging: boolean;
}

/** The children of one relay. */
export class Feeds {
  readonly #have: ChunkSet;
  readonly #ports: FeedPorts;
  readonly #tuning: RelayTuning;
  readonly #feeds = new Map<string, Feed>();
  #egressBytes = 0;
  // What was there when children were compared last.
  #hadCount = 0;
  #comparedMs = 0;
  #tickMs = 0;

  /** Has no children. @param have What is there; it grows outside. */
  constructor(have: ChunkSet, ports: FeedPorts, tuning: RelayTuning) {
    this.#have = have;
    this.#ports = ports;
    this.#tuning = tuning;
  }

  /** The children. */
  get ids(): string[] {
    return [...this.#feeds.keys()];
  }

  /** Children that take a share of what we can send: all but those that lag, and those that have everything. */
  get active(): number {
    const isTaking = ({ isLagging, held, onTheWay }: Feed) => {
      return !isLagging && (held?.isFull !== true || onTheWay.size > 0);
    };
    return [...this.#feeds.values()].filter(isTaking).length;
  }

  /** How many children there are. */
  get size(): number {
    return this.#feeds.size;
  }

  /** Bytes of chunks that were written to children, those that have gone included. */
  get egressBytes(): number {
    return this.#egressBytes;
  }

  /** Whether somebody is a child. */
  has(peerId: string): boolean {
    return this.#feeds.has(peerId);
  }

  /** Whether a child is lagging. */
  isLagging(peerId: string): boolean {
    return this.#feeds.get(peerId)?.isLagging ?? false;
  }

  /** Bytes of chunks that were written to a child over its link. */
  sentTo(peerId: string): number {
    return this.#feeds.get(peerId)?.sentBytes ?? 0;
  }

  /** A link to a child is there. @param isRaw Whether it is an original, which is given everything in its order. */
  add(peerId: string, isRaw: boolean, nowMs: number): void {
    this.#feeds.set(peerId, {
      held: isRaw ? this.#nothing() : undefined,
      cursor: 0,
      onTheWay: new Map(),
      isRaw,
      isLagging: false,
      taken: 0,
      sentBytes: 0,
      takenMs: nowMs,
    });
    this.#compareAnew();
    this.pump(nowMs);
  }

  /** It is known now what there is to give. */
  announced(nowMs: number): void {
    for (const feed of this.#feeds.values()) if (feed.isRaw) feed.held ??= this.#nothing();
    this.pump(nowMs);
  }

  /** A child has gone. */
  remove(peerId: string): boolean {
    const wasThere = this.#feeds.delete(peerId);
    if (wasThere) this.#compareAnew();
    return wasThere;
  }

  /**
   * A child has said what it has.
   *
   * @throws {InvalidPacketError} `bad-message` when it has said so before: it would be given everything again, for ever.
   */
  started(peerId: string, held: ChunkSet, nowMs: number): void {
    const feed = this.#feeds.get(peerId);
    if (feed === undefined || feed.isRaw) return;
    if (feed.held !== undefined) throw saidTwice();
    feed.held = held;
    this.#compareAnew();
    this.#feed(peerId, feed, nowMs);
  }

  /** A chunk was written to a child. */
  sent(peerId: string, index: number, nowMs: number): void {
    const feed = this.#feeds.get(peerId);
    if (feed === undefined || !feed.onTheWay.delete(index)) return;
    const bytes = this.#ports.sizeOf(index);
    feed.taken++;
    feed.takenMs = nowMs;
    feed.sentBytes += bytes;
    this.#egressBytes += bytes;
    this.#feed(peerId, feed, nowMs);
  }

  /** Gives what has come to whom it may be given. */
  pump(nowMs: number): void {
    for (const [peerId, feed] of this.#feeds) this.#feed(peerId, feed, nowMs);
  }

  /** Children that take longer for a chunk than anybody who is there would. */
  dead(nowMs: number): string[] {
    return this.ids.filter((peerId) => this.#waitOf(peerId, nowMs) > this.#tuning.deadMs);
  }

  /** Sees who is lagging. @returns those with whom it is otherwise than before. */
  tick(nowMs: number): LagChange[] {
    this.#tickMs = nowMs;
    const { lagChunks, lagEveryMs, lagMs } = this.#tuning;
    const isMuch = Math.max(this.#best, this.#share) >= lagChunks;
    const isTime = isMuch && nowMs - this.#comparedMs >= lagEveryMs;
    const changes: LagChange[] = [];
    for (const [peerId, feed] of this.#feeds) {
      const isLate = this.#waitOf(peerId, nowMs) > lagMs;
      const isLagging = isLate || (isTime ? this.#isSlow(feed) : feed.isLagging);
      if (isLagging === feed.isLagging) continue;
      feed.isLagging = isLagging;
      changes.push({ peerId, isLagging });
      this.#feed(peerId, feed, nowMs);
    }
    if (isTime) this.#compareAnew();
    return changes;
  }

  /** Chunks that the best child took since they were compared last. */
  get #best(): number {
    return Math.max(0, ...[...this.#feeds.values()].map(({ taken }) => taken));
  }

  /** Chunks that have come for each child meanwhile. */
  get #share(): number {
    return (this.#have.count - this.#hadCount) / Math.max(1, this.size);
  }

  #isSlow({ held, taken }: Feed): boolean {
    if (held === undefined || this.#have.countWithout(held) === 0) return false;
    // Who has no siblings takes from nobody: its children are better off elsewhere only if it is very slow.
    return taken < Math.max(this.#best / 2, this.#share / 4);
  }

  #feed(peerId: string, feed: Feed, nowMs: number): void {
    const { held } = feed;
    if (held === undefined) return;
    const room = feed.isLagging ? 1 : this.#tuning.windowChunks;
    while (feed.onTheWay.size < room) {
      while (held.has(feed.cursor)) feed.cursor++;
      const index = this.#have.firstWithout(held, feed.cursor);
      if (index < 0 || (feed.isRaw && index !== feed.cursor)) return;
      held.add(index);
      feed.onTheWay.set(index, nowMs);
      this.#ports.give(peerId, index);
    }
  }

  /** What an original has at first; `undefined` while nobody knows of how many chunks. */
  #nothing(): ChunkSet | undefined {
    const { size } = this.#have;
    return size === Infinity ? undefined : new ChunkSet(size);
  }

  #waitOf(peerId: string, nowMs: number): number {
    const feed = this.#feeds.get(peerId);
    // The first that was given is the oldest: maps keep their order. It goes when the one before has arrived.
    for (const sinceMs of feed?.onTheWay.values() ?? []) {
      return nowMs - Math.max(sinceMs, feed?.takenMs ?? 0);
    }
    return 0;
  }

  #compareAnew(): void {
    this.#comparedMs = this.#tickMs;
    this.#hadCount = this.#have.count;
    for (const feed of this.#feeds.values()) feed.taken = 0;
  }
}

function saidTwice(): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    "Cannot read palm tree message: have: it came over this link already",
    { details: { field: "have" } },
  );
}
