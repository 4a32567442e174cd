import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import { NotFoundError, UnsupportedError } from "../../src/errors.ts";
import type { SyncEntry } from "../../src/sync/entry.ts";
import { type FolderChange, SyncFolder } from "../../src/sync/folder.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";
import { indexNameOf } from "../../src/sync/folder_root.ts";
import { liveAt } from "../../src/sync/index.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { Surroundings } from "../threats/surroundings.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";
import { fileEntry, folderEntry } from "./index_contract.ts";
import { hash } from "./sim_replica.ts";

const THEM = "r00000000000000aa";

/** What another replica has: a file with these contents. */
function theirs(path: string, contents: string, facts: Partial<SyncEntry> = {}): SyncEntry {
  const version = new Map([[THEM, 1]]);
  const size = new TextEncoder().encode(contents).length;
  return fileEntry(path, { sha256: hash(contents), size, version, mtimeMs: +LONG_AGO, ...facts });
}

/** Puts contents onto the shelf of a folder, as whoever receives them does. */
async function shelve(folder: SyncFolder, contents: string): Promise<void> {
  const bytes = new TextEncoder().encode(contents);
  const grown = await folder.shelf.begin(hash(contents), bytes.length);
  grown.part.file.writeSync(bytes.subarray(grown.bytes));
  await folder.shelf.finish(hash(contents), grown);
}

async function receive(folder: SyncFolder, ...files: [path: string, contents: string][]) {
  for (const [, contents] of files) await shelve(folder, contents);
  return folder.takeIn(files.map((file) => theirs(...file)), THEM);
}

Deno.test("SyncFolder notes what was done to it, and tells of it", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const told: FolderChange[] = [];
  using _listening = folder.onChange((changes) => told.push(...changes));
  const events = folder.events();
  write(folder.dir, "docs/a.txt", "one", LONG_AGO);
  await folder.scan();
  Deno.renameSync(join(folder.dir, "docs/a.txt"), join(folder.dir, "b.txt"));
  Deno.removeSync(join(folder.dir, "docs"));
  await folder.scan();
  const said = told.map(({ change, source }) => [change.operation, change.file_path, source]);
  assertEquals(said, [
    ["create", "docs", ""],
    ["create", "docs/a.txt", ""],
    ["delete", "docs", ""],
    ["rename", "b.txt", ""],
  ]);
  assertEquals(told.at(-1)?.change.old_path, "docs/a.txt");
  await folder.close();
  const seen = await Array.fromAsync(events);
  assertEquals(seen.at(-1), {
    type: "changed",
    path: "b.txt",
    operation: "rename",
    by: "here",
    oldPath: "docs/a.txt",
  });
});

Deno.test("SyncFolder takes in files, folders, renames and deletions", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const docs = folderEntry("docs", { version: new Map([[THEM, 1]]) });
  assertEquals(await folder.takeIn([docs], THEM), []);
  assertEquals(await receive(folder, ["docs/a.txt", "one"], ["b.txt", "two"]), []);
  assertEquals(treeOf(folder.dir), ["b.txt = two", "docs/", "docs/a.txt = one"]);
  const info = Deno.lstatSync(join(folder.dir, "docs/a.txt"));
  assertEquals([info.mtime, (info.mode ?? 0) & 0o777], [LONG_AGO, 0o644]);
  const version = new Map([[THEM, 2]]);
  const gone = { deleted: true, version };
  const moved = [theirs("b.txt", "", gone), theirs("B.txt", "two", { version, mode: 0o600 })];
  assertEquals(await folder.takeIn(moved, THEM), []);
  assertEquals(treeOf(folder.dir), ["B.txt = two", "docs/", "docs/a.txt = one"]);
  const all = [theirs("docs/a.txt", "", gone), folderEntry("docs", gone)];
  assertEquals(await folder.takeIn(all, THEM), []);
  assertEquals(treeOf(folder.dir), ["B.txt = two"]);
  await folder.scan();
  assertEquals(folder.index.since(0).map(({ source }) => source), [THEM, THEM, THEM, THEM]);
});

Deno.test("SyncFolder keeps what two have changed, and says so", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const events = folder.events();
  write(folder.dir, "a.txt", "mine");
  await folder.scan();
  const version = new Map([[THEM, 9]]);
  await shelve(folder, "theirs");
  assertEquals(await folder.takeIn([theirs("a.txt", "theirs", { version })], THEM), []);
  const kept = `a (conflict ${hash("mine").slice(0, 8)}).txt`;
  assertEquals(treeOf(folder.dir), [`${kept} = mine`, "a.txt = theirs"]);
  await folder.close();
  const conflicts = (await Array.fromAsync(events)).filter(({ type }) => type === "conflict");
  assertEquals(conflicts, [{ type: "conflict", path: "a.txt", keptAs: kept }]);
});

