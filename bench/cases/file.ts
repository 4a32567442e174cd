/**
 * How fast a file gets from one process to another, verified at both ends.
 *
 * As users start it: two processes of the command line, against `children/naive_copy.ts`; ours is encrypted on its way,
 * the baseline is not. As programs have it: two peers that know each other already, against rsync's daemon, against what
 * Deno can do at best when each byte is hashed and copied one after the other, and encrypted against plain.
 *
 * The time goes from the sender's start of work to the receiver's word that it has the whole file; rsync's includes that
 * of its client's start. rsync verifies what it copies too, by a hash that is not cryptographic.
 *
 * @module
 */

import { Child } from "../child.ts";
import { type Copier, copyRace, type Load, medianSeconds } from "../copy_race.ts";
import { makeFile } from "../memory_folder.ts";
import { Pair } from "../pair.ts";
import type { Race } from "../question.ts";
import { betweenPeers, byRsync } from "../ways.ts";

const FILE_BYTES = 1024 ** 3;

const load: Load = {
  amount: { files: 1, bytes: FILE_BYTES },
  counts: "bytes",
  make: (path) => makeFile(path, FILE_BYTES),
};

/** Every question about a large file. */
export const fileQuestions: readonly Race[] = [
  copyRace({
    name: "1 GiB file, encrypted, vs naive plain copy",
    ours: byCommandLine,
    baseline: naively,
    load,
    atLeast: 2.5,
    maxRounds: 5,
  }),
  copyRace({
    name: "1 GiB file, plain, vs rsync daemon",
    ours: betweenPeers("plain"),
    baseline: byRsync,
    load,
    atLeast: 0.9,
    maxRounds: 7,
  }),
  copyRace({
    name: "1 GiB file, plain, vs 1/(1/hash + 1/copy)",
    ours: betweenPeers("plain"),
    baseline: atBest,
    load,
    atLeast: 0.85,
    maxRounds: 7,
  }),
  copyRace({
    name: "1 GiB file, encrypted vs plain",
    ours: betweenPeers("encrypted"),
    baseline: betweenPeers("plain"),
    load,
    atLeast: 0.35,
    maxRounds: 7,
  }),
];

/** Two processes of the command line for each copy; the time is the sender's own. */
function byCommandLine(source: string, target: string): Promise<Copier> {
  const common = ["--json", "--ephemeral", "--host", "127.0.0.1"];
  const receive = ["recv", "--dir", target, "--once", "--yes", "--name", "bench", ...common];
  const copier = inProcesses(async () => {
    await using receiver = new Child("cli.ts", receive);
    const { tcp } = await event(receiver, "ready");
    const startedAt = performance.now();
    const to = `127.0.0.1:${tcp}`;
    await using sender = new Child("cli.ts", ["send", source, "--to", to, ...common]);
    const done = await event(sender, "done");
    await sender.status;
    const processSeconds = secondsSince(startedAt);
    const received = await event(receiver, "received");
    if (done["sha256"] !== received["sha256"]) throw new Error("Cannot measure: the hashes differ");
    return { seconds: Number(done["seconds"]), processSeconds };
  });
  return Promise.resolve(copier);
}

function naively(source: string, target: string): Promise<Copier> {
  const script = "bench/children/naive_copy.ts";
  const copier = inProcesses(async () => {
    await using receiver = new Child(script, ["receive", `${target}/source`]);
    const { port } = await receiver.answer() as { port: number };
    const startedAt = performance.now();
    await using sender = new Child(script, ["send", source, String(port)]);
    const { seconds } = await sender.answer() as { seconds: number };
    await sender.status;
    const processSeconds = secondsSince(startedAt);
    await receiver.answer();
    return { seconds, processSeconds };
  });
  return Promise.resolve(copier);
}

/** A copy by two new processes, which start and end each time. */
interface Run {
  readonly seconds: number;
  /** From the sender's start to its end. */
  readonly processSeconds: number;
}

function inProcesses(run: () => Promise<Run>): Copier {
  const times: number[] = [];
  return {
    copy: async () => {
      const { seconds, processSeconds } = await run();
      times.push(processSeconds);
      return seconds;
    },
    note: () => `whole sending process ${medianSeconds(times)}`,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** What hashing and copying take, each alone: every process has to do both, and does one thing at a time. */
async function atBest(source: string, target: string): Promise<Copier> {
  const pair = await Pair.start("bench/children/raw_copy.ts", { receive: [`${target}/source`] });
  const times = { hash: [] as number[], copy: [] as number[] };
  const time = async (what: keyof typeof times) => {
    const { seconds } = await pair.ask(`${what} ${source}`) as { seconds: number };
    times[what].push(seconds);
    return seconds;
  };
  return {
    copy: async () => await time("hash") + await time("copy"),
    note: () => `hash ${medianSeconds(times.hash)}, copy ${medianSeconds(times.copy)}`,
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  };
}

/** The next line with that `event`; progress is passed over. */
async function event(child: Child, name: string): Promise<Record<string, unknown>> {
  for (;;) {
    const line = await child.answer() as Record<string, unknown>;
    if (line["event"] === name) return line;
  }
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000;
}
