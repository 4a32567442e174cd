/** What a folder must not take for an edit, and must not be led to write. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { AuthError, InvalidPacketError, UnsupportedError } from "../../src/errors.ts";
import type { SyncEntry } from "../../src/sync/entry.ts";
import type { SyncFolder } from "../../src/sync/folder.ts";
import { FolderLook } from "../../src/sync/folder_look.ts";
import { IgnoreRules } from "../../src/sync/ignore.ts";
import { liveAt } from "../../src/sync/index.ts";
import { UNSHARED } from "../../src/sync/local_edits.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";
import { fileEntry, folderEntry } from "./index_contract.ts";
import { hash } from "./sim_replica.ts";

const THEM = "r00000000000000aa";

/** Has a folder take in a file of another replica. */
async function receive(
  folder: SyncFolder,
  path: string,
  contents: string,
  version = new Map([[THEM, 1]]),
): Promise<SyncEntry[]> {
  const bytes = new TextEncoder().encode(contents);
  const grown = await folder.shelf.begin(hash(contents), bytes.length);
  grown.part.file.writeSync(bytes);
  await folder.shelf.finish(hash(contents), grown);
  const facts = { sha256: hash(contents), size: bytes.length, mtimeMs: +LONG_AGO, version };
  return folder.takeIn([fileEntry(path, facts)], THEM);
}

/** Puts an empty folder into the place of one, as when a disk is unmounted. @returns what puts it back. */
function unmount(dir: string): () => void {
  Deno.renameSync(dir, `${dir} away`);
  Deno.mkdirSync(dir);
  return () => {
    Deno.removeSync(dir, { recursive: true });
    Deno.renameSync(`${dir} away`, dir);
  };
}

Deno.test("SyncFolder takes nothing in while its disk is not there", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  for (const name of ["a", "b"]) write(folder.dir, name, name, LONG_AGO);
  await folder.scan();
  const mountAgain = unmount(folder.dir);
  const failed = await receive(folder, "new", "news");
  assertEquals([failed.map(({ path }) => path), treeOf(folder.dir)], [["new"], []]);
  await assertRejects(() => folder.scan(), UnsupportedError, "2 of its files are not there");
  mountAgain();
  assertEquals(await receive(folder, "new", "news"), []);
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["a", "b", "new"]);
});

Deno.test("SyncFolder takes nothing for deleted where some program has made one of its folders", async () => {
  await using scratch = new Scratch();
  const index = scratch.use(SqliteIndex.inMemory());
  const folder = await scratch.folder("f", { index });
  for (const name of ["a", "b"]) write(folder.dir, `downloads/${name}`, name, LONG_AGO);
  await folder.scan();
  await folder.close();
  const mountAgain = unmount(folder.dir);
  Deno.mkdirSync(join(folder.dir, "downloads"));
  const open = () => scratch.folder("f", { index });
  await assertRejects(open, UnsupportedError, "2 of its files are not there");
  // Nor when the place is marked for another index.
  await (await scratch.folder("f")).close();
  await assertRejects(open, UnsupportedError, "2 of its files are not there");
  assertEquals(index.known().size, 3);
  mountAgain();
  const again = await open();
  assertEquals([...again.index.known().keys()], ["downloads", "downloads/a", "downloads/b"]);
});

Deno.test("SyncFolder is marked for every index that it belongs to", async () => {
  await using scratch = new Scratch();
  const one = await scratch.folder("f");
  write(one.dir, "a", "a", LONG_AGO);
  await one.scan();
  const other = await scratch.folder("f");
  Deno.removeSync(join(one.dir, "a"));
  await one.scan();
  await other.scan();
  assertEquals([one.index.known().size, other.index.known().size], [0, 0]);
});

Deno.test("FolderLook takes for deleted what is not missing all at once, where nothing can be marked", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const names = ["a", "b"];
  for (const name of names) write(folder.dir, name, name, LONG_AGO);
  await folder.scan();
  const { dir, index, clock } = folder;
  const nowhere = { isThere: () => false, canBePut: () => false, put: () => {} };
  const mark = { ...nowhere, fault: () => new UnsupportedError("another folder") };
  const { signal } = new AbortController();
  const parts = { dir, index, clock, mark, signal, tell: () => {} };
  const look = (marks: "always" | "if possible") => new FolderLook({ ...parts, marks }).look();
  Deno.removeSync(join(dir, "a"));
  await assertRejects(() => look("always"), UnsupportedError, "another folder");
  assertEquals((await look("if possible")).gone, ["a"]);
  Deno.removeSync(join(dir, "b"));
  await assertRejects(() => look("if possible"), UnsupportedError, "another folder");
});

