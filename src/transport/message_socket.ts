/**
 * A {@linkcode MessageSocket} over the runtime's `WebSocket`.
 *
 * A WebSocket of the platform does not wait when it sends and cannot be told to stop receiving. Here `send` waits while
 * more than 1 MiB is on its way; how much that is the runtime only tells who asks, so it is asked from a timer for as
 * long as that lasts. Nothing can make the other side wait: messages go to a bounded inbox, and a socket whose inbox
 * runs over is closed with 1008. A message over the limit closes it with 1009. The platform lets a client close with
 * neither, so a client says 4008 and 4009 instead. A sender that has more on its way when that happens may see the
 * connection break before it sees the code.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  type PeerError,
  TransportError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { printableAddress } from "./socket_address.ts";
import type { Address, MessageSocket } from "./transport.ts";

/** Bytes that may wait in the socket before `send` waits. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** How often to look whether the socket has drained: doubles from the first while it has not. */
const DRAIN_POLL_MS = { first: 1, longest: 50 };

/** How long the other side may take to answer our close before the socket counts as closed without. */
const CLOSE_TIMEOUT_MS = 5000;

/** The runtime breaks the connection at a message one byte longer. */
const NATIVE_MESSAGE_BYTES = 64 * 1024 * 1024 - 1;

/** Close codes of RFC 6455, section 7.4.1, that say nothing went wrong: done, going away, none given. */
const ORDERLY_CODES: readonly number[] = [1000, 1001, 1005];

/** Limits of a message socket. */
export interface MessageSocketOptions {
  /** Longest message in bytes, both ways; at most 67,108,863. @default {16777216} */
  maxMessageBytes?: number;
  /** Messages that may wait for `receive`. @default {1024} */
  maxInboxMessages?: number;
  /** Bytes that may wait for `receive`. @default {33554432} or twice `maxMessageBytes` */
  maxInboxBytes?: number;
}

/** The limits in force. */
export type MessageLimits = Required<MessageSocketOptions>;

/**
 * Fills in the defaults; called before there is a socket to be lost.
 *
 * @throws {RangeError} for a limit that cannot be kept.
 */
export function messageLimits(options: MessageSocketOptions): MessageLimits {
  const { maxMessageBytes = 16 * 1024 * 1024, maxInboxMessages = 1024 } = options;
  const { maxInboxBytes = 2 * maxMessageBytes } = options;
  if (!(maxMessageBytes >= 1 && maxMessageBytes <= NATIVE_MESSAGE_BYTES)) {
    throw new RangeError(
      `maxMessageBytes must be 1..${NATIVE_MESSAGE_BYTES}: current value is ${maxMessageBytes}`,
    );
  }
  return { maxMessageBytes, maxInboxMessages, maxInboxBytes };
}

