/**
 * Simulated time: what happens next, and the fingerprint of what has happened.
 *
 * @module
 */

import { LimitError } from "../errors.ts";
import { EventHash } from "./event_hash.ts";
import { EventQueue } from "./event_queue.ts";
import type { SimEvent } from "./events.ts";
import { ceilToTick } from "./ticks.ts";

/** Events that may be set for the very moment they are set in before we say that time stands still. */
const MAX_EVENTS_AT_ONCE = 1_000_000;

/** Cancelled timers that may lie in the queue before we think of clearing it. */
const CANCELLED_TIMERS_KEPT = 10_000;

/** What the fingerprint calls the things that happen. */
export const HAPPENED = {
  timer: 1,
  sent: 2,
  arrived: 3,
  lost: 4,
  streamed: 5,
  streamArrived: 6,
  askEnded: 7,
  changed: 8,
} as const;

/** The events of a simulation, one after the other; see the module. */
export class Timeline {
  /** Now, in milliseconds since the start. */
  nowMs = 0;
  /** Events that have happened. */
  events = 0;
  /** The fingerprint of everything that happened. */
  readonly hash = new EventHash();
  readonly #queue = new EventQueue<SimEvent>();
  readonly #maxAtOnce: number;
  #atOnce = 0;
  #cancelled = 0;

  constructor(options: { maxAtOnce?: number } = {}) {
    this.#maxAtOnce = options.maxAtOnce ?? MAX_EVENTS_AT_ONCE;
  }

  /** Events that wait, cancelled timers among them. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Lets an event happen at a time, or as soon as possible where that is past.
   *
   * @throws {LimitError} when time stands still because events that take none follow each other without end.
   */
  schedule(atMs: number, event: SimEvent): void {
    const ms = ceilToTick(atMs);
    if (ms <= this.nowMs && ++this.#atOnce > this.#maxAtOnce) {
      throw standsStill(this.nowMs, this.#maxAtOnce);
    }
    this.#queue.push(Math.max(this.nowMs, ms), event);
  }

  /** Goes on to the next event that is due by `untilMs`, or to that time when there is none. */
  next(untilMs: number): SimEvent | undefined {
    for (;;) {
      const atMs = this.#queue.nextMs;
      if (atMs > untilMs) break;
      const event = this.#queue.pop();
      if (event === undefined) break;
      if (event.kind === "timer") {
        event.queued = false;
        if (event.callback === undefined) {
          this.#cancelled--;
          continue;
        }
      }
      if (atMs > this.nowMs) this.#atOnce = 0;
      this.nowMs = atMs;
      this.events++;
      return event;
    }
    this.nowMs = untilMs;
    return undefined;
  }

  /** Adds to the fingerprint what happened between two machines, by their index. */
  record(kind: number, from: number, to: number, bytes: number): void {
    this.hash.event(kind, this.nowMs, from, to, bytes);
  }

  /** Told that a timer that was scheduled is not wanted any more. */
  timerCancelled(): void {
    if (++this.#cancelled < CANCELLED_TIMERS_KEPT || 2 * this.#cancelled < this.#queue.size) return;
    this.#queue.keepOnly((event) => event.kind !== "timer" || event.callback !== undefined);
    this.#cancelled = 0;
  }
}

function standsStill(atMs: number, max: number): LimitError {
  return new LimitError(
    "limit",
    `Cannot go on: more than ${max} events at ${atMs} ms, as when a timer of 0 ms sets itself anew`,
    { details: { limit: "maxAtOnce", max } },
  );
}