Deno.test("SyncFolder follows no link when it marks a folder", async () => {
  await using scratch = new Scratch();
  write(scratch.dir, "victim/index", "precious");
  Deno.mkdirSync(`${scratch.dir}/f`);
  Deno.symlinkSync("../victim", `${scratch.dir}/f/.kith-partial`);
  await assertRejects(() => scratch.folder("f"), AuthError, "is a link");
  assertEquals(treeOf(`${scratch.dir}/victim`), ["index = precious"]);
});

Deno.test("SyncFolder shares nothing when its rules cannot be read or understood", async () => {
  await using scratch = new Scratch();
  const open = (name: string) => {
    write(`${scratch.dir}/${name}`, "secret.key", "secret");
    return scratch.folder(name);
  };
  write(scratch.dir, "wrong/.kithignore", "secret.key\n[\n");
  await assertRejects(() => open("wrong"), InvalidPacketError, "line 2");
  write(scratch.dir, "rules", "secret.key\n");
  Deno.mkdirSync(`${scratch.dir}/link`);
  Deno.symlinkSync("../rules", `${scratch.dir}/link/.kithignore`);
  await assertRejects(() => open("link"), UnsupportedError, "it is no plain file");
  Deno.mkdirSync(`${scratch.dir}/folder/.kithignore`, { recursive: true });
  await assertRejects(() => open("folder"), UnsupportedError, "it is no plain file");
});

Deno.test("SyncFolder keeps to its rules while a program saves them", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const path = join(folder.dir, ".kithignore");
  Deno.writeTextFileSync(path, "*.key\n");
  write(folder.dir, "secret.key", "secret", LONG_AGO);
  await folder.scan();
  Deno.removeSync(path);
  const scanning = folder.scan();
  setTimeout(() => Deno.writeTextFileSync(path, "*.key\n*.tmp\n"), 20);
  await scanning;
  assertEquals(folder.index.known().size, 0);
  assertEquals(folder.rulesNumber, IgnoreRules.parse("*.key\n*.tmp\n").number);
  // It stays what it was when it can be read no more.
  Deno.removeSync(path);
  Deno.mkdirSync(path);
  await folder.scan();
  assertEquals(folder.index.known().size, 0);
});

Deno.test("SyncFolder takes nothing for deleted that went while it was not shared", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const rules: number[] = [];
  using _listening = folder.onRules(() => rules.push(folder.rulesNumber));
  const version = new Map([[THEM, 3]]);
  for (const path of ["films/gone", "films/kept"]) await receive(folder, path, path, version);
  write(folder.dir, ".kithignore", "films/\n");
  await folder.scan();
  assertEquals(liveAt(folder.index, "films/gone")?.stat, UNSHARED);
  Deno.removeSync(join(folder.dir, "films/gone"));
  write(folder.dir, "films/kept", "edited", LONG_AGO);
  await folder.scan();
  const { seq } = folder.index;
  const told: string[] = [];
  using _telling = folder.onChange((changes) => {
    told.push(...changes.map(({ change }) => `${change.operation} ${change.file_path}`));
  });
  write(folder.dir, ".kithignore", "# none\n");
  await folder.scan();
  assertEquals([rules.length, rules.at(-1)], [2, 0]);
  // Nobody is told to delete it, and who has it has more than we do.
  assertEquals(told, ["update films/kept"]);
  assertEquals(folder.index.since(seq).map(({ path, deleted }) => [path, deleted]), [
    ["films/gone", true],
    ["films/kept", false],
  ]);
  assertEquals(folder.index.get("films/gone")?.version, version);
  assertEquals(folder.index.get("films/kept")?.version.get(THEM), 3);
  assertEquals(await receive(folder, "films/gone", "films/gone", version), []);
  assertEquals(treeOf(folder.dir).slice(1), [
    "films/",
    "films/gone = films/gone",
    "films/kept = edited",
  ]);
});

