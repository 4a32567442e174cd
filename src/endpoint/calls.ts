/**
 * Messages at work on one connection: handlers called, answers given, errors kept where they belong.
 *
 * @module
 */

import { LimitError, PeerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import type { Handler, RequestContext } from "./dispatcher.ts";
import { errorBody } from "./error_body.ts";
import type { Link } from "./link.ts";

/** Most requests of one peer at work at the same time on one connection; more are refused with `limit`. */
export const MAX_ACTIVE_REQUESTS = 1024;

/** A message at work. Its signal is made only when a handler asks for it, which few do. */
export class Call implements RequestContext {
  readonly link: Link;
  readonly header: string;
  #controller: AbortController | undefined;
  #reason: unknown;

  /** A call that came on `link`. */
  constructor(link: Link, header: string) {
    this.link = link;
    this.header = header;
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
  }
}

/** What {@linkcode Calls} needs of its connection. */
export interface CallsOptions {
  /** Hears of handlers that fail. */
  log: Logger;
  /** Counts them. */
  metrics: Metrics;
  /** Sends an answer. */
  reply: (header: string, id: number, body: MessageBody) => void;
}

/** The calls of one connection. */
export class Calls {
  readonly #link: Link;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #reply: CallsOptions["reply"];
  readonly #active = new Set<Call>();
  readonly #byId = new Map<number, Call>();

  /** No calls yet. */
  constructor(link: Link, { log, metrics, reply }: CallsOptions) {
    this.#link = link;
    this.#log = log;
    this.#metrics = metrics;
    this.#reply = reply;
  }

  /**
   * Calls an inline handler, whose body is made of views. @returns what to wait for before they may be overwritten.
   */
  inline(handler: Handler, message: NativeMessage): Promise<void> | undefined {
    const { header, msgId, body } = message;
    const call = this.#begin(header, msgId);
    try {
      const result = handler(body, call);
      if (result instanceof Promise) {
        return result.then((value) => this.#succeed(call, msgId, owned(value)))
          .catch((error) => this.#fail(call, msgId, error));
      }
      this.#succeed(call, msgId, owned(result));
    } catch (error) {
      this.#fail(call, msgId, error);
    }
    return undefined;
  }

  /** Calls a handler that runs beside others. */
  async start(handler: Handler, { header, msgId, body }: NativeMessage): Promise<void> {
    const call = this.#begin(header, msgId);
    try {
      if (this.#active.size > MAX_ACTIVE_REQUESTS) throw tooManyActive();
      this.#succeed(call, msgId, await handler(body, call));
    } catch (error) {
      this.#fail(call, msgId, error);
    }
  }

  #begin(header: string, id: number): Call {
    const call = new Call(this.#link, header);
    this.#active.add(call);
    if (id !== 0) this.#byId.set(id, call);
    return call;
  }

  #succeed(call: Call, id: number, result: unknown): void {
    this.#finish(call, id, ":ok", { result });
  }

  #fail(call: Call, id: number, error: unknown): void {
    this.#metrics.counter("link.handler-errors").add();
    if (!(error instanceof PeerError)) {
      this.#log.error("a handler failed", { header: call.header, error: String(error) });
    }
    this.#finish(call, id, ":error", errorBody(error));
  }

  #finish(call: Call, id: number, header: string, body: MessageBody): void {
    this.#active.delete(call);
    if (id === 0) return;
    if (this.#byId.get(id) === call) this.#byId.delete(id);
    this.#reply(header, id, body);
  }

  /** Tells the handler of a request that nobody waits for its answer. */
  cancel(id: number, reason: unknown): void {
    this.#byId.get(id)?.cancel(reason);
  }

  /** Tells every handler. */
  cancelAll(reason: unknown): void {
    for (const call of this.#active) call.cancel(reason);
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
