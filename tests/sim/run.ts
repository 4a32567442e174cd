// deno-lint-ignore-file no-console -- a program that shows something

// Simulates membership, gossip and the DHT: `npm run sim [-- --only NAME] [--seeds N]`, about ten minutes for 20 seeds of
// each of the first two on two idle cores, and twenty for 10 seeds of the DHT.
// A run that fails prints its seed and the faults that it takes.
import { parseArgs } from "@std/cli/parse-args";
import { type Bound, judge, type Run, SCENARIOS, type SimScenario, valuesOf } from "./scenarios.ts";
import { percentile } from "../../src/testing/membership.ts";

/** A run that was asked of a worker. */
interface Done {
  readonly name: string;
  readonly seed: number;
  readonly run?: Run;
  readonly failure?: string;
  readonly seconds: number;
}

const USAGE = `npm run sim -- [--seeds N] [--only NAME]; N from 1, NAME (or a part of it) one of: ${
  Object.keys(SCENARIOS).join("; ")
}`;

if (Deno.args.includes("--help")) {
  console.log(USAGE);
  Deno.exit();
}
const args = parseArgs(Deno.args, { string: ["only", "seeds"], unknown: refuse });
const seeds = Number(args.seeds ?? 20);
const chosen = Object.entries(SCENARIOS).filter(([name]) => name.includes(args.only ?? ""));
if (!Number.isInteger(seeds) || seeds < 1) refuse(`--seeds ${args.seeds}`);
if (chosen.length === 0 || args.only === "") refuse(`--only ${args.only}`);
const waiting = chosen.flatMap(([name, { maxSeeds = Infinity }]) => {
  return Array.from(
    { length: Math.min(seeds, maxSeeds) },
    (_, index) => ({ name, seed: index + 1 }),
  );
});
const startedMs = performance.now();
const done: Done[] = [];
let allHold = true;
await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
compareWithout();
console.log(`${done.length} runs in ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`);
Deno.exit(allHold ? 0 : 1);

/** Ends it before it has begun. */
function refuse(argument: string): never {
  console.error(`Cannot understand ${argument}: ${USAGE}`);
  Deno.exit(2);
}

/** Lets a worker run one after another of those that wait. */
async function work(): Promise<void> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { promise, resolve } = Promise.withResolvers<Done>();
    worker.onmessage = ({ data }: MessageEvent<Done>) => resolve(data);
    worker.postMessage(next);
    done.push(await promise);
    const { name } = next;
    const isLast = done.filter((one) => one.name === name).length ===
      Math.min(seeds, SCENARIOS[name]?.maxSeeds ?? Infinity);
    if (isLast) show(name, SCENARIOS[name]);
  }
  worker.terminate();
}

function show(name: string, scenario: SimScenario | undefined): void {
  const all = done.filter((one) => one.name === name);
  const runs = all.flatMap(({ run }) => run ?? []);
  const seconds = all.reduce((sum, one) => sum + one.seconds, 0) / all.length;
  console.log(`\n${name}: ${all.length} seeds, ${seconds.toFixed(1)} s each`);
  for (const { failure, seed } of all) {
    if (failure !== undefined) fail(`seed ${seed}: ${failure}`);
  }
  for (const figure of Object.keys(runs[0]?.figures ?? {})) {
    const values = valuesOf(runs, figure);
    const [p50, p99, max] = [50, 99, 100].map((percent) => shown(percentile(values, percent)));
    console.log(`  ${figure.padEnd(22)} p50 ${p50}  p99 ${p99}  max ${max}`);
  }
  for (const bound of scenario?.holds ?? []) check(bound, runs);
}

function check(bound: Bound, runs: readonly Run[]): void {
  const { value, holds } = judge(runs, bound);
  const { figure, of, limit } = bound;
  const text = `${of} of ${figure} is ${shown(value).trim()}, limit ${limit}`;
  if (holds) console.log(`  holds: ${text}`);
  else fail(text);
}

/** How much rarer Lifeguard makes false suspicions. */
function compareWithout(): void {
  const [on, off] = ["overload", "overload, lifeguard off"].map((wanted) => {
    const runs = done.filter(({ name }) => name === wanted).flatMap(({ run }) => run ?? []);
    return valuesOf(runs, "falseSuspicions").reduce((sum, count) => sum + count, 0);
  });
  if (on === undefined || !off) return;
  const text = `false suspicions with Lifeguard: ${on}, without: ${off}`;
  if (20 * on <= off) console.log(`\nholds: ${text}`);
  else fail(text);
}

function fail(text: string): void {
  allHold = false;
  console.log(`  FAILS: ${text}`);
}

function shown(value: number): string {
  const text = Number.isInteger(value)
    ? String(value)
    : Math.abs(value) < 1
    ? value.toPrecision(2)
    : value.toFixed(1);
  return text.padStart(9);
}