Deno.test("SyncFolder puts nothing into the place of a disk that is mounted in it, and is away", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const version = new Map([[THEM, 1]]);
  await folder.takeIn([folderEntry("usb", { version })], THEM);
  assertEquals(await receive(folder, "usb/photo", "p"), []);
  folder.index.noteStats([["usb", "d:123456"]]);
  Deno.removeSync(join(folder.dir, "usb/photo"));
  const events = folder.events();
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["usb", "usb/photo"]);
  assertEquals((await receive(folder, "usb/new", "new")).map(({ path }) => path), ["usb/new"]);
  write(folder.dir, "usb/here", "h", LONG_AGO);
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["usb", "usb/photo"]);
  // Until all that was on it is there.
  write(folder.dir, "usb/photo", "p", LONG_AGO);
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["usb", "usb/here", "usb/photo"]);
  Deno.removeSync(join(folder.dir, "usb/photo"));
  await folder.scan();
  assertEquals([...folder.index.known().keys()], ["usb", "usb/here"]);
  await folder.close();
  const skipped = (await Array.fromAsync(events)).filter(({ type }) => type === "skipped");
  assertEquals(skipped, [{ type: "skipped", path: "usb", reason: "its disk is not there" }]);
});

Deno.test("SyncFolder takes in no folder whose path its system would refuse", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const room = 4_095 - folder.dir.length - 1;
  const names = Array.from({ length: 15 }, () => "d".repeat(255)).join("/");
  const path = (bytes: number) => `${names}/${"e".repeat(bytes - names.length - 1)}`;
  const entry = (bytes: number) => folderEntry(path(bytes), { version: new Map([[THEM, 1]]) });
  assertEquals((await folder.takeIn([entry(room + 1)], THEM)).length, 1);
  assertEquals([...Deno.readDirSync(join(folder.dir, names))], []);
  await folder.scan();
  assertEquals(await folder.takeIn([entry(room)], THEM), []);
  await folder.scan();
  assertEquals(liveAt(folder.index, path(room))?.kind, "directory");
});

Deno.test("SyncFolder keeps what others remove only until it was taken in, be it often the same", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  const names = ["a", "b", "c"];
  for (const name of names) await receive(folder, name, "same");
  const version = new Map([[THEM, 2]]);
  const gone = names.map((path) => fileEntry(path, { deleted: true, version }));
  assertEquals(await folder.takeIn(gone, THEM), []);
  assertEquals(treeOf(folder.dir), []);
  const left = [...Deno.readDirSync(join(folder.dir, ".kith-partial"))].map(({ name }) => name);
  assertEquals(left, ["index"]);
});

Deno.test("SyncFolder looks again into what it has given another name, and had not known", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  write(folder.dir, "e\u0301", "one", LONG_AGO);
  const { index } = folder;
  const alike = index.alike.bind(index);
  // Asked for when the file was read, and is not renamed yet.
  index.alike = (...args) => {
    if (treeOf(folder.dir).length > 0) write(folder.dir, "e\u0301", "two", LONG_AGO);
    index.alike = alike;
    return alike(...args);
  };
  await folder.scan();
  await folder.scan();
  assertEquals(treeOf(folder.dir), ["\u00e9 = two"]);
  assertEquals(liveAt(index, "\u00e9")?.sha256, hash("two"));
});

Deno.test("SyncFolder looks into nothing again that it has put there itself", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("f");
  await receive(folder, "a", "1");
  const stat = liveAt(folder.index, "a")?.stat ?? "";
  assert(stat.endsWith(`/${Deno.lstatSync(join(folder.dir, "a")).ctime?.getTime()}`), stat);
  const version = new Map([[THEM, 2]]);
  const facts = { sha256: hash("1"), size: 1, mtimeMs: +LONG_AGO, version };
  const moved = [fileEntry("a", { deleted: true, version }), fileEntry("b", facts)];
  await folder.takeIn(moved, THEM);
  const info = Deno.lstatSync(join(folder.dir, "b"));
  assert(liveAt(folder.index, "b")?.stat.endsWith(`/${info.ctime?.getTime()}`));
});
