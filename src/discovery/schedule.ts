/**
 * When questions are asked.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";

/** When questions are repeated, in milliseconds after the first: packets get lost, peers start late. */
const ASK_AT_MS = [0, 100, 300, 700, 1_500];
/** And from then on, as long as somebody is looking. */
const ASK_EVERY_MS = 2_000;

/** When {@linkcode repeatQuestions} asks, and how long. */
export interface ScheduleOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Ends it. */
  signal: AbortSignal;
  /** How long after now the first question is due, in milliseconds. @default {0} */
  afterMs?: number;
}

/** Asks soon and often at first, then every two seconds, until aborted. With nothing to wait for it asks at once. */
export function repeatQuestions(options: ScheduleOptions, ask: () => void): void {
  const { clock, signal, afterMs = 0 } = options;
  const startedMs = clock.now();
  let asked = 0;
  let timer: Timer | undefined;
  const wait = () => {
    if (signal.aborted) return;
    timer = clock.after(afterMs + dueMs(asked) - (clock.now() - startedMs), next);
  };
  const next = () => {
    ask();
    asked++;
    wait();
  };
  signal.addEventListener("abort", () => timer?.cancel(), { once: true });
  if (signal.aborted) return;
  if (afterMs === 0) next();
  else wait();
}

/** When a question is due after the first, in milliseconds; that one is number 0. */
function dueMs(number: number): number {
  const known = ASK_AT_MS[number];
  if (known !== undefined) return known;
  return (ASK_AT_MS.at(-1) ?? 0) + (number - ASK_AT_MS.length + 1) * ASK_EVERY_MS;
}
