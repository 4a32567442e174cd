/**
 * What somebody who looks for foreign peers is given.
 *
 * @module
 */

import type { ForeignPeer } from "../foreign.ts";

/**
 * Peers that were found and not taken yet. Overflow policy: of each peer only the newest is kept, so who is slow holds
 * up nobody, and no more than there are peers has to be remembered.
 */
export class Findings {
  readonly #signal: AbortSignal | undefined;
  readonly #waiting = new Map<string, ForeignPeer>();
  readonly #onAbort = () => this.stop();
  #stopped = false;
  #wake: () => void = () => {};

  /** Nothing was found yet; nothing more is from when the signal aborts. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) this.stop();
  }

  /** Gives a peer, instead of what waits under the same key. */
  add(key: string, peer: ForeignPeer): void {
    if (this.#stopped) return;
    this.#waiting.set(key, peer);
    this.#wake();
  }

  /** The peers, until stopped; what was found before is still given. */
  async *results(): AsyncGenerator<ForeignPeer, void, void> {
    try {
      for (;;) {
        for (const [key, peer] of this.#waiting) {
          this.#waiting.delete(key);
          yield peer;
        }
        if (this.#stopped) return;
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      this.stop();
    }
  }

  /** Ends the search. Harmless when it is over. */
  stop(): void {
    this.#stopped = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#wake();
  }
}

/** Whether two findings tell the same. */
export function isSamePeer(a: ForeignPeer, b: ForeignPeer): boolean {
  return a.name === b.name && a.protocols.length === b.protocols.length &&
    a.protocols.every((protocol, i) => protocol === b.protocols[i]);
}
