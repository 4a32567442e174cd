/**
 * What was missed is found by comparing: who keeps what is told in short, where that differs the ids, and then the
 * messages are asked for. So a message comes to everybody in the end, whatever got lost on its way, and who joins late gets
 * what there was. A state machine without I/O.
 *
 * ```
 * we                               they
 * compare (rows of a digest) ->
 *                               <- offer (what they keep where the rows differ)
 * want (what we lack)        ->
 * offer (what they lack)     -> <- push, push, ...      want, push ... the other way round
 * ```
 *
 * Offers are taken only of whom something was compared with, and one page of what each offers is asked for at a time. Who
 * does not give what it offered is not listened to for a while, so that nobody keeps us from asking others.
 *
 * Source: anti-entropy by push and pull (Demers et al. 1987).
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import type { DigestRow, IdsByAuthor } from "./digest.ts";
import type { History, Kept } from "./history.ts";
import { keyOf, MAX_IDS, type MessageId } from "./id_list.ts";
import type { GossipTuning } from "./options.ts";
import { encodePacket, type GossipPacket, MAX_BUCKETS } from "./packets.ts";
import { idsOf, MAX_RANGES, type RangeList, rangesOf } from "./range_list.ts";
import { draw } from "./shuffled.ts";

/** What came later is still on its way elsewhere, and no difference; in milliseconds. */
const ARRIVING_MS = 500;

/** How long an answer may take, and each page of what was asked for, in milliseconds. */
const ANSWER_MS = 5_000;
const PAGE_MS = 5_000;

/** How long a page may take altogether, however slowly its messages come, in milliseconds. */
const LONGEST_PAGE_MS = 15_000;

/** Pages that are waited for at the same time, of different peers; half of them are for neighbours alone. */
const MAX_PAGES = 8;

/** How long somebody is not listened to who did not give what it offered, in milliseconds. */
const SHUNNED_MS = 15_000;

/** Longest time between two comparisons where nothing happens, in milliseconds. */
const LONGEST_MS = 30_000;

/** Comparisons that are answered for one peer. */
const ANSWERED: Readonly<RateOptions> = { perSecond: 2, burst: 16 };

/** Pages of one peer that the next is asked for at once: all that is kept as a rule. */
const TURNED: Readonly<RateOptions> = { perSecond: 1, burst: 32 };

/** Who does not answer is followed by another at once so often in a row. */
const MOST_UNANSWERED = 5;

/** One comparison in so many is made with somebody who is no neighbour, in case all neighbours keep something back. */
const ELSEWHERE = 4;

/** What comparing needs. */
export interface ComparerPorts {
  /** Time and chance. */
  readonly clock: Clock;
  /** Sends a packet to somebody whom we heard of. */
  send(packet: Uint8Array, to: string): void;
  /** A neighbour, drawn by lot, or somebody who is none; `undefined` where there is nobody. */
  somebody(isNeighbor: boolean): string | undefined;
  /** Whether somebody is a neighbour. */
  isNeighbor(peerId: string): boolean;
  /** Whether a message has been here. */
  isSeen(id: MessageId): boolean;
  /** Somebody did not give what it offered. */
  blame(peerId: string): void;
  /** Somebody who is no neighbour keeps what is missing here: it would be a better neighbour than some. */
  stranger(peerId: string): void;
  /** What we asked for was compared, and came. @param isEqual Whether nothing that it keeps is missing here now. */
  compared(peerId: string, isEqual: boolean): void;
}

/** A message that is kept. */
export interface KeptMessage extends Kept {
  /** By how many hops it came. */
  readonly hops: number;
  /** What was published. */
  readonly data: Uint8Array;
}

/** What somebody was asked for at once. */
interface Page {
  readonly wanted: Set<string>;
  /** Whether it has more. */
  readonly hasMore: boolean;
  /** Whether it answers a comparison of ours. */
  readonly isAnswer: boolean;
  readonly endMs: number;
  untilMs: number;
  /** Whether anything of it came from whom it was asked of. */
  wasGiven: boolean;
}

/** Somebody of whom an offer is expected. */
interface Expected {
  readonly untilMs: number;
  /** Whether we have asked; else it has, and may tell what we lack. */
  readonly isAnswer: boolean;
}

/** Finds what was missed; see the module. */
export class Comparer {
  readonly #topicKey: Uint8Array;
  readonly #history: History<KeptMessage>;
  readonly #ports: ComparerPorts;
  readonly #tuning: GossipTuning;
  readonly #expected = new Map<string, Expected>();
  readonly #pages = new Map<string, Page>();
  readonly #shunned = new Map<string, number>();
  readonly #rates: TokenBuckets;
  readonly #turned: TokenBuckets;
  #next: { readonly atMs: number; readonly afterMs: number };
  #changed = false;
  // Whether the last who was asked said nothing, and how many have in a row.
  #isUnanswered = false;
  #unanswered = 0;

