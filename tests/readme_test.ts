/**
 * What the README says that the code says as well: limits, threats and their tests, verbs.
 */

import { assert, assertEquals } from "@std/assert";
import { VERBS } from "../src/cli/verbs.ts";
import { withTables } from "../release/write_readme.ts";
import { limitsManual } from "../src/endpoint/limits_table.ts";

const README = Deno.readTextFileSync(new URL("../README.md", import.meta.url));
const THREATS = 22;

/** The rows of the tables in a text: their cells, without padding and without the line below the headings. */
function rowsOf(text: string): string[][] {
  return text.split("\n")
    .filter((line) => line.startsWith("|") && !/^[|\s:-]+$/.test(line))
    // A bar that is escaped separates no cells.
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
}

/** The part under a heading. */
function section(heading: string): string {
  const [, rest] = README.split(`\n## ${heading}\n`);
  assert(rest !== undefined, `there is no section "${heading}"`);
  return rest.split(/\n## /, 1)[0] ?? "";
}

/** What is in backticks. */
function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, inside = ""]) => inside);
}

function verbsIn(cells: readonly string[]): string[] {
  return cells.flatMap(quoted).map((text) => text.replace(/^kith /, "").split(" ", 1)[0] ?? "");
}

const hasLimits = rowsOf(README).some(([name]) => name === "`maxLinks`");
// deno-lint-ignore no-console -- who reads the results shall know
if (!hasLimits) console.log("skipped, because README.md has no table of limits yet");

Deno.test({
  name: "README lists every limit with its default, as the program does",
  ignore: !hasLimits,
  fn() {
    const manual = rowsOf(limitsManual()).map(([name = "", value = ""]) => [name, value]);
    const names = new Set(manual.map(([name]) => name));
    const listed = rowsOf(README).filter(([name = ""]) => names.has(name));
    assertEquals(listed.map(([name = "", value = ""]) => [name, value]), manual);
  },
});

Deno.test("README lists every threat once, with tests that are there and named after it", () => {
  const rows = rowsOf(section("Security")).filter(([id = ""]) => /^T\d+$/.test(id));
  assertEquals(rows.map(([id]) => id), Array.from({ length: THREATS }, (_, at) => `T${at + 1}`));
  const named = new Set<string>();
  for (const [id = "", threat = "", promise = "", tests = ""] of rows) {
    assert(threat !== "" && promise !== "", `${id} has nothing to say`);
    for (const path of quoted(tests)) {
      named.add(path);
      const url = new URL(path, import.meta.url);
      if (path.endsWith("/")) assert(Deno.statSync(url).isDirectory, path);
      else assert(Deno.statSync(url).isFile, path);
      const own = new RegExp(`(^|/)t0*${id.slice(1)}_`).test(path);
      const namedSo = new RegExp(`Deno\\.test\\(\\s*(\\{\\s*name:\\s*)?["\`][T\\d ]*\\b${id} `);
      if (own) assert(namedSo.test(Deno.readTextFileSync(url)), `${path} has no test of ${id}`);
    }
  }
  for (const { name } of Deno.readDirSync(new URL("threats/", import.meta.url))) {
    if (name.endsWith("_test.ts")) assert(named.has(`threats/${name}`), `${name} is not listed`);
  }
});

Deno.test("README has the tables of commands and permissions that npm run readme writes", () => {
  assertEquals(README, withTables(README));
});

Deno.test("README names every verb among the commands and the permissions, and no other", () => {
  const verbs = Object.keys(VERBS).sort();
  for (const [heading, column] of [["Commands", "command"], ["Permissions", "verb"]] as const) {
    const [head, ...rows] = rowsOf(section(heading)).filter(([first = ""]) => {
      return first === column || first.startsWith("`");
    });
    assertEquals(head?.[0], column);
    assertEquals(verbsIn(rows.map(([first = ""]) => first)).sort(), verbs, heading);
  }
});
