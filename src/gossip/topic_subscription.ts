/**
 * A program's end of a topic: what it reads, and how far it has got.
 *
 * @module
 */

import { decode } from "../wire/msgpack.ts";
import { Cursor } from "./cursor.ts";
import type { GossipMessage, SubscribeOptions } from "./gossip_options.ts";
import { Subscription } from "./subscription.ts";
import type { TopicMessage } from "./topic_message.ts";

/** A message may have been written so much before a subscription began and still be new to it, in milliseconds. */
const SLACK_MS = 2_000;

/** What a {@linkcode TopicSubscription} needs. */
export interface TopicSubscriptionParts {
  /** The time that neighbours agree on, in milliseconds since 1970. */
  readonly groupNow: () => number;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  /** Resolves when somebody was found who takes part and has told what it keeps, or nobody was found. */
  readonly ready: Promise<void>;
  /** Nothing more is wanted. */
  readonly onClose: () => void;
  /** A message was dropped because the reader is too slow. */
  readonly onDrop: () => void;
}

/**
 * Messages of a topic, for one reader; our own are not among them. Overflow policy: nobody is waited for; where 16,384
 * messages wait the oldest is dropped and counted, unless the options say otherwise.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const here = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open(here);
 * const teas = bob.gossip.subscribe("teas");
 * const seeds = bob.address === undefined ? [] : [bob.address];
 * await using alice = await Peer.open({ ...here, seeds });
 * await alice.gossip.publish("teas", "green", { confirm: 1 });
 * await alice.gossip.publish("teas", "black", { confirm: 1 });
 * for await (const { data } of teas) {
 *   assertEquals(data, "green");
 *   break;
 * }
 * // Begins where the other one ended.
 * for await (const { data } of bob.gossip.subscribe("teas", { since: teas.cursor })) {
 *   assertEquals(data, "black");
 *   break;
 * }
 * ```
 */
export class TopicSubscription implements AsyncIterable<GossipMessage>, AsyncDisposable {
  /** The topic's name. */
  readonly topic: string;
  /** Resolves when somebody was found who takes part and has told what it keeps, or nobody was found at first. */
  readonly ready: Promise<void>;
  readonly #queue: Subscription<GossipMessage>;
  readonly #parts: TopicSubscriptionParts;
  readonly #beganMs: number;
  #cursor: Cursor | undefined;

  /** Begins where the options say. */
  constructor(topic: string, parts: TopicSubscriptionParts, options: SubscribeOptions = {}) {
    const { since, ...rest } = options;
    const { onClose, onDrop, ready } = parts;
    this.topic = topic;
    this.ready = ready;
    this.#parts = parts;
    this.#beganMs = parts.now();
    this.#queue = new Subscription({ ...rest, onClose, onDrop });
    if (since === "all") this.#cursor = new Cursor();
    else if (typeof since === "number") this.#cursor = new Cursor(since);
    else if (since !== undefined) this.#cursor = Cursor.parse(String(since)); // ours to change
  }

  /**
   * How far it has got: everything that was given to the reader, and all that was there before it began. Whoever keeps its
   * text and begins `since` it the next time gets what it missed once.
   */
  get cursor(): Cursor {
    return this.#cursor ??= new Cursor(this.#fromMs);
  }

  /** Messages that were lost because the reader was too slow. */
  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Gives the reader a message, unless it has it or does not want it. @param data Of it, decoded for this reader. */
  push(message: TopicMessage, data?: unknown): void {
    if (this.cursor.has(message)) return;
    const { topic, from, seq, createdMs, hops, bytes } = message;
    this.#queue.push({ topic, from, seq, createdMs, hops, data: data ?? decode(bytes) });
  }

  /** Ends it: what waits is still given. */
  close(): void {
    this.#queue.close();
  }

  /** The messages, for one reader. Leaving the loop ends the subscription. */
  async *[Symbol.asyncIterator](): AsyncGenerator<GossipMessage, void, void> {
    for await (const message of this.#queue) {
      this.cursor.add(message);
      yield message;
    }
  }

  /** Ends it and drops what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue[Symbol.asyncDispose]();
  }

  /** When it began, by the clock of the group, which is known when something comes. */
  get #fromMs(): number {
    const sinceMs = this.#parts.now() - this.#beganMs;
    return Math.max(0, this.#parts.groupNow() - sinceMs - SLACK_MS);
  }
}
