/**
 * What happens, on its way to everybody who watches.
 *
 * @module
 */

/** Events that may wait for one watcher unless told otherwise. */
const MAX_WAITING = 1_024;

class Watcher<T> {
  waiting: T[] = [];
  arrival: PromiseWithResolvers<void> = Promise.withResolvers();
  ended = false;

  end(): void {
    this.ended = true;
    this.arrival.resolve();
  }
}

/** How to make {@linkcode Watchers}. */
export interface WatchersOptions {
  /** Events that may wait for one watcher. @default {1024} */
  maxWaiting?: number;
  /** Told of each event that was dropped. @default nobody */
  onDrop?: () => void;
}

/**
 * Everybody who watches, each at a pace of its own. Overflow policy: nobody is waited for; the oldest events of a watcher
 * are dropped, so whoever publishes events also has a list of what is.
 *
 * @example
 * ```ts
 * import { Watchers } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const watchers = new Watchers<string>();
 * const seen = watchers.watch();
 * watchers.push("came");
 * watchers.close();
 * assertEquals(await Array.fromAsync(seen), ["came"]);
 * ```
 */
export class Watchers<T> {
  readonly #maxWaiting: number;
  readonly #onDrop: () => void;
  readonly #watchers = new Set<Watcher<T>>();
  #closed = false;

  /** Nobody watches. */
  constructor({ maxWaiting = MAX_WAITING, onDrop = () => {} }: WatchersOptions = {}) {
    this.#maxWaiting = maxWaiting;
    this.#onDrop = onDrop;
  }

  /** Tells everybody. */
  push(event: T): void {
    for (const watcher of this.#watchers) {
      if (watcher.waiting.length >= this.#maxWaiting) {
        watcher.waiting.shift();
        this.#onDrop();
      }
      watcher.waiting.push(event);
      watcher.arrival.resolve();
    }
  }

  /** What happens from this call on, until the signal aborts, all is closed or the loop is left. */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<T, void, void> {
    const { signal } = options;
    const watcher = new Watcher<T>();
    const end = () => {
      this.#watchers.delete(watcher);
      watcher.end();
    };
    if (this.#closed || signal?.aborted) end();
    else this.#watchers.add(watcher);
    signal?.addEventListener("abort", end, { once: true });
    return eventsOf(watcher, () => {
      signal?.removeEventListener("abort", end);
      end();
    });
  }

  /** Ends all: what waits is still given. Harmless when closed. */
  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }
}

async function* eventsOf<T>(
  watcher: Watcher<T>,
  done: () => void,
): AsyncGenerator<T, void, void> {
  try {
    for (;;) {
      const events = watcher.waiting;
      watcher.waiting = [];
      yield* events;
      if (watcher.waiting.length > 0) continue;
      if (watcher.ended) return;
      watcher.arrival = Promise.withResolvers();
      await watcher.arrival.promise;
    }
  } finally {
    done();
  }
}
