// deno-lint-ignore-file no-console -- a program that shows something

// Fuzzes every decoder: `npm run fuzz [-- --cases N] [--seed N]`. The seed is printed; the same seed gives the same inputs.
import { parseArgs } from "@std/cli/parse-args";
import { ALL_TARGETS, fuzz } from "./decoders.ts";

const USAGE = "npm run fuzz -- [--cases N] [--seed N]; whole numbers, cases from 1";

if (Deno.args.includes("--help")) {
  console.log(USAGE);
  Deno.exit();
}
const args = parseArgs(Deno.args, { string: ["cases", "seed"], unknown: refuse });
const cases = Number(args.cases ?? 1_000_000);
const seed = Number(args.seed ?? Date.now() % 2 ** 31);
if (!Number.isInteger(cases) || cases < 1) refuse(`--cases ${args.cases}`);
if (!Number.isInteger(seed) || seed < 0 || args.seed === "") refuse(`--seed ${args.seed}`);
console.log(`fuzzing ${ALL_TARGETS.length} decoders with ${cases} inputs, seed ${seed}`);
const startedMs = performance.now();
try {
  const { accepted, externalBytes } = await fuzz(cases, seed);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(
    `${accepted} accepted, ${cases - accepted} refused with a typed error, in ${seconds} s`,
  );
  console.log(`memory outside the heap grew by ${(externalBytes / 1e6).toFixed(1)} MB at most`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}

/** Ends it before it has begun. */
function refuse(argument: string): never {
  console.error(`Cannot understand ${argument}: ${USAGE}`);
  Deno.exit(2);
}
