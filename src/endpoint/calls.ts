/**
 * Messages at work on one connection: handlers called, answers given, errors kept where they belong.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type LimitError, PeerError, TimeoutError, UnsupportedError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { type Arrival, Call } from "./call.ts";
import type { Registration } from "./dispatcher.ts";
import { errorBody } from "./error_body.ts";
import { limitError } from "./limits.ts";
import { LIMITS } from "./limits_table.ts";
import type { Link } from "./link.ts";
import { countRefusal, LinkShare } from "./resources.ts";
import type { HandlerSlots } from "./slots.ts";
import { isAsyncIterable } from "./stream.ts";
import type { Tracing } from "./tracing.ts";

/** Most messages of one peer at work at the same time on one connection, unless told otherwise. */
export const MAX_ACTIVE_REQUESTS: number = LIMITS.maxActiveRequests.default;

/** What {@linkcode Calls} needs of its connection. */
export interface CallsOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Hears of handlers that fail. */
  log: Logger;
  /** Counts them. */
  metrics: Metrics;
  /** Begins their steps. */
  tracing: Tracing;
  /** Whose turn it is. */
  slots: HandlerSlots;
  /** What may be in use on the connection, and is. @default {new LinkShare()} */
  share?: LinkShare;
  /** Sends an answer, or a part of one. @returns what to wait for before the next part. */
  reply: (header: string, id: number, body: MessageBody) => Promise<void> | undefined;
}

/** The calls of one connection. */
export class Calls {
  readonly #link: Link;
  readonly #options: CallsOptions;
  readonly #share: LinkShare;
  readonly #label = () => this.#link.label;
  // Those that are not done at once, whether they wait for a slot or are at work.
  readonly #pending = new Set<Call>();
  readonly #byId = new Map<number, Call>();
  // For those who wait until a call is done.
  #change: PromiseWithResolvers<void> | undefined;
  #over = false;

  /** No calls yet. */
  constructor(link: Link, options: CallsOptions) {
    this.#link = link;
    this.#options = options;
    this.#share = options.share ?? new LinkShare();
  }

  /**
   * Calls an inline handler, whose body is made of views. @returns what to wait for before they may be overwritten.
   */
  inline(
    registration: Registration,
    message: NativeMessage,
    arrival: Arrival,
  ): Promise<void> | undefined {
    const call = this.#receive(message, arrival);
    return call === undefined ? undefined : this.#run(registration, call, true);
  }

  /**
   * Calls a handler that runs beside others: at once, or when it is its turn. A request that finds no room even to wait
   * is refused with `limit`; a message that wants no answer makes the connection wait instead, so that none is lost.
   *
   * @returns what to wait for before the next message is read, if anything.
   */
  start(
    registration: Registration,
    message: NativeMessage,
    arrival: Arrival,
  ): Promise<void> | undefined {
    const call = this.#receive(message, arrival);
    return call === undefined ? undefined : this.#admit(registration, call);
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
    this.#over = true;
    this.#options.slots.drop(this);
    for (const call of this.#pending) call.cancel(reason);
    this.#wake();
  }

  /** Resolves when nothing waits or is at work, or nobody waits for it any more. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0 && !this.#over) await this.#changed();
  }

  #receive(message: NativeMessage, arrival: Arrival): Call | undefined {
    try {
      return new Call(this.#link, message, arrival);
    } catch (error) {
      this.#fail(message.header, message.msgId, error);
      return undefined;
    }
  }

  #admit(registration: Registration, call: Call): Promise<void> | undefined {
    const { slots, metrics } = this.#options;
    const refusal = this.#share.refusal(call.bytes, call.credit !== undefined);
    if (refusal === undefined && slots.enter()) {
      this.#occupy(registration, call);
      return undefined;
    }
    if (refusal === undefined && this.#queue(registration, call)) return undefined;
    if (call.id === 0) return this.#admitLater(registration, call);
    metrics.counter("link.refused").add();
    const error = countRefusal(metrics, refusal ?? inboxIsFull());
    this.#options.reply(":error", call.id, errorBody(error));
    return undefined;
  }

  /** Lets a call wait for its turn. @returns whether there was room. */
  #queue(registration: Registration, call: Call): boolean {
    const { slots, clock } = this.#options;
    const start = () => {
      this.#forget(call);
      if (call.cancelled) slots.leave();
      else if (call.deadlineMs < clock.now()) {
        this.#fail(call.header, call.id, waitedTooLong(call.header));
        slots.leave();
      } else this.#occupy(registration, call);
    };
    if (!slots.wait(this, registration.priority, start)) return false;
    this.#remember(call);
    return true;
  }

