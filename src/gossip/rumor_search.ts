/**
 * Searching by rumor: whoever is called what is asked for says so, to the one who asks alone.
 *
 * An answer is larger than its question and the question may name somebody else as its sender, so answers are given once
 * for each question, and no more to one asker, and to all together, than their rates. And a question may reach more than
 * the asker can use: it takes so many answers, of those it asked for, one of each peer, while it waits.
 *
 * Source: the PeerConnect gossip protocol, search request and reply.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import type { Clock } from "../clock.ts";
import { limitError, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { ClosedError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import type { RemotePeer } from "../wire/remote_peer.ts";
import { Recent } from "./recent.ts";

/** How long answers are taken, in milliseconds: as long as the original does. */
export const SEARCH_MS = 3_000;

/** Most answers that a search takes. */
export const MAX_ANSWERS = 64;

/** Most searches at a time. */
export const MAX_SEARCHES = 32;

/** Answers to one asker: people search by hand. */
const ANSWERS_PER_ASKER: Readonly<RateOptions> = { perSecond: 4, burst: 16 };

/** Answers to all together, who may all be invented. */
const ANSWERS: Readonly<RateOptions> = { perSecond: 100, burst: 200 };

/** The questions that were answered are remembered, for longer than anybody waits. */
const ANSWERED = { keepMs: 60_000, maxEntries: 8_192 };

/** Somebody who answered a search. */
export interface FoundPeer {
  /** Who it is, 40 lower-case hexadecimal digits; in a dialect it only says so. */
  readonly peerId: string;
  /** What it says of itself: its name and addresses are its own words, and nothing may go there for that alone. */
  readonly peer: RemotePeer;
  /** Where the answer came from; `undefined` where that was a connection. */
  readonly from: Address | undefined;
}

/** How to search. */
export interface SearchOptions {
  /** Ends the search when aborted. */
  readonly signal?: AbortSignal;
  /** How long answers are taken, in milliseconds. @default {SEARCH_MS} */
  readonly timeoutMs?: number;
}

/** A question that goes out. */
export interface Question extends SearchOptions {
  /** What its answers are known by; nobody who was not asked can guess it. */
  readonly id: string;
  /** Sends it. */
  readonly ask: () => void;
  /** Where answers may come from, one from each; emptied as they do. @default anywhere */
  readonly asked?: Set<string>;
}

interface Open {
  readonly results: Channel<FoundPeer>;
  readonly asked: Set<string> | undefined;
  readonly peerIds: Set<string>;
}

/** The searches that are under way; see the module. */
export class RumorSearches {
  readonly #clock: Clock;
  readonly #open = new Map<string, Open>();
  #closed = false;

  /** None is under way. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether answers to a question are taken. */
  has(id: string): boolean {
    return this.#open.has(id);
  }

  /**
   * Asks, and gives the answers as they come: until the time is over, there are 64, the signal aborts or all is closed.
   *
   * @throws {ClosedError} when closed. @throws {LimitError} `limit` when there are 32 already.
   */
  async *search({ id, ask, asked, signal, timeoutMs = SEARCH_MS }: Question): AsyncGenerator<
    FoundPeer,
    void,
    void
  > {
    if (this.#closed) throw new ClosedError("Cannot search: gossip is closed");
    if (this.#open.size >= MAX_SEARCHES) {
      throw limitError("Cannot search: there are enough searches", "MAX_SEARCHES", MAX_SEARCHES);
    }
    const results = new Channel<FoundPeer>(MAX_ANSWERS);
    const end = () => results.close();
    const timer = this.#clock.after(timeoutMs, end);
    signal?.addEventListener("abort", end, { once: true });
    this.#open.set(id, { results, asked, peerIds: new Set() });
    try {
      if (signal?.aborted) return;
      ask();
      yield* results;
    } finally {
      this.#open.delete(id);
      signal?.removeEventListener("abort", end);
      timer.cancel();
    }
  }

  /**
   * Takes an answer.
   *
   * @param source Where it came from.
   * @returns whether somebody waits for it.
   */
  take(id: string, source: string, found: FoundPeer): boolean {
    const search = this.#open.get(id);
    if (search === undefined || !(search.asked?.delete(source) ?? true)) return false;
    const { peerIds, results } = search;
    if (peerIds.size >= MAX_ANSWERS || peerIds.has(found.peerId)) return false;
    peerIds.add(found.peerId);
    void results.push(found);
    if (peerIds.size === MAX_ANSWERS) results.close();
    return true;
  }

  /** Ends all searches. Harmless when closed. */
  close(): void {
    this.#closed = true;
    for (const { results } of this.#open.values()) results.close();
  }
}

/** Decides which questions are answered; see the module. */
export class SearchAnswers {
  readonly #clock: Pick<Clock, "now">;
  readonly #perAsker: TokenBuckets;
  readonly #all: TokenBuckets;
  readonly #answered = new Recent<true>(ANSWERED);

  /** Has answered nobody. */
  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#perAsker = new TokenBuckets(clock, ANSWERS_PER_ASKER);
    this.#all = new TokenBuckets(clock, ANSWERS);
  }

  /** Whether to answer a question now, which is then answered. */
  take(id: string, asker: string): boolean {
    if (this.#answered.has(id)) return false;
    if (!this.#perAsker.take(asker) || !this.#all.take("")) return false;
    return this.#answered.add(id, true, this.#clock.now());
  }
}
