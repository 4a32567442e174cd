/**
 * Speed as ratios: each question pits kith against a baseline measured in the same run, round by round in an order left
 * to chance, and prints the median ratio with its range.
 *
 * ```sh
 * deno run -A bench/run.ts [--only TEXT] [--rounds N] [--seed N] [--uplink MB] [--json] [--check] [--out FILE] [--import-map=FILE]
 * ```
 *
 * Ratios are shown, not tested. `--check` asks only what has a target, ends with a table of those, and with status 1 when
 * one is missed; `--out` writes the answers into a file as JSON. Everything stays
 * on 127.0.0.1 and in temporary folders, and ends with the run.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { seededRandom } from "../src/clock.ts";
import { allocationQuestions } from "./cases/allocation.ts";
import { broadcastQuestions, DEFAULT_UPLINK_MB } from "./cases/broadcast_files.ts";
import { codecQuestions } from "./cases/codec.ts";
import { dhtQuestions } from "./cases/dht.ts";
import { encryptedQuestions } from "./cases/encrypted.ts";
import { fileQuestions } from "./cases/file.ts";
import { gossipQuestions } from "./cases/gossip.ts";
import { requestQuestions } from "./cases/requests.ts";
import { smallFileQuestions } from "./cases/small_files.ts";
import { startQuestions } from "./cases/start.ts";
import { streamQuestions } from "./cases/stream.ts";
import { syncBroadcastQuestions } from "./cases/sync_broadcast.ts";
import { syncFolderQuestions } from "./cases/sync_folder.ts";
import { type Answer, ask, type Question, targetOf } from "./question.ts";
import { tableHead, tableRow, targetTable } from "./table.ts";

const USAGE = "npm run bench -- [--only TEXT] [--rounds N] [--seed N] [--uplink MB] [--json] " +
  "[--check] [--out FILE]";

const DEFAULT_ROUNDS = 9;
const MAX_ROUNDS = 99;
const MAX_SEED = 0xffffffff;
const MAX_UPLINK_MB = 1000;

if (import.meta.main) {
  // Leaving through `exit` lets the children and files be removed.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => Deno.exit(130));
  }
  Deno.exit(await main(Deno.args));
}

interface Options {
  readonly asked: readonly Question[];
  readonly rounds: number;
  readonly seed: number;
  readonly json: boolean;
  readonly check: boolean;
  readonly out: string | undefined;
}

/** Runs what the arguments say. @returns the exit status. */
async function main(args: string[]): Promise<number> {
  if (args.includes("--help")) {
    print(Deno.stdout, USAGE);
    return 0;
  }
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    print(Deno.stderr, error instanceof Error ? error.message : String(error));
    return 2;
  }
  const answers = await run(options);
  if (options.check) { for (const text of targetTable(answers)) print(Deno.stdout, text); }
  const missed = answers.some(({ holds }) => holds === false);
  return options.check && missed ? 1 : 0;
}

function readOptions(args: string[]): Options {
  const given = parseArgs(args, {
    string: ["only", "rounds", "seed", "uplink", "out", "import-map"],
    boolean: ["json", "check"],
    unknown: (arg) => {
      throw new TypeError(`Cannot understand ${arg}: ${USAGE}`);
    },
  });
  const uplinkMb = wholeNumber("uplink", given.uplink ?? DEFAULT_UPLINK_MB, MAX_UPLINK_MB);
  const asked = questions(uplinkMb)
    .filter(({ name }) => name.includes(given.only ?? ""))
    .filter((question) => !given.check || targetOf(question) !== "-");
  if (asked.length === 0) {
    const names = questions(uplinkMb).map(({ name }) => `  ${name}`).join("\n");
    throw new TypeError(`--only ${given.only}: no question is called that; there are\n${names}`);
  }
  return {
    asked,
    rounds: wholeNumber("rounds", given.rounds ?? DEFAULT_ROUNDS, MAX_ROUNDS),
    seed: wholeNumber("seed", given.seed ?? 1 + Date.now() % MAX_SEED, MAX_SEED),
    json: given.json,
    check: given.check,
    out: given.out,
  };
}

/** Every question. @param uplinkMb What broadcasts are limited to. */
function questions(uplinkMb: number): readonly Question[] {
  return [
    ...codecQuestions,
    ...streamQuestions,
    ...requestQuestions,
    ...encryptedQuestions,
    ...fileQuestions,
    ...smallFileQuestions,
    ...broadcastQuestions(uplinkMb),
    ...gossipQuestions,
    ...dhtQuestions,
    ...syncBroadcastQuestions,
    ...syncFolderQuestions,
    ...allocationQuestions,
    ...startQuestions,
  ];
}

async function run({ asked, rounds, seed, json, out }: Options): Promise<Answer[]> {
  const random = seededRandom(seed);
  const environment = {
    deno: Deno.version.deno,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: navigator.hardwareConcurrency,
    load: Deno.loadavg()[0]?.toFixed(2),
    date: new Date().toISOString(),
    seed,
    rounds,
  };
  const say = (text: string) => print(json ? Deno.stderr : Deno.stdout, text);
  say(Object.entries(environment).map(([name, value]) => `${name} ${value}`).join(", "));
  say(tableHead());
  const answers: Answer[] = [];
  for (const question of asked) {
    const answer = await ask(question, { rounds, random });
    answers.push(answer);
    say(tableRow(answer));
    if (json) print(Deno.stdout, JSON.stringify({ ...answer, ...environment }));
  }
  if (out !== undefined) writeAnswers(out, { ...environment, answers });
  return answers;
}

function writeAnswers(file: string, facts: Record<string, unknown>): void {
  Deno.mkdirSync(dirname(file), { recursive: true });
  Deno.writeTextFileSync(file, JSON.stringify(facts, null, 2) + "\n");
}

function wholeNumber(name: string, given: string | number, max: number): number {
  const value = Number(given);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new RangeError(`--${name} must be 1..${max}: current value is ${given}`);
}

function print(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  to.writeSync(new TextEncoder().encode(text + "\n"));
}
