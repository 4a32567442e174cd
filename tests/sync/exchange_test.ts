import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { ClosedError, UnsupportedError } from "../../src/errors.ts";
import { Exchange, type ExchangeOptions } from "../../src/sync/exchange.ts";
import type { SyncFolder } from "../../src/sync/folder.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";
import { NO_MARK } from "../../src/sync/index.ts";
import { statOf } from "../../src/sync/rescan.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { type MemoryPort, type PairOptions, portPair } from "./memory_ports.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";
import { fileEntry } from "./index_contract.ts";
import { hash } from "./sim_replica.ts";

/** Connects two folders. */
class Link implements AsyncDisposable {
  readonly clientPort: MemoryPort;
  readonly hubPort: MemoryPort;
  readonly client: Exchange;
  readonly hub: Exchange;

  constructor(
    client: SyncFolder,
    hub: SyncFolder,
    pair: PairOptions = {},
    options: Partial<ExchangeOptions> = {},
  ) {
    [this.clientPort, this.hubPort] = portPair(pair);
    this.hub = Exchange.open(hub, this.hubPort, { role: "hub" });
    this.client = Exchange.open(client, this.clientPort, { role: "client", ...options });
  }

  get sentBytes(): number {
    return this.clientPort.sentBytes + this.hubPort.sentBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.hub.closed;
  }
}

/** Random bytes, which are not alike anywhere. */
function noise(bytes: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(all.subarray(at, at + 65_536));
  return all;
}

/** Waits until something has happened in a folder. */
async function event(folder: SyncFolder, is: (event: SyncEvent) => boolean): Promise<void> {
  for await (const seen of folder.events()) if (is(seen)) return;
}

function arrival(folder: SyncFolder, path: string): Promise<void> {
  return event(folder, (seen) => seen.type === "changed" && seen.path === path);
}

Deno.test("Exchange brings two folders to the same files, and notes it", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(ann.dir, "docs/a.txt", "one", LONG_AGO);
  write(ann.dir, "b.txt", "two");
  write(hub.dir, "c/d/e.txt", "three", LONG_AGO);
  write(hub.dir, "empty", "");
  await ann.scan();
  await hub.scan();
  await using link = new Link(ann, hub);
  assert(await link.client.sync());
  assertEquals(treeOf(ann.dir), treeOf(hub.dir));
  assertEquals(treeOf(hub.dir).length, 7);
  const { ours, theirs } = ann.index.mark(hub.index.replica);
  assertEquals([ours > 0, theirs > 0], [true, true]);
  assertEquals(ann.index.since(ours, hub.index.replica), []);
  assertEquals(hub.index.since(theirs, ann.index.replica), []);
});

Deno.test("Exchange passes an edit on at once, through the hub to the others", async () => {
  await using scratch = new Scratch();
  const [ann, hub, bob] = [
    await scratch.folder("ann"),
    await scratch.folder("hub"),
    await scratch.folder("bob"),
  ];
  await using one = new Link(ann, hub, { clientId: "ann" });
  await using other = new Link(bob, hub, { clientId: "bob" });
  await one.client.sync();
  await other.client.sync();
  const tooksMs: number[] = [];
  for (let n = 0; n < 5; n++) {
    const here = arrival(bob, `${n}`);
    const startMs = performance.now();
    write(ann.dir, `${n}`, `contents ${n}`);
    await ann.scan();
    await here;
    tooksMs.push(performance.now() - startMs);
  }
  const moved = arrival(bob, "moved");
  Deno.renameSync(`${ann.dir}/0`, `${ann.dir}/moved`);
  const before = other.hub.contentBytes;
  await ann.scan();
  await moved;
  assertEquals(other.hub.contentBytes, before);
  assertEquals(treeOf(bob.dir), treeOf(ann.dir));
  assertLess(tooksMs.sort((a, b) => a - b)[2] ?? Infinity, 500);
});

Deno.test("Exchange sends of a changed file only what is new in it", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  const old = noise(2_000_000);
  write(ann.dir, "big", old);
  await ann.scan();
  await using link = new Link(ann, hub);
  await link.client.sync();
  const first = link.client.contentBytes.sent;
  // Something is put in, so that all behind it moves.
  const next = new Uint8Array([...old.subarray(0, 700_001), 1, 2, 3, ...old.subarray(700_001)]);
  write(ann.dir, "big", next);
  await ann.scan();
  await link.client.sync();
  assertEquals(Deno.readFileSync(`${hub.dir}/big`), next);
  assertLess(link.client.contentBytes.sent - first, 30_000);
});