  /** Compares what is kept in `history`. */
  constructor(
    topicKey: Uint8Array,
    history: History<KeptMessage>,
    ports: ComparerPorts,
    tuning: GossipTuning,
  ) {
    this.#topicKey = topicKey;
    this.#history = history;
    this.#ports = ports;
    this.#tuning = tuning;
    this.#rates = new TokenBuckets(ports.clock, ANSWERED);
    this.#turned = new TokenBuckets(ports.clock, TURNED);
    this.#next = this.#after(tuning.compareMs);
  }

  /** Messages that were asked for and have not come. */
  get wanted(): number {
    return [...this.#pages.values()].reduce((sum, { wanted }) => sum + wanted.size, 0);
  }

  /** Compares with somebody now. */
  compare(peerId: string): void {
    this.#expect(peerId, true);
    this.#send({ kind: "compare", digest: this.#history.digest(this.#beforeMs) }, peerId);
  }

  /** Something has happened here that others may not know. */
  changed(): void {
    this.#changed = true;
  }

  /** A message came. @returns whether it was asked for where it came from. */
  came({ author, seq }: MessageId, from: string): boolean {
    if (this.#pages.size === 0) return false;
    const key = keyOf(author, seq);
    const wasWanted = this.#pages.get(from)?.wanted.has(key) ?? false;
    for (const [peerId, page] of this.#pages) {
      if (!page.wanted.delete(key)) continue;
      page.untilMs = Math.min(this.#ports.clock.now() + PAGE_MS, page.endMs);
      if (peerId === from) page.wasGiven = true;
      if (page.wanted.size > 0) continue;
      this.#pages.delete(peerId);
      if (!page.hasMore && page.isAnswer) this.#ports.compared(peerId, true);
      if (page.hasMore && this.#turned.take(peerId)) this.compare(peerId);
    }
    return wasWanted;
  }

  /** Takes a packet. @returns whether it was one of comparing. */
  receive(packet: GossipPacket, from: string): boolean {
    switch (packet.kind) {
      case "compare":
        if (this.#rates.take(from)) this.#answer(packet.digest, from);
        return true;
      case "offer":
        this.#offered(packet, from);
        return true;
      default:
        return false;
    }
  }

  /** Compares with somebody when it is time: to be called now and then. */
  tick(): void {
    const nowMs = this.#ports.clock.now();
    for (const [peerId, { untilMs, isAnswer }] of this.#expected) {
      if (untilMs > nowMs) continue;
      this.#expected.delete(peerId);
      if (isAnswer) this.#tryElsewhere();
    }
    for (const [peerId, untilMs] of this.#shunned) {
      if (untilMs <= nowMs) this.#shunned.delete(peerId);
    }
    for (const [peerId, { untilMs }] of this.#pages) if (untilMs <= nowMs) this.#giveUp(peerId);
    if (nowMs < this.#next.atMs) return;
    const isElsewhere = this.#isUnanswered || this.#ports.clock.random() * ELSEWHERE < 1;
    this.#isUnanswered = false;
    const peerId = this.#ports.somebody(!isElsewhere) ?? this.#ports.somebody(isElsewhere);
    if (peerId !== undefined && !this.#shunned.has(peerId)) this.compare(peerId);
    const { compareMs } = this.#tuning;
    this.#next = this.#after(
      this.#changed ? compareMs : Math.min(2 * this.#next.afterMs, LONGEST_MS),
    );
    this.#changed = false;
  }

  /** Tells what is kept in the buckets that differ: whole buckets, in an order that is drawn, as many as fit. */
  #answer(digest: readonly DigestRow[], from: string): void {
    const differing = this.#history.differing(digest, this.#beforeMs);
    const buckets: number[] = [];
    const ranges: RangeList[number][] = [];
    let left = MAX_RANGES;
    let isAll = differing.length <= MAX_BUCKETS;
    const drawn = draw(differing, MAX_BUCKETS, () => this.#ports.clock.random());
    for (const [bucket, kept] of this.#history.idsOfEach(drawn, this.#beforeMs)) {
      const told = this.#toldOf(kept, left);
      if (!told.isWhole && ranges.length > 0) {
        isAll = false;
        continue;
      }
      ranges.push(...told.ranges);
      left -= told.count;
      if (told.isWhole) buckets.push(bucket);
      else isAll = false;
    }
    this.#send({ kind: "offer", ranges, buckets, isAll }, from);
    this.#expect(from, false);
  }

  /** Ranges of a bucket; where not all fit, from one on that is drawn and round, so that it is another one the next time. */
  #toldOf(kept: IdsByAuthor, most: number): ReturnType<typeof rangesOf> {
    const random = () => this.#ports.clock.random();
    const told = rangesOf(kept, most);
    if (told.isWhole) return told;
    const parts = draw(kept, kept.length, random).map(([author, seqs]) => {
      const inOrder = seqs.toSorted((a, b) => a - b);
      const at = Math.floor(random() * inOrder.length);
      // What does not fit is left out behind a drawn number, or before it.
      return [author, random() < 0.5 ? inOrder.slice(at) : inOrder.slice(0, at + 1)] as const;
    });
    return { ...rangesOf(parts, most), isWhole: false };
  }

  #expect(peerId: string, isAnswer: boolean): void {
    if (this.#expected.get(peerId)?.isAnswer && !isAnswer) return;
    this.#expected.set(peerId, { untilMs: this.#ports.clock.now() + ANSWER_MS, isAnswer });
  }

  /** Takes an offer of whom we have asked, or who has asked us; once for each. */
  #offered(offer: GossipPacket & { kind: "offer" }, from: string): void {
    const expected = this.#expected.get(from);
    this.#expected.delete(from);
    if (expected === undefined || expected.untilMs <= this.#ports.clock.now()) return;
    if (this.#shunned.has(from)) return;
    this.#unanswered = 0;
    const { ranges, buckets, isAll } = offer;
    const { lacked, hasMore } = this.#lackedOf(ranges);
    const { isAnswer } = expected;
    const isWanted = this.#want(lacked, from, { hasMore: hasMore || !isAll, isAnswer });
    if (lacked.length > 0) this.#hurry();
    if (!isAnswer) return;
    if (lacked.length > 0 && !this.#ports.isNeighbor(from)) this.#ports.stranger(from);
    if (buckets !== undefined) this.#offer(buckets, ranges, from);
    if (!isWanted) this.#ports.compared(from, lacked.length === 0 && isAll);
  }

  /** Asks somebody for what nobody else was asked for. @returns whether there is anything. */
  #want(
    lacked: readonly MessageId[],
    from: string,
    what: Pick<Page, "hasMore" | "isAnswer">,
  ): boolean {
    const ids = lacked.filter(({ author, seq }) => !this.#isWanted(keyOf(author, seq)));
    const most = this.#ports.isNeighbor(from) ? MAX_PAGES : MAX_PAGES / 2;
    if (ids.length === 0 || this.#pages.has(from) || this.#pages.size >= most) return false;
    const nowMs = this.#ports.clock.now();
    this.#pages.set(from, {
      wanted: new Set(ids.map(({ author, seq }) => keyOf(author, seq))),
      ...what,
      endMs: nowMs + LONGEST_PAGE_MS,
      untilMs: nowMs + PAGE_MS,
      wasGiven: false,
    });
    this.#send({ kind: "want", ids }, from);
    return true;
  }

  /** A page of what is not here. */
  #lackedOf(ranges: RangeList): { lacked: MessageId[]; hasMore: boolean } {
    const lacked: MessageId[] = [];
    for (const id of idsOf(ranges)) {
      if (this.#ports.isSeen(id)) continue;
      if (lacked.length === MAX_IDS) return { lacked, hasMore: true };
      lacked.push(id);
    }
    return { lacked, hasMore: false };
  }

  #isWanted(key: string): boolean {
    return [...this.#pages.values()].some(({ wanted }) => wanted.has(key));
  }

  /** Tells somebody what it lacks of some buckets. */
  #offer(buckets: readonly number[], theirs: RangeList, to: string): void {
    const known = new Set<string>();
    for (const { author, seq } of idsOf(theirs)) known.add(keyOf(author, seq));
    const lacked = this.#kept(buckets).map(([author, seqs]) => {
      return [author, seqs.filter((seq) => !known.has(keyOf(author, seq)))] as const;
    });
    const { ranges, isWhole: isAll } = rangesOf(lacked);
    if (ranges.length > 0) this.#send({ kind: "offer", ranges, buckets: undefined, isAll }, to);
  }

  /** Somebody does not answer: perhaps none of the neighbours does, who may all keep everything back. */
  #tryElsewhere(): void {
    this.#unanswered++;
    if (this.#unanswered > MOST_UNANSWERED || this.#ports.somebody(false) === undefined) return;
    this.#isUnanswered = true;
    this.#next = this.#after(0);
  }

  /** Not all of a page came: others may give the rest, or the same who had no room for it. */
  #giveUp(peerId: string): void {
    const { wasGiven = false, isAnswer = false } = this.#pages.get(peerId) ?? {};
    this.#pages.delete(peerId);
    this.#next = this.#after(0);
    if (wasGiven) return this.compare(peerId);
    if (isAnswer) this.#ports.compared(peerId, false);
    this.#shunned.set(peerId, this.#ports.clock.now() + SHUNNED_MS);
    this.#ports.blame(peerId);
  }

  #kept(buckets: readonly number[]): readonly (readonly [string, readonly number[]])[] {
    return this.#history.idsIn(buckets, this.#beforeMs, Infinity);
  }

  /** Where something was missing more may be. */
  #hurry(): void {
    this.#changed = true;
    const soon = this.#after(this.#tuning.compareMs);
    if (soon.atMs < this.#next.atMs) this.#next = soon;
  }

  get #beforeMs(): number {
    return this.#ports.clock.now() - ARRIVING_MS;
  }

  #after(afterMs: number): { atMs: number; afterMs: number } {
    const { clock } = this.#ports;
    const isShort = afterMs < this.#tuning.compareMs;
    return {
      atMs: clock.now() + afterMs * (0.5 + clock.random()),
      afterMs: isShort ? this.#tuning.compareMs : afterMs,
    };
  }

  #send(packet: GossipPacket, to: string): void {
    this.#ports.send(encodePacket(packet, this.#topicKey), to);
  }
}
