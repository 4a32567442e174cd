import { assertEquals } from "@std/assert";
import { changesOf } from "../../src/sync/changes.ts";
import {
  compareScan,
  type FoundFile,
  localEdits,
  type ReadFile,
} from "../../src/sync/local_edits.ts";
import { MemoryIndex } from "../../src/sync/memory_index.ts";
import { commitStep } from "../../src/sync/steps.ts";

const ours = "r000000000000000a";
const NFD = "e\u0301";

function file(path: string, contents = "1", stat = `f-${path}-${contents}`): ReadFile {
  const sha256 = contents.repeat(64).slice(0, 64);
  return { path, kind: "file", size: 1, mode: 0o644, mtimeMs: 5, stat, sha256 };
}

function folder(path: string): ReadFile {
  return { path, kind: "directory", size: 0, mode: 0o755, mtimeMs: 0, stat: "d", sha256: "" };
}

/** Notes what is on the disk. @returns what others are told, and what is renamed on the disk. */
function note(index: MemoryIndex, ...found: ReadFile[]): string[] {
  const { changed, gone } = compareScan(index, found);
  const read = found.filter((one) => changed.some(({ path }) => path === one.path));
  const said: string[] = [];
  for (const step of localEdits(index, read, gone)) {
    if (step.disk.do === "move") said.push(`(move ${step.disk.from} > ${step.disk.to})`);
    for (const { operation, old_path, file_path } of changesOf(index, step, "ann")) {
      said.push([operation, old_path ?? [], file_path].flat().join(" "));
    }
    commitStep(index, step, () => "s");
  }
  return said;
}

Deno.test("localEdits notes what is new, changed and gone, and nothing the second time", () => {
  const index = new MemoryIndex(ours);
  const all = [folder("docs"), file("docs/a"), file("b")];
  assertEquals(note(index, ...all).sort(), ["create b", "create docs", "create docs/a"]);
  assertEquals(note(index, ...all), []);
  assertEquals(index.seq, 3);
  assertEquals(note(index, folder("docs"), file("docs/a", "2"), file("b")), ["update docs/a"]);
  assertEquals(index.get("docs/a")?.version, new Map([[ours, 2]]));
  assertEquals(note(index, file("b")), ["delete docs/a", "delete docs"]);
  assertEquals(note(index, folder("docs"), file("b")), ["create docs"]);
  assertEquals(index.get("docs")?.version, new Map([[ours, 3]]));
});

Deno.test("localEdits recognises a renaming by the contents", () => {
  const index = new MemoryIndex(ours);
  note(index, folder("docs"), file("docs/a", "1"), file("b", "2"));
  const said = note(index, folder("texts"), file("texts/a", "1", "x"), file("b", "2"));
  assertEquals(said, ["delete docs", "create texts", "rename docs/a texts/a"]);
  assertEquals(note(index, folder("texts"), file("texts/A", "1", "x"), file("b", "2")), [
    "rename texts/a texts/A",
  ]);
});

Deno.test("localEdits takes what was only touched for what it was", () => {
  const index = new MemoryIndex(ours);
  note(index, file("a", "1", "before"));
  assertEquals(note(index, file("a", "1", "after")), []);
  assertEquals([index.get("a")?.stat, index.seq], ["after", 1]);
  assertEquals(note(index, { ...file("a", "1", "again"), mode: 0o600 }), ["update a"]);
  const replaced: ReadFile = { ...folder("a") };
  assertEquals(note(index, replaced), ["update a"]);
  assertEquals(index.get("a")?.kind, "directory");
});

Deno.test("localEdits renames a newcomer whose name some system takes for another's", () => {
  const index = new MemoryIndex(ours);
  note(index, file("Makefile", "1"));
  assertEquals(note(index, file("Makefile", "1"), file("makefile", "2")), [
    "(move makefile > makefile (conflict 22222222))",
    "create makefile (conflict 22222222)",
  ]);
  const [both, other] = [file("é", "3"), file(NFD, "4")];
  assertEquals(note(new MemoryIndex(ours), both, other), [
    "create é",
    `(move ${NFD} > é (conflict 44444444))`,
    "create é (conflict 44444444)",
  ]);
  assertEquals(note(new MemoryIndex(ours), other), [`(move ${NFD} > é)`, "create é"]);
});

Deno.test("localEdits leaves what is in a folder that it renames to the next scan", () => {
  const index = new MemoryIndex(ours);
  const said = note(index, folder("Docs"), folder("docs"), file("docs/a"));
  assertEquals(said.filter((text) => text.includes("/a")), []);
  assertEquals(said.length, 3);
});

Deno.test("compareScan says what has a name that not every system can store", () => {
  const index = new MemoryIndex(ours);
  const found: FoundFile[] = [file("ab:c"), file("ok"), file(".kith-partial/x"), file("con")];
  const { changed, unportable } = compareScan(index, found);
  assertEquals(changed.map(({ path }) => path), ["ok"]);
  assertEquals(unportable.map(({ reason }) => reason), [
    "reserved character",
    "reserved folder",
    "reserved device name",
  ]);
});

Deno.test("compareScan takes for deleted nothing that is missing with a disk", () => {
  const disk = (path: string, stat: string): ReadFile => ({ ...folder(path), stat });
  const all = [disk("usb", "d:7"), disk("usb/sub", "d:7"), file("usb/sub/a"), file("usb/b")];
  const found = (...now: ReadFile[]) => {
    const index = new MemoryIndex(ours);
    note(index, ...all);
    const { changed, gone, unmounted } = compareScan(index, now);
    return { changed: changed.map(({ path }) => path), gone, unmounted };
  };
  const [usb, sub] = [disk("usb", "d"), disk("usb/sub", "d")];
  const away = { changed: [], gone: [], unmounted: ["usb"] };
  assertEquals(found(usb), away);
  assertEquals(found(usb, sub, file("usb/b"), file("usb/new")), away);
  assertEquals(found(disk("usb", "d:9")), away);
  // All of it was copied.
  const copied = found(usb, sub, file("usb/sub/a"), file("usb/b"));
  assertEquals(copied, { changed: ["usb", "usb/sub"], gone: [], unmounted: [] });
  // The same disk under another number, and something was deleted.
  const other = found(disk("usb", "d:9"), disk("usb/sub", "d:9"), file("usb/b"));
  assertEquals(other, { changed: ["usb", "usb/sub"], gone: ["usb/sub/a"], unmounted: [] });
  assertEquals(found().gone.length, 4);
});

Deno.test("compareScan looks again into what has no stat to rely upon, and spares what is hidden", () => {
  const index = new MemoryIndex(ours);
  note(index, file("a", "1", ""), file("b"), file("c"));
  const { changed, gone } = compareScan(index, [file("a", "1", "")], {
    absence: (path) => path === "b" ? "hidden" : "gone",
  });
  assertEquals([changed.map(({ path }) => path), gone], [["a"], ["c"]]);
});
