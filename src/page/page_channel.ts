/**
 * One WebSocket of a page: it serves the channel that its first message chooses.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { packetSource } from "../endpoint/source.ts";
import { InvalidPacketError, PeerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { formatAddress, type MessageSocket } from "../transport/transport.ts";
import type { DataWeaverType } from "../wire/weaver.ts";
import { readChoice } from "./page_message.ts";
import { MAX_WAITING_CHARS } from "./waiting.ts";

/** Time until a channel is chosen, as the original program has it, in milliseconds. */
export const CHOICE_MS = 6_000;

/** Characters that a page may not have read yet, beyond what the socket itself holds: more than can have waited for it. */
export const MAX_UNSENT_CHARS: number = 2 * MAX_WAITING_CHARS;

/** Why this side closes a socket: codes that RFC 6455, section 7.4.2, leaves to programs. */
export const CLOSE_CODES = { badChoice: 4400, lateChoice: 4408, slowConsumer: 4413 } as const;

/** What a {@linkcode PageChannel} needs. */
export interface PageChannelOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what happens. */
  readonly log: Logger;
  /** Counts `page.cut` by reason. */
  readonly metrics: Metrics;
}

/** See the module. */
export class PageChannel {
  /** What its messages are counted by. */
  readonly source: string;
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>;
  readonly #socket: MessageSocket;
  readonly #options: PageChannelOptions;
  #kind: DataWeaverType | undefined;
  #unsentChars = 0;

  /** Owns the socket from now on. */
  constructor(socket: MessageSocket, options: PageChannelOptions) {
    this.source = packetSource(socket.remote);
    this.closed = socket.closed;
    this.#socket = socket;
    this.#options = options;
  }

  /** The channel that it serves; `undefined` before one is chosen, and once nothing more can be sent. */
  get kind(): DataWeaverType | undefined {
    return this.#kind;
  }

  /** Waits for the first message. @returns the channel that it chooses; `undefined` when the socket is closed instead. */
  async choose(): Promise<DataWeaverType | undefined> {
    const { clock } = this.#options;
    const late = () => this.#cut("lateChoice", `no channel was chosen in ${CHOICE_MS / 1000} s`);
    const timer = clock.after(CHOICE_MS, late);
    try {
      const first = await this.receive();
      if (first === undefined) return undefined;
      return this.#kind = readChoice(first);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#cut("badChoice", "the first message is JSON with a header that begins with 0 or 1");
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  /** The next message; `undefined` when the socket is closed or broken. */
  async receive(): Promise<string | Uint8Array | undefined> {
    try {
      const message = await this.#socket.receive();
      if (message !== undefined) return message;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#options.log.debug("a page's socket broke", { why: error.message });
    }
    this.#kind = undefined;
    return undefined;
  }

  /** Sends a message. A page that does not read what it is sent is cut off. */
  send(text: string): void {
    if (this.#kind === undefined) return;
    if (this.#unsentChars + text.length > MAX_UNSENT_CHARS) {
      return this.#cut("slowConsumer", "slow-consumer: the page does not read what it is sent");
    }
    this.#unsentChars += text.length;
    const sent = () => void (this.#unsentChars -= text.length);
    this.#socket.send(text).then(sent, (error) => {
      if (!(error instanceof PeerError)) throw error; // else it has gone, and nothing more is sent
    });
  }

  /** Closes the socket in order. Harmless when closed. */
  close(reason: string): void {
    this.#kind = undefined;
    this.#socket.close(1000, reason);
  }

  #cut(why: keyof typeof CLOSE_CODES, reason: string): void {
    const { log, metrics } = this.#options;
    this.#kind = undefined;
    metrics.counter(`page.cut.${why}`).add();
    log.info("closed a page's socket", { from: formatAddress(this.#socket.remote), why: reason });
    this.#socket.close(CLOSE_CODES[why], reason);
  }
}
