/**
 * Answers in many parts: the side that sends has credit, the side that takes gives more as it goes.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import type { Waiting } from "./inflight.ts";
import { MAX_CREDIT } from "./terms.ts";

/** Parts of an answer that may be on their way unless told otherwise. */
export const STREAM_WINDOW = 32;

/** What may be sent, and who waits to send more. */
export class Credit {
  #left: number;
  #more: PromiseWithResolvers<void> | undefined;
  #cancelled = false;
  #reason: unknown;

  /** Starts with what the caller gave. */
  constructor(left: number) {
    this.#left = left;
  }

  /** Takes one, when there is one. @throws the reason when the call is cancelled. */
  async take(): Promise<void> {
    while (!this.#cancelled && this.#left <= 0) {
      this.#more ??= Promise.withResolvers();
      await this.#more.promise;
    }
    if (this.#cancelled) throw this.#reason;
    this.#left--;
  }

  /** Adds what the other side sent; what is no positive number or too much is taken for nothing. */
  add(amount: unknown): void {
    if (typeof amount !== "number" || !Number.isSafeInteger(amount) || amount < 1) return;
    this.#left = Math.min(this.#left + amount, MAX_CREDIT);
    this.#wake();
  }

  /** Nobody waits for more. */
  cancel(reason: unknown): void {
    this.#cancelled = true;
    this.#reason = reason;
    this.#wake();
  }

  #wake(): void {
    this.#more?.resolve();
    this.#more = undefined;
  }
}

/** What an {@linkcode IncomingStream} needs of its connection. */
export interface IncomingStreamOptions {
  /** For errors: `"list" of bob`. */
  what: string;
  /** Where time comes from. */
  clock: Clock;
  /** Longest silence of the other side while it has credit. */
  timeoutMs: number;
  /** Parts that may be on their way. */
  window: number;
  /** Gives the other side credit. */
  give: (amount: number) => void;
}

/** The parts of one answer, as they come. */
export class IncomingStream implements Waiting<unknown> {
  readonly what: string;
  readonly #options: IncomingStreamOptions;
  #heardMs: number;
  // Parts that came and were not taken; parts that were taken since credit was last given.
  #parts: unknown[] = [];
  #taken = 0;
  #arrival: PromiseWithResolvers<void> | undefined;
  #done = false;
  #error: { readonly reason: unknown } | undefined;
  #outstanding: number;

  /** A stream whose request goes out now, with credit for the whole window. */
  constructor(options: IncomingStreamOptions) {
    this.what = options.what;
    this.#options = options;
    this.#heardMs = options.clock.now();
    this.#outstanding = options.window;
  }

  /** The other side may be silent when it is us who are slow. */
  get deadlineMs(): number {
    return this.#outstanding > 0 ? this.#heardMs + this.#options.timeoutMs : Infinity;
  }

  /** A part. @throws {InvalidPacketError} when there was no credit for it. */
  item(value: unknown): void {
    if (this.#outstanding <= 0) {
      throw new InvalidPacketError("bad-message", `Part of ${this.what} came without credit`);
    }
    this.#outstanding--;
    this.#heardMs = this.#options.clock.now();
    this.#parts.push(value);
    this.#arrival?.resolve();
  }

  /** The end; an answer that was not in parts is the only one, unless there is nothing in it. */
  resolve(result: unknown): void {
    if (result !== undefined && result !== null) this.#parts.push(result);
    this.#done = true;
    this.#arrival?.resolve();
  }

  /** The end, for a reason. */
  reject(reason: unknown): void {
    this.#error = { reason };
    this.#arrival?.resolve();
  }

  /** The parts in order. What came before an error is given before it is thrown. */
  async *parts(): AsyncGenerator<unknown, void, void> {
    for (;;) {
      const parts = this.#parts;
      this.#parts = [];
      for (const part of parts) {
        yield part;
        this.#replenish();
      }
      if (this.#parts.length > 0) continue;
      if (this.#error !== undefined) throw this.#error.reason;
      if (this.#done) return;
      this.#arrival = Promise.withResolvers();
      await this.#arrival.promise;
      this.#arrival = undefined;
    }
  }

  /** Gives credit for what was taken, half a window at a time. */
  #replenish(): void {
    this.#taken++;
    if (this.#done || this.#error !== undefined) return;
    if (this.#taken < Math.ceil(this.#options.window / 2)) return;
    if (this.#outstanding === 0) this.#heardMs = this.#options.clock.now();
    this.#outstanding += this.#taken;
    this.#options.give(this.#taken);
    this.#taken = 0;
  }
}

/** Whether a handler answers in parts. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
