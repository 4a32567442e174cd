import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Home } from "../../src/state/home.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import { SyncFolder } from "../../src/sync/folder.ts";
import { wasAt } from "../../src/sync/index.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";
import { portPair } from "./memory_ports.ts";

/** A machine: a folder and a home, which can be saved and set back. */
class Machine {
  readonly dir: string;
  readonly home: string;
  #open: { readonly index: SqliteIndex; readonly folder: SyncFolder } | undefined;

  constructor(readonly path: string) {
    [this.dir, this.home] = [join(path, "folder"), join(path, "home")];
  }

  get folder(): SyncFolder {
    assert(this.#open !== undefined);
    return this.#open.folder;
  }

  get replica(): string {
    return this.folder.index.replica;
  }

  async open(): Promise<this> {
    const index = SqliteIndex.open(Home.open(this.home), "index.sqlite");
    this.#open = { index, folder: await SyncFolder.open({ dir: this.dir, index }) };
    return this;
  }

  async close(): Promise<void> {
    await this.#open?.folder.close();
    this.#open?.index[Symbol.dispose]();
    this.#open = undefined;
  }

  /** Writes a file at another time than before. */
  async edit(path: string, contents: string, minute: number): Promise<void> {
    write(this.dir, path, contents, new Date(LONG_AGO.getTime() + 60_000 * minute));
    if (this.#open !== undefined) await this.folder.scan();
  }

  copy(name: string, part: "all" | "folder" | "home" = "all"): Machine {
    const copy = new Machine(join(this.path, "..", name));
    if (part !== "home") replace(this.dir, copy.dir);
    if (part !== "folder") replace(this.home, copy.home);
    return copy;
  }
}

function replace(from: string, to: string): void {
  if (existsSync(to)) Deno.removeSync(to, { recursive: true });
  Deno.mkdirSync(join(to, ".."), { recursive: true });
  copyAll(from, to);
}

function copyAll(from: string, to: string): void {
  const { isDirectory, mode, mtime } = Deno.statSync(from);
  if (isDirectory) {
    Deno.mkdirSync(to, { recursive: true, mode: (mode ?? 0o700) & 0o777 });
    for (const { name } of Deno.readDirSync(from)) copyAll(join(from, name), join(to, name));
  } else {
    Deno.copyFileSync(from, to);
    if (mtime !== null) Deno.utimeSync(to, mtime, mtime);
  }
}

async function sync(client: Machine, hub: Machine): Promise<void> {
  const [clientPort, hubPort] = portPair();
  const there = Exchange.open(hub.folder, hubPort, { role: "hub" });
  const here = Exchange.open(client.folder, clientPort, { role: "client" });
  assert(await here.sync());
  await here.close();
  await there.closed;
}

/** Two machines that are alike, with one file. */
async function pair(scratch: Scratch): Promise<[ann: Machine, hub: Machine]> {
  const [ann, hub] = ["ann", "hub"].map((name) => new Machine(join(scratch.dir, name)));
  assert(ann !== undefined && hub !== undefined);
  for (const { path } of [ann, hub]) Deno.mkdirSync(path);
  await ann.edit("thesis", "draft 1", 1);
  await ann.open();
  await hub.open();
  await sync(ann, hub);
  return [ann, hub];
}

const contentsIn = (machine: Machine) => treeOf(machine.dir).map((line) => line.split(" = ")[1]);

for (const edits of [1, 5]) {
  Deno.test(`a client that was set back keeps what is edited then, ${edits} times`, async () => {
    await using scratch = new Scratch();
    const [ann, hub] = await pair(scratch);
    await ann.close();
    const saved = ann.copy("saved");
    await ann.open();
    for (const n of [2, 3, 4]) {
      await ann.edit("thesis", `draft ${n}`, n);
      await sync(ann, hub);
    }
    await ann.close();
    saved.copy("ann");
    for (let n = 0; n < edits; n++) {
      await ann.edit("thesis", `after ${n}`, 10 + n);
      await ann.open();
      if (n < edits - 1) await ann.close();
    }
    await sync(ann, hub);
    assertEquals(contentsIn(ann).sort(), [`after ${edits - 1}`, "draft 4"]);
    assertEquals(treeOf(hub.dir), treeOf(ann.dir));
    await ann.close();
    await hub.close();
  });
}

Deno.test("a machine and its copy become two replicas, and both edits are kept", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = await pair(scratch);
  await ann.close();
  const clone = await ann.copy("clone").open();
  await ann.open();
  for (const n of [2, 3]) await ann.edit("thesis", `ann ${n}`, n);
  await sync(ann, hub);
  for (const n of [5, 6, 7]) await clone.edit("thesis", `clone ${n}`, n);
  await sync(clone, hub);
  await sync(ann, hub);
  for (const machine of [ann, hub, clone]) {
    assertEquals(contentsIn(machine).sort(), ["ann 3", "clone 7"]);
  }
  assertNotEquals(ann.replica, clone.replica);
  for (const machine of [ann, hub, clone]) await machine.close();
});

Deno.test("a hub that was set back gets all again, and gives what it has", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = await pair(scratch);
  await hub.close();
  const saved = hub.copy("saved");
  await hub.open();
  await ann.edit("later", "ann's", 2);
  await sync(ann, hub);
  await hub.edit("also later", "hub's", 3);
  await sync(ann, hub);
  await hub.close();
  saved.copy("hub");
  await hub.open();
  // It counts as far as before.
  for (const n of [1, 2, 3, 4]) await hub.edit(`new ${n}`, `${n}`, n);
  await sync(ann, hub);
  assertEquals(contentsIn(hub).sort(), ["1", "2", "3", "4", "ann's", "draft 1", "hub's"]);
  assertEquals(treeOf(hub.dir), treeOf(ann.dir));
  await ann.close();
  await hub.close();
});

Deno.test("an index that is older than its folder takes another name, and nothing is in conflict", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = await pair(scratch);
  const before = ann.replica;
  await ann.close();
  const saved = ann.copy("saved", "home");
  await ann.open();
  assertEquals(ann.replica, before);
  await ann.edit("thesis", "draft 2", 2);
  await sync(ann, hub);
  await ann.close();
  saved.copy("ann", "home");
  await ann.open();
  assertNotEquals(ann.replica, before);
  await sync(ann, hub);
  assertEquals(contentsIn(ann), ["draft 2"]);
  await ann.edit("thesis", "draft 3", 3);
  await sync(ann, hub);
  assertEquals([contentsIn(ann), contentsIn(hub)], [["draft 3"], ["draft 3"]]);
  await ann.close();
  await hub.close();
});

Deno.test("wasAt knows where an index has been, and where another one that began as it did", () => {
  const openings = [{ name: "a", began: 0 }, { name: "b", began: 5 }];
  const at = (opening: string, seq: number) => wasAt(openings, 9, { opening, seq });
  assertEquals([at("a", 0), at("a", 5), at("b", 5), at("b", 9)], [true, true, true, true]);
  assertEquals([at("a", 6), at("b", 10), at("c", 1), at("", 0)], [false, false, false, false]);
});
