/**
 * Traces of requests: each knows which other it is a part of, on whichever peer that was.
 *
 * Who asks sends the trace along (see `terms.ts`), who answers does its work within it, and what is asked meanwhile belongs
 * to it as well, also of somebody else: so one id goes through all peers that a request leads to. It begins where somebody
 * wants to see it: with a program that gives one, with a log that wants to hear of every request, and where the runtime
 * collects spans (see `telemetry.ts`). Elsewhere it is passed on and costs nothing.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../clock.ts";
import { PeerError } from "../errors.ts";
import { isChatty, type Logger, printable } from "../log.ts";
import { isRecorded, type Span, type SpanKind, startSpan } from "../telemetry.ts";
import type { Trace } from "../trace.ts";

/** Longest header shown, in UTF-16 units. */
const SHOWN_CHARS = 64;

const held = new AsyncLocalStorage<Trace | undefined>();

// Until the first trace nobody has to be asked for one.
let isUsed = false;

/**
 * The trace that what runs belongs to: within a handler that of the request.
 *
 * @example
 * ```ts
 * import { currentTrace, newTrace, withTrace } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const trace = newTrace();
 * assertEquals(await withTrace(trace, async () => (await Promise.resolve(), currentTrace())), trace);
 * assertEquals(currentTrace(), undefined);
 * ```
 */
export function currentTrace(): Trace | undefined {
  return isUsed ? held.getStore() : undefined;
}

/**
 * Does something as a part of a trace, or of none: what is asked meanwhile belongs to it.
 *
 * @example
 * ```ts
 * import { newTrace } from "@kith/kith";
 * import { currentTrace, withTrace } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const trace = newTrace();
 * withTrace(trace, () => {
 *   assertEquals(currentTrace(), trace);
 *   assertEquals(withTrace(undefined, currentTrace), undefined); // this belongs to nothing
 * });
 * ```
 */
export function withTrace<T>(trace: Trace | undefined, work: () => T): T {
  if (trace === currentTrace()) return work();
  isUsed = true;
  return held.run(trace, work);
}

/** A step of a trace that is under way. */
export class Step {
  /** What goes on to others. */
  readonly trace: Trace;
  readonly #span: Span;
  readonly #say: (code: string | undefined) => void;
  #isOver = false;

  /** A step that has begun. @param say Told when it is over. */
  constructor(span: Span, say: (code: string | undefined) => void) {
    this.trace = span.trace;
    this.#span = span;
    this.#say = say;
  }

  /** Does its work within the trace. */
  run<T>(work: () => T): T {
    return this.#span.run(() => withTrace(this.trace, work));
  }

  /** It is over, with an error where one is given. Harmless when it is over. */
  end(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const code = error === undefined ? undefined : codeOf(error);
    this.#span.end(code);
    this.#say(code);
  }

  /** Ends with a promise. @returns the promise. */
  async until<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await promise;
      this.end();
      return value;
    } catch (error) {
      this.end(error);
      throw error;
    }
  }
}

/** Begins the steps of one connection or port. */
export class Tracing {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #isChatty: boolean;
  readonly #begins: boolean;

  /** Begins none yet. @param log Told of every step, at `debug`, if it wants to hear of every message. */
  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#isChatty = isChatty(log);
    this.#begins = this.#isChatty || isRecorded();
  }

  /**
   * The step of asking somebody.
   *
   * @param whom Who is asked, safe to print. @param given Its trace, in place of the one at work.
   * @returns `undefined` where nobody wants to see it.
   */
  asking(header: string, whom: () => string, given?: Trace): Step | undefined {
    const above = given ?? currentTrace();
    if ((above === undefined && !this.#begins) || isOwn(header)) return undefined;
    return this.#step("asked", "client", { header, whom }, above);
  }

  /**
   * The step of answering somebody, or of taking a message that wants no answer.
   *
   * @param came The trace that came along. @returns `undefined` where nobody wants to see it.
   */
  answering(
    header: string,
    whom: () => string,
    came: Trace | undefined,
    isRequest: boolean,
  ): Step | undefined {
    if (came === undefined && !(isRequest && this.#begins)) return undefined;
    return this.#step("answered", "server", { header, whom }, came);
  }

  #step(
    done: string,
    kind: SpanKind,
    { header, whom }: { readonly header: string; readonly whom: () => string },
    above: Trace | undefined,
  ): Step {
    const startedMs = this.#clock.now();
    const shown = printable(header, SHOWN_CHARS);
    const span = startSpan(shown, kind, above, { "rpc.system": "kith", "rpc.method": shown });
    return new Step(span, (code) => {
      if (!this.#isChatty) return;
      const ms = Math.round((this.#clock.now() - startedMs) * 1_000) / 1_000;
      const { traceId: trace, spanId } = span.trace;
      const why = code === undefined ? {} : { code };
      this.#log.debug(done, { header: shown, peer: whom(), ms, trace, span: spanId, ...why });
    });
  }
}

/** What a span's error is called. */
function codeOf(error: unknown): string {
  return error instanceof PeerError ? error.code : "internal";
}

// Pings are no requests of anybody.
function isOwn(header: string): boolean {
  return header.charCodeAt(0) === 0x3a;
}
