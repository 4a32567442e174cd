/**
 * When files change.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";

/** Whoever saves a file writes it in several steps. */
const QUIET_MS = 300;

/** The file system's word may get lost. */
const LOOK_EVERY_MS = 30_000;

/** Somewhere there may always be something that changes. */
const MAX_QUIETS = 10;

/** How to watch. */
export interface WatchFilesOptions {
  /** Ends the watch. */
  signal?: AbortSignal;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** A change is told once nothing has changed for so long, in milliseconds; after ten times that anyway. @default {300} */
  quietMs?: number;
  /** So often everything is looked at though nothing was heard, in milliseconds. @default {30_000} */
  lookEveryMs?: number;
  /** Whether a change there is none, such as one of our own. It gets an absolute path. @default nowhere */
  ignores?: (path: string) => boolean;
}

/**
 * Yields whenever something may have changed at or below these paths, until the signal fires. It is a hint: what changed has
 * to be looked for.
 *
 * @throws {Deno.errors.NotFound} when a path does not exist.
 */
export async function* watchFiles(
  paths: readonly string[],
  options: WatchFilesOptions = {},
): AsyncGenerator<void, void, void> {
  const { signal, clock = systemClock, quietMs = QUIET_MS, lookEveryMs = LOOK_EVERY_MS } = options;
  const { ignores = () => false } = options;
  if (signal?.aborted) return;
  using watcher = Deno.watchFs([...paths]);
  let changed = Promise.withResolvers<void>();
  const stop = () => {
    changed.resolve();
    watcher.close();
  };
  signal?.addEventListener("abort", stop, { once: true });
  const listening = (async () => {
    for await (const { kind, paths } of watcher) {
      // One without a path says that some were lost.
      const isOurs = paths.length > 0 && paths.every(ignores);
      if (kind !== "access" && !isOurs) changed.resolve();
    }
  })();
  try {
    while (!signal?.aborted) {
      const isHeard = await first(changed.promise, lookEveryMs, clock) === "event";
      const untilMs = clock.now() + MAX_QUIETS * quietMs;
      let isQuiet = !isHeard;
      while (!isQuiet && !signal?.aborted) {
        changed = Promise.withResolvers();
        isQuiet = await first(changed.promise, quietMs, clock) === "late" || clock.now() >= untilMs;
      }
      if (!signal?.aborted) yield;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    if (!signal?.aborted) watcher.close();
    await listening;
  }
}

async function first(event: Promise<void>, ms: number, clock: Clock): Promise<"event" | "late"> {
  const late = Promise.withResolvers<"late">();
  const timer = clock.after(ms, () => late.resolve("late"));
  try {
    return await Promise.race([event.then(() => "event" as const), late.promise]);
  } finally {
    timer.cancel();
  }
}
