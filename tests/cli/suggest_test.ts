import { assertEquals } from "@std/assert";
import { didYouMean, editDistance, nearest } from "../../src/cli/suggest.ts";
import { VERBS } from "../../src/cli/verbs.ts";

Deno.test("editDistance counts changed, missing, added and swapped letters", () => {
  const cases = [
    ["", "", 0],
    ["send", "send", 0],
    ["send", "sned", 1],
    ["send", "sen", 1],
    ["send", "sendd", 1],
    ["send", "bend", 1],
    ["ca", "abc", 3],
    ["kitten", "sitting", 3],
    ["", "abc", 3],
  ] as const;
  for (const [from, to, distance] of cases) {
    assertEquals(editDistance(from, to), distance, `${from} ${to}`);
    assertEquals(editDistance(to, from), distance, `${to} ${from}`);
  }
});

Deno.test("nearest finds the verb that was meant, and none where none was", () => {
  const verbs = Object.keys(VERBS);
  const cases: readonly (readonly [typed: string, meant: string | undefined])[] = [
    ["sned", "send"],
    ["brodcast", "broadcast"],
    ["PING", "ping"],
    ["discvoer", "discover"],
    ["disc", "discover"],
    ["compl", "completions"],
    ["frob", undefined],
    ["toString", undefined],
    ["", undefined],
    ["x".repeat(1_000_000), undefined],
  ];
  for (const [typed, meant] of cases) {
    assertEquals(nearest(typed, verbs), meant, typed.slice(0, 20));
  }
});

Deno.test("nearest takes a beginning only where it is of one word", () => {
  assertEquals(nearest("disco", ["discover", "disconnect"]), undefined);
  assertEquals(nearest("discov", ["discover", "disconnect"]), "discover");
});

Deno.test("didYouMean is a question, or nothing", () => {
  assertEquals(didYouMean("jsno", ["json", "name"], "--"), "; did you mean --json?");
  assertEquals(didYouMean("frob", ["json", "name"], "--"), "");
});