Deno.test("Exchange goes on with a file after a cut, and after a restart", async () => {
  await using scratch = new Scratch();
  const index = scratch.use(SqliteIndex.inMemory());
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub", { index })];
  const contents = noise(6_000_000);
  write(ann.dir, "big", contents);
  await ann.scan();
  let received = 0;
  {
    await using link = new Link(ann, hub);
    const done = link.client.sync().catch((error) => assert(error instanceof ClosedError));
    for (const enough of [500_000, 1_500_000]) {
      while (link.hub.contentBytes.received < enough) await new Promise((go) => setTimeout(go, 1));
      link.clientPort.cut("resumed");
    }
    while (link.hub.contentBytes.received < 3_000_000) await new Promise((go) => setTimeout(go, 1));
    received = link.hub.contentBytes.received;
    await link.client.close();
    await done;
    await link.hub.closed;
  }
  assertEquals(treeOf(hub.dir), []);
  await hub.close();
  const again = await scratch.folder("hub", { index });
  await using link = new Link(ann, again);
  assert(await link.client.sync());
  assertEquals(Deno.readFileSync(`${hub.dir}/big`), contents);
  assertEquals(received + link.hub.contentBytes.received, contents.length);
});

Deno.test("Exchange does not believe a part that is not what it was taken for", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(ann.dir, "a", noise(300_000));
  await ann.scan();
  const sha256 = ann.index.get("a")?.sha256 ?? "";
  write(hub.dir, `.kith-partial/${sha256}.part`, noise(100_000));
  await using link = new Link(ann, hub);
  assert(await link.client.sync());
  assertEquals(Deno.readFileSync(`${hub.dir}/a`), Deno.readFileSync(`${ann.dir}/a`));
});

Deno.test("Exchange does not begin a file for which there is no room", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  const size = 2 ** 52;
  hub.index.put([{ entry: fileEntry("huge", { size }), stat: "as it was" }]);
  const events = ann.events();
  await using link = new Link(ann, hub);
  assertEquals(await link.client.sync(), false);
  await ann.close();
  const failed = (await Array.fromAsync(events)).find(({ type }) => type === "failed");
  assertEquals(failed, {
    type: "failed",
    path: "huge",
    reason: "less than 64 MiB of the disk would stay free",
  });
});

Deno.test("Exchange finds by the indexes what was lost with a session", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  await using link = new Link(ann, hub);
  await link.client.sync();
  const here = [arrival(hub, "a"), arrival(ann, "b")];
  write(ann.dir, "a", "one");
  write(hub.dir, "b", "two");
  await ann.scan();
  await hub.scan();
  link.clientPort.cut("resync");
  await Promise.all(here);
  assertEquals(treeOf(ann.dir), treeOf(hub.dir));
});

Deno.test("Exchange brings what was left out once the rules have changed", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(ann.dir, ".kithignore", "*.tmp");
  for (const name of ["a.tmp", "b"]) write(hub.dir, name, name);
  await ann.scan();
  await hub.scan();
  await using link = new Link(ann, hub);
  await link.client.sync();
  assertEquals(treeOf(ann.dir), [".kithignore = *.tmp", "b = b"]);
  Deno.removeSync(`${ann.dir}/.kithignore`);
  await ann.scan();
  await link.client.sync();
  assertEquals(treeOf(ann.dir), treeOf(hub.dir));
});

Deno.test("Exchange says many changes by a round, and not one by one", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  await using link = new Link(ann, hub);
  await link.client.sync();
  for (let n = 0; n < 300; n++) write(hub.dir, `${n % 7}/${n}`, "");
  const here = arrival(ann, "6/293");
  await hub.scan();
  await here;
  await link.client.sync();
  assertEquals(treeOf(ann.dir), treeOf(hub.dir));
});

/** A folder of 10,000 names of one file, which are as much to compare as so many files and sooner made. */
async function folderOfMany(scratch: Scratch, name: string): Promise<SyncFolder> {
  const index = scratch.use(SqliteIndex.inMemory());
  const dir = `${scratch.dir}/${name}`;
  write(dir, "0/0", "", LONG_AGO);
  for (let n = 1; n < 100; n++) Deno.mkdirSync(`${dir}/${n}`);
  const names = Array.from({ length: 9_999 }, (_, n) => `${(n + 1) % 100}/${n + 1}`);
  for (const name of names) Deno.linkSync(`${dir}/0/0`, `${dir}/${name}`);
  const stat = statOf(Deno.lstatSync(`${dir}/0/0`));
  const facts = { size: 0, mtimeMs: LONG_AGO.getTime(), sha256: hash("") };
  index.put(names.map((path) => ({ entry: fileEntry(path, facts), stat })));
  return await scratch.folder(name, { index });
}