Deno.test("SyncFolder loses nothing that was written a moment before others' version comes", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  await receive(folder, ["a.txt", "one"]);
  // As long, and unnoticed so far.
  write(folder.dir, "a.txt", "two");
  await shelve(folder, "six");
  const version = new Map([[THEM, 9]]);
  assertEquals(await folder.takeIn([theirs("a.txt", "six", { version })], THEM), []);
  assert(treeOf(folder.dir).some((line) => line.endsWith("= two")), `${treeOf(folder.dir)}`);
  assert(treeOf(folder.dir).some((line) => line.endsWith("= six")), `${treeOf(folder.dir)}`);
});

Deno.test("SyncFolder swaps contents that are under each other's names", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  await receive(folder, ["a", "one"], ["b", "two"]);
  const version = new Map([[THEM, 2]]);
  const swapped = [theirs("a", "two", { version }), theirs("b", "one", { version })];
  assertEquals(await folder.takeIn(swapped, THEM), []);
  assertEquals(treeOf(folder.dir), ["a = two", "b = one"]);
});

Deno.test("SyncFolder leaves out what has no contents, and takes it when they have come", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const [a, b] = [theirs("a", "one"), theirs("b", "two")];
  await shelve(folder, "two");
  assertEquals(await folder.takeIn([a, b], THEM), [a]);
  assertEquals(treeOf(folder.dir), ["b = two"]);
  await shelve(folder, "one");
  assertEquals(await folder.takeIn([a, b], THEM), []);
  assertEquals(treeOf(folder.dir), ["a = one", "b = two"]);
});

Deno.test("SyncFolder goes on with the others when one cannot be done", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const outside = join(scratch.dir, "outside");
  Deno.mkdirSync(outside);
  Deno.symlinkSync(outside, join(folder.dir, "link"));
  Deno.symlinkSync(join(outside, "file"), join(folder.dir, "file"));
  const events = folder.events();
  const failed = await receive(folder, ["a", "1"], ["link/b", "2"], ["file", "3"], ["c", "4"]);
  assertEquals(failed.map(({ path }) => path).sort(), ["file", "link/b"]);
  assertEquals(treeOf(folder.dir), [
    "a = 1",
    "c = 4",
    "file = no plain file",
    "link = no plain file",
  ]);
  assertEquals([...Deno.readDirSync(outside)], []);
  await folder.close();
  const seen = await Array.fromAsync(events);
  const paths = seen.flatMap((event: SyncEvent) => event.type === "failed" ? event.path : []);
  assertEquals(paths.sort(), ["file", "link/b"]);
});

Deno.test("SyncFolder keeps a folder that others removed when something in it is not shared", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  write(folder.dir, ".kithignore", "*.tmp\n");
  const [docs, version] = [
    folderEntry("docs", { version: new Map([[THEM, 1]]) }),
    new Map([[THEM, 2]]),
  ];
  await folder.takeIn([docs], THEM);
  write(folder.dir, "docs/mine.tmp", "mine");
  await folder.scan();
  assertEquals(await folder.takeIn([folderEntry("docs", { deleted: true, version })], THEM), []);
  assertEquals(treeOf(folder.dir).slice(1), ["docs/", "docs/mine.tmp = mine"]);
  const kept = liveAt(folder.index, "docs");
  assertEquals([kept?.version.get(THEM), kept?.source], [2, ""]);
});

Deno.test("SyncFolder neither tells of what is ignored nor takes it in", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  write(folder.dir, ".kithignore", "*.tmp\nbuild/\n");
  write(folder.dir, "a.tmp", "mine");
  await folder.scan();
  assertEquals(await receive(folder, ["b.tmp", "1"], ["build/c", "2"], ["d", "3"]), []);
  assertEquals(treeOf(folder.dir), [".kithignore = *.tmp\nbuild/\n", "a.tmp = mine", "d = 3"]);
  assertEquals([...folder.index.known().keys()], ["d"]);
  // What cannot be understood changes nothing.
  write(folder.dir, ".kithignore", "[\n");
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["d"]);
});

Deno.test("SyncFolder takes nothing for deleted when its disk is not there", async () => {
  await using scratch = new Scratch();
  const index = scratch.use(SqliteIndex.inMemory());
  const folder = await scratch.folder("f", { index });
  write(folder.dir, "a", "one");
  await folder.scan();
  await folder.close();
  const away = `${folder.dir} away`;
  Deno.renameSync(folder.dir, away);
  const open = () => SyncFolder.open({ dir: folder.dir, index });
  await assertRejects(open, NotFoundError, "Cannot find folder");
  Deno.mkdirSync(folder.dir);
  await assertRejects(open, UnsupportedError, "is its disk mounted?");
  write(folder.dir, "other", "of another disk");
  await assertRejects(open, UnsupportedError, "is its disk mounted?");
  assertEquals([...index.known().keys()], ["a"]);
  Deno.removeSync(folder.dir, { recursive: true });
  Deno.renameSync(away, folder.dir);
  // Really deleted, and the mark of the folder is there.
  Deno.removeSync(join(folder.dir, "a"));
  await using _again = await open();
  assertEquals(index.known().size, 0);
});

