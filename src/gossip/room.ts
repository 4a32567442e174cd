/**
 * A topic as a program uses it: what it publishes, who reads, and how long it takes part.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ClosedError, InvalidPacketError } from "../errors.ts";
import { layerLog, type Logger, printable } from "../log.ts";
import type { Trace } from "../trace.ts";
import { decode } from "../wire/msgpack.ts";
import type {
  GossipMessage,
  SubscribeOptions,
  TopicOptions,
  TopicStatus,
} from "./gossip_options.ts";
import { MAX_BATCH } from "./envelope.ts";
import { MessageTracing } from "./message_trace.ts";
import type { Topic, TopicSettings } from "./topic.ts";
import type { TopicEvent, TopicMessage, Verdict } from "./topic_message.ts";
import { TopicSubscription } from "./topic_subscription.ts";

/** How long who neither reads nor publishes still takes part, in milliseconds: others may not have everything yet. */
const LINGER_MS = 30_000;

/** Peers of whom it is remembered that they do not let us in. */
const MAX_REFUSALS = 256;

/** Numbers of a life begin at its start in milliseconds, times this. */
const NUMBERS_A_MS = 2_048;

/** What a {@linkcode Room} needs. */
export interface RoomParts {
  /** Clock, log and counters. */
  readonly endpoint: Endpoint;
  /** The time that neighbours agree on, in milliseconds since 1970. */
  readonly groupNow: () => number;
  /** Looks for others; resolves when some were found, or nobody was. */
  readonly firstLook: () => Promise<void>;
  /** Nobody has used it for a while. */
  readonly left: () => void;
}

/** Something that waits to be signed, with what else is published in the same turn. */
interface Waiting {
  readonly data: Uint8Array;
  readonly seq: number;
  readonly cause: Trace | undefined;
  readonly done: PromiseWithResolvers<number>;
}

/** See the module. */
export class Room {
  /** The topic. */
  readonly topic: Topic;
  readonly #parts: RoomParts;
  readonly #log: Logger;
  readonly #tracing: MessageTracing;
  readonly #validate: TopicOptions["validate"];
  readonly #subscriptions = new Set<TopicSubscription>();
  readonly #ready = Promise.withResolvers<void>();
  #waiting: Waiting[] = [];
  #seq: number;
  #linger: Timer | undefined;
  readonly #refusals = new Set<string>();
  #decoded: { readonly bytes: Uint8Array; readonly data: unknown } | undefined;
  #closed = false;

