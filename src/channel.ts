/**
 * A bounded queue between who makes things and who iterates over them.
 *
 * @module
 */

/**
 * An async iterable that its owner pushes into. Overflow policy: nothing is dropped; whoever pushes into a full channel
 * is told to wait. Where it need not be read at all, the oldest are dropped until somebody begins to.
 *
 * @example
 * ```ts
 * import { Channel } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const channel = new Channel<number>(2);
 * channel.push(1);
 * channel.push(2);
 * channel.close();
 * const seen: number[] = [];
 * for await (const value of channel) seen.push(value);
 * assertEquals(seen, [1, 2]);
 * ```
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  /** Whether what is full waits for a reader; until there is one, it may not. */
  #waits: boolean;
  #queue: T[] = [];
  #closed = false;
  // One promise for all who wait to push, and one for the reader.
  #room: PromiseWithResolvers<void> | undefined;
  #arrival: PromiseWithResolvers<void> | undefined;

  /**
   * Makes a channel that holds `capacity` values before those who push must wait.
   *
   * @param options.unread What a full channel does that nobody has begun to read. @default {"wait"}
   */
  constructor(capacity: number, { unread = "wait" }: { unread?: "wait" | "drop-oldest" } = {}) {
    this.#capacity = capacity;
    this.#waits = unread === "wait";
  }

  /** Adds a value; after `close` it is ignored. @returns what to wait for before pushing more, if the channel is full. */
  push(value: T): Promise<void> | undefined {
    if (this.#closed) return undefined;
    this.#queue.push(value);
    this.#arrival?.resolve();
    if (this.#queue.length < this.#capacity) return undefined;
    if (!this.#waits) {
      if (this.#queue.length > this.#capacity) this.#queue.shift();
      return undefined;
    }
    return (this.#room ??= Promise.withResolvers()).promise;
  }

  /** Ends the channel: what is queued is still given, then the iteration ends. Nobody waits to push any more. */
  close(): void {
    this.#closed = true;
    this.#arrival?.resolve();
    this.#room?.resolve();
  }

  /** The values, in order; one reader at a time. Leaving the loop closes the channel. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    this.#waits = true;
    try {
      for (;;) {
        const batch = this.#queue;
        this.#queue = [];
        this.#room?.resolve();
        this.#room = undefined;
        yield* batch;
        if (this.#queue.length > 0) continue;
        if (this.#closed) return;
        this.#arrival = Promise.withResolvers();
        await this.#arrival.promise;
        this.#arrival = undefined;
      }
    } finally {
      this.close();
      this.#queue = [];
    }
  }
}