Deno.test("SyncFolder finds its mark again when only that was removed", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const names = ["a", "b", "c"];
  for (const name of names) write(folder.dir, name, name);
  await folder.scan();
  const partials = join(folder.dir, ".kith-partial");
  Deno.removeSync(partials, { recursive: true });
  await folder.scan();
  Deno.removeSync(join(folder.dir, "a"));
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["b", "c"]);
  Deno.removeSync(partials, { recursive: true });
  Deno.removeSync(join(folder.dir, "b"));
  const why = `1 of its files are not there, and its mark is not either; is its disk mounted? If ` +
    `you have deleted them, add the line ${folder.index.id} to .kith-partial/index in it`;
  await assertRejects(() => folder.scan(), UnsupportedError, why);
  assertEquals([...folder.index.known().keys()], ["b", "c"]);
  write(folder.dir, ".kith-partial/index", `r0000000000000001\n${folder.index.id}\n`);
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["c"]);
});

Deno.test("indexNameOf is one for all ways to a folder", async () => {
  await using scratch = new Scratch();
  Deno.mkdirSync(join(scratch.dir, "f"));
  Deno.symlinkSync(join(scratch.dir, "f"), join(scratch.dir, "link"));
  const name = indexNameOf(join(scratch.dir, "f"));
  assertMatch(name, /^sync-[0-9a-f]{16}\.sqlite$/);
  assertEquals(indexNameOf(`${scratch.dir}/./f/`), name);
  assertEquals(indexNameOf(join(scratch.dir, "link")), name);
  assert(indexNameOf(join(scratch.dir, "other")) !== name);
});

Deno.test("SyncFolder that is read-only is left as it is", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f", { readOnly: true });
  for (const name of ["e\u0301te\u0301", "docs", "Docs"]) write(folder.dir, name, name);
  const before = treeOf(folder.dir);
  await folder.scan();
  assertEquals(treeOf(folder.dir), before);
});

Deno.test("SyncFolder writes nothing outside of itself, whatever a path is", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const surroundings = new Surroundings(scratch.dir);
  const version = new Map([[THEM, 1]]);
  for (const [nth, path] of Object.values(corpus.hostile).flat().entries()) {
    // The protocol refuses such paths before; here nothing has.
    await folder.takeIn([folderEntry(path, { version })], THEM).catch(() => {});
    if (nth % 4 !== 0) continue;
    await shelve(folder, path.toWellFormed());
    await folder.takeIn([theirs(path, path.toWellFormed())], THEM).catch(() => {});
  }
  const outside = surroundings.changes().filter((line) => !line.startsWith("+f/"));
  assertEquals(outside, []);
});

Deno.test("SyncFolder.watch notes an edit soon", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const watching = folder.watch({ quietMs: 20 });
  const told = Promise.withResolvers<string>();
  using _listening = folder.onChange(([first]) => told.resolve(first?.change.file_path ?? ""));
  // The watch begins a moment later than it is asked for.
  const timer = setInterval(() => write(folder.dir, "a", crypto.randomUUID()), 50);
  assertEquals(await told.promise, "a");
  clearInterval(timer);
  await folder.close();
  await watching;
});

Deno.test("SyncFolder of a dry run writes nothing into the folder", async () => {
  await using scratch = new Scratch();
  write(`${scratch.dir}/f`, "a", "1", LONG_AGO);
  const folder = await scratch.folder("f", { dryRun: true });
  assertEquals(folder.index.known().size, 1);
  await folder.scan();
  assertEquals([...Deno.readDirSync(folder.dir)].map(({ name }) => name), ["a"]);
});

Deno.test("SyncFolder never shares where our keys are, nor takes anything in there", async () => {
  await using scratch = new Scratch();
  const homeDir = `${scratch.dir}/f/.state/kith`;
  write(homeDir, "identity.pem", "secret", LONG_AGO);
  write(`${scratch.dir}/f`, "a", "1", LONG_AGO);
  const folder = await scratch.folder("f", { homeDir });
  assertEquals([...folder.index.known().keys()], [".state", "a"]);
  await receive(folder, [".state/kith/identity.pem", "theirs"], [".state/b", "2"]);
  assertEquals(Deno.readTextFileSync(`${homeDir}/identity.pem`), "secret");
  assertEquals([...folder.index.known().keys()], [".state", ".state/b", "a"]);
  await assertRejects(
    () => scratch.folder("f/.state/kith", { homeDir }),
    UnsupportedError,
    "it holds our keys",
  );
  await assertRejects(
    () => scratch.folder("../../..", {}),
    UnsupportedError,
    "root of all folders",
  );
});

Deno.test("SyncFolder tells only of what can be seen in the folder", async () => {
  await using scratch = new Scratch();
  write(`${scratch.dir}/f`, "same", "1", LONG_AGO);
  const folder = await scratch.folder("f");
  const events = folder.events();
  const never = {
    ...theirs("never here", ""),
    deleted: true,
    size: 0,
    sha256: "",
    mode: 0,
    mtimeMs: 0,
  };
  await shelve(folder, "2");
  const mode = folder.index.get("same")?.mode ?? 0;
  await folder.takeIn([never, theirs("same", "1", { mode }), theirs("new", "2", { mode })], THEM);
  await folder.close();
  assertEquals(
    (await Array.fromAsync(events)).map((event) => "path" in event ? event.path : event),
    ["new"],
  );
});
