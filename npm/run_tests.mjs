// deno-lint-ignore-file no-console -- its output is what it is for

// Runs the tests where dependencies come from npm, and closes with a line that counts them.
// Arguments are passed on to `deno test`; without any, everything runs, the examples in docs included.
import { spawn } from "node:child_process";

const IMPORT_MAP = "npm/import_map.json";
const given = process.argv.slice(2);
const what = given.length > 0 ? given : ["--doc"];
const child = spawn(
  "node_modules/.bin/deno",
  ["test", "-A", `--import-map=${IMPORT_MAP}`, ...what],
  {
    stdio: ["ignore", "pipe", "inherit"],
    // Tests that start the command line pass the map on.
    env: { ...process.env, NO_COLOR: "1", KITH_IMPORT_MAP: IMPORT_MAP },
  },
);

let tail = "";
child.stdout.setEncoding("utf8");
child.stdout.on("data", (text) => {
  process.stdout.write(text);
  tail = (tail + text).slice(-4000);
});

child.on("close", (code) => {
  const summary = tail.match(/(\d+) passed[^|\n]*\|\s*(\d+) failed(?:[^|\n]*\|\s*(\d+) ignored)?/);
  const [, passed = "0", failed = code === 0 ? "0" : "1", skipped = "0"] = summary ?? [];
  console.log(
    `${passed} passed, ${failed} failed` + (skipped === "0" ? "" : `, ${skipped} skipped`),
  );
  process.exit(code ?? 1);
});