/** The adapter; it takes the native socket before any of its events. */
export class NativeMessageSocket implements MessageSocket {
  readonly remote: Address;
  readonly maxMessageBytes: number;
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #role: "client" | "server";
  readonly #limits: MessageLimits;
  readonly #inbox: (string | Uint8Array)[] = [];
  readonly #opened = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  readonly #ending = new AbortController();
  #inboxBytes = 0;
  #taker: PromiseWithResolvers<string | Uint8Array | undefined> | undefined;
  #draining: Promise<void> | undefined;
  #failure: PeerError | undefined;
  #brokeBecause = "the other side is gone";
  #closeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    socket: WebSocket,
    role: "client" | "server",
    remote: Address,
    limits: MessageLimits,
  ) {
    this.remote = remote;
    this.maxMessageBytes = limits.maxMessageBytes;
    this.closed = this.#finished.promise;
    this.#socket = socket;
    this.#role = role;
    this.#limits = limits;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened.resolve();
    socket.onmessage = (event) => this.#deliver(event.data);
    socket.onerror = (event) => {
      if (event instanceof ErrorEvent && event.message) this.#brokeBecause = event.message;
    };
    socket.onclose = (event) => {
      this.#end(this.#failureOf(event));
      this.#finish();
    };
  }

  /** Waits for the handshake. Cancelling closes the native socket, which then says that it is closed. */
  async established(signal: AbortSignal | undefined): Promise<void> {
    const onAbort = () => this.#socket.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    await this.#opened.promise;
    signal?.removeEventListener("abort", onAbort);
    signal?.throwIfAborted();
    if (this.#socket.readyState === WebSocket.OPEN) return;
    const address = printableAddress(this.remote);
    const reason = printable(this.#brokeBecause);
    throw new TransportError(`Cannot connect WebSocket to ${address}: ${reason}`, {
      details: { address },
    });
  }

  async send(message: string | Uint8Array): Promise<void> {
    if (exceeds(message, this.maxMessageBytes)) throw this.#tooLarge("send", message);
    // Who finds others waiting waits behind them, even if there is room again: messages keep their order.
    while (this.#draining !== undefined || !this.#hasRoom()) {
      await (this.#draining ??= this.#drain());
    }
    // A native socket that is not open swallows what it is given.
    const open = this.#socket.readyState === WebSocket.OPEN && !this.#ending.signal.aborted;
    if (!open) throw this.#closedError("was closed");
    this.#socket.send(message);
  }

  async receive(options: { signal?: AbortSignal } = {}): Promise<string | Uint8Array | undefined> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#taker !== undefined) {
      throw new TypeError("Cannot receive: another receive is under way");
    }
    const message = this.#inbox.shift();
    if (message !== undefined) {
      this.#inboxBytes -= weightOf(message);
      return message;
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ending.signal.aborted) return undefined;
    const taker = this.#taker = Promise.withResolvers();
    const onAbort = () => {
      this.#taker = undefined;
      taker.reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await taker.promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  close(code = 1000, reason = ""): void {
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new RangeError(`Close code must be 1000 or 3000..4999: current value is ${code}`);
    }
    if (exceeds(reason, 123)) {
      throw new RangeError("Close reason must be at most 123 bytes");
    }
    this.#inbox.length = 0;
    this.#inboxBytes = 0;
    this.#shut(code, reason);
  }

  #deliver(data: string | ArrayBuffer): void {
    if (this.#ending.signal.aborted) return;
    const message = typeof data === "string" ? data : new Uint8Array(data);
    if (exceeds(message, this.maxMessageBytes)) {
      return this.#shut(1009, "message too big", this.#tooLarge("receive", message));
    }
    if (this.#taker !== undefined) {
      this.#taker.resolve(message);
      this.#taker = undefined;
      return;
    }
    const weight = weightOf(message);
    const { maxInboxMessages, maxInboxBytes } = this.#limits;
    if (this.#inbox.length >= maxInboxMessages) {
      return this.#shut(1008, "inbox full", slowConsumer("maxInboxMessages", maxInboxMessages));
    }
    if (this.#inboxBytes + weight > maxInboxBytes) {
      return this.#shut(1008, "inbox full", slowConsumer("maxInboxBytes", maxInboxBytes));
    }
    this.#inbox.push(message);
    this.#inboxBytes += weight;
  }

  // Closes from our side. A socket whose handshake is still under way would ignore it, so it is told when it is open.
  #shut(code: number, reason: string, failure?: PeerError): void {
    if (this.#ending.signal.aborted) return;
    this.#end(failure);
    const allowed = this.#role === "server" || code === 1000 || code >= 3000 ? code : code + 3000;
    this.#closeTimer = setTimeout(() => this.#finish(), CLOSE_TIMEOUT_MS);
    this.#opened.promise.then(() => this.#socket.close(allowed, reason));
  }

  // From here on no message comes in or goes out, and nobody waits for one.
  #end(failure: PeerError | undefined): void {
    if (this.#ending.signal.aborted) return;
    this.#failure = failure;
    this.#ending.abort();
    if (failure === undefined) this.#taker?.resolve(undefined);
    else this.#taker?.reject(failure);
    this.#taker = undefined;
  }

  #finish(): void {
    clearTimeout(this.#closeTimer);
    this.#opened.resolve();
    this.#finished.resolve();
  }

  #hasRoom(): boolean {
    return this.#ending.signal.aborted ||
      (this.#socket.readyState !== WebSocket.CONNECTING &&
        this.#socket.bufferedAmount <= HIGH_WATER_BYTES);
  }

  async #drain(): Promise<void> {
    const { signal } = this.#ending;
    await this.#opened.promise;
    for (let waitMs = DRAIN_POLL_MS.first; !this.#hasRoom(); waitMs *= 2) {
      // Rejects only because the socket ends, and then there is room: to fail.
      await sleep(systemClock, Math.min(waitMs, DRAIN_POLL_MS.longest), { signal }).catch(() => {});
    }
    this.#draining = undefined;
  }

  #failureOf(event: CloseEvent): PeerError | undefined {
    if (!event.wasClean) return this.#closedError(`broke: ${printable(this.#brokeBecause)}`);
    if (ORDERLY_CODES.includes(event.code)) return undefined;
    const { code } = event;
    const reason = printable(event.reason);
    return this.#closedError(`was closed by the other side: ${code} ${reason}`, { code, reason });
  }

  #closedError(how: string, details: Record<string, unknown> = {}): ClosedError {
    const address = printableAddress(this.remote);
    return new ClosedError(`WebSocket to ${address} ${how}`, {
      cause: this.#failure,
      details: { address, ...details },
    });
  }

  #tooLarge(doing: "send" | "receive", message: string | Uint8Array): InvalidPacketError {
    const length = byteLength(message);
    return new InvalidPacketError(
      "too-large",
      `Cannot ${doing} message: length ${length} exceeds maxMessageBytes ${this.maxMessageBytes}`,
      { details: { limit: "maxMessageBytes", max: this.maxMessageBytes } },
    );
  }
}

function slowConsumer(limit: keyof MessageLimits, max: number): LimitError {
  return new LimitError(
    "slow-consumer",
    `Cannot receive message: inbox is full, ${limit} is ${max}`,
    {
      details: { limit, max },
    },
  );
}

const utf8 = new TextEncoder();

function byteLength(message: string | Uint8Array): number {
  return typeof message === "string" ? utf8.encode(message).length : message.length;
}

// A UTF-16 unit is at most three bytes of UTF-8, so short text need not be encoded to know.
function exceeds(message: string | Uint8Array, maxBytes: number): boolean {
  if (typeof message !== "string") return message.length > maxBytes;
  return message.length * 3 > maxBytes && byteLength(message) > maxBytes;
}

// What a message costs in memory.
function weightOf(message: string | Uint8Array): number {
  return typeof message === "string" ? message.length * 2 : message.length;
}
