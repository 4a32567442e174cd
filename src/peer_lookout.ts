/**
 * Looking around for peers to tell rumors, no more often and no longer than it takes.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";
import { unlessAborted } from "./endpoint/within_time.ts";
import { ClosedError, PeerError, TimeoutError } from "./errors.ts";
import { type Logger, printable } from "./log.ts";

/** How long to look around each time, in milliseconds. */
const LOOK_MS = 3_000;

/** Time between two looks that nobody waits for, in milliseconds. */
const LOOK_EVERY_MS = 60_000;

/** How old a look may be when something is told, in milliseconds. */
const FRESH_MS = 30_000;

/** Time for others to answer, too, once the first is met, in milliseconds. */
const SETTLE_MS = 500;

/** Peers that are met at the same time. */
const MAX_MEETINGS = 8;

/** What a {@linkcode Lookout} needs. */
export interface LookoutParts<Candidate> {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what went wrong. */
  readonly log: Logger;
  /** Whether to look at all. */
  readonly isNeeded: () => boolean;
  /** Whether nobody is known. */
  readonly isAlone: () => boolean;
  /** Finds some, until the signal aborts. */
  readonly find: (signal: AbortSignal) => AsyncIterable<Candidate>;
  /** Makes sure of one of them, and remembers it. */
  readonly meet: (candidate: Candidate, signal: AbortSignal) => Promise<void>;
}

/** How long somebody may be looked for. */
export interface LookOptions {
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
  /** How long that may take where nobody is known yet, in milliseconds. @default {3000} */
  readonly timeoutMs?: number;
}

/** Looks around at the start, now and then, and when somebody is wanted. */
export class Lookout<Candidate> {
  readonly #parts: LookoutParts<Candidate>;
  readonly #closing = new AbortController();
  #over: Promise<void> = Promise.resolve();
  #settled: PromiseWithResolvers<void> | undefined;
  #lookedMs = -Infinity;
  #timer: Timer | undefined;

  /** Looks from now on. */
  constructor(parts: LookoutParts<Candidate>) {
    this.#parts = parts;
    this.#lookAgain();
  }

  /** Resolves when somebody is known, or was looked for in vain. @throws the signal's reason. */
  async ready({ signal, timeoutMs = LOOK_MS }: LookOptions): Promise<void> {
    const { clock, isNeeded, isAlone } = this.#parts;
    if (!isNeeded() || this.#closing.signal.aborted) return;
    const isOld = clock.now() - this.#lookedMs > FRESH_MS;
    if (!isOld && !isAlone()) return;
    const settled = this.#look();
    if (!isAlone() && this.#lookedMs > -Infinity) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(timeoutMs, resolve);
    await unlessAborted(Promise.race([settled, late]), signal).finally(() => timer.cancel());
  }

  /** Looks no more. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("Nobody is looked for any more"));
    this.#timer?.cancel();
    await this.#over;
  }

  #lookAgain(): void {
    const { clock, isNeeded } = this.#parts;
    if (isNeeded()) void this.#look();
    this.#timer = clock.after(LOOK_EVERY_MS, () => this.#lookAgain());
  }

  /** Begins to look, unless that is under way. @returns when some are known, or it is over. */
  #look(): Promise<void> {
    if (this.#settled !== undefined) return this.#settled.promise;
    const settled = this.#settled = Promise.withResolvers<void>();
    this.#over = this.#lookAround(settled.resolve).finally(() => {
      this.#settled = undefined;
      this.#lookedMs = this.#parts.clock.now();
      settled.resolve();
    });
    return settled.promise;
  }

  async #lookAround(settle: () => void): Promise<void> {
    const { clock, find, isAlone, meet } = this.#parts;
    const { signal } = this.#closing;
    const meetings = new Set<Promise<void>>();
    let settling: Timer | undefined;
    const begin = async (candidate: Candidate) => {
      await this.#tolerate(meet(candidate, signal));
      if (!isAlone()) settling ??= clock.after(SETTLE_MS, settle);
    };
    await this.#tolerate(within(LOOK_MS, { clock, signal }, async (signal) => {
      for await (const candidate of find(signal)) {
        const meeting = begin(candidate).finally(() => meetings.delete(meeting));
        meetings.add(meeting);
        if (meetings.size >= MAX_MEETINGS) await Promise.race(meetings);
      }
    }));
    await Promise.all(meetings);
    settling?.cancel();
  }

  /** That somebody cannot be met, or the network not be looked at, is said and no more. */
  async #tolerate(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const level = error instanceof PeerError ? "debug" : "error"; // else it is our own fault
      this.#parts.log[level]("somebody could not be met", { why: printable(String(error)) });
    }
  }
}

/** Work that is given up after a time, or when the signal aborts. */
export async function within(
  limitMs: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const late = new AbortController();
  const timer = clock.after(limitMs, () => {
    late.abort(new TimeoutError(`Given up after ${limitMs} ms`));
  });
  try {
    await work(AbortSignal.any([late.signal, signal]));
  } finally {
    timer.cancel();
  }
}
