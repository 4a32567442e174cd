import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { type SyncEntry, tombstoneOf } from "../../src/sync/entry.ts";
import { changesOf } from "../../src/sync/changes.ts";
import { parentOf } from "../../src/sync/path.ts";
import { liveAt } from "../../src/sync/index.ts";
import { intake, wantedContents } from "../../src/sync/intake.ts";
import { MemoryIndex } from "../../src/sync/memory_index.ts";
import { commitStep, type DiskAction } from "../../src/sync/steps.ts";
import type { VersionVector } from "../../src/sync/version_vector.ts";
import { fileEntry, folderEntry } from "./index_contract.ts";

const [ours, theirs] = ["r000000000000000a", "r000000000000000b"];
const [one, other] = ["11".repeat(32), "22".repeat(32)];

function v(a: number, b: number): VersionVector {
  return new Map([[ours, a], [theirs, b]].filter(([, n]) => n !== 0) as [string, number][]);
}

function indexWith(...entries: SyncEntry[]): MemoryIndex {
  const index = new MemoryIndex(ours);
  index.put(entries.map((entry) => ({ entry, stat: "s" })));
  return index;
}

function gone(entry: SyncEntry, version = v(1, 2)): SyncEntry {
  return tombstoneOf(entry, version);
}

/** Takes entries in, as far as the index goes. @returns what was to be done on the disk, in short. */
function takeIn(index: MemoryIndex, ...entries: SyncEntry[]): string[] {
  const done: string[] = [];
  for (const step of intake(index, entries, theirs)) {
    if (step.disk.do !== "nothing") done.push(shown(step.disk));
    commitStep(index, step, () => "s");
  }
  return done;
}

function shown(action: DiskAction): string {
  if (action.do === "nothing") return "nothing";
  return "from" in action
    ? `${action.do} ${action.from} > ${action.to}`
    : `${action.do} ${action.path}`;
}

function there(index: MemoryIndex): string[] {
  return [...index.known().keys()].sort();
}

Deno.test("intake makes folders before files and removes files before folders", () => {
  const index = new MemoryIndex(ours);
  const version = v(0, 1);
  const [docs, file] = [folderEntry("docs", { version }), fileEntry("docs/a", { version })];
  assertEquals(takeIn(index, file, docs), ["folder docs", "write docs/a"]);
  assertEquals(takeIn(index, file, docs), []);
  assertEquals(takeIn(index, gone(docs), gone(file)), ["remove docs/a", "remove docs"]);
  assertEquals(there(index), []);
});

Deno.test("intake recognises a renaming, of files in a folder too", () => {
  const [docs, file] = [
    folderEntry("docs", { version: v(1, 0) }),
    fileEntry("docs/a", { version: v(1, 0) }),
  ];
  const index = indexWith(docs, file);
  const batch = [
    gone(docs),
    gone(file),
    folderEntry("texts", { version: v(0, 1) }),
    fileEntry("texts/b", { version: v(0, 1) }),
  ];
  assertEquals(wantedContents(index, batch), []);
  const steps = intake(index, batch, theirs);
  const changes: string[] = [];
  const done: string[] = [];
  for (const step of steps) {
    done.push(shown(step.disk));
    for (const change of changesOf(index, step, "ann")) {
      changes.push([change.operation, change.old_path, change.file_path].join(" "));
    }
    commitStep(index, step, () => "s");
  }
  assertEquals(done, ["folder texts", "move docs/a > texts/b", "remove docs"]);
  assertEquals(changes, ["create  texts", "rename docs/a texts/b", "delete  docs"]);
  assertEquals(there(index), ["texts", "texts/b"]);
});

Deno.test("intake keeps a copy of what loses, before the winner takes its place", () => {
  const index = indexWith(fileEntry("a.txt", { version: v(1, 0), sha256: one }));
  const winner = fileEntry("a.txt", { version: v(0, 3), sha256: other });
  assertEquals(takeIn(index, winner), ["copy a.txt > a (conflict 11111111).txt", "write a.txt"]);
  assertEquals(index.get("a.txt")?.version, v(1, 3));
  assertEquals(index.get("a (conflict 11111111).txt")?.sha256, one);
  const loser = fileEntry("a.txt", { version: v(0, 2), sha256: one });
  assertEquals(
    takeIn(indexWith(fileEntry("a.txt", { version: v(4, 0), sha256: other })), loser),
    [],
  );
});

Deno.test("intake keeps a folder in which something is that they did not know of", () => {
  const index = indexWith(
    folderEntry("docs", { version: v(1, 0) }),
    fileEntry("docs/new", { version: v(1, 0) }),
  );
  assertEquals(takeIn(index, gone(folderEntry("docs"))), []);
  assertEquals(there(index), ["docs", "docs/new"]);
  assertEquals(index.get("docs")?.version.get(ours), 3);
  const file = fileEntry("other/deep/a", { version: v(0, 1) });
  assertEquals(takeIn(index, file), ["folder other", "folder other/deep", "write other/deep/a"]);
});

Deno.test("intake keeps names apart that some system takes for one", () => {
  const index = indexWith(fileEntry("Read.me", { version: v(1, 0), sha256: one }));
  const lower = fileEntry("read.me", { version: v(0, 1), sha256: other });
  assertEquals(takeIn(index, lower), ["write read (conflict 22222222).me"]);
  assertEquals([index.get("read.me")?.deleted, there(index)], [true, [
    "Read.me",
    "read (conflict 22222222).me",
  ]]);
  const mirrored = indexWith(fileEntry("read.me", { version: v(1, 0), sha256: other }));
  const upper = fileEntry("Read.me", { version: v(0, 1), sha256: one });
  assertEquals(takeIn(mirrored, upper), [
    "move read.me > read (conflict 22222222).me",
    "write Read.me",
  ]);
  assertEquals(there(mirrored), there(index));
});

