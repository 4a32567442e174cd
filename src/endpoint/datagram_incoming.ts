/**
 * Requests that came over UDP: each is handled once, however often it is asked, and answered as often.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { ClosedError, NotFoundError, PeerError, UnsupportedError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Counter, Metrics } from "../metrics.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { Trace } from "../trace.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { AMPLIFICATION, MAX_DATAGRAM_TIMEOUT_MS } from "./datagram_outgoing.ts";
import {
  type Dispatcher,
  endpointOf,
  type Handler,
  type RequestContext,
  type Via,
} from "./dispatcher.ts";
import { errorBody } from "./error_body.ts";
import { ReplyCache } from "./reply_cache.ts";
import type { RequestEvent } from "./requests_dispatcher.ts";
import { isAsyncIterable } from "./stream.ts";
import { termsOf } from "./terms.ts";
import type { Step, Tracing } from "./tracing.ts";

/** Longest text of an error that stands for an answer that cannot be sent, in UTF-16 units. */
const MAX_TEXT_CHARS = 500;

/** How long an answer is kept at least, and at most twice: longer than anybody asks again. */
const REPLY_AGE_MS = 30_000;

/** What {@linkcode DatagramIncoming} needs. */
export interface DatagramIncomingOptions {
  /** Who handles what. */
  dispatcher: Dispatcher;
  /** Where time comes from. */
  clock: Clock;
  /** Hears of handlers that fail. */
  log: Logger;
  /** Begins their steps. */
  tracing: Tracing;
  /** Counts `requests.*`. */
  metrics: Metrics;
  /** Answers kept for who asks again. */
  maxReplies: number;
  /** Makes a packet. @throws {InvalidPacketError} `too-large`. */
  encode: (header: string, id: number, body: MessageBody) => Uint8Array;
  /** Sends a packet. It never throws. */
  send: (packet: Uint8Array, to: Address) => void;
}

/** See the module. */
export class DatagramIncoming {
  readonly #options: DatagramIncomingOptions;
  readonly #handlerErrors: Counter;
  readonly #repeats: Counter;
  readonly #atWork = new Map<number, DatagramCall>();
  readonly #replies: ReplyCache;
  #aging: Timer | undefined;
  #closed = false;

  /** Nothing is at work. */
  constructor(options: DatagramIncomingOptions) {
    const { metrics, maxReplies } = options;
    this.#options = options;
    this.#handlerErrors = metrics.counter("requests.handler-errors");
    this.#repeats = metrics.counter("requests.repeats");
    this.#replies = new ReplyCache({ maxReplies });
  }

  /** Takes a request, or a message that wants no answer. @returns what to wait for until it is done. */
  take(event: RequestEvent, message: NativeMessage): Promise<void> | undefined {
    const { header, msgId, body } = message;
    if (msgId !== 0 && this.#isRepeated(event, msgId)) return undefined;
    const registration = this.#options.dispatcher.find(header);
    try {
      if (registration === undefined || registration.inline) throw noEndpoint(header);
      const terms = termsOf(body);
      if (terms.credit !== undefined) throw answersInParts(header);
      const call = new DatagramCall(event, message, terms.timeoutMs, this.#options.clock);
      return this.#trace(registration.handler, terms.body, call, terms.trace);
    } catch (error) {
      this.#refuse(event, msgId, error);
      return undefined;
    }
  }

  /** Tells the handler of a request that nobody waits for its answer any more. */
  cancel({ fromAddr }: RequestEvent, id: number): void {
    const call = this.#atWork.get(id);
    if (call === undefined || !isSame(call.remote, fromAddr)) return;
    call.cancel(new ClosedError("The caller has cancelled the request"));
  }

  /** Answers at once, without a handler. */
  pong(event: RequestEvent, id: number): void {
    if (id !== 0) this.#answer(event, id, this.#options.encode(":ok", id, {}));
  }

  /** Tells every handler that its answer will not be sent, and forgets those that were. */
  close(): void {
    this.#closed = true;
    for (const call of this.#atWork.values()) {
      call.cancel(new ClosedError("The calls over UDP are closed"));
    }
    this.#aging?.cancel();
    this.#replies.clear();
  }

  /** Whether a request is at work, or was answered; then it is answered again. */
  #isRepeated(event: RequestEvent, id: number): boolean {
    const { fromAddr } = event;
    const reply = this.#replies.get(id, fromAddr);
    if (reply === undefined && !this.#isAtWork(id, fromAddr)) return false;
    this.#repeats.add();
    if (reply !== undefined) this.#answer(event, id, reply);
    return true;
  }

  #isAtWork(id: number, from: Address): boolean {
    if (this.#atWork.size === 0) return false;
    const call = this.#atWork.get(id);
    return call !== undefined && isSame(call.remote, from);
  }

  /** Calls a handler within its trace. Never throws or rejects. */
  #trace(
    handler: Handler,
    body: MessageBody,
    call: DatagramCall,
    came: Trace | undefined,
  ): Promise<void> | undefined {
    const whom = () => printable(formatAddress(call.remote), 100);
    const step = this.#options.tracing.answering(call.header, whom, came, call.id !== 0);
    call.step = step;
    if (step === undefined) return this.#run(handler, body, call);
    return step.run(() => this.#run(handler, body, call));
  }

  /** Calls a handler. Never throws or rejects. */
  #run(handler: Handler, body: MessageBody, call: DatagramCall): Promise<void> | undefined {
    try {
      const result = handler(body, call);
      if (result instanceof Promise) return this.#finishLater(call, result);
      this.#succeed(call, result);
    } catch (error) {
      this.#fail(call, error);
    }
    return undefined;
  }

  async #finishLater(call: DatagramCall, result: Promise<unknown>): Promise<void> {
    call.fixDeadline();
    const { id } = call;
    const isOwner = id !== 0 && !this.#atWork.has(id);
    if (isOwner) this.#atWork.set(id, call);
    try {
      this.#succeed(call, await result);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      if (isOwner) this.#atWork.delete(id);
    }
  }

