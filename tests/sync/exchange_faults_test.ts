import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { RemoteError, TimeoutError } from "../../src/errors.ts";
import { Answerer } from "../../src/sync/exchange_answer.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import type { SyncFolder } from "../../src/sync/folder.ts";
import type { SyncIndex } from "../../src/sync/index.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";
import { fileEntry } from "./index_contract.ts";
import { type PairOptions, portPair } from "./memory_ports.ts";
import { hash } from "./sim_replica.ts";

/** Brings a client and a hub up to date. @returns whether they are. */
async function sync(client: SyncFolder, hub: SyncFolder, pair: PairOptions = {}): Promise<boolean> {
  const [clientPort, hubPort] = portPair(pair);
  const there = Exchange.open(hub, hubPort, { role: "hub" });
  const here = Exchange.open(client, clientPort, { role: "client" });
  try {
    return await here.sync();
  } finally {
    await here.close();
    await there.closed;
  }
}

/** An index of which something is different. */
function changed(index: SyncIndex, changes: Partial<SyncIndex>): SyncIndex {
  return new Proxy(index, {
    get: (target, name) => {
      if (Object.hasOwn(changes, name)) return Reflect.get(changes, name);
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("a client that says it is another hides nothing from that one", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(ann.dir, "plan", "of ann", LONG_AGO);
  await ann.scan();
  await sync(ann, hub);
  const index = changed(scratch.use(SqliteIndex.inMemory()), { replica: ann.index.replica });
  const eve = await scratch.folder("eve", { index });
  write(eve.dir, "trap", "of eve", LONG_AGO);
  await eve.scan();
  await sync(eve, hub);
  assert(await sync(ann, hub));
  assertEquals(treeOf(ann.dir), ["plan = of ann", "trap = of eve"]);
});

Deno.test("a round that the hub cannot answer ends with its error, and the next one is done", async () => {
  await using scratch = new Scratch();
  let faults = 1;
  const inner = scratch.use(SqliteIndex.inMemory());
  const index = changed(inner, {
    since: (...about) => {
      if (faults-- > 0) throw new Error("disk I/O error");
      return inner.since(...about);
    },
  });
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub", { index })];
  write(ann.dir, "a", "x", LONG_AGO);
  await ann.scan();
  await assertRejects(() => sync(ann, hub), RemoteError, "The server failed");
  assert(await sync(ann, hub));
  assertEquals(treeOf(hub.dir), ["a = x"]);
});

Deno.test("a round that the hub says nothing to at all ends after a while", async () => {
  await using scratch = new Scratch();
  const clock = new ManualClock();
  const ann = await scratch.folder("ann", { clock });
  const [clientPort] = portPair();
  await using exchange = Exchange.open(ann, clientPort, { role: "client" });
  const done = assertRejects(() => exchange.sync(), TimeoutError, "has not answered");
  await clock.advance(0);
  for (let minute = 0; minute < 11; minute++) await clock.advance(60_000);
  await done;
  await exchange.close();
  await new Promise((arrived) => setTimeout(arrived, 0));
});

Deno.test("Answerer keeps nothing of what somebody tells who may only read", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("hub");
  const failures: unknown[] = [];
  const taken: unknown[] = [];
  const answerer = new Answerer({
    source: "r00000000000000cc",
    folder,
    send: (response) => Promise.resolve(void taken.push(response.taken)),
    take: () => Promise.resolve(0),
    mayTake: () => false,
    onPlan: () => {},
    onRound: () => {},
    onFailure: (error) => failures.push(error),
  });
  const entry = {
    path: "a".repeat(200),
    kind: "directory",
    version: { r0000000000000001: 1 },
  } as const;
  const entries = Array.from({ length: 10_000 }, () => entry);
  const page = {
    replica: "r0000000000000001",
    of_replica: folder.index.replica,
    since: 0,
    entries,
  };
  for (let pages = 0; pages < 20; pages++) answerer.take({ ...page, more: true });
  answerer.take({ ...page, entries: [] });
  await answerer.end();
  assertEquals(failures, []);
});

Deno.test("contents that are told of with another size are not taken, and hurt nobody", async () => {
  await using scratch = new Scratch();
  const [ann, hub, eve, bob] = [
    await scratch.folder("ann"),
    await scratch.folder("hub"),
    await scratch.folder("eve"),
    await scratch.folder("bob"),
  ];
  write(ann.dir, "f", "ten bytes!", LONG_AGO);
  await ann.scan();
  await sync(ann, hub);
  await sync(eve, hub);
  const facts = { sha256: hash("ten bytes!"), mtimeMs: LONG_AGO.getTime() };
  const version = new Map([...eve.index.get("f")?.version ?? [], [eve.index.replica, 9]]);
  eve.index.put([
    { entry: fileEntry("f", { ...facts, size: 3, version }) },
    { entry: fileEntry("g", { ...facts, size: 5, version }) },
  ]);
  assertEquals(await sync(eve, hub), false);
  assertEquals(["f", "g"].map((path) => hub.index.get(path)?.size), [10, undefined]);
  assert(await sync(bob, hub));
  assertEquals(treeOf(bob.dir), ["f = ten bytes!"]);
});

Deno.test("many new files of the same contents are taken in, each once", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  for (let n = 0; n < 200; n++) write(ann.dir, `${n % 10}/${n}`, "the same", LONG_AGO);
  await ann.scan();
  let rows = 0;
  const { index } = hub;
  const withContents = index.withContents.bind(index);
  Object.defineProperty(index, "withContents", {
    value: (...about: Parameters<typeof withContents>) => {
      const found = withContents(...about);
      rows += found.length;
      return found;
    },
  });
  assert(await sync(hub, ann));
  assertEquals(treeOf(hub.dir), treeOf(ann.dir));
  assertLess(rows, 200 * 40);
});

Deno.test("a hub that shares again what it did not gets that from its clients", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  write(hub.dir, ".kithignore", "*.tmp\n");
  await hub.scan();
  write(ann.dir, "a.tmp", "of ann", LONG_AGO);
  await ann.scan();
  assert(await sync(ann, hub));
  assertEquals(treeOf(hub.dir), [".kithignore = *.tmp\n"]);
  const [clientPort, hubPort] = portPair();
  await using there = Exchange.open(hub, hubPort, { role: "hub" });
  await using here = Exchange.open(ann, clientPort, { role: "client" });
  assert(await here.sync());
  // Nobody asks for a round: the hub does, by itself.
  const come = (async () => {
    for await (const event of hub.events()) {
      if (event.type === "changed" && event.path === "a.tmp") return;
    }
  })();
  write(hub.dir, ".kithignore", "");
  await hub.scan();
  await come;
  await here.close();
  await there.closed;
  assertEquals(treeOf(hub.dir), [".kithignore = ", "a.tmp = of ann"]);
});

