/**
 * Messages that wait for a page to come.
 *
 * @module
 */

/** Most characters that wait: with the most messages of common length far from it, with large ones a few megabytes. */
export const MAX_WAITING_CHARS: number = 4 * 1024 * 1024;

/** How much may wait. */
export interface WaitingLimits {
  /** Messages. */
  readonly maxMessages: number;
  /** UTF-16 units of all of them. @default {MAX_WAITING_CHARS} */
  readonly maxChars?: number;
}

/** What waited, and what no longer does. */
export interface Waited {
  /** The messages, oldest first. */
  readonly texts: readonly string[];
  /** How many older ones were dropped. */
  readonly dropped: number;
}

/** A queue that is taken as a whole. Overflow policy: the oldest are dropped and counted. */
export class Waiting {
  readonly #maxMessages: number;
  readonly #maxChars: number;
  #texts: string[] = [];
  #chars = 0;
  #dropped = 0;

  /** Nothing waits. */
  constructor({ maxMessages, maxChars = MAX_WAITING_CHARS }: WaitingLimits) {
    this.#maxMessages = maxMessages;
    this.#maxChars = maxChars;
  }

  /** How many wait. */
  get size(): number {
    return this.#texts.length;
  }

  /** Adds a message. @returns how many were dropped for it, itself included. */
  push(text: string): number {
    this.#texts.push(text);
    this.#chars += text.length;
    let dropped = 0;
    while (this.#texts.length > this.#maxMessages || this.#chars > this.#maxChars) {
      this.#chars -= this.#texts.shift()?.length ?? 0;
      dropped++;
    }
    this.#dropped += dropped;
    return dropped;
  }

  /** Takes everything out. */
  take(): Waited {
    const waited = { texts: this.#texts, dropped: this.#dropped };
    this.#texts = [];
    this.#chars = 0;
    this.#dropped = 0;
    return waited;
  }
}