Deno.test("intake puts what is in a folder of another spelling into the one that is there", () => {
  const index = indexWith(
    folderEntry("Docs", { version: v(1, 0) }),
    fileEntry("Docs/a", { version: v(1, 0), sha256: one }),
  );
  const batch = [
    folderEntry("docs", { version: v(0, 1) }),
    fileEntry("docs/a", { version: v(0, 1), sha256: other }),
    fileEntry("docs/b", { version: v(0, 1), sha256: other }),
  ];
  assertEquals(takeIn(index, ...batch), ["write Docs/a (conflict 22222222)", "write Docs/b"]);
  assertEquals(there(index), ["Docs", "Docs/a", "Docs/a (conflict 22222222)", "Docs/b"]);
});

Deno.test("intake follows a change of case, of a file and of a folder, as one renaming", () => {
  const docs = folderEntry("Docs", { version: v(1, 0) });
  const file = fileEntry("Docs/Read.me", { version: v(1, 0) });
  const index = indexWith(docs, file);
  const renamed = fileEntry("Docs/read.me", { version: v(0, 1) });
  assertEquals(takeIn(index, gone(file), renamed), ["move Docs/Read.me > Docs/read.me"]);
  const batch = [
    gone(docs),
    gone(renamed, v(0, 2)),
    folderEntry("docs", { version: v(0, 1) }),
    fileEntry("docs/read.me", { version: v(0, 1) }),
  ];
  assertEquals(takeIn(index, ...batch), ["move Docs > docs"]);
  assertEquals(there(index), ["docs", "docs/read.me"]);
});

Deno.test("intake lets a folder have a name that a file has too", () => {
  const index = indexWith(fileEntry("docs", { version: v(1, 0), sha256: one }));
  assertEquals(takeIn(index, fileEntry("docs/a", { version: v(0, 1), sha256: other })), [
    "move docs > docs (conflict 11111111)",
    "folder docs",
    "write docs/a",
  ]);
  assertEquals(takeIn(index, fileEntry("docs", { version: v(9, 1), sha256: other })), [
    "write docs (conflict 22222222)",
  ]);
  assertEquals(there(index), [
    "docs",
    "docs (conflict 11111111)",
    "docs (conflict 22222222)",
    "docs/a",
  ]);
  const replaced = indexWith(
    folderEntry("a", { version: v(1, 0) }),
    fileEntry("b", { version: v(1, 0) }),
  );
  const batch = [fileEntry("a", { version: v(1, 2) }), folderEntry("b", { version: v(1, 2) })];
  assertEquals(takeIn(replaced, ...batch), ["remove b", "folder b", "remove a", "write a"]);
});

Deno.test("intake confirms what it keeps in the place of something else", () => {
  const upper = fileEntry("Read.me", { version: v(1, 0) });
  const lower = fileEntry("read.me", { version: v(0, 1) });
  const index = indexWith(upper);
  assertEquals(takeIn(index, lower), []);
  assertEquals(there(index), ["Read.me"]);
  // The other half of their renaming comes too late to take the last of the contents away.
  assertEquals(takeIn(index, gone(upper)), []);
  assertEquals(there(index), ["Read.me"]);
});

Deno.test("intake knows what it has from another as it is, and what it had to merge", () => {
  const index = indexWith(fileEntry("merged", { version: v(1, 0) }));
  takeIn(index, fileEntry("merged", { version: v(0, 3) }), fileEntry("new", { version: v(0, 3) }));
  assertEquals([index.get("merged")?.source, index.get("new")?.source], ["", theirs]);
});

Deno.test("intake changes permissions and time where the contents are here", () => {
  const index = indexWith(fileEntry("a", { version: v(1, 0) }));
  assertEquals(takeIn(index, fileEntry("a", { version: v(1, 2), mode: 0o600 })), ["touch a"]);
  assertEquals(index.get("a")?.mode, 0o600);
});

Deno.test("wantedContents is what is nowhere here", () => {
  const index = indexWith(fileEntry("a", { version: v(1, 0), sha256: one }));
  const known = fileEntry("b", { version: v(0, 1), sha256: one });
  const unknown = fileEntry("c", { version: v(0, 1), sha256: other });
  const older = fileEntry("a", { version: v(0, 0), sha256: other });
  const batch = [known, unknown, older, gone(unknown), folderEntry("d")];
  assertEquals(wantedContents(index, batch), [unknown]);
});

Deno.test("intake leaves names apart and folders around what is in them, whatever comes", () => {
  const random = seededRandom(11);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const names = ["a", "A", "b", "B", "é", "É", "a (conflict 11111111)"];
  const anyEntry = () => {
    const path = Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(names)).join("/");
    const version = v(Math.floor(random() * 6), 1 + Math.floor(random() * 6));
    const entry = random() < 0.4
      ? folderEntry(path, { version })
      : fileEntry(path, { version, sha256: pick([one, other]) });
    return random() < 0.3 ? gone(entry, version) : entry;
  };
  let looked = 0;
  for (let run = 0; run < 40; run++) {
    const index = new MemoryIndex(ours);
    for (let batch = 0; batch < 20; batch++) {
      takeIn(index, ...Array.from({ length: 1 + Math.floor(random() * 6) }, anyEntry));
      for (const path of index.known().keys()) {
        assertEquals(index.alike(path).map((entry) => entry.path), [], path);
        const parent = parentOf(path);
        if (parent !== "") assertEquals(liveAt(index, parent)?.kind, "directory", path);
        looked++;
      }
    }
  }
  assert(looked > 1_000, `${looked}`);
});
