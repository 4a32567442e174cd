import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { IgnoreRules, MAX_IGNORE_CHARS, MAX_IGNORE_RULES } from "../../src/sync/ignore.ts";

function ignored(rules: string, ...paths: string[]): string[] {
  const parsed = IgnoreRules.parse(rules);
  return paths.filter((path) => {
    const isFolder = path.endsWith("/");
    return parsed.ignores(isFolder ? path.slice(0, -1) : path, isFolder ? "directory" : "file");
  });
}

Deno.test("a rule without a slash fits at any depth, one with a slash from the top", () => {
  const paths = ["a.tmp", "x/a.tmp", "x/y/a.tmp", "a.tmpx", "tmp"];
  assertEquals(ignored("*.tmp", ...paths), ["a.tmp", "x/a.tmp", "x/y/a.tmp"]);
  assertEquals(ignored("/a.tmp", ...paths), ["a.tmp"]);
  assertEquals(ignored("x/*.tmp", ...paths), ["x/a.tmp"]);
  assertEquals(ignored("x/**/a.tmp", ...paths), ["x/a.tmp", "x/y/a.tmp"]);
  assertEquals(ignored("**/y/a.tmp", ...paths), ["x/y/a.tmp"]);
  assertEquals(ignored("x/**", ...paths), ["x/a.tmp", "x/y/a.tmp"]);
});

Deno.test("a rule that ends with a slash is about folders, and all that is in them", () => {
  const paths = ["build/", "build", "build/a", "x/build/", "x/build/deep/a", "builds/"];
  const expected = ["build/", "build/a", "x/build/", "x/build/deep/a"];
  assertEquals(ignored("build/", ...paths), expected);
  assertEquals(ignored("build/\n!build/a", ...paths), expected, "nothing brings it back");
});

Deno.test("the last rule that fits decides", () => {
  const paths = ["a.log", "keep.log", "x/keep.log"];
  assertEquals(ignored("*.log\n!keep.log", ...paths), ["a.log"]);
  assertEquals(ignored("*.log\n!/keep.log", ...paths), ["a.log", "x/keep.log"]);
  assertEquals(ignored("!keep.log\n*.log", ...paths), paths);
});

Deno.test("?, classes, escapes, comments, spaces and normal form", () => {
  assertEquals(ignored("a?c", "abc", "a/c", "ac", "a😀c"), ["abc", "a😀c"]);
  assertEquals(ignored("[a-c]1", "a1", "c1", "d1", "A1"), ["a1", "c1"]);
  assertEquals(ignored("[!a-c]1", "a1", "d1", "é1"), ["d1", "é1"]);
  assertEquals(ignored("[^x-]", "x", "-", "y"), ["y"]);
  assertEquals(ignored("[]]", "]", "a"), ["]"]);
  assertEquals(ignored("# no\n\n\\#yes  \r\n\\!yes\n\\*", "no", "#yes", "!yes", "*", "x"), [
    "#yes",
    "!yes",
    "*",
  ]);
  assertEquals(ignored("e\u0301", "\u00e9", "e\u0301"), ["\u00e9", "e\u0301"]);
  assertEquals(ignored("", "a", "b/"), []);
});

Deno.test("what is kith's own is never shared", () => {
  const own = [".kithignore", ".KithIgnore", ".kith-partial/", ".kith-partial/x"];
  assertEquals(ignored("!*", ...own, "x/.kithignore"), own);
  assert(IgnoreRules.none.ignores(".kithignore", "file"));
});

Deno.test("wrong rules are refused with their line, and too many by their limit", () => {
  assertThrows(
    () => IgnoreRules.parse("a\n[b"),
    InvalidPacketError,
    "line 2 has a [ without its ]",
  );
  assertThrows(() => IgnoreRules.parse("a\\"), InvalidPacketError, "line 1");
  assertThrows(() => IgnoreRules.parse("a//b"), InvalidPacketError, "an empty name");
  assertThrows(() => IgnoreRules.parse("/"), InvalidPacketError, "an empty name");
  const many = "a\n".repeat(MAX_IGNORE_RULES + 1);
  assertThrows(() => IgnoreRules.parse(many), InvalidPacketError, "maxIgnoreRules 1000");
  const long = "a".repeat(MAX_IGNORE_CHARS + 1);
  assertThrows(() => IgnoreRules.parse(long), InvalidPacketError, "maxIgnoreChars 65536");
});

Deno.test("no rule takes long, whatever the name", () => {
  const rules = IgnoreRules.parse(["*a".repeat(60) + "b", "**/a/".repeat(60) + "b"].join("\n"));
  const beforeMs = performance.now();
  for (let i = 0; i < 20; i++) {
    assert(!rules.ignores("a".repeat(250), "file"));
    assert(!rules.ignores("a/".repeat(60) + "a", "file"));
  }
  assert(performance.now() - beforeMs < 1_000);
});

Deno.test("IgnoreRules never shares what is set apart, in no spelling", () => {
  const rules = IgnoreRules.parse("!keys/\n*.tmp").apartFrom("home/keys");
  for (const path of ["home/keys", "home/keys/a", "Home/KEYS/a/b"]) {
    assert(rules.ignores(path, "directory"), path);
  }
  for (const path of ["home", "home/keys2", "keys"]) {
    assert(!rules.ignores(path, "directory"), path);
  }
  assert(rules.ignores("home/a.tmp", "file"));
});