  /** Takes part from now on. */
  constructor(
    parts: RoomParts,
    join: (settings: TopicSettings) => Topic,
    options: TopicOptions = {},
  ) {
    const { validate, ...settings } = options;
    const { clock } = parts.endpoint;
    this.#parts = parts;
    this.#log = layerLog(parts.endpoint.log, "gossip");
    this.#tracing = new MessageTracing(this.#log);
    this.#validate = validate;
    this.topic = join({ ...settings, validate: (message) => this.#judge(message) });
    this.#seq = Math.floor((Math.max(0, clock.wallMs()) + clock.random()) * NUMBERS_A_MS);
    void parts.firstLook().then(() => {
      if (this.topic.view.size === 0) this.#ready.resolve();
    });
    this.#lingerOn();
  }

  /** How many peers did not let us in. */
  get refusals(): number {
    return this.#refusals.size;
  }

  /** What is known of it. */
  get status(): TopicStatus {
    const { name, view, tree, history, delivery } = this.topic;
    return {
      topic: name,
      neighbors: view.neighbors.map(({ peerId }) => peerId),
      eager: tree.eager,
      known: view.known,
      kept: history.size,
      keptBytes: history.bytes,
      subscriptions: this.#subscriptions.size,
      refusals: this.#refusals.size,
      delivery,
    };
  }

  /** Reads it from now on. */
  subscribe(options: SubscribeOptions): TopicSubscription {
    const { clock, metrics } = this.#parts.endpoint;
    const subscription: TopicSubscription = new TopicSubscription(this.topic.name, {
      groupNow: this.#parts.groupNow,
      now: () => clock.now(),
      ready: this.#ready.promise,
      onClose: () => {
        this.#subscriptions.delete(subscription);
        this.#lingerOn();
      },
      onDrop: () => metrics.counter("gossip.unread-dropped").add(),
    }, options);
    if (options.signal?.aborted) return subscription;
    this.#subscriptions.add(subscription);
    this.#linger?.cancel();
    if (options.since !== undefined) this.#recall(subscription);
    return subscription;
  }

  /** Publishes what was encoded. @returns its number, when it is on its way. */
  publish(data: Uint8Array): Promise<number> {
    const cause = this.#tracing.cause();
    const waiting = { data, seq: this.#seq++, cause, done: Promise.withResolvers<number>() };
    if (this.#waiting.push(waiting) === 1) queueMicrotask(() => this.#publishAll());
    return waiting.done.promise;
  }

  /** Takes note of what happened in the topic. */
  happened(event: TopicEvent): void {
    const log = this.#log;
    switch (event.type) {
      case "message":
        return this.#deliver(event.message);
      case "compared":
        return this.#ready.resolve();
      case "refused":
        return this.#noteRefusal(event.peerId);
      case "up":
        if (this.topic.delivery === "best-effort") this.#ready.resolve();
        return log.debug("a neighbour came", this.#about(event.peerId));
      case "down":
        return log.debug("a neighbour went", this.#about(event.peerId));
      default:
        event satisfies never;
    }
  }

  /** Ends every subscription. */
  close(): void {
    this.#closed = true;
    this.#linger?.cancel();
    this.#ready.resolve();
    for (const { done } of this.#waiting.splice(0)) {
      done.reject(new ClosedError("Cannot publish: gossip is closed"));
    }
    for (const subscription of [...this.#subscriptions]) subscription.close();
  }

  #noteRefusal(peerId: string): void {
    if (this.#refusals.has(peerId) || this.#refusals.size >= MAX_REFUSALS) return;
    this.#refusals.add(peerId);
    this.#log.warn("a peer does not let us take part", this.#about(peerId));
  }

  #publishAll(): void {
    if (this.#closed) return;
    const createdMs = Math.max(0, Math.floor(this.#parts.groupNow()));
    const { peerId: from } = this.#parts.endpoint.self;
    for (let batch = this.#waiting.splice(0, MAX_BATCH); batch.length > 0;) {
      this.topic.publish(batch.map(({ data, seq }) => ({ data, seq, createdMs })));
      for (const { done, seq, cause } of batch) {
        this.#tracing.published({ topic: this.topic.name, from, seq }, cause);
        done.resolve(seq);
      }
      batch = this.#waiting.splice(0, MAX_BATCH);
    }
    this.#lingerOn();
  }

  #judge(message: TopicMessage): Verdict {
    const { metrics } = this.#parts.endpoint;
    try {
      const data = decode(message.bytes);
      this.#decoded = { bytes: message.bytes, data };
      return this.#validate?.(withData(message, data)) ?? "accept";
    } catch (error) {
      if (error instanceof InvalidPacketError && this.#decoded?.bytes !== message.bytes) {
        return "reject"; // it is no value: its author alone can have made it so
      }
      metrics.counter("gossip.validator-failed").add();
      const why = printable(String(error));
      this.#log.error("the validator of a topic failed", {
        topic: printable(this.topic.name, 64),
        why,
      });
      return "ignore";
    }
  }

  #deliver(message: TopicMessage): void {
    if (message.from === this.#parts.endpoint.self.peerId) return;
    this.#tracing.came(message);
    for (const subscription of this.#subscriptions) {
      const known = this.#decoded?.bytes === message.bytes ? this.#decoded.data : undefined;
      this.#decoded = undefined; // everybody has one of their own
      subscription.push(message, known);
    }
    this.#decoded = undefined;
  }

  /** Gives who comes later what is kept here already. */
  #recall(subscription: TopicSubscription): void {
    for (const message of this.topic.kept()) {
      if (message.from !== this.#parts.endpoint.self.peerId) subscription.push(message);
    }
  }

  #lingerOn(): void {
    this.#linger?.cancel();
    if (this.#closed || this.#subscriptions.size > 0) return;
    this.#linger = this.#parts.endpoint.clock.after(LINGER_MS, () => {
      this.close();
      this.#parts.left();
    });
  }

  #about(peerId: string): Record<string, string> {
    return { topic: printable(this.topic.name, 64), peerId };
  }
}

/** A message with what was published in it. */
function withData(
  { topic, from, seq, createdMs, hops }: TopicMessage,
  data: unknown,
): GossipMessage {
  return { topic, from, seq, createdMs, hops, data };
}
