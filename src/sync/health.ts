/**
 * How a hub fares: counters in the registry, and rates over the last minute.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Metrics } from "../metrics.ts";
import type { SyncErrorCode } from "./error_codes.ts";

/** How long back the rates look, in milliseconds. */
const WINDOW_MS = 60_000;

/** What happens in a hub; counted as `sync.NAME`. */
const COUNTED = [
  "messages.in",
  "messages.out",
  "contents.in",
  "errors",
  "violations",
  "connected",
  "refused",
  "resumed",
  "lost",
  "timeouts",
] as const;

/** Something that is counted. */
export type SyncCount = typeof COUNTED[number];

/** Rates of the last minute. */
export interface SyncRates {
  /** Messages in a second that clients sent. */
  readonly received: number;
  /** And that were sent to them. */
  readonly sent: number;
  /** Errors in a second that clients were told. */
  readonly errors: number;
}

interface Sample {
  readonly atMs: number;
  readonly received: number;
  readonly sent: number;
  readonly errors: number;
}

/** Counts; see the module. */
export class SyncHealth {
  readonly #clock: Pick<Clock, "now">;
  readonly #metrics: Metrics;
  readonly #totals = new Map<SyncCount, number>();
  #samples: Sample[];

  /** Nothing has happened. */
  constructor(clock: Pick<Clock, "now">, metrics: Metrics) {
    this.#clock = clock;
    this.#metrics = metrics;
    this.#samples = [this.#sample()];
  }

  /** Something has happened. */
  count(what: SyncCount, by = 1): void {
    this.#totals.set(what, (this.#totals.get(what) ?? 0) + by);
    this.#metrics.counter(`sync.${what}`).add(by);
  }

  /** A client was told an error. */
  error(errorCode: SyncErrorCode): void {
    this.count("errors");
    // The codes are a table of ours: nobody else can make the counters many.
    this.#metrics.counter(`sync.error.${errorCode.toLowerCase()}`).add();
  }

  /** How often something has happened. */
  total(what: SyncCount): number {
    return this.#totals.get(what) ?? 0;
  }

  /** To be called every few seconds. */
  tick(): void {
    this.#samples.push(this.#sample());
    const oldestMs = this.#clock.now() - WINDOW_MS;
    const first = this.#samples.findIndex(({ atMs }) => atMs >= oldestMs);
    this.#samples = this.#samples.slice(Math.max(0, first));
  }

  /** The rates of the last minute. */
  rates(): SyncRates {
    const now = this.#sample();
    const then = this.#samples[0] ?? now;
    const seconds = Math.max(1, (now.atMs - then.atMs) / 1_000);
    return {
      received: (now.received - then.received) / seconds,
      sent: (now.sent - then.sent) / seconds,
      errors: (now.errors - then.errors) / seconds,
    };
  }

  #sample(): Sample {
    return {
      atMs: this.#clock.now(),
      received: this.total("messages.in"),
      sent: this.total("messages.out"),
      errors: this.total("errors"),
    };
  }
}
