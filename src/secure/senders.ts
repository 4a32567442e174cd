/**
 * Who sends us sealed packets: of each sender what was taken, its key, and how late its packets are.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Counter } from "../metrics.ts";
import type { NetworkKey } from "./network.ts";
import { ReplayWindow } from "./replay_window.ts";
import { countersIn, millisecondsOf } from "./sequence.ts";

/** Most senders that are remembered, in two halves of the same size. */
export const MAX_SENDERS = 4_096;

/**
 * How much later than its fastest a sender's packet may come, in milliseconds, before we ask whether it is fresh. More
 * than a network ever holds a packet back, and than two clocks drift apart in a day.
 */
const MAX_LATE_MS = 120_000;

/** What clocks that tick leave open, in milliseconds: less than it takes to take a packet, stop and start again. */
const TICK_MS = 1;

/** A sender whose packets were proven fresh. */
export class KnownSender {
  readonly #window: ReplayWindow;
  #leastLagMs = Infinity;
  #networkKey: NetworkKey | undefined;
  #key: Uint8Array | undefined;

  /** Makes a sender of which everything up to `floor` is old. */
  constructor(floor: bigint) {
    this.#window = new ReplayWindow(floor);
  }

  /** Its key under a key of the network, if it is the one that was remembered last. */
  keyUnder(networkKey: NetworkKey): Uint8Array | undefined {
    return this.#networkKey === networkKey ? this.#key : undefined;
  }

  /** Remembers its key, once a packet proved that it has one. */
  rememberKey(networkKey: NetworkKey, key: Uint8Array): void {
    this.#networkKey = networkKey;
    this.#key = key;
  }

  /** Whether a packet is new; see {@linkcode ReplayWindow.fits}. */
  fits(counter: bigint): boolean {
    return this.#window.fits(counter);
  }

  /** Whether a packet is so late that it may have been held back on purpose. */
  isLate(counter: bigint, nowMs: number): boolean {
    return lagMs(counter, nowMs) > this.#leastLagMs + MAX_LATE_MS;
  }

  /** Takes a packet that was verified. @returns whether it is new. */
  take(counter: bigint, nowMs: number): boolean {
    this.#leastLagMs = Math.min(this.#leastLagMs, lagMs(counter, nowMs));
    return this.#window.take(counter);
  }

  /** Takes a packet that is fresh for certain: from now on the others are measured by it. */
  takeFresh(counter: bigint, nowMs: number): boolean {
    this.#leastLagMs = lagMs(counter, nowMs);
    return this.#window.take(counter);
  }
}

/**
 * A bounded number of known senders. When there are too many, the half that has been silent longest is forgotten.
 */
export class Senders {
  readonly #clock: Clock;
  readonly #forgotten: Counter;
  #recent = new Map<bigint, KnownSender>();
  #former = new Map<bigint, KnownSender>();
  #completeSinceMs: number;

  /** Knows nobody; counts those it forgets. */
  constructor(clock: Clock, forgotten: Counter) {
    this.#clock = clock;
    this.#forgotten = forgotten;
    this.#completeSinceMs = clock.now();
  }

  /** From when on everything that was taken is remembered: the start, or when senders were last forgotten. */
  get completeSinceMs(): number {
    return this.#completeSinceMs;
  }

  /** The sender, if it is known. */
  get(sender: bigint): KnownSender | undefined {
    const recent = this.#recent.get(sender);
    if (recent !== undefined) return recent;
    const former = this.#former.get(sender);
    if (former === undefined) return undefined;
    this.#former.delete(sender);
    this.#remember(sender, former);
    return former;
  }

  /**
   * Knows a sender from now on. What it sealed since our memory begins is new, because we did not know it; everything
   * before is old, because it may have been taken then.
   *
   * @param counter A packet of it that is fresh.
   * @param sinceMs When that was sealed at the earliest, not before our memory begins.
   */
  open(sender: bigint, counter: bigint, sinceMs: number): KnownSender {
    const rememberedMs = Math.min(sinceMs - this.#completeSinceMs, MAX_LATE_MS);
    const known = new KnownSender(counter - countersIn(rememberedMs + TICK_MS));
    this.#remember(sender, known);
    return known;
  }

  #remember(sender: bigint, known: KnownSender): void {
    if (this.#recent.size >= MAX_SENDERS / 2) this.#forgetFormer();
    this.#recent.set(sender, known);
  }

  #forgetFormer(): void {
    this.#forgotten.add(this.#former.size);
    // A tick and another: what was sealed just now may have been taken just now.
    if (this.#former.size > 0) this.#completeSinceMs = this.#clock.now() + 2 * TICK_MS;
    this.#former = this.#recent;
    this.#recent = new Map();
  }
}

/** How much our clock is ahead of the sender's, and the way of the packet: only differences of it mean anything. */
function lagMs(counter: bigint, nowMs: number): number {
  return nowMs - millisecondsOf(counter);
}
