/**
 * Requests on their way out on one connection: what waits for an answer, and how it is given up.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { TimeoutError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Trace } from "../trace.ts";
import type { MessageBody, NativeMessage } from "../wire/message.ts";
import { remoteError } from "./error_body.ts";
import { InFlight, type Waiting } from "./inflight.ts";
import { IncomingStream, STREAM_WINDOW } from "./stream.ts";
import { MAX_CREDIT, REQUEST_TIMEOUT_MS, withTerms } from "./terms.ts";
import type { Step, Tracing } from "./tracing.ts";

/** How to wait for an answer. */
export interface RequestOptions {
  /** Gives up after this many milliseconds. @default {5000} */
  timeoutMs?: number;
  /** Gives up when aborted, and tells the other side. */
  signal?: AbortSignal;
  /** What it is a part of. @default what the handler that asks is a part of */
  trace?: Trace;
}

/** How to wait for an answer in parts. */
export interface StreamOptions extends RequestOptions {
  /** Gives up when the other side is silent for this long although it may send. @default {5000} */
  timeoutMs?: number;
  /** Parts that may be on their way before the first of them is taken, at most 65,536. @default {32} */
  window?: number;
}

/** What {@linkcode Outgoing} needs of its connection. */
export interface OutgoingOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Begins the steps of what is asked. */
  tracing: Tracing;
  /** Who is asked, for people. */
  label: () => string;
  /** Throws where nothing new may be asked. */
  check: (header: string) => void;
  /** Sends a message. @throws when it cannot be encoded or the connection has ended. */
  write: (header: string, id: number, body: MessageBody) => void;
  /** Sends a message if the connection is still there. */
  tell: (header: string, id: number, body: MessageBody) => void;
}

/** See the module. */
export class Outgoing {
  readonly #options: OutgoingOptions;
  readonly #inFlight: InFlight<unknown>;

  /** Nothing is asked yet. */
  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#inFlight = new InFlight(options.clock);
  }

  /** Asks, and waits for the answer. */
  request(header: string, body: MessageBody, options: RequestOptions): Promise<unknown> {
    const step = this.#options.tracing.asking(header, this.#options.label, options.trace);
    const answer = this.#ask(header, body, options, step);
    return step === undefined ? answer : step.until(answer);
  }

  /** Asks for an answer in parts. */
  async *stream(
    header: string,
    body: MessageBody,
    options: StreamOptions,
  ): AsyncGenerator<unknown, void, void> {
    const { timeoutMs = REQUEST_TIMEOUT_MS, signal, window = STREAM_WINDOW } = options;
    if (!(Number.isInteger(window) && window >= 1 && window <= MAX_CREDIT)) {
      throw new RangeError(`window must be 1..${MAX_CREDIT}: current value is ${window}`);
    }
    const { clock, tell, tracing, label } = this.#options;
    signal?.throwIfAborted();
    this.#options.check(header);
    const step = tracing.asking(header, label, options.trace);
    const give = (n: number) => {
      this.#inFlight.expireAt(clock.now() + timeoutMs);
      tell(":credit", id, { n });
    };
    const parts = new IncomingStream({
      what: this.describe(header),
      clock,
      timeoutMs,
      window,
      give,
    });
    const terms = withTerms(body, timeoutMs, { credit: window, trace: step?.trace });
    const id = this.#send(header, terms, parts);
    const abort = () => parts.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      yield* parts.parts();
    } catch (error) {
      step?.end(error);
      if (error instanceof TimeoutError) tell(":cancel", id, {});
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.giveUp(id);
      step?.end();
    }
  }

  /** Takes `:ok`, `:error` or `:item`; what nobody waits for is ignored. */
  settle({ header, msgId, body }: NativeMessage): void {
    if (header === ":ok") this.#inFlight.take(msgId)?.resolve(body.result);
    else if (header === ":error") this.#inFlight.take(msgId)?.reject(remoteError(body));
    else this.#inFlight.find(msgId)?.item?.(body.value);
  }

  /** Stops waiting, and tells the other side. @returns whether anybody was waiting. */
  giveUp(id: number): boolean {
    if (this.#inFlight.take(id) === undefined) return false;
    this.#options.tell(":cancel", id, {});
    return true;
  }

  /** Tells the other side that nobody waits any more. */
  cancel(id: number): void {
    this.#options.tell(":cancel", id, {});
  }

  /** Resolves when nothing waits. */
  idle(): Promise<void> {
    return this.#inFlight.idle();
  }

  /** Rejects everything that waits. */
  close(error: unknown): void {
    this.#inFlight.close(error);
  }

  /** A request, for errors: `"greet" of bob (127.0.0.1:3485)`. */
  describe(header: string): string {
    return `"${printable(header, 64)}" of ${this.#options.label()}`;
  }

  #ask(
    header: string,
    body: MessageBody,
    options: RequestOptions,
    step: Step | undefined,
  ): Promise<unknown> {
    const { timeoutMs = REQUEST_TIMEOUT_MS, signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.#options.check(header);
      const deadlineMs = this.#options.clock.now() + timeoutMs;
      const asked = new Asked(this, header, deadlineMs, signal, resolve, reject);
      asked.id = this.#send(header, withTerms(body, timeoutMs, step), asked);
    });
  }

  /** Sends a request. @returns its id, 0 when it could not be sent, which whoever waits is told. */
  #send(header: string, body: MessageBody, waiting: Waiting<unknown>): number {
    let id = 0;
    try {
      id = this.#inFlight.add(waiting);
      this.#options.write(header, id, body);
      return id;
    } catch (error) {
      this.#inFlight.take(id);
      waiting.reject(error);
      return 0;
    }
  }
}

/** A request that waits for its answer; it listens to the caller's signal until it is settled. */
class Asked implements Waiting<unknown> {
  readonly deadlineMs: number;
  id = 0;
  readonly #outgoing: Outgoing;
  readonly #header: string;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #onAbort: (() => void) | undefined;

  constructor(
    outgoing: Outgoing,
    header: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#outgoing = outgoing;
    this.#header = header;
    this.deadlineMs = deadlineMs;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    if (signal === undefined) return;
    this.#onAbort = () => {
      if (outgoing.giveUp(this.id)) reject(signal.reason);
    };
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get what(): string {
    return this.#outgoing.describe(this.#header);
  }

  resolve(value: unknown): void {
    this.#forgetSignal();
    this.#resolve(value);
  }

  reject(error: unknown): void {
    this.#forgetSignal();
    if (error instanceof TimeoutError) this.#outgoing.cancel(this.id);
    this.#reject(error);
  }

  #forgetSignal(): void {
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}
