/**
 * No faster than asked for, and no larger than needed.
 *
 * @module
 */

import { deflateRawSync } from "node:zlib";
import type { Clock } from "../clock.ts";

/** How much may leave at once after a pause, in seconds of the rate. */
const BURST_S = 0.1;

/** Below this rate what can be made smaller is; above it the time that takes is better spent on sending. */
const SQUEEZE_BELOW = 24 * 1024 * 1024;

/** What is not made smaller than this part of it is left as it is. */
const WORTH_IT = 0.9;

/** Pieces that are sent as they are before one is tried again. */
const TRY_AGAIN = 16;

/** A limit to a rate. */
export class Pace {
  readonly #clock: Clock;
  readonly #perMs: number;
  #dueMs = -Infinity;

  /** Limits to so many bytes a second. @throws {RangeError} when that is not more than 0. */
  constructor(clock: Clock, bytesPerSecond = Infinity) {
    if (!(bytesPerSecond > 0)) {
      throw new RangeError(`Rate must be more than 0 bytes a second: it is ${bytesPerSecond}`);
    }
    this.#clock = clock;
    this.#perMs = bytesPerSecond / 1000;
  }

  /** Bytes a second. */
  get bytesPerSecond(): number {
    return this.#perMs * 1000;
  }

  /** Waits until so many bytes may leave. @param signal Waits no longer. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#perMs === Infinity) return;
    const nowMs = this.#clock.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs - BURST_S * 1000) + bytes / this.#perMs;
    if (this.#dueMs <= nowMs) return;
    const waited = Promise.withResolvers<void>();
    const timer = this.#clock.after(this.#dueMs - nowMs, waited.resolve);
    const stop = () => waited.resolve();
    signal.addEventListener("abort", stop, { once: true });
    await waited.promise;
    timer.cancel();
    signal.removeEventListener("abort", stop);
  }
}

/** Makes pieces smaller where it pays. */
export class Squeezer {
  readonly #mode: "auto" | boolean;
  #skip = 0;

  /** Always, never, or where little goes through. */
  constructor(mode: "auto" | boolean) {
    this.#mode = mode;
  }

  /** Whether to try, at so many bytes a second. */
  wants(bytesPerSecond: number): boolean {
    if (this.#mode === false) return false;
    if (this.#mode === "auto" && bytesPerSecond > SQUEEZE_BELOW) return false;
    return this.#skip === 0 || this.#skip-- === 0;
  }

  /** Another file begins, which may be of another kind. */
  reset(): void {
    this.#skip = 0;
  }

  /** A piece made smaller, or `undefined` where that does not pay. */
  squeeze(data: Uint8Array): Uint8Array | undefined {
    const small = deflateRawSync(data, { level: 1 });
    if (small.length < data.length * WORTH_IT) return new Uint8Array(small);
    this.#skip = TRY_AGAIN;
    return undefined;
  }
}
