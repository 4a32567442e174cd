import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { usageOf } from "../../src/cli/main.ts";
import { COMMON_OPTIONS, Options } from "../../src/cli/options.ts";
import { VERBS } from "../../src/cli/verbs.ts";

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

Deno.test("usageOf shows summary, every option, permissions and the example in 120 columns", () => {
  for (const [name, verb] of verbs) {
    const text = usageOf(name, verb);
    for (
      const part of [`kith ${name}`, verb.summary, verb.permissions, verb.example, verb.prints]
    ) {
      assertStringIncludes(text, part);
    }
    for (const option of Object.keys(verb.options)) {
      assertEquals(text.split(`\n  --${option} `).length, 2, `${name} --${option} once`);
    }
    for (const line of text.split("\n")) {
      assert(line.startsWith("needs ") || line.length <= 120, `${line.length}: ${line}`);
    }
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
