/**
 * What a subscriber iterates over: a bounded queue that nobody waits for.
 *
 * @module
 */

import { LimitError } from "../errors.ts";

/** What happens to a value for which there is no room: see {@linkcode SubscriptionOptions.overflow}. */
export type Overflow = "drop-oldest" | "drop-newest" | "close";

/** How a subscription is bounded and ends. */
export interface SubscriptionOptions {
  /** Values that may wait for the reader. @default {16384} */
  maxWaiting?: number;
  /**
   * What happens where there is no room: the value that has waited longest goes, or the new one, or the subscription
   * ends with an error after what waits was given. @default {"drop-oldest"}
   */
  overflow?: Overflow;
  /** Ends it as `close` does. */
  signal?: AbortSignal;
  /** Told once, when nothing can come any more. @default nobody */
  onClose?: () => void;
  /** Told of each value that was dropped. @default nobody */
  onDrop?: () => void;
}

/** Slots that a queue begins with; it doubles as needed. */
const FIRST_SLOTS = 16;

/**
 * A queue from who publishes to one who reads. `push` never waits; what has no room is dropped or ends it, as its options
 * say. Leaving the loop, or the scope of an `await using`, closes it.
 */
export class Subscription<T> implements AsyncIterable<T>, AsyncDisposable {
  readonly #maxWaiting: number;
  readonly #overflow: Overflow;
  readonly #signal: AbortSignal | undefined;
  readonly #onClose: () => void;
  readonly #onDrop: () => void;
  readonly #abort = () => this.close();
  // A ring: a power of two of slots, of which those from `#first` on are in use.
  #slots: (T | undefined)[] = new Array(FIRST_SLOTS);
  #first = 0;
  #waiting = 0;
  #dropped = 0;
  #reader: PromiseWithResolvers<IteratorResult<T, void>> | undefined;
  #closed = false;
  // Why it ended, until the reader was told.
  #error: unknown;

  /** An empty one. @throws {RangeError} when `maxWaiting` is no integer above 0. */
  constructor(options: SubscriptionOptions = {}) {
    const { maxWaiting = 16_384, overflow = "drop-oldest", signal } = options;
    if (!Number.isSafeInteger(maxWaiting) || maxWaiting < 1) {
      throw new RangeError(`maxWaiting must be an integer above 0: current value is ${maxWaiting}`);
    }
    this.#maxWaiting = maxWaiting;
    this.#overflow = overflow;
    this.#signal = signal;
    this.#onClose = options.onClose ?? (() => {});
    this.#onDrop = options.onDrop ?? (() => {});
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Values that were lost because the reader was too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Values that wait for the reader. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether nothing can come any more; something may still wait. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Gives the reader one more value; after `close` it is ignored. */
  push(value: T): void {
    if (this.#closed) return;
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      return reader.resolve({ done: false, value });
    }
    if (this.#waiting < this.#maxWaiting) return this.#enqueue(value);
    this.#dropped++;
    if (this.#overflow === "close") this.close(this.#tooSlow());
    if (this.#overflow === "drop-oldest") {
      this.#dequeue();
      this.#enqueue(value);
    }
    this.#onDrop();
  }

  /**
   * Ends it: what waits is still given, then the loop ends. Harmless when closed.
   *
   * @param error What the loop throws at its end. @default nothing
   */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#error = error;
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader !== undefined) void this.#end().then(reader.resolve, reader.reject);
    this.#onClose();
  }

  /**
   * The values, in order, for one reader.
   *
   * The loop throws a `LimitError` (`slow-consumer`) at its end where it was too slow and `overflow` is `close`.
   *
   * @returns an iterator whose `next` rejects with a `TypeError` while another waits.
   */
  [Symbol.asyncIterator](): AsyncIterator<T, void, void> {
    return { next: () => this.#next(), return: () => this.#leave() };
  }

  /** Closes it and drops what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave();
  }

  #next(): Promise<IteratorResult<T, void>> {
    if (this.#waiting > 0) return Promise.resolve({ done: false, value: this.#dequeue() });
    if (this.#closed) return this.#end();
    if (this.#reader !== undefined) {
      return Promise.reject(new TypeError("Cannot read a subscription: another reader waits"));
    }
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  #leave(): Promise<IteratorReturnResult<void>> {
    this.close();
    this.#error = undefined;
    this.#slots = [];
    this.#first = this.#waiting = 0;
    return Promise.resolve({ done: true, value: undefined });
  }

  // The end of the loop; its error is told once.
  #end(): Promise<IteratorReturnResult<void>> {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) return Promise.reject(error);
    return Promise.resolve({ done: true, value: undefined });
  }

  #enqueue(value: T): void {
    if (this.#waiting === this.#slots.length) this.#grow();
    this.#slots[(this.#first + this.#waiting++) & (this.#slots.length - 1)] = value;
  }

  #dequeue(): T {
    const value = this.#slots[this.#first] as T;
    this.#slots[this.#first] = undefined; // the reader alone keeps it alive
    this.#first = (this.#first + 1) & (this.#slots.length - 1);
    this.#waiting--;
    return value;
  }

  #grow(): void {
    const inOrder = [...this.#slots.slice(this.#first), ...this.#slots.slice(0, this.#first)];
    inOrder.length *= 2;
    this.#slots = inOrder;
    this.#first = 0;
  }

  #tooSlow(): LimitError {
    const max = this.#maxWaiting;
    return new LimitError(
      "slow-consumer",
      `Cannot keep up with a subscription: values that wait exceed maxWaiting ${max}`,
      { details: { limit: "maxWaiting", max } },
    );
  }
}