Deno.test("Exchange of 10,000 unchanged files sends less than 1 % of the bytes", async () => {
  await using scratch = new Scratch();
  const ann = await folderOfMany(scratch, "ann");
  const hub = await folderOfMany(scratch, "hub");
  let first = 0;
  {
    await using link = new Link(ann, hub);
    assert(await link.client.sync());
    first = link.sentBytes;
  }
  assert(first > 1_000_000, `${first}`);
  await using link = new Link(ann, hub);
  await ann.scan();
  assert(await link.client.sync());
  assertLess(link.sentBytes, first / 100);
});

Deno.test("Exchange.plan says what a round would do, and does none of it", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  for (const name of ["both", "gone here", "gone there"]) write(ann.dir, name, name, LONG_AGO);
  await ann.scan();
  {
    await using link = new Link(ann, hub);
    await link.client.sync();
  }
  write(ann.dir, "both", "mine");
  write(hub.dir, "both", "the hub's");
  Deno.removeSync(`${ann.dir}/gone here`);
  Deno.removeSync(`${hub.dir}/gone there`);
  write(ann.dir, "new here", "1");
  write(hub.dir, "new there", "2");
  await ann.scan();
  await hub.scan();
  const before = [treeOf(ann.dir), treeOf(hub.dir)];
  await using link = new Link(ann, hub, {}, { dryRun: true });
  const steps = await link.client.plan();
  const said = steps.map(({ action, path }) => `${action} ${path}`).sort();
  assertEquals(said.filter((line) => line.endsWith(" both")).length > 0, true);
  // Whose stays is chance: if it is not ours, that is told under its new name.
  assertEquals(said.filter((line) => !line.includes(" both")), [
    "delete gone there",
    "delete-there gone here",
    "receive new there",
    "send new here",
  ]);
  assertEquals([treeOf(ann.dir), treeOf(hub.dir)], before);
});

Deno.test("Exchange takes nothing from who may only read", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(ann.dir, "a", "mine");
  write(hub.dir, "b", "the hub's");
  await ann.scan();
  await hub.scan();
  await using link = new Link(ann, hub, { canWrite: false });
  assert(await link.client.sync());
  assertEquals([treeOf(ann.dir), treeOf(hub.dir)], [["a = mine", "b = the hub's"], [
    "b = the hub's",
  ]]);
  assertEquals(ann.index.mark(hub.index.replica).ours, NO_MARK.ours);
});

Deno.test("Exchange with a folder that is read-only changes nothing in it, and says all that is in it", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub", { readOnly: true })];
  write(ann.dir, "a", "mine");
  write(hub.dir, "b", "the hub's");
  await ann.scan();
  await hub.scan();
  await using link = new Link(ann, hub);
  assertEquals(await link.client.sync(), false);
  assertEquals([treeOf(ann.dir), treeOf(hub.dir)], [["a = mine", "b = the hub's"], [
    "b = the hub's",
  ]]);
});

Deno.test("Exchange needs a hub that keeps an index", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(hub.dir, "a", "one");
  await hub.scan();
  await using link = new Link(ann, hub, { capabilities: [] }, { dryRun: true });
  await assertRejects(() => link.client.sync(), UnsupportedError);
});

Deno.test("Exchange ends when what comes is no frame of contents", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  await using link = new Link(ann, hub);
  await link.client.sync();
  await link.clientPort.sendContent(Uint8Array.of(99, 0, 0, 0, 0));
  const why = await link.hub.closed;
  assertEquals(why?.message, "Cannot decode contents: it begins with no code that is known");
  await link.client.closed;
  await assertRejects(() => link.client.sync(), ClosedError);
});

Deno.test("Exchange ends with its folder, in the middle of everything", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  for (let n = 0; n < 50; n++) write(ann.dir, `${n}`, noise(10_000));
  await ann.scan();
  await using link = new Link(ann, hub);
  const done = link.client.sync().then(() => "whole", () => "cut off");
  await arrival(hub, "7");
  await hub.close();
  await link.client.close();
  await done;
  for (const line of treeOf(hub.dir)) assert(treeOf(ann.dir).includes(line));
});
