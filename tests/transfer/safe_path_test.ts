import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError, LimitError } from "../../src/errors.ts";
import { checkPath, checkReceivedPath, findCollision } from "../../src/transfer/safe_path.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };

const hostile = Object.entries(corpus.hostile).flatMap(([reason, names]) =>
  names.map((name) => ({ name, reason }))
);

Deno.test("the corpus has at least 200 hostile names, each once", () => {
  assertEquals(new Set(hostile.map(({ name }) => name)).size, hostile.length);
  assert(hostile.length >= 200, `${hostile.length}`);
});

Deno.test("checkPath refuses every hostile name for its reason, checkReceivedPath our own folder too", () => {
  for (const { name, reason } of hostile) {
    const error = assertThrows(() => checkReceivedPath(name), InvalidPacketError, reason);
    assertEquals(error.details.reason, reason, JSON.stringify(name));
    assertEquals(error.code, reason.startsWith("exceeds") ? "too-large" : "bad-message");
    if (reason === "reserved folder") assertEquals(checkPath(name), name.normalize("NFC"));
    else assertThrows(() => checkPath(name), InvalidPacketError, reason);
  }
});

Deno.test("checkPath's errors show the path bounded and printable", () => {
  const error = assertThrows(() => checkPath("\u001b[2J\u202e" + "x".repeat(10_000)));
  assert(error instanceof InvalidPacketError);
  assertStringIncludes(error.message, "\\u{1b}[2J\\u{202e}xxx");
  assert(error.message.length < 300);
  assert(String(error.details.path).length < 300);
});

Deno.test("checkPath passes names of many scripts in normal form C", () => {
  for (const name of corpus.good) {
    assertEquals(checkPath(name), name.normalize("NFC"));
    assertEquals(checkReceivedPath(name), name.normalize("NFC"));
  }
});

Deno.test("checkPath passes names that only look like another, as they are", () => {
  for (const name of corpus.harmless) assertEquals(checkPath(name), name);
});

Deno.test("checkPath checks what the normal form is, not what came", () => {
  // U+0958 has 3 bytes and decomposes into 6: 43 of them are 129 bytes before and 258 after.
  assertThrows(() => checkPath("\u0958".repeat(43)), InvalidPacketError, "maxSegmentBytes");
  assertEquals(checkPath("e\u0301"), "\u00e9");
});

Deno.test("checkPath takes narrower limits", () => {
  assertEquals(checkPath("a/b", { maxSegments: 2, maxPathBytes: 3 }), "a/b");
  assertThrows(() => checkPath("a/b", { maxSegments: 1 }), InvalidPacketError, "maxSegments 1");
  assertThrows(() => checkPath("a/é", { maxPathBytes: 3 }), InvalidPacketError, "maxPathBytes 3");
});

Deno.test("checkPath agrees with itself on random text", () => {
  const alphabet = [
    "a",
    "B",
    ".",
    "/",
    " ",
    "\\",
    ":",
    "é",
    "e\u0301",
    "\u200d",
    "🦕",
    "\ud83e",
    "con",
    "\0",
  ];
  const random = seededRandom(7);
  const next = (below: number) => Math.floor(random() * below);
  let passed = 0;
  for (let round = 0; round < 20_000; round++) {
    const length = 1 + next(8);
    const path = Array.from({ length }, () => alphabet[next(alphabet.length)]).join("");
    let name: string;
    try {
      name = checkPath(path);
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${JSON.stringify(path)}: ${error}`);
      continue;
    }
    passed++;
    assertEquals(checkPath(name), name);
    assert(name.split("/").every((part) => /^(?!\.{1,2}$)[^\\:\0]*[^ .\\:\0]$/.test(part)), name);
  }
  assert(passed > 1000, `${passed}`);
});

Deno.test("findCollision names what only some systems tell apart", () => {
  for (const [one = "", other = ""] of corpus.colliding) {
    assertEquals(findCollision(files(one, other)), [one, other]);
    assertEquals(findCollision(files("between", other, "and after", one)), [other, one]);
  }
});

Deno.test("findCollision lets folders be listed, implied and shared", () => {
  assertEquals(findCollision([]), undefined);
  assertEquals(findCollision(files("a/b", "a/c", "ab", "b/a", "b/b/a")), undefined);
  const folder = { path: "a", kind: "directory" as const };
  assertEquals(findCollision([folder, ...files("a/b")]), undefined);
  assertEquals(findCollision([...files("a/b"), folder]), undefined);
  assertEquals(findCollision([folder, folder]), ["a", "a"]);
  assertEquals(findCollision([folder, ...files("A")]), ["a", "A"]);
  assertEquals(findCollision(files("__proto__", "constructor", "toString/x")), undefined);
});

function files(...paths: string[]): { path: string; kind: "file" }[] {
  return paths.map((path) => ({ path, kind: "file" }));
}

Deno.test("findCollision refuses a short list that leads through too many folders", () => {
  const deep = (i: number) => ({ path: `x${i}/${"a/".repeat(60)}b`, kind: "file" as const });
  const entries = Array.from({ length: 1_000 }, (_, i) => deep(i));
  const error = assertThrows(() => findCollision(entries), LimitError, "maxUnlistedFolders");
  assertEquals(error.code, "limit");
  assertEquals(findCollision(entries.slice(0, 300)), undefined);
});
