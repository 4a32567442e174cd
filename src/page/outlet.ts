/**
 * The way out to the pages: which sockets a message goes to, and what waits while there is none.
 *
 * @module
 */

import type { Metrics } from "../metrics.ts";
import { printable } from "../log.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import type { DataWeaverId, DataWeaverType } from "../wire/weaver.ts";
import type { PageStyle } from "./options.ts";
import type { PageChannel } from "./page_channel.ts";
import { errorContent } from "./page_error.ts";
import { channelOf, headerOn, type PageMessage, writePageMessage } from "./page_message.ts";
import { Waiting } from "./waiting.ts";

/** What an {@linkcode Outlet} needs. */
export interface OutletOptions {
  /** How messages are written. */
  readonly style: PageStyle;
  /** Messages that wait on each channel. */
  readonly maxWaiting: number;
  /** Counts `page.dropped`. */
  readonly metrics: Metrics;
}

/** See the module. */
export class Outlet {
  readonly #style: PageStyle;
  readonly #metrics: Metrics;
  readonly #channels = new Set<PageChannel>();
  readonly #waiting: Readonly<Record<DataWeaverType, Waiting>>;
  #closed = false;

  /** No page is connected, and nothing waits. */
  constructor({ style, maxWaiting, metrics }: OutletOptions) {
    this.#style = style;
    this.#metrics = metrics;
    const waiting = () => new Waiting({ maxMessages: maxWaiting });
    this.#waiting = { data: waiting(), signal: waiting() };
  }

  /** Sockets there are, also those that have not chosen a channel. */
  get sockets(): number {
    return this.#channels.size;
  }

  /** Messages that wait for a page. */
  get waiting(): number {
    return this.#waiting.data.size + this.#waiting.signal.size;
  }

  /** Whether a page has that channel. */
  has(kind: DataWeaverType): boolean {
    return this.#channels.values().some((channel) => channel.kind === kind);
  }

  /** Counts a socket until it is closed. */
  add(channel: PageChannel): void {
    this.#channels.add(channel);
    void channel.closed.then(() => this.#channels.delete(channel));
  }

  /** Gives a socket that has chosen its channel what has waited for one, and says what did not last. */
  welcome(channel: PageChannel, kind: DataWeaverType): void {
    const { texts, dropped } = this.#waiting[kind].take();
    if (dropped > 0) {
      const header = headerOn(kind, "messages dropped");
      channel.send(this.#write({ header, content: { count: dropped } }));
    }
    for (const text of texts) channel.send(text);
  }

  /**
   * Sends a message to all sockets of its channel, or only to the one that asked, where that serves it. One that is too
   * long is replaced by an error that says so.
   *
   * @throws {TypeError} when the header belongs to no channel. @throws {TypeError | RangeError} as `encodeWeaver`.
   */
  send(message: PageMessage, asker?: PageChannel): void {
    const text = this.#write(message);
    const kind = channelOf(message.header);
    if (kind === undefined || this.#closed) return;
    if (asker?.kind === kind) return asker.send(text);
    if (!this.has(kind)) return this.#keep(kind, text);
    for (const channel of this.#channels) if (channel.kind === kind) channel.send(text);
  }

  /** Tells the socket that sent a message what is wrong with it. */
  fail(channel: PageChannel, msgId: DataWeaverId, error: unknown): void {
    if (this.#closed) return;
    const header = headerOn(channel.kind ?? "signal", "error");
    channel.send(this.#write({ header, content: errorContent(error), msgId }));
  }

  /** Closes the sockets; what is sent later goes nowhere. Harmless when closed. */
  close(): void {
    this.#closed = true;
    for (const channel of this.#channels) channel.close("the peer serves no pages any more");
  }

  #keep(kind: DataWeaverType, text: string): void {
    const dropped = this.#waiting[kind].push(text);
    if (dropped > 0) this.#metrics.counter("page.dropped").add(dropped);
  }

  #write(message: PageMessage): string {
    const text = writePageMessage(message, this.#style);
    const bytes = lengthOf(text);
    if (bytes <= MAX_JSON_BYTES) return text;
    const header = headerOn(channelOf(message.header) ?? "signal", "error");
    const what = `Cannot show "${printable(message.header, 80)}": its ${bytes} bytes exceed`;
    const content = { code: "too-large", message: `${what} maxMessageBytes ${MAX_JSON_BYTES}` };
    return writePageMessage({ ...message, header, content }, this.#style);
  }
}

const utf8 = new TextEncoder();

// A UTF-16 unit is at most three bytes of UTF-8, so most texts need not be encoded to be known as short enough.
function lengthOf(text: string): number {
  return text.length * 3 <= MAX_JSON_BYTES ? text.length : utf8.encode(text).length;
}
