/**
 * How soon the command line starts: the single binary against an empty program that was compiled in the same way, and,
 * where there are none, the same from source.
 *
 * @module
 */

import { fileOf } from "../../release/compile.ts";
import { type Contest, type Question, type Race, Unavailable } from "../question.ts";

/** Starts in a round: one is over too soon to be measured. */
const STARTS = 10;

/** Most times as long as the empty program. */
const MOST_TIMES = 1.3;

/** Every question about the start. */
export const startQuestions: readonly Question[] = [
  race("start of the binary vs an empty one", compiled, Math.round(1000 / MOST_TIMES) / 1000),
  race("start from source vs an empty program", fromSource),
];

/** What a side runs. */
type Command = readonly [program: string, ...args: string[]];

function race(name: string, open: () => Promise<Sides>, atLeast?: number): Race {
  return {
    ...{ type: "race", name, unit: "messages" },
    ...(atLeast === undefined ? {} : { atLeast }),
    open: async (): Promise<Contest> => {
      const { ours, baseline, close } = await open();
      return {
        ours: () => startsPerSecond(ours),
        baseline: () => startsPerSecond(baseline),
        [Symbol.asyncDispose]: () => Promise.resolve(close()),
      };
    },
  };
}

interface Sides {
  readonly ours: Command;
  readonly baseline: Command;
  close(): void;
}

async function compiled(): Promise<Sides> {
  const dir = Deno.makeTempDirSync();
  const close = () => Deno.removeSync(dir, { recursive: true });
  const empty = `${dir}/empty.js`;
  Deno.writeTextFileSync(empty, "");
  try {
    await deno("run", "-A", ...importMap(), "release/compile.ts", `--out=${dir}`, ...importMap());
    await deno("compile", "--quiet", "--no-config", "-o", `${dir}/empty`, empty);
  } catch (error) {
    close();
    throw error;
  }
  return {
    ours: [`${dir}/${fileOf(Deno.build.target)}`, "version"],
    baseline: [`${dir}/empty`],
    close,
  };
}

function fromSource(): Promise<Sides> {
  const dir = Deno.makeTempDirSync();
  const empty = `${dir}/empty.js`;
  Deno.writeTextFileSync(empty, "");
  const program = Deno.execPath();
  return Promise.resolve({
    ours: [program, "run", "-A", "--no-check", ...importMap(), "cli.ts", "version"],
    baseline: [program, "run", "-A", empty],
    close: () => Deno.removeSync(dir, { recursive: true }),
  });
}

/** The import map that this program was started with. */
function importMap(): string[] {
  return Deno.args.filter((arg) => arg.startsWith("--import-map="));
}

async function deno(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (success) return;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  throw new Unavailable(lines.at(-1)?.slice(0, 300) ?? "no binary can be made here");
}

async function startsPerSecond([program, ...args]: Command): Promise<number> {
  const command = new Deno.Command(program, { args, stdout: "null", stderr: "inherit" });
  const startedMs = performance.now();
  for (let n = 0; n < STARTS; n++) {
    const { success } = await command.output();
    if (!success) throw new Error(`${program} has failed`);
  }
  return STARTS * 1_000 / (performance.now() - startedMs);
}
