/**
 * How long somebody who does not answer is waited for.
 *
 * The first suspicion may be the accuser's own fault, so it waits long; each further accuser, independent of the first,
 * shortens that, at last to what SWIM waits. Source: Lifeguard (Dadgar, Phillips, Currey 2018), section IV-B.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";

/** Accusers that are passed on beyond those it takes, so that everybody hears of enough. */
const SPARE = 2;

/** How long before it is over whoever is suspected is asked once more, in milliseconds. */
const LAST_CALL_MS = 1_000;

/** How long suspicions last. */
export interface SuspicionTimes {
  /** With accusers enough. */
  readonly minMs: number;
  /** With a single one. */
  readonly maxMs: number;
  /** Further accusers that are enough. */
  readonly confirmations: number;
}

/** What a suspicion does. */
export interface SuspicionEvents {
  /** It is almost over: the last moment to ask again. */
  readonly lastCall: () => void;
  /** It is over, and nobody has stopped it; by how much its timer was late. */
  readonly over: (lateMs: number) => void;
}

/** A suspicion that runs. */
export class Suspicion {
  readonly #clock: Clock;
  readonly #times: SuspicionTimes;
  readonly #events: SuspicionEvents;
  /** Since when nothing speaks against it, on the clock that never runs back. */
  sinceMs: number;
  readonly #startMs: number;
  #notBeforeMs = 0;
  readonly #accusations = new Map<string, Uint8Array>();
  #timer: Timer | undefined;

  /** Waits from now on. Nobody accuses yet. */
  constructor(clock: Clock, times: SuspicionTimes, events: SuspicionEvents) {
    this.#clock = clock;
    this.#times = times;
    this.#events = events;
    this.sinceMs = this.#startMs = clock.now();
  }

  /** Who has accused so far, first first. */
  get accusers(): string[] {
    return [...this.#accusations.keys()];
  }

  /** The accusations as they were signed. */
  get accusations(): Uint8Array[] {
    return [...this.#accusations.values()];
  }

  /** Takes an accusation. @returns whether it is worth passing on: it is new, and not more than enough. */
  confirm(accuser: string, accusation: Uint8Array): boolean {
    if (this.#accusations.has(accuser)) return false;
    if (this.isConfirmed) return false;
    this.#accusations.set(accuser, accusation);
    this.#rearm();
    return true;
  }

  /** Waits again as long as at the least: it answers, or we were not there to hear it. */
  extend(): void {
    this.sinceMs = this.#clock.now();
    this.#notBeforeMs = this.sinceMs + this.#times.minMs;
    this.#set(this.#notBeforeMs);
  }

  /** Waits no more. */
  stop(): void {
    this.#timer?.cancel();
  }

  /** Whether enough have accused, so that one more makes no difference. */
  get isConfirmed(): boolean {
    const { confirmations } = this.#times;
    return this.#accusations.size > (confirmations === 0 ? 0 : confirmations + SPARE);
  }

  #rearm(): void {
    const { minMs, maxMs, confirmations } = this.#times;
    const further = this.#accusations.size - 1;
    const share = confirmations === 0
      ? 1
      : Math.min(1, Math.log(further + 1) / Math.log(confirmations + 1));
    const atMs = this.#startMs + Math.max(minMs, maxMs - (maxMs - minMs) * share);
    // Whoever comes late does not make it have been over in the past.
    this.#set(Math.max(atMs, this.#notBeforeMs, this.#clock.now()));
  }

  #set(atMs: number): void {
    this.#timer?.cancel();
    const leftMs = Math.max(0, atMs - this.#clock.now());
    this.#timer = this.#clock.after(Math.max(0, leftMs - LAST_CALL_MS), () => {
      this.#events.lastCall();
      this.#timer = this.#clock.after(Math.min(leftMs, LAST_CALL_MS), () => {
        this.#events.over(this.#clock.now() - atMs);
      });
    });
  }
}