  #succeed(call: DatagramCall, result: unknown): void {
    if (isAsyncIterable(result)) throw answersInParts(call.header);
    call.step?.end();
    this.#conclude(call, ":ok", { result });
  }

  #fail(call: DatagramCall, error: unknown): void {
    this.#handlerErrors.add();
    call.step?.end(error);
    if (!(error instanceof PeerError)) {
      this.#options.log.error("a handler failed", {
        header: printable(call.header, 64),
        error: printable(String(error)),
      });
    }
    this.#conclude(call, ":error", errorBody(error));
  }

  /** Keeps the answer for who asks again, and sends it unless nobody waits for it. */
  #conclude(call: DatagramCall, header: string, body: MessageBody): void {
    if (call.id === 0 || this.#closed) return;
    const packet = this.#encodeAnswer(header, call.id, body);
    this.#replies.put(call.id, call.remote, packet);
    this.#keepAging();
    if (!call.cancelled) this.#answer(call.event, call.id, packet);
  }

  /** Forgets answers after a while, as long as there are any. */
  #keepAging(): void {
    this.#aging ??= this.#options.clock.after(REPLY_AGE_MS, () => {
      this.#aging = undefined;
      this.#replies.age();
      if (this.#replies.size > 0) this.#keepAging();
    });
  }

  /** Answers with an error that is not worth being kept: who asks again gets it again. */
  #refuse(event: RequestEvent, id: number, error: unknown): void {
    this.#options.metrics.counter("requests.refused").add();
    if (id === 0) return;
    this.#answer(event, id, this.#encodeAnswer(":error", id, errorBody(error)));
  }

  /** The packet of an answer, or of an error that says why it cannot be sent. */
  #encodeAnswer(header: string, id: number, body: MessageBody): Uint8Array {
    const { encode, log } = this.#options;
    try {
      return encode(header, id, body);
    } catch (error) {
      log.error("an answer could not be sent", { error: printable(String(error)) });
      const { code, message } = errorBody(error);
      return encode(":error", id, { code, message: printable(String(message), MAX_TEXT_CHARS) });
    }
  }

  /**
   * Sends an answer that is at most three times as large as the packet that asks for it; of a larger one only how large
   * it is, so that the caller can ask with a larger packet.
   */
  #answer({ fromAddr, packetBytes }: RequestEvent, id: number, packet: Uint8Array): void {
    const { encode, send, metrics } = this.#options;
    const maxBytes = AMPLIFICATION * (packetBytes ?? Infinity);
    if (packet.length <= maxBytes) return send(packet, fromAddr);
    metrics.counter("requests.amplification").add();
    const hint = encode(":pad", id, { bytes: packet.length });
    if (hint.length <= maxBytes) send(hint, fromAddr);
  }
}

/** A request on its way. Its signal and its deadline are made only when a handler asks for them, which few do. */
class DatagramCall implements RequestContext {
  readonly event: RequestEvent;
  readonly id: number;
  readonly header: string;
  readonly via: Via = "udp";
  readonly peer = undefined;
  readonly link = undefined;
  /** What it is here, where anybody wants to see it. */
  step: Step | undefined;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #deadlineMs: number | undefined;
  #controller: AbortController | undefined;
  #cancelled: { readonly reason: unknown } | undefined;

  constructor(
    event: RequestEvent,
    { msgId, header }: NativeMessage,
    timeoutMs: number,
    clock: Clock,
  ) {
    this.event = event;
    this.id = msgId;
    this.header = header;
    this.#timeoutMs = Math.min(timeoutMs, MAX_DATAGRAM_TIMEOUT_MS);
    this.#clock = clock;
  }

  get deadlineMs(): number {
    return this.fixDeadline();
  }

  get endpoint(): string {
    return endpointOf(this.header);
  }

  get trace(): Trace | undefined {
    return this.step?.trace;
  }

  get remote(): Address {
    return this.event.fromAddr;
  }

  get cancelled(): boolean {
    return this.#cancelled !== undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#cancelled !== undefined) this.#controller.abort(this.#cancelled.reason);
    }
    return this.#controller.signal;
  }

  /** From now on time passes. A handler that is done at once has mostly not asked for the time, which costs. */
  fixDeadline(): number {
    return this.#deadlineMs ??= this.#clock.now() + this.#timeoutMs;
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason };
    this.#controller?.abort(reason);
  }
}

// Both are as the socket told them, so there is only one way to write them.
function isSame(a: Address, b: Address): boolean {
  return a.port === b.port && a.hostname === b.hostname;
}

function noEndpoint(header: string): NotFoundError {
  return new NotFoundError("no-endpoint", `No endpoint "${printable(header, 64)}" here over UDP`);
}

function answersInParts(header: string): UnsupportedError {
  const name = printable(header, 64);
  return new UnsupportedError(`Cannot answer "${name}" in parts over UDP: ask over TCP`);
}
