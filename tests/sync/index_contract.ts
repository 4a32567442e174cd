/**
 * What every index does, as tests.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type SyncEntry, tombstoneOf } from "../../src/sync/entry.ts";
import { NO_MARK, type StoredEntry, type SyncIndex } from "../../src/sync/index.ts";

/** A file's entry. */
export function fileEntry(path: string, facts: Partial<SyncEntry> = {}): SyncEntry {
  return {
    path,
    kind: "file",
    deleted: false,
    size: 3,
    mode: 0o644,
    mtimeMs: 1_000,
    sha256: "ab".repeat(32),
    version: new Map([["r0000000000000001", 1]]),
    ...facts,
  };
}

/** A folder's entry. */
export function folderEntry(path: string, facts: Partial<SyncEntry> = {}): SyncEntry {
  const folder = { kind: "directory", size: 0, mode: 0o755, mtimeMs: 0, sha256: "" } as const;
  return fileEntry(path, { ...folder, ...facts });
}

function pathsOf(entries: readonly StoredEntry[]): string[] {
  return entries.map(({ path }) => path);
}

/** Tests an index. @param open Makes one. */
export function testIndex(name: string, open: () => SyncIndex): void {
  Deno.test(`${name} gives back what was put, with a number of its own for each`, () => {
    const index = open();
    const file = fileEntry("docs/a.txt");
    index.put([{ entry: folderEntry("docs"), stat: "d" }, {
      entry: file,
      stat: "f1",
      source: "x",
    }]);
    assertEquals(index.get("docs/a.txt"), { ...file, seq: 2, stat: "f1", source: "x" });
    assertEquals([index.seq, index.get("docs")?.seq, index.get("nothing")], [2, 1, undefined]);
    index.put([{ entry: fileEntry("docs/a.txt", { mode: 0o600 }) }]);
    const again = index.get("docs/a.txt");
    assertEquals([again?.seq, again?.stat, again?.source, again?.mode], [3, "f1", "", 0o600]);
  });

  Deno.test(`${name} keeps what is gone, but not among what is there`, () => {
    const index = open();
    const file = fileEntry("a");
    index.put([{ entry: file, stat: "f1" }, {
      entry: tombstoneOf(file, file.version),
      stat: "f2",
    }]);
    assertEquals([index.get("a")?.deleted, index.get("a")?.stat], [true, ""]);
    assertEquals([...index.known()], []);
    assertEquals(
      [...index.withContents(file.sha256), ...index.alike("A"), ...index.within("")],
      [],
    );
    index.noteStats([["a", "f3"], ["nothing", "f4"]]);
    assertEquals(index.get("a")?.stat, "");
  });

  Deno.test(`${name} knows what changed since, in order, without what came from a replica`, () => {
    const index = open();
    const put = (path: string, source?: string) => index.put([{ entry: fileEntry(path), source }]);
    put("a", "x"), put("b"), put("c", "y"), put("a", "y");
    assertEquals(pathsOf(index.since(0)), ["b", "c", "a"]);
    assertEquals(pathsOf(index.since(2)), ["c", "a"]);
    assertEquals(pathsOf(index.since(0, "y")), ["b"]);
    assertEquals(pathsOf(index.since(4)), []);
  });

  Deno.test(`${name} finds what is in a folder, spelled otherwise, or has the same contents`, () => {
    const index = open();
    const paths = ["é", "a", "a/b", "a/b/c", "a-b", "a0", "ab", "A/B", "\u{1f600}", "\uff5e"];
    index.put(paths.map((path) => ({ entry: fileEntry(path), stat: path })));
    index.noteStats([["a0", "noted"]]);
    assertEquals(pathsOf(index.within("a")), ["a/b", "a/b/c"]);
    assertEquals(pathsOf(index.alike("a/b")), ["A/B"]);
    assertEquals(pathsOf(index.alike("E\u0301")), ["é"]);
    assertEquals(pathsOf(index.alike("ab")), []);
    // By code points, not by UTF-16 units.
    const sorted = ["A/B", "a", "a-b", "a/b", "a/b/c", "a0", "ab", "é", "\uff5e", "\u{1f600}"];
    assertEquals(pathsOf(index.withContents("ab".repeat(32))), sorted);
    assertEquals(index.known().get("a0"), { kind: "file", stat: "noted" });
    assertEquals(index.known().size, paths.length);
  });

  Deno.test(`${name} says what it was just told, while work goes on`, () => {
    const index = open();
    const told = index.together(() => {
      assertEquals(index.get("a"), undefined);
      index.put([{ entry: fileEntry("a"), stat: "f1" }]);
      assertEquals([index.get("a")?.seq, index.get("a")?.stat], [1, "f1"]);
      index.noteStats([["a", "f2"]]);
      assertEquals(index.get("a")?.stat, "f2");
      index.put([{ entry: fileEntry("a", { size: 4 }) }]);
      return index.get("a");
    });
    assertEquals([told?.seq, told?.size, told?.stat], [2, 4, "f2"]);
    assertEquals([index.seq, index.get("a")], [2, told]);
  });

  Deno.test(`${name} keeps marks`, () => {
    const index = open();
    assertEquals(index.mark("x"), NO_MARK);
    index.setMark("x", { ours: 3, theirs: 4 });
    index.setMark("x", { ours: 5, theirs: 4 });
    assertEquals(index.mark("x"), { ours: 5, theirs: 4 });
    assertEquals(index.seq, 0);
  });
}