Deno.test("a plan leaves out what is not shared, and says what a change of rules and of names makes", async () => {
  await using scratch = new Scratch();
  const [ann, hub] = [await scratch.folder("ann"), await scratch.folder("hub")];
  const plan = async () => {
    const [clientPort, hubPort] = portPair();
    await using _there = Exchange.open(hub, hubPort, { role: "hub" });
    await using here = Exchange.open(ann, clientPort, { role: "client", dryRun: true });
    return (await here.plan()).map(({ action, path }) => `${action} ${path}`).sort();
  };
  write(hub.dir, "a.tmp", "t", LONG_AGO);
  write(hub.dir, "b", "b", LONG_AGO);
  write(ann.dir, ".kithignore", "*.tmp");
  await ann.scan();
  await hub.scan();
  assertEquals(await plan(), ["receive b"]);
  assert(await sync(ann, hub));
  assertEquals(await plan(), []);
  write(ann.dir, ".kithignore", "");
  await ann.scan();
  assertEquals(await plan(), ["receive a.tmp"]);
  assert(await sync(ann, hub));
  write(hub.dir, "Read.me", "of the hub", LONG_AGO);
  write(ann.dir, "read.me", "of ann", LONG_AGO);
  await ann.scan();
  await hub.scan();
  const kept = `read (conflict ${hash("of ann").slice(0, 8)}).me`;
  assertEquals(await plan(), ["conflict read.me", "receive Read.me", `send ${kept}`]);
  assert(await sync(ann, hub));
  assertEquals(treeOf(ann.dir).slice(1), [
    "Read.me = of the hub",
    "a.tmp = t",
    "b = b",
    `${kept} = of ann`,
  ]);
});
