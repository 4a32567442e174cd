// deno-lint-ignore-file no-console -- its output is what it is for

// Runs the tests where dependencies come from npm, and closes with a line that counts them. Parts run side by side, on two
// cores: the first waits for processes most of the time, two compute for about as long as each other. In each of these all
// files share an isolate (tests/together.ts). Types are checked where nothing else does it, in the examples of docs;
// `npm run check` has all others. Arguments are passed on to `deno test`, which then runs once.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";

const IMPORT_MAP = "npm/import_map.json";
const PARTS = [
  ["e2e", "page"],
  ["threats", "discovery", "membership", "cli", "fuzz", "transfer", "palmtree", "sync", "wire"],
];

// With `node:worker_threads` loaded, messages between ports come later than manual clocks wait for.
const ALONE = "endpoint/worker_pool_test.ts";

const given = process.argv.slice(2);
const others = readdirSync("tests", { recursive: true }).filter((path) => {
  return path.endsWith("_test.ts") && path !== ALONE && !PARTS.flat().includes(path.split("/")[0]);
});
const parts = [...PARTS, others];
const shared = parts.flat().map((path) => `tests/${path}`);
const runs = given.length > 0 ? [given] : [
  ...parts.map((part) => ["--no-check", "tests/together.ts", "--", ...part]),
  ["--doc", `--ignore=${shared}`], // what is left: examples, and who is alone
];
const outcomes = runs.map(start);

const total = { passed: 0, failed: 0, skipped: 0 };
let exitCode = 0;
for (const outcome of outcomes) {
  outcome.show();
  const { code, counts } = await outcome.ended;
  for (const name of Object.keys(total)) total[name] += counts[name];
  exitCode ||= code;
}
const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exit(exitCode);

/** Starts `deno test`. What it prints waits until it is to be shown. */
function start(args) {
  const child = spawn(
    "node_modules/.bin/deno",
    ["test", "-A", `--import-map=${IMPORT_MAP}`, ...args],
    {
      stdio: ["ignore", "pipe", "pipe"],
      // Tests that start the command line pass the map on.
      env: { ...process.env, NO_COLOR: "1", KITH_IMPORT_MAP: IMPORT_MAP },
    },
  );
  let waiting = [];
  let tail = "";
  const take = (to) => (text) => {
    if (waiting === undefined) to.write(text);
    else waiting.push([to, text]);
  };
  for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
    from.setEncoding("utf8");
    from.on("data", take(to));
  }
  child.stdout.on("data", (text) => tail = (tail + text).slice(-4000));
  return {
    show() {
      for (const [to, text] of waiting) to.write(text);
      waiting = undefined;
    },
    ended: new Promise((resolve) => {
      child.on("close", (code) => resolve({ code: code ?? 1, counts: countsIn(tail, code) }));
    }),
  };
}

function countsIn(text, code) {
  const summary = text.match(/(\d+) passed[^|\n]*\|\s*(\d+) failed(?:[^|\n]*\|\s*(\d+) ignored)?/);
  const [, passed = 0, failed = code === 0 ? 0 : 1, skipped = 0] = summary ?? [];
  return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) };
}
