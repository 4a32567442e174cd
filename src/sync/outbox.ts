/**
 * What waits to be sent on one WebSocket, and leaves together at the end of a turn in as few frames as was agreed on.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import type { MessageSocket } from "../transport/transport.ts";
import { SyncRefusal } from "./close_codes.ts";
import { type Departing, departLater } from "./departures.ts";
import { packMessages } from "./frames.ts";
import type { Capability } from "./protocol.ts";

/** Only texts of this length are deflated: index pages. For the many small ones it costs more time than it saves. */
const MIN_DEFLATED_CHARS = 8_192;

/** UTF-16 units of messages that may wait for a slow reader unless told otherwise. */
export const MAX_QUEUED_CHARS: number = 4 * 1024 * 1024;

/** What an {@linkcode Outbox} goes by. */
export interface OutboxOptions {
  /** What both sides can do. */
  readonly capabilities: readonly Capability[];
  /** Largest frame of messages in bytes. */
  readonly maxMessageBytes: number;
  /** UTF-16 units of messages that may wait while the socket is full. */
  readonly maxQueuedChars: number;
  /** Says something at the end of a turn in which nothing else was said. */
  readonly orElse: () => string | undefined;
  /** Told how many messages are handed to the socket. */
  readonly onSent: (messages: number) => void;
  /** Told that too much waits. The outbox is empty then. */
  readonly onOverflow: (error: SyncRefusal) => void;
}

interface WaitingContent {
  readonly bytes: Uint8Array;
  readonly sent: PromiseWithResolvers<void>;
}

/** See the module. */
export class Outbox implements Departing {
  readonly #socket: MessageSocket;
  readonly #options: OutboxOptions;
  readonly #small: readonly Capability[];
  readonly #deflates: boolean;
  #queue: (string | WaitingContent)[] = [];
  #queuedChars = 0;
  #departs = false;
  #isSending = false;

  /** Nothing waits. */
  constructor(socket: MessageSocket, options: OutboxOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#deflates = options.capabilities.includes("deflate");
    this.#small = options.capabilities.filter((capability) => capability !== "deflate");
  }

  /** UTF-16 units of messages that wait. */
  get queuedChars(): number {
    return this.#queuedChars;
  }

  /** Has a message sent. */
  text(text: string): void {
    this.#queue.push(text);
    this.#queuedChars += text.length;
    const max = this.#options.maxQueuedChars;
    // What leaves in a moment is bounded by whoever makes it; what waits for the reader is not.
    if (!this.#isSending || this.#queuedChars <= max) return this.departSoon();
    this.#clear();
    const why = `More than maxQueuedChars ${max} wait to be read`;
    this.#options.onOverflow(
      new SyncRefusal("SLOW_CONSUMER", why, { limit: "maxQueuedChars", max }),
    );
  }

  /** Has contents sent. @throws {ClosedError} when the connection ends before the socket has taken them. */
  async content(bytes: Uint8Array): Promise<void> {
    const sent = Promise.withResolvers<void>();
    this.#queue.push({ bytes, sent });
    this.departSoon();
    await sent.promise;
  }

  /** Looks at the end of this turn whether there is something to send. */
  departSoon(): void {
    if (this.#departs || this.#isSending) return;
    this.#departs = true;
    departLater(this);
  }

  /** Hands what waits to the socket, if that has room. */
  flush(): void {
    this.#departs = false;
    if (this.#isSending) return;
    const rest = this.#queue.length === 0 ? this.#options.orElse() : undefined;
    if (rest !== undefined) this.#queue.push(rest);
    if (this.#queue.length > 0) void this.#handOver();
  }

  /** The connection ends: what can leave leaves, the rest is lost. */
  end(): void {
    this.flush();
    this.#clear();
    this.#isSending = true; // for good
  }

  async #handOver(): Promise<void> {
    const leaving = this.#queue;
    this.#queue = [];
    this.#queuedChars = 0;
    this.#isSending = true;
    try {
      await this.#sendAll(leaving);
    } catch (error) {
      // The connection is over, as whoever reads it finds out, too: nothing leaves any more.
      this.#queue.push(...leaving);
      return this.#clear(error);
    }
    this.#isSending = false;
    if (this.#queue.length > 0) this.departSoon();
  }

  /** Frames leave in the order of the calls, so they can be waited for together. */
  #sendAll(leaving: readonly (string | WaitingContent)[]): Promise<unknown> {
    const [first] = leaving;
    if (leaving.length === 1 && typeof first === "string" && !this.#isLong(first)) {
      this.#options.onSent(1);
      return this.#socket.send(first);
    }
    const sending: Promise<void>[] = [];
    let texts: string[] = [];
    const sendTexts = (capabilities: readonly Capability[]) => {
      if (texts.length === 0) return;
      this.#options.onSent(texts.length);
      const maxBytes = this.#options.maxMessageBytes;
      const frames = packMessages(texts, { capabilities, maxBytes });
      sending.push(...frames.map((frame) => this.#socket.send(frame)));
      texts = [];
    };
    for (const one of leaving) {
      const isLong = typeof one === "string" && this.#isLong(one);
      if (isLong || typeof one !== "string") sendTexts(this.#small);
      if (typeof one === "string") texts.push(one);
      else sending.push(this.#socket.send(one.bytes).then(one.sent.resolve));
      if (isLong) sendTexts(this.#options.capabilities);
    }
    sendTexts(this.#small);
    return Promise.all(sending);
  }

  #isLong(text: string): boolean {
    return this.#deflates && text.length >= MIN_DEFLATED_CHARS;
  }

  #clear(why: unknown = new ClosedError("Cannot send contents: the connection has ended")): void {
    for (const one of this.#queue) if (typeof one !== "string") one.sent.reject(why);
    this.#queue = [];
    this.#queuedChars = 0;
  }
}
