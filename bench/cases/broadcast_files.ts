/**
 * How soon a file is with eight peers whose uplinks are all limited, the sender's too: passed on along a palm tree, against
 * sent to one after the other. A chain needs hardly more time than a single transfer; where everybody has k children these
 * share the uplink, and it takes k times as long.
 *
 * Everything is encrypted and verified by everybody, and all peers are on one machine. So the limit must be low enough that
 * it decides, and not the processor: the note says how much of that was taken.
 *
 * @module
 */

import { Child } from "../child.ts";
import { copyRace, type Load, placesOf, type Way } from "../copy_race.ts";
import { makeFile } from "../memory_folder.ts";
import type { Race } from "../question.ts";
import { spread } from "../stats.ts";

/** The uplink of everybody unless the run says otherwise, in MB/s: two cores are two thirds idle. */
export const DEFAULT_UPLINK_MB = 10;

const RECEIVERS = 8;
/** Processes that these are in: with more, two cores spend more time on changing between them. */
const PROCESSES = 2;

/** How long one transfer takes by the limit alone: enough that the beginning does not count. */
const TRANSFER_SECONDS = 3;

const SCRIPT = "bench/children/broadcast_files.ts";

/** Every question about broadcasts, with uplinks of so many MB/s. */
export function broadcastQuestions(uplinkMb = DEFAULT_UPLINK_MB): readonly Race[] {
  return [
    race(uplinkMb, "chain", 7),
    ...[2, 4].map((fanout) => race(uplinkMb, fanout, 0.9 * RECEIVERS / fanout)),
  ];
}

function race(uplinkMb: number, shape: "chain" | number, atLeast: number): Race {
  const rate = uplinkMb * 1e6;
  const bytes = rate * TRANSFER_SECONDS;
  const load: Load = {
    amount: { files: RECEIVERS, bytes: RECEIVERS * bytes },
    copies: RECEIVERS,
    counts: "bytes",
    make: (path) => makeFile(path, bytes),
  };
  const tree = shape === "chain" ? shape : `fan-out ${shape}`;
  return copyRace({
    name: `8 peers, ${uplinkMb} MB/s up, ${tree} vs in turns`,
    ours: sending(String(shape), rate),
    baseline: sending("turns", rate),
    load,
    atLeast,
    maxRounds: 3,
  });
}

function sending(shape: string, rate: number): Way {
  return async (source, target) => {
    await using opened = new AsyncDisposableStack();
    const start = (args: readonly string[]) => opened.use(new Child(SCRIPT, args));
    const folders = placesOf(target, RECEIVERS);
    const each = RECEIVERS / PROCESSES;
    const receivers = Array.from({ length: PROCESSES }, (_, at) => {
      return start(["receive", String(rate), ...folders.slice(at * each, (at + 1) * each)]);
    });
    const ports: number[] = [];
    for (const receiver of receivers) {
      const told = await receiver.answer() as { ports: number[] };
      ports.push(...told.ports);
    }
    const sender = start(["send", String(rate), ...ports.map(String)]);
    const cores: number[] = [];
    const all = opened.move();
    return {
      copy: async () => {
        const before = await cpuSeconds([sender, ...receivers]);
        const seconds = await secondsOf(sender, `${shape} ${source}`);
        cores.push((await cpuSeconds([sender, ...receivers]) - before) / seconds);
        return seconds;
      },
      note: () => `${spread(cores).median.toFixed(2)} cores`,
      [Symbol.asyncDispose]: () => all.disposeAsync(),
    };
  };
}

async function cpuSeconds(children: readonly Child[]): Promise<number> {
  const all = await Promise.all(children.map((child) => secondsOf(child, "cpu")));
  return all.reduce((sum, seconds) => sum + seconds, 0);
}

async function secondsOf(child: Child, command: string): Promise<number> {
  const { seconds } = await child.ask(command) as { seconds: number };
  return seconds;
}
