/**
 * A worker that swaps a folder for a link and back as fast as the system lets it, until it is terminated: what somebody
 * does who may write to a folder that another program receives files into.
 *
 * @module
 */

/// <reference lib="deno.worker" />

/** What the worker is told: the folder, and where the link in its place leads. */
export interface SwapOrder {
  readonly folder: string;
  readonly secret: string;
  /** One number: how often the link was in place so far. */
  readonly swaps: SharedArrayBuffer;
  /** One number: not 0 when it is to end. */
  readonly stop: SharedArrayBuffer;
}

/** The longest pause between two steps, in turns of a loop: about a millisecond. */
const MAX_IDLE_TURNS = 1_000_000;

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) {
  self.onmessage = ({ data }: MessageEvent<SwapOrder>) => {
    swap(data);
    self.postMessage("over");
  };
}

function swap({ folder, secret, swaps, stop }: SwapOrder): void {
  const [away, link] = [`${folder}.away`, `${folder}.link`];
  const [count, over] = [new Int32Array(swaps), new Int32Array(stop)];
  Deno.symlinkSync(secret, link);
  const putAside = () => attempt(() => Deno.renameSync(folder, `${folder}.${crypto.randomUUID()}`));
  const putBack = () => attempt(() => Deno.renameSync(away, folder));
  while (Atomics.load(over, 0) === 0) {
    if (!attempt(() => Deno.renameSync(folder, away))) {
      // The victim has made the folder anew while it was away.
      putAside();
      putBack();
      continue;
    }
    if (attempt(() => Deno.renameSync(link, folder))) {
      Atomics.add(count, 0, 1);
      idle();
      attempt(() => Deno.renameSync(folder, link));
    } else {
      putAside();
    }
    putBack();
    idle();
  }
}

function attempt(step: () => void): boolean {
  try {
    step();
    return true;
  } catch {
    return false; // the victim was there first
  }
}

/** Mostly hardly at all, now and then long enough for the victim to get something done. */
function idle(): void {
  let turns = Math.random() ** 8 * MAX_IDLE_TURNS;
  while (turns > 0) turns--;
}
