/**
 * Messages at work on one connection: handlers called, answers given, errors kept where they belong.
 *
 * @module
 */

import { LimitError, PeerError, UnsupportedError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import type { Registration, RequestContext, Via } from "./dispatcher.ts";
import { errorBody } from "./error_body.ts";
import type { PeerInfo } from "./handshake.ts";
import type { Link } from "./link.ts";
import type { HandlerSlots } from "./slots.ts";
import { Credit, isAsyncIterable } from "./stream.ts";
import { termsOf } from "./terms.ts";

/** Most messages of one peer at work at the same time on one connection; further ones wait. */
export const MAX_ACTIVE_REQUESTS = 1024;

/** A message at work. Its signal is made only when a handler asks for it, which few do. */
export class Call implements RequestContext {
  readonly link: Link;
  readonly header: string;
  readonly deadlineMs: number;
  /** How much of an answer in parts may be sent; `undefined` where one was not asked for. */
  readonly credit: Credit | undefined;
  #controller: AbortController | undefined;
  #reason: unknown;

  /** A call that came on `link`. */
  constructor(link: Link, header: string, deadlineMs: number, credit: number | undefined) {
    this.link = link;
    this.header = header;
    this.deadlineMs = deadlineMs;
    this.credit = credit === undefined ? undefined : new Credit(credit);
  }

  get remote(): Address {
    return this.link.remote;
  }

  get via(): Via {
    return this.link.via;
  }

  get peer(): PeerInfo {
    return this.link.peer;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler that nobody waits any more. */
  cancel(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.credit?.cancel(reason);
  }
}

/** What {@linkcode Calls} needs of its connection. */
export interface CallsOptions {
  /** Hears of handlers that fail. */
  log: Logger;
  /** Counts them. */
  metrics: Metrics;
  /** Whose turn it is. */
  slots: HandlerSlots;
  /** Sends an answer, or a part of one. @returns what to wait for before the next part. */
  reply: (header: string, id: number, body: MessageBody) => Promise<void> | undefined;
}

/** The calls of one connection. */
export class Calls {
  /** When what is started from now on arrived: read once for many messages. */
  arrivedMs = 0;
  readonly #link: Link;
  readonly #options: CallsOptions;
  readonly #active = new Set<Call>();
  readonly #byId = new Map<number, Call>();
  // For those who wait until a handler is done.
  #room: PromiseWithResolvers<void> | undefined;
  #over = false;

  /** No calls yet. */
  constructor(link: Link, options: CallsOptions) {
    this.#link = link;
    this.#options = options;
  }

  /** How many are at work, those that are done at once not counted. */
  get active(): number {
    return this.#active.size;
  }

  /**
   * Calls an inline handler, whose body is made of views. @returns what to wait for before they may be overwritten.
   */
  inline(registration: Registration, message: NativeMessage): Promise<void> | undefined {
    return this.#run(registration, message, true);
  }

  /**
   * Calls a handler that runs beside others: at once, or when it is its turn. A request that finds no room even to wait
   * is refused with `limit`; a message that wants no answer makes the connection wait instead, so that none is lost.
   *
   * @returns what to wait for before the next message is read, if anything.
   */
  start(registration: Registration, message: NativeMessage): Promise<void> | undefined {
    const { slots } = this.#options;
    if (this.#active.size < MAX_ACTIVE_REQUESTS && slots.enter()) {
      this.#occupy(registration, message);
      return undefined;
    }
    if (this.#active.size < MAX_ACTIVE_REQUESTS) {
      const start = () => this.#occupy(registration, message);
      if (slots.wait(this, registration.priority, start)) return undefined;
    }
    if (message.msgId === 0) return this.#startLater(registration, message);
    this.#options.metrics.counter("link.refused").add();
    this.#options.reply(":error", message.msgId, errorBody(tooManyActive()));
    return undefined;
  }

  /** Tells the handler of a request that nobody waits for its answer. */
  cancel(id: number, reason: unknown): void {
    this.#byId.get(id)?.cancel(reason);
  }

  /** Lets the handler of a request send more of its answer. */
  addCredit(id: number, amount: unknown): void {
    this.#byId.get(id)?.credit?.add(amount);
  }

  /** Tells every handler. */
  cancelAll(reason: unknown): void {
    this.#options.slots.drop(this);
    for (const call of this.#active) call.cancel(reason);
    this.#over = true;
    this.#room?.resolve();
  }

  /** Resolves when nothing is at work, or nobody waits for it any more. */
  async idle(): Promise<void> {
    while (this.#active.size > 0 && !this.#over) await this.#untilOneIsDone();
  }

  /** Runs in a slot that is taken, and gives it back. */
  #occupy(registration: Registration, message: NativeMessage): void {
    const { slots } = this.#options;
    const done = () => {
      slots.leave();
      this.#wake();
    };
    const running = this.#run(registration, message, false);
    if (running === undefined) done();
    else void running.then(done);
  }

  async #startLater(registration: Registration, message: NativeMessage): Promise<void> {
    await this.#untilOneIsDone();
    if (!this.#over) await this.start(registration, message);
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #untilOneIsDone(): Promise<void> {
    return (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Calls a handler. @returns what to wait for until it is done, `undefined` when it is. Never throws or rejects. */
  #run(
    { handler }: Registration,
    { header, msgId, body }: NativeMessage,
    borrowed: boolean,
  ): Promise<void> | undefined {
    try {
      const terms = termsOf(body);
      const deadlineMs = this.arrivedMs + terms.timeoutMs;
      const call = new Call(this.#link, header, deadlineMs, terms.credit);
      const result = handler(terms.body, call);
      if (result instanceof Promise || isAsyncIterable(result)) {
        return this.#finishLater(call, msgId, result, borrowed);
      }
      this.#succeed(msgId, borrowed ? owned(result) : result);
    } catch (error) {
      this.#fail(header, msgId, error);
    }
    return undefined;
  }

  async #finishLater(call: Call, id: number, result: unknown, borrowed: boolean): Promise<void> {
    this.#active.add(call);
    if (id !== 0) this.#byId.set(id, call);
    try {
      const value = await result;
      if (isAsyncIterable(value)) await this.#stream(call, id, value);
      else this.#succeed(id, borrowed ? owned(value) : value);
    } catch (error) {
      this.#fail(call.header, id, error);
    } finally {
      this.#active.delete(call);
      if (this.#byId.get(id) === call) this.#byId.delete(id);
      this.#wake();
    }
  }

  async #stream(call: Call, id: number, values: AsyncIterable<unknown>): Promise<void> {
    const { credit } = call;
    if (id === 0 || credit === undefined) throw answersInParts(call.header);
    for await (const value of values) {
      await credit.take();
      const room = this.#options.reply(":item", id, { value });
      if (room !== undefined) await room;
    }
    this.#options.reply(":ok", id, {});
  }

  #succeed(id: number, result: unknown): void {
    if (id !== 0) this.#options.reply(":ok", id, { result });
  }

  #fail(header: string, id: number, error: unknown): void {
    const { log, metrics } = this.#options;
    metrics.counter("link.handler-errors").add();
    if (!(error instanceof PeerError)) {
      log.error("a handler failed", { header: printable(header, 64), error: String(error) });
    }
    if (id !== 0) this.#options.reply(":error", id, errorBody(error));
  }
}

/** An answer may hold views of the buffer that the next read overwrites: these become copies. */
function owned(value: unknown): unknown {
  return holdsBytes(value) ? decode(encode(value)) : value;
}

function tooManyActive(): LimitError {
  const text = `Cannot call: ${MAX_ACTIVE_REQUESTS} requests are at work (maxActiveRequests)`;
  return new LimitError("limit", text, {
    details: { limit: "maxActiveRequests", max: MAX_ACTIVE_REQUESTS },
  });
}

function answersInParts(header: string): UnsupportedError {
  const name = printable(header, 64);
  return new UnsupportedError(`Cannot call "${name}" so: it answers in parts, ask with stream`);
}

/** Whether a body carries byte arrays, at any depth. */
export function holdsBytes(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Uint8Array) return true;
  if (Array.isArray(value)) return value.some(holdsBytes);
  if (value instanceof Map) return [...value].some(holdsBytes);
  for (const key in value) {
    if (holdsBytes((value as Record<string, unknown>)[key])) return true;
  }
  return false;
}
