/**
 * When a folder is worth a look.
 *
 * @module
 */

import { join, sep } from "node:path";
import { type Clock, sleep, systemClock } from "../clock.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import { PARTIAL_FOLDER } from "../transfer/safe_path.ts";
import { watchFiles } from "../transfer/watch.ts";

/** What a save is told after, at the least: once nothing has changed for so long. */
const QUIET_MS = 200;

const LOOK_EVERY_MS = 60_000;

/** How to watch. */
export interface WatchFolderOptions {
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** A change is told once nothing has changed for so long, in milliseconds. @default {200} */
  readonly quietMs?: number;
  /** So often there is a look though nothing was heard, in milliseconds: word of changes gets lost. @default {60_000} */
  readonly lookEveryMs?: number;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
  /** Told when the system cannot watch. @default {silentLogger} */
  readonly log?: Logger;
}

/** Yields whenever something in a folder may have changed; where the system cannot say that, at intervals. */
export async function* watchFolder(
  dir: string,
  options: WatchFolderOptions = {},
): AsyncGenerator<void, void, void> {
  const { signal, quietMs = QUIET_MS, lookEveryMs = LOOK_EVERY_MS } = options;
  const { clock = systemClock, log = silentLogger } = options;
  const partials = join(dir, PARTIAL_FOLDER);
  const ignores = (path: string) => path === partials || path.startsWith(partials + sep);
  const until = signal === undefined ? {} : { signal };
  try {
    yield* watchFiles([dir], { clock, quietMs, lookEveryMs, ignores, ...until });
    return;
  } catch (error) {
    // As when there are more folders than the system watches.
    const why = printable(error instanceof Error ? error.message : String(error));
    log.warn("folder cannot be watched; it is looked at now and then", { why });
  }
  while (!signal?.aborted) {
    await sleep(clock, lookEveryMs, until).catch(() => {});
    if (!signal?.aborted) yield;
  }
}
