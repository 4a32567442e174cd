// deno-lint-ignore-file no-console -- a program that shows something

// Fuzzes every decoder: `npm run fuzz [-- --cases N] [--seed N]`. The seed is printed; the same seed gives the same inputs.
import { parseArgs } from "@std/cli/parse-args";
import { ALL_TARGETS, fuzz } from "./decoders.ts";

const args = parseArgs(Deno.args, { string: ["cases", "seed"] });
const cases = Number(args.cases ?? 1_000_000);
const seed = Number(args.seed ?? Date.now() % 2 ** 31);
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
