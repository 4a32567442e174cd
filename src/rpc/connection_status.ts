/**
 * How a client's connection stands, and whoever watches it.
 *
 * @module
 */

/** How a client's connection stands. */
export type ConnectionStatus =
  /** It is being made; `attempt` is 0 the first time, from 1 on after a break. */
  | { readonly state: "connecting"; readonly attempt: number }
  /** Calls go out, under that protocol tag where there are tags. */
  | { readonly state: "connected"; readonly protocol: string | undefined }
  /** It broke, or could not be made again, for `error`; the next attempt is made after `delayMs`. */
  | {
    readonly state: "reconnecting";
    readonly attempt: number;
    readonly delayMs: number;
    readonly error: unknown;
  }
  /** It is not there and nobody makes it again; `error` says why, where that was nobody's wish. */
  | { readonly state: "closed"; readonly error?: unknown };

/** Statuses that may wait for who watches, before the oldest are dropped. */
const MAX_WAITING = 64;

/** The current status, and who watches it. */
export class StatusBoard {
  #current: ConnectionStatus = { state: "closed" };
  #over = false;
  readonly #watchers = new Set<Watcher>();

  /** How it stands. */
  get current(): ConnectionStatus {
    return this.#current;
  }

  /** How it stands from now on. */
  set(status: ConnectionStatus): void {
    this.#current = status;
    for (const watcher of this.#watchers) {
      if (watcher.waiting.push(status) > MAX_WAITING) watcher.waiting.shift();
      watcher.arrival.resolve();
    }
  }

  /** There will be no more. */
  close(): void {
    this.#over = true;
    for (const { arrival } of this.#watchers) arrival.resolve();
  }

  /** How it stands, and then every change, until the board is closed. Overflow policy: the oldest are dropped. */
  async *watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<ConnectionStatus, void> {
    const { signal } = options;
    const watcher: Watcher = { waiting: [this.#current], arrival: Promise.withResolvers() };
    const wake = () => watcher.arrival.resolve();
    signal?.addEventListener("abort", wake);
    this.#watchers.add(watcher);
    try {
      while (!signal?.aborted) {
        const status = watcher.waiting.shift();
        if (status !== undefined) {
          yield status;
          continue;
        }
        if (this.#over) return;
        watcher.arrival = Promise.withResolvers();
        await watcher.arrival.promise;
      }
    } finally {
      this.#watchers.delete(watcher);
      signal?.removeEventListener("abort", wake);
    }
  }
}

interface Watcher {
  readonly waiting: ConnectionStatus[];
  arrival: PromiseWithResolvers<void>;
}
