/**
 * How fast messages and large frames go from one process to another over a connection on loopback, without encryption on
 * either side.
 *
 * @module
 */

import { BULK_BYTES } from "../bodies.ts";
import { Pair } from "../pair.ts";
import type { Contest, Race } from "../question.ts";

/** Every question about a connection. */
export const streamQuestions: readonly Race[] = [
  oneWay("3 small fields", "small", 35),
  oneWay("1 KiB bin", "1024", 20),
  {
    type: "race",
    name: "1 MiB frames vs bare reads and writes",
    unit: "bytes",
    atLeast: 0.9,
    open: async () => {
      const [ours, baseline] = await Promise.all([
        Pair.start("bench/children/bulk_ours.ts"),
        Pair.start("bench/children/bulk_raw.ts"),
      ]);
      return contestOf(ours, baseline, { ours: 192, baseline: 192, scale: BULK_BYTES });
    },
  },
];

function oneWay(what: string, body: string, atLeast: number): Race {
  const name = `one-way ${what} vs naive @std/msgpack`;
  const open = async () => {
    const [ours, baseline] = await Promise.all([
      Pair.start("bench/children/one_way_ours.ts", { send: [body] }),
      Pair.start("bench/children/one_way_naive.ts", { send: [body] }),
    ]);
    // About a third of a second each.
    return contestOf(ours, baseline, { ours: 1_000_000, baseline: 15_000, scale: 1 });
  };
  return { type: "race", name, unit: "messages", atLeast, open };
}

/** How many messages a round has, and how much each of them counts. */
interface Load {
  readonly ours: number;
  readonly baseline: number;
  readonly scale: number;
}

async function contestOf(ours: Pair, baseline: Pair, load: Load): Promise<Contest> {
  const contest = {
    ours: () => round(ours, load.ours, load.scale),
    baseline: () => round(baseline, load.baseline, load.scale),
    async [Symbol.asyncDispose]() {
      await Promise.all([ours[Symbol.asyncDispose](), baseline[Symbol.asyncDispose]()]);
    },
  };
  await contest.ours();
  await contest.baseline();
  return contest;
}

/** Sends `count` messages. @returns how much went through in a second. */
async function round(pair: Pair, count: number, scale: number): Promise<number> {
  const { seconds } = await pair.ask(String(count)) as { seconds: number };
  return count * scale / seconds;
}
