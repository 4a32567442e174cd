// deno-lint-ignore-file no-console -- its output is what it is for

// Runs the tests where dependencies come from npm, and closes with a line that counts them. Parts run side by side, on two
// cores, and take about as long as each other: much of what starts processes is waiting. In a part all files share an
// isolate (tests/together.ts), and so do the examples of the docs. Types are checked by `npm run check`. Arguments are
// passed on to `deno test`, which then runs once.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";

const IMPORT_MAP = "npm/import_map.json";

/** Folders and files of each part. A file is in the first that names it or its folder. */
const PARTS = [
  [
    ...["bench", "dht", "endpoint", "gossip", "page", "rpc", "secure", "session", "testing"],
    ...["transport", "e2e/doctor_test.ts", "e2e/gossip_netns_test.ts", "e2e/group_test.ts"],
    ...["e2e/mdns_test.ts", "e2e/netns_test.ts", "e2e/page_test.ts", "e2e/sync_netns_test.ts"],
  ],
  ["e2e"],
  [""], // all others
];

const given = process.argv.slice(2);
const runs = given.length > 0 ? [given] : runsOfAll();
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
// Not `exit`: what waits in the pipe would be lost.
process.exitCode = exitCode;

function runsOfAll() {
  const files = readdirSync("tests", { recursive: true }).map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith("_test.ts")).sort();
  const partOf = (path) => PARTS.findIndex((part) => part.some((name) => path.startsWith(name)));
  const shared = PARTS.map((_, index) => files.filter((path) => partOf(path) === index));
  return [
    ...shared.map((part) => ["--no-check", "tests/together.ts", "--", ...part]),
    ["--no-check", "tests/doc_examples.ts"],
  ];
}

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
