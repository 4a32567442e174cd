import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { commandsTable, overviewOf, permissionsTable, usageOf } from "../../src/cli/help.ts";
import { COMMON_OPTIONS } from "../../src/cli/option_groups.ts";
import { Options } from "../../src/cli/options.ts";
import { describeResults, parseFields } from "../../src/cli/results.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { FOREIGN_DIALECTS } from "../../src/discovery/foreign.ts";
import { ACCESS_LEVELS } from "../../src/endpoint/access_levels.ts";
import { DIALECTS } from "../../src/peer_options.ts";

const verbs = Object.entries(VERBS);

Deno.test("every verb has an example that its own options accept", () => {
  for (const [name, verb] of verbs) {
    const [kith, own, ...line] = verb.example.replace(/ [<>].*$/, "").split(" ");
    assertEquals([kith, own], ["kith", name]);
    const options = new Options(line, verb.options);
    if (verb.usage === "") assertEquals(options.args, [], name);
    else if (!verb.usage.startsWith("[")) assert(options.args.length > 0, name);
  }
});

Deno.test("every verb has the common options and says what each of its options means", () => {
  for (const [name, verb] of verbs) {
    for (const option of Object.keys(COMMON_OPTIONS)) {
      assert(option in verb.options, `${name} --${option}`);
    }
    for (const [option, { help }] of Object.entries(verb.options)) {
      assert(help.length > 5 && !/[.\n]$/.test(help), `${name} --${option}: ${help}`);
    }
  }
});

Deno.test("every verb's words of an option are those that there are, and its help names them", () => {
  const words = (name: string, option: string) => VERBS[name]?.options[option]?.choices;
  assertEquals(words("up", "dialect"), ["native", ...DIALECTS, "all"]);
  assertEquals(words("discover", "dialect"), ["native", ...FOREIGN_DIALECTS, "all"]);
  assertEquals(words("up", "access"), ACCESS_LEVELS);
  for (const [name, verb] of verbs) {
    for (const [option, { help, choices }] of Object.entries(verb.options)) {
      for (const word of choices ?? []) assertStringIncludes(help, word, `${name} --${option}`);
      assert(option !== "dialect" || choices !== undefined, name);
    }
  }
});

Deno.test("usageOf shows summary, every option, results, permissions and the example in 120 columns", () => {
  for (const [name, verb] of verbs) {
    const text = usageOf(name, verb);
    for (const part of [`kith ${name}`, verb.summary, verb.permissions, verb.example]) {
      assertStringIncludes(text, part);
    }
    const shown = text.replace(/\s+/g, " ");
    for (const line of describeResults(verb.prints)) assertStringIncludes(shown, line);
    for (const option of Object.keys(verb.options)) {
      assertEquals(text.split(`\n  --${option} `).length, 2, `${name} --${option} once`);
    }
    for (const line of text.split("\n")) {
      assert(line.startsWith("needs ") || line.length <= 120, `${line.length}: ${line}`);
    }
  }
});

Deno.test("overviewOf has a line for every verb, with its summary in a column", () => {
  const lines = overviewOf(VERBS).split("\n");
  const columns = new Set<number>();
  for (const [name, { summary }] of verbs) {
    assert(lines.some((line) => line.startsWith(`  kith ${name}`)), name);
    columns.add(lines.find((line) => line.endsWith(summary))?.lastIndexOf(summary) ?? -1);
  }
  assertEquals(columns.size, 1);
});

Deno.test("commandsTable and permissionsTable have every verb once, in columns", () => {
  for (const table of [commandsTable(VERBS), permissionsTable(VERBS)]) {
    const lines = table.split("\n");
    assertEquals(new Set(lines.map((line) => line.length)).size, 1);
    for (const [name] of verbs) {
      assertEquals(table.split(new RegExp(`\`(kith )?${name}[ \`]`)).length, 3, name);
    }
  }
});

Deno.test("every verb says in words that can be read which fields its results have", () => {
  for (const [name, { prints }] of verbs) {
    assert(Object.keys(prints).length > 0, name);
    for (const notation of Object.values(prints)) assert(parseFields(notation).length > 0, name);
  }
});

Deno.test("every verb's permissions are flags of deno, or none", () => {
  for (const [name, { permissions }] of verbs) {
    const flags = permissions === "none" ? [] : permissions.split(" ");
    for (const flag of flags) {
      assert(/^--allow-(net|sys|env|read|write)(=\S+)?$/.test(flag), `${name} ${flag}`);
    }
    assert(!/--allow-(env|read|write|sys)( |$)/.test(permissions), `${name} asks for too much`);
  }
});

Deno.test("every verb's code loads and runs by the same name", async () => {
  for (const [name, { load }] of verbs) assertEquals(typeof (await load()).run, "function", name);
});
