/**
 * How fast a file gets from one process to another, verified at both ends.
 *
 * Ours is the command line as users start it; the baseline is `children/naive_copy.ts`. Both read from and write to
 * memory (tmpfs), so that no disk is measured, and both count from the sender's start of work to the receiver's word
 * that it has the whole file. The file is random throughout: nothing in it can be left out. Ours is encrypted on its way,
 * the baseline is not.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, randomFillSync } from "node:crypto";
import { statfsSync } from "node:fs";
import { Child, projectHas } from "../child.ts";
import { type Contest, type Race, Unavailable } from "../question.ts";
import { spread } from "../stats.ts";

const FILE_BYTES = 1024 ** 3;
/** The file, its copy, and as much again for what the processes and others need. */
const ROOM_BYTES = 3 * FILE_BYTES;
const TMPFS = "/dev/shm";
const BLOCK_BYTES = 1024 * 1024;

/** The question about files. */
export const fileQuestion: Race = {
  type: "race",
  name: "1 GiB file, encrypted, vs naive plain copy",
  unit: "bytes",
  atLeast: 2.5,
  maxRounds: 5,
  open: openFiles,
};

/** A file's way through two processes. */
interface Copied {
  /** From the sender's first step to the receiver's answer. */
  readonly seconds: number;
  /** From the sender's start to its end. */
  readonly processSeconds: number;
  /** What the two ends say they have hashed. */
  readonly sums: readonly string[];
}

async function openFiles(): Promise<Contest> {
  const why = missingRoom();
  if (why !== undefined) throw new Unavailable(why);
  const folder = await Deno.makeTempDir({ dir: TMPFS, prefix: "kith-bench-" });
  const removeFolder = () => Deno.removeSync(folder, { recursive: true });
  globalThis.addEventListener("unload", removeFolder);
  const file = `${folder}/source`;
  const sha256 = makeFile(file);
  await Deno.copyFile(file, `${folder}/warm-up`); // so that the machine has the memory at hand
  await Deno.remove(`${folder}/warm-up`);
  const processSeconds = { ours: [] as number[], baseline: [] as number[] };

  async function run(side: keyof typeof processSeconds): Promise<number> {
    const target = await Deno.makeTempDir({ dir: folder });
    try {
      const copied = await (side === "ours" ? copyByKith : copyNaively)(file, target);
      const sums = [...copied.sums, hashOf(`${target}/source`)];
      if (sums.some((sum) => sum !== sha256)) throw new Error("Cannot measure: the copy differs");
      processSeconds[side].push(copied.processSeconds);
      return FILE_BYTES / copied.seconds;
    } finally {
      await Deno.remove(target, { recursive: true });
    }
  }

  return {
    ours: async () => {
      if (await projectHas("cli.ts")) return await run("ours");
      throw new Unavailable("there is no cli.ts");
    },
    baseline: () => run("baseline"),
    note: () => {
      const { ours, baseline } = processSeconds;
      const [a, b] = [ours, baseline].map((times) => spread(times).median.toFixed(2));
      return `whole sending process: ours ${a} s, baseline ${b} s`;
    },
    [Symbol.asyncDispose]: () => {
      globalThis.removeEventListener("unload", removeFolder);
      removeFolder();
      return Promise.resolve();
    },
  };
}

async function copyByKith(file: string, folder: string): Promise<Copied> {
  const common = ["--json", "--ephemeral", "--host", "127.0.0.1"];
  const receive = ["recv", "--dir", folder, "--once", "--yes", "--name", "bench"];
  await using receiver = new Child("cli.ts", [...receive, ...common]);
  const ready = await event(receiver, "ready");
  const startedAt = performance.now();
  await using sender = new Child("cli.ts", [
    "send",
    file,
    "--to",
    `127.0.0.1:${ready["tcp"]}`,
    ...common,
  ]);
  const done = await event(sender, "done");
  await sender.status;
  const processSeconds = (performance.now() - startedAt) / 1000;
  const received = await event(receiver, "received");
  const sums = [String(done["sha256"]), String(received["sha256"])];
  return { seconds: Number(done["seconds"]), processSeconds, sums };
}

async function copyNaively(file: string, folder: string): Promise<Copied> {
  const script = "bench/children/naive_copy.ts";
  await using receiver = new Child(script, ["receive", `${folder}/source`]);
  const { port } = await receiver.answer() as { port: number };
  const startedAt = performance.now();
  await using sender = new Child(script, ["send", file, String(port)]);
  const sent = await sender.answer() as { seconds: number; sha256: string };
  await sender.status;
  const processSeconds = (performance.now() - startedAt) / 1000;
  const received = await receiver.answer() as { sha256: string };
  return { seconds: sent.seconds, processSeconds, sums: [sent.sha256, received.sha256] };
}

/** The next line with that `event`; progress is passed over. */
async function event(child: Child, name: string): Promise<Record<string, unknown>> {
  for (;;) {
    const line = await child.answer() as Record<string, unknown>;
    if (line["event"] === name) return line;
  }
}

function missingRoom(): string | undefined {
  let freeBytes: number;
  try {
    const { bavail, bsize } = statfsSync(TMPFS);
    freeBytes = Math.min(bavail * bsize, Deno.systemMemoryInfo().available);
  } catch {
    return `there is no ${TMPFS}`;
  }
  if (freeBytes >= ROOM_BYTES) return undefined;
  return `${TMPFS} has ${freeBytes} of the ${ROOM_BYTES} bytes needed`;
}

/** Fills a file with random bytes. @returns their SHA-256. */
function makeFile(path: string): string {
  using file = Deno.openSync(path, { write: true, createNew: true });
  const hash = createHash("sha256");
  const block = Buffer.alloc(BLOCK_BYTES);
  for (let written = 0; written < FILE_BYTES; written += BLOCK_BYTES) {
    randomFillSync(block);
    hash.update(block);
    for (let at = 0; at < block.length;) at += file.writeSync(block.subarray(at));
  }
  return hash.digest("hex");
}

function hashOf(path: string): string {
  using file = Deno.openSync(path);
  const hash = createHash("sha256");
  const block = new Uint8Array(BLOCK_BYTES);
  for (let count = file.readSync(block); count !== null; count = file.readSync(block)) {
    hash.update(block.subarray(0, count));
  }
  return hash.digest("hex");
}
