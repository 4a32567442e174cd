import { assert, assertEquals, assertRejects } from "@std/assert";
import { RemoteError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";
import { Home } from "../../src/state/home.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";

const HERE = { hostname: "127.0.0.1" } as const;

Deno.test("FolderSync keeps three folders alike through a hub", async () => {
  using scratch = new Scratch();
  await using bob = await hubPeer();
  await using shared = await bob.folder(scratch.folder("photos", { "a/cat.txt": "meow" }));
  shared.serve();
  await using alice = await Peer.open({ ...HERE, clientOnly: true });
  await using first = await alice.folder(scratch.folder("first", { "dog.txt": "woof" }), QUICK);
  await using second = await alice.folder(scratch.folder("second"), QUICK);
  const seen = second.events();
  await (await first.join(urlOf(bob))).sync();
  await (await second.join(urlOf(bob))).sync();
  assertEquals(scratch.tree("second"), { "a/cat.txt": "meow", "dog.txt": "woof" });
  Deno.writeTextFileSync(scratch.path("first/dog.txt"), "wow");
  await until(seen, (event) => event.type === "changed" && event.operation === "update");
  assertEquals(scratch.tree("second"), scratch.tree("first"));
  assertEquals(scratch.tree("photos"), scratch.tree("first"));
});

Deno.test("FolderSync gives all to who may only read, and takes nothing from it", async () => {
  using scratch = new Scratch();
  await using bob = await hubPeer();
  await using shared = await bob.folder(scratch.folder("docs", { "plan.txt": "one" }), ONCE);
  shared.serve({ keysForAll: true });
  const { token } = bob.access.createApiKey({ scopes: ["folder:docs:read"] });
  await using alice = await Peer.open({ ...HERE, clientOnly: true });
  await using copy = await alice.folder(scratch.folder("copy", { "mine.txt": "two" }), ONCE);
  const refused = await assertRejects(() => copy.join(urlOf(bob)), RemoteError);
  assertEquals(refused.code, "not-authenticated");
  assert(refused.message.includes("folder:NAME"), refused.message);
  const hub = await copy.join(urlOf(bob), { apiKey: token });
  assertEquals([hub.scope, hub.room], ["read", "docs"]);
  assert(await hub.sync());
  assertEquals(scratch.tree("copy"), { "mine.txt": "two", "plan.txt": "one" });
  assertEquals(scratch.tree("docs"), { "plan.txt": "one" });
});

Deno.test("FolderSync that is read-only gives and does not take, at either end", async () => {
  using scratch = new Scratch();
  await using bob = await hubPeer();
  await using shared = await bob.folder(scratch.folder("a", { "a.txt": "a" }), ONCE);
  shared.serve();
  await using alice = await Peer.open({ ...HERE, clientOnly: true });
  await using fixed = await alice.folder(scratch.folder("b", { "b.txt": "b" }), READ_ONLY);
  assert(await (await fixed.join(urlOf(bob))).sync());
  assertEquals([scratch.tree("a"), scratch.tree("b")], [
    { "a.txt": "a", "b.txt": "b" },
    { "b.txt": "b" },
  ]);
  await using carol = await hubPeer();
  await using served = await carol.folder(scratch.folder("c", { "c.txt": "c" }), READ_ONLY);
  served.serve();
  const hub = await shared.join(urlOf(carol));
  assertEquals(hub.scope, "read");
  assert(await hub.sync());
  assertEquals(scratch.tree("c"), { "c.txt": "c" });
  assertEquals(scratch.tree("a"), { "a.txt": "a", "b.txt": "b", "c.txt": "c" });
});

Deno.test("FolderSync passes on what comes from a hub that it has joined", async () => {
  using scratch = new Scratch();
  await using carol = await hubPeer();
  await using root = await carol.folder(scratch.folder("root"));
  root.serve();
  await using bob = await hubPeer();
  await using middle = await bob.folder(scratch.folder("middle"));
  middle.serve();
  await (await middle.join(urlOf(carol))).sync();
  await using alice = await Peer.open({ ...HERE, clientOnly: true });
  await using leaf = await alice.folder(scratch.folder("leaf"), QUICK);
  await (await leaf.join(urlOf(bob))).sync();
  const seen = root.events();
  Deno.writeTextFileSync(scratch.path("leaf/new.txt"), "news");
  await until(seen, (event) => event.type === "changed");
  assertEquals(scratch.tree("root"), { "new.txt": "news" });
});

Deno.test("FolderSync tells who comes and goes, and what it does not share", async () => {
  using scratch = new Scratch();
  const dir = scratch.folder("a", { "a.txt": "a" });
  Deno.symlinkSync("/etc", `${dir}/link`);
  await using bob = await hubPeer();
  await using shared = await bob.folder(dir, ONCE);
  shared.serve();
  const events = shared.events();
  await using alice = await Peer.open({ ...HERE, clientOnly: true });
  await using copy = await alice.folder(scratch.folder("b"), ONCE);
  const hub = await copy.join(urlOf(bob), { clientId: "alice" });
  await hub.sync();
  await hub.close();
  const gone = await until(events, (event) => event.type === "disconnected");
  const told = gone.filter(({ type }) => type !== "progress");
  assertEquals(told, [
    { type: "skipped", path: "link", reason: "symbolic link" },
    { type: "connected", peer: "alice" },
    { type: "synced", peer: "alice", taken: 0, told: 1 },
    { type: "disconnected", peer: "alice" },
  ]);
  assertEquals(copy.hubs, []);
});

Deno.test("FolderSync counts what came and what went, alike on both sides", async () => {
  using scratch = new Scratch();
  await using bob = await hubPeer();
  await using shared = await bob.folder(scratch.folder("a", { "cat.txt": "c", same: "s" }), ONCE);
  shared.serve();
  const there = shared.events();
  await using alice = await Peer.open({ ...HERE, clientOnly: true });
  await using copy = await alice.folder(scratch.folder("b", { "dog.txt": "d", same: "s" }), ONCE);
  const here = copy.events();
  const hub = await copy.join(urlOf(bob), { clientId: "alice" });
  assert(await hub.sync());
  const synced = (event: SyncEvent) => event.type === "synced";
  const moved = { taken: 1, told: 1 };
  assertEquals((await until(here, synced)).at(-1), { type: "synced", peer: "server", ...moved });
  assertEquals((await until(there, synced)).at(-1), { type: "synced", peer: "alice", ...moved });
  const later = copy.events();
  Deno.writeTextFileSync(scratch.path("a/more"), "m");
  Deno.removeSync(scratch.path("a/same"));
  await shared.folder.scan();
  assert(await hub.sync());
  const last = (await until(later, synced)).at(-1);
  assertEquals(last, { type: "synced", peer: "server", taken: 2, told: 0 });
});

Deno.test("FolderSync says what is not given and not taken, and no more than that", async () => {
  using scratch = new Scratch();
  await using bob = await hubPeer();
  const files = { "cat.txt": "c", same: "s", gone: "g" };
  await using shared = await bob.folder(scratch.folder("docs", files), ONCE);
  shared.serve({ keysForAll: true });
  const there = shared.events();
  const { token: apiKey } = bob.access.createApiKey({ scopes: ["folder:docs:read"] });
  // The index outlasts the folder.
  const home = Home.open(scratch.path("home"));
  await using alice = await Peer.open({ ...HERE, clientOnly: true, home });
  const dir = scratch.folder("copy", { "dog.txt": "d", same: "s" });
  const synced = (event: SyncEvent) => event.type === "synced";
  const syncOnce = async (options: { readOnly?: boolean }) => {
    await using copy = await alice.folder(dir, { ...ONCE, ...options });
    const here = copy.events();
    const hub = await copy.join(urlOf(bob), { apiKey, clientId: "alice" });
    assert(await hub.sync());
    const event = (await until(here, synced)).at(-1);
    await hub.close();
    return event;
  };
  const base = { type: "synced", peer: "server", told: 0 } as const;
  const notGiven = { files: 1, paths: ["dog.txt"] };
  const notTaken = { files: 2, paths: ["cat.txt", "gone"] };
  assertEquals(await syncOnce({ readOnly: true }), { ...base, taken: 0, notGiven, notTaken });
  assertEquals(await syncOnce({}), { ...base, taken: 2, notGiven });
  Deno.removeSync(`${dir}/dog.txt`);
  Deno.removeSync(`${dir}/gone`);
  const left = { files: 1, paths: ["gone"] };
  assertEquals(await syncOnce({}), { ...base, taken: 0, notGiven: left });
  const heard = (await until(there, (event) => event.type === "synced" && event.told > 0)).at(-1);
  assertEquals(heard, { type: "synced", peer: "alice", taken: 0, told: 2, readsOnly: true });
});

/** Notices nothing after the first look. */
const ONCE = { watch: false } as const;
const READ_ONLY = { ...ONCE, readOnly: true } as const;
const QUICK = { watch: { quietMs: 5 } } as const;

function hubPeer(): Promise<Peer> {
  return Peer.open({ ...HERE, clientOnly: true, web: true, httpPort: 0 });
}

function urlOf({ httpAddress }: Peer): string {
  return `ws://127.0.0.1:${httpAddress?.port}`;
}

/** All events until one fits. */
async function until(
  events: AsyncIterable<SyncEvent>,
  fits: (event: SyncEvent) => boolean,
): Promise<SyncEvent[]> {
  const seen: SyncEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (fits(event)) return seen;
  }
  throw new Error("the events have ended");
}

/** Folders for a test. */
class Scratch {
  readonly #dir = Deno.makeTempDirSync();

  path(name: string): string {
    return `${this.#dir}/${name}`;
  }

  folder(name: string, files: Record<string, string> = {}): string {
    const dir = this.path(name);
    Deno.mkdirSync(dir);
    for (const [path, text] of Object.entries(files)) {
      Deno.mkdirSync(`${dir}/${path.split("/").slice(0, -1).join("/")}`, { recursive: true });
      Deno.writeTextFileSync(`${dir}/${path}`, text);
    }
    return dir;
  }

  /** The texts in a folder by path. */
  tree(name: string, below = ""): Record<string, string> {
    const tree: Record<string, string> = {};
    for (const entry of Deno.readDirSync(this.path(`${name}/${below}`))) {
      const path = `${below}${entry.name}`;
      if (entry.name.startsWith(".kith")) continue;
      if (entry.isDirectory) Object.assign(tree, this.tree(name, `${path}/`));
      else tree[path] = Deno.readTextFileSync(this.path(`${name}/${path}`));
    }
    return Object.fromEntries(Object.entries(tree).sort(([a], [b]) => a < b ? -1 : 1));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#dir, { recursive: true });
  }
}
