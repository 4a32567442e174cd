import { assert, assertEquals } from "@std/assert";
import { conflictPath, freePath } from "../../src/sync/conflict.ts";
import { parentOf, prefixesOf } from "../../src/sync/path.ts";
import { MemoryIndex } from "../../src/sync/memory_index.ts";
import {
  checkPath,
  checkReceivedPath,
  findCollision,
  foldPath,
} from "../../src/transfer/safe_path.ts";
import { fileEntry, folderEntry } from "./index_contract.ts";

const HASH = "0123456789abcdef".repeat(4);

Deno.test("conflictPath marks a name and keeps its ending and folder", () => {
  const names = {
    "notes.txt": "notes (conflict 01234567).txt",
    "a/b.c/notes.tar.gz": "a/b.c/notes.tar (conflict 01234567).gz",
    "docs/Makefile": "docs/Makefile (conflict 01234567)",
    ".profile": ".profile (conflict 01234567)",
    "notes (conflict 89abcdef).txt": "notes (conflict 01234567).txt",
    "(conflict 89abcdef)": "(conflict 89abcdef) (conflict 01234567)",
  };
  for (const [path, expected] of Object.entries(names)) {
    assertEquals(conflictPath(path, HASH), expected);
    assertEquals(conflictPath(conflictPath(path, HASH), HASH), expected);
  }
  assertEquals(conflictPath("a", HASH, 16), "a (conflict 0123456789abcdef)");
});

Deno.test("conflictPath makes names that are stored everywhere, of the longest too", () => {
  for (const name of ["x".repeat(255), "é".repeat(127), "😀".repeat(63), `a.${"y".repeat(250)}`]) {
    for (const digits of [8, 64]) {
      const path = conflictPath(`docs/${name}`, HASH, digits);
      assertEquals(checkPath(path), path);
    }
  }
});

Deno.test("freePath finds a name that is free in every spelling, or none when it is not needed", () => {
  const index = new MemoryIndex();
  const entry = fileEntry("a.txt", { sha256: HASH });
  assertEquals(freePath(index, entry), "a (conflict 01234567).txt");
  index.put([{ entry: fileEntry("A (CONFLICT 01234567).TXT", { sha256: "ff".repeat(32) }) }]);
  assertEquals(freePath(index, entry), "a (conflict 0123456789abcdef).txt");
  index.put([{ entry: { ...entry, path: "a (conflict 0123456789abcdef).txt" } }]);
  assertEquals(freePath(index, entry), index.get("a (conflict 0123456789abcdef).txt"));
  const folder = folderEntry("docs");
  const first = String(freePath(index, folder));
  index.put([{ entry: folderEntry(first) }]);
  assert(freePath(index, folder) !== first);
});

Deno.test("foldPath sees names as findCollision does", () => {
  const names = [
    "a",
    "A",
    "é",
    "e\u0301",
    "É",
    "ß",
    "ẞ",
    "SS",
    "ss",
    "ſ",
    "s",
    "Σ",
    "ς",
    "a\u200db",
  ];
  for (const one of names) {
    for (const other of names) {
      const entries = [one, other].map((path) => ({ path, kind: "file" as const }));
      const collide = findCollision(entries) !== undefined;
      assertEquals(foldPath(one) === foldPath(other), collide, `${one} ${other}`);
    }
  }
});

Deno.test("parentOf and prefixesOf walk a path", () => {
  assertEquals([parentOf("a/b/c"), parentOf("a")], ["a/b", ""]);
  assertEquals([...prefixesOf("a/b/c")], ["a", "a/b", "a/b/c"]);
  assertEquals([...prefixesOf("a")], ["a"]);
});

Deno.test("conflictPath gives a name that everybody takes, whatever it is made of", () => {
  const family = "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}";
  const names = [
    ...Array.from({ length: 20 }, (_, n) => "a".repeat(n) + family.repeat(13)),
    `a.${family.repeat(13)}`,
    `${"a".repeat(200)}. ${"b".repeat(50)}`,
    "a".repeat(229) + ". ." + "b".repeat(20),
    `${"क\u094d\u200d".repeat(20)}क`,
    // Cut behind what is between two letters only.
    "\u0628\u200c".repeat(50) + "\u0628",
  ];
  const folder = Array(16).fill("d".repeat(253)).join("/");
  const deep = [`${folder}/${"e".repeat(30)}`, `${folder.slice(0, -60)}/${"e".repeat(80)}.txt`];
  for (const path of [...names, ...deep]) {
    assertEquals(checkReceivedPath(path), path);
    for (const digits of [8, 16, 32, 64]) {
      const kept = conflictPath(path, "0123456789abcdef".repeat(4), digits);
      assertEquals(checkReceivedPath(kept), kept);
      assert(kept.includes(` (conflict ${"0123456789abcdef".repeat(4).slice(0, digits)})`), kept);
    }
  }
});