  async #admitLater(registration: Registration, call: Call): Promise<void> {
    // Whichever comes first: one of ours is done, or one of anybody's has left the inbox.
    await Promise.race([this.#changed(), this.#options.slots.room()]);
    if (!this.#over) await this.#admit(registration, call);
  }

  /** Runs in a slot that is taken, and gives it back. */
  #occupy(registration: Registration, call: Call): void {
    const { slots } = this.#options;
    const running = this.#run(registration, call, false);
    if (running === undefined) slots.leave();
    else void running.then(() => slots.leave());
  }

  /** Calls a handler. @returns what to wait for until it is done, `undefined` when it is. Never throws or rejects. */
  #run(registration: Registration, call: Call, borrowed: boolean): Promise<void> | undefined {
    const { header, id, came } = call;
    const step = this.#options.tracing.answering(header, this.#label, came, id !== 0);
    call.step = step;
    if (step === undefined) return this.#handle(registration, call, borrowed);
    return step.run(() => this.#handle(registration, call, borrowed));
  }

  #handle({ handler }: Registration, call: Call, borrowed: boolean): Promise<void> | undefined {
    try {
      const result = handler(call.body, call);
      if (result instanceof Promise || isAsyncIterable(result)) {
        return this.#finishLater(call, result, borrowed);
      }
      this.#succeed(call, borrowed ? owned(result) : result);
    } catch (error) {
      call.step?.end(error);
      this.#fail(call.header, call.id, error);
    }
    return undefined;
  }

  async #finishLater(call: Call, result: unknown, borrowed: boolean): Promise<void> {
    this.#remember(call);
    this.#share.requests++;
    try {
      const value = await result;
      if (isAsyncIterable(value)) await this.#stream(call, value);
      else this.#succeed(call, borrowed ? owned(value) : value);
    } catch (error) {
      call.step?.end(error);
      if (!call.cancelled) this.#fail(call.header, call.id, error);
    } finally {
      this.#share.requests--;
      this.#forget(call);
    }
  }

  async #stream({ id, header, credit, step }: Call, values: AsyncIterable<unknown>): Promise<void> {
    if (id === 0 || credit === undefined) throw answersInParts(header);
    for await (const value of values) {
      await credit.take();
      const room = this.#options.reply(":item", id, { value });
      if (room !== undefined) await room;
    }
    step?.end();
    this.#options.reply(":ok", id, {});
  }

  #succeed({ id, step }: Call, result: unknown): void {
    step?.end();
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

  #remember(call: Call): void {
    this.#pending.add(call);
    this.#share.bytes += call.bytes;
    if (call.credit !== undefined) this.#share.streams++;
    if (call.id !== 0) this.#byId.set(call.id, call);
  }

  #forget(call: Call): void {
    if (!this.#pending.delete(call)) return;
    this.#share.bytes -= call.bytes;
    if (call.credit !== undefined) this.#share.streams--;
    if (this.#byId.get(call.id) === call) this.#byId.delete(call.id);
    this.#wake();
  }

  #changed(): Promise<void> {
    return (this.#change ??= Promise.withResolvers()).promise;
  }

  #wake(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }
}

/** An answer may hold views of the buffer that the next read overwrites: these become copies. */
function owned(value: unknown): unknown {
  return holdsBytes(value) ? decode(encode(value)) : value;
}

function inboxIsFull(): LimitError {
  return limitError("Cannot call: too many requests wait for their turn", "maxWaiting");
}

function waitedTooLong(header: string): TimeoutError {
  return new TimeoutError(`"${printable(header, 64)}" waited for its turn until it was too late`);
}

function answersInParts(header: string): UnsupportedError {
  const name = printable(header, 64);
  return new UnsupportedError(`Cannot call "${name}" so: it answers in parts, ask with stream`);
}

/** Whether a value carries byte arrays, at any depth. */
function holdsBytes(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Uint8Array) return true;
  if (Array.isArray(value)) return value.some(holdsBytes);
  if (value instanceof Map) return [...value].some(holdsBytes);
  for (const key in value) {
    if (holdsBytes((value as Record<string, unknown>)[key])) return true;
  }
  return false;
}
