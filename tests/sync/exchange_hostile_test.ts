import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom, systemClock } from "../../src/clock.ts";
import { LimitError } from "../../src/errors.ts";
import { Backlog } from "../../src/sync/backlog.ts";
import { type ContentFrame, decodeContent, encodeContent } from "../../src/sync/content_frames.ts";
import { entryToMessage, type SyncEntry, tombstoneOf } from "../../src/sync/entry.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import { Answerer } from "../../src/sync/exchange_answer.ts";
import { Changes } from "../../src/sync/exchange_changes.ts";
import type { SyncFolder } from "../../src/sync/folder.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";
import type { EntryMessage, WebSocketMessage } from "../../src/sync/message_types.ts";
import { SqliteIndex } from "../../src/sync/sqlite_index.ts";
import {
  makeReplica,
  MAX_VERSION_COUNTER,
  MAX_VERSION_REPLICAS,
} from "../../src/sync/version_vector.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";
import { until } from "../endpoint/web_fixture.ts";
import { LONG_AGO, Scratch, treeOf, write } from "./folder_fixture.ts";
import { fileEntry } from "./index_contract.ts";
import { type MemoryPort, portPair } from "./memory_ports.ts";
import { hash } from "./sim_replica.ts";

const make = syncMessages(1);

/** A hub's folder, and somebody who says whatever it likes to it. */
class Siege implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly hub: SyncFolder;
  readonly eve: MemoryPort;
  readonly exchange: Exchange;
  readonly heard: WebSocketMessage[] = [];
  readonly wants: (ContentFrame & { type: "want" })[] = [];
  readonly events: SyncEvent[] = [];
  /** What is sent when it is wanted. */
  contents: readonly string[] = [];
  #round = 0;

  private constructor(scratch: Scratch, hub: SyncFolder) {
    this.scratch = scratch;
    this.hub = hub;
    const [eve, port] = portPair({ clientId: make.clientId });
    this.eve = eve;
    this.exchange = Exchange.open(hub, port, { role: "hub" });
    void this.#listen();
    void Array.fromAsync(hub.events(), (event) => this.events.push(event));
  }

  static async open(): Promise<Siege> {
    const scratch = new Scratch();
    return new Siege(scratch, await scratch.folder("hub"));
  }

  /** Tells of rows, in a round of their own. @returns its number. */
  tell(...entries: readonly EntryMessage[]): number {
    const round = ++this.#round;
    this.eve.send(make.client("sync_request", { round, entries }));
    return round;
  }

  /** Waits until the hub has done its part of a round. */
  async done(round: number): Promise<void> {
    await until(() => {
      return this.heard.some(({ data }) => data.round === round && data.index_seq !== undefined);
    });
  }

  /** An honest client comes, and gets what there is. */
  async honest(name: string): Promise<SyncFolder> {
    const folder = await this.scratch.folder(name);
    const [clientPort, hubPort] = portPair({ clientId: name });
    this.scratch.use(Exchange.open(this.hub, hubPort, { role: "hub" }));
    const exchange = this.scratch.use(Exchange.open(folder, clientPort, { role: "client" }));
    assert(await exchange.sync());
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.exchange.close();
    await new Promise((resolve) => setTimeout(resolve, 0)); // what the port has on its way
    await this.scratch[Symbol.asyncDispose]();
  }

  async #listen(): Promise<void> {
    for await (const input of this.eve.receive) {
      if (input.type === "message") this.heard.push(input.message);
      if (input.type !== "content") continue;
      const frame = decodeContent(input.bytes);
      if (frame.type !== "want") continue;
      this.wants.push(frame);
      const contents = this.contents.find((one) => hash(one) === frame.sha256);
      if (contents === undefined) continue;
      const data = new TextEncoder().encode(contents);
      await this.eve.sendContent(encodeContent({ type: "end", id: frame.id, data }));
    }
  }
}

function row(path: string, contents: string, more: Partial<EntryMessage> = {}): EntryMessage {
  return make.entry({ path, size: contents.length, sha256: hash(contents), ...more });
}

Deno.test("Exchange goes on with files whose versions somebody has counted to the end, or filled", async () => {
  await using siege = await Siege.open();
  const { hub } = siege;
  const full = Object.fromEntries(
    Array.from({ length: MAX_VERSION_REPLICAS }, (_, n) => [`r${String(n).padStart(16, "0")}`, 9]),
  );
  const versions = { counted: { rffffffffffffffff: MAX_VERSION_COUNTER }, full };
  for (const path of Object.keys(versions)) write(hub.dir, path, "x", LONG_AGO);
  await hub.scan();
  const rows = Object.entries(versions).map(([path, version]) => row(path, "x", { version }));
  await siege.done(siege.tell(...rows));
  const ann = await siege.honest("ann");
  for (let edit = 0; edit < 3; edit++) {
    const [here, there] = edit % 2 === 0 ? [hub, ann] : [ann, hub];
    for (const path of Object.keys(versions)) write(here.dir, path, `edit ${edit}`);
    write(here.dir, `new ${edit}`, "also");
    await here.scan();
    await until(() => treeOf(there.dir).includes(`new ${edit} = also`));
    for (const path of Object.keys(versions)) {
      await until(() => treeOf(there.dir).includes(`${path} = edit ${edit}`));
    }
  }
  Deno.removeSync(`${hub.dir}/counted`);
  await hub.scan();
  await until(() => !treeOf(ann.dir).some((line) => line.startsWith("counted")));
  await until(() => treeOf(ann.dir).join() === treeOf(hub.dir).join());
});

Deno.test("Exchange stores no contents but those that were told of", async () => {
  await using siege = await Siege.open();
  const { eve, wants, events } = siege;
  const round = siege.tell(row("a", "right"));
  for (let attempt = 1; attempt <= 2; attempt++) {
    await until(() => wants.length === attempt);
    const data = new TextEncoder().encode("wrong");
    await eve.sendContent(encodeContent({ type: "end", id: wants.at(-1)?.id ?? 0, data }));
  }
  await siege.done(round);
  assertEquals(treeOf(siege.hub.dir), []);
  assertEquals(
    [...Deno.readDirSync(`${siege.hub.dir}/.kith-partial`)].filter(({ name }) => {
      return name.endsWith(".part");
    }),
    [],
  );
  assertEquals(events.filter(({ type }) => type === "failed"), [{
    type: "failed",
    path: "a",
    reason: "the other side sent other contents than it told of",
  }]);
  assertEquals(siege.heard.at(-1)?.data.taken, false);
});

Deno.test("Exchange stores nothing that it has not asked for", async () => {
  await using siege = await Siege.open();
  const data = new Uint8Array(100_000);
  for (const type of ["data", "end"] as const) {
    for (let id = 0; id < 50; id++) await siege.eve.sendContent(encodeContent({ type, id, data }));
  }
  for (const type of ["none", "drop"] as const) {
    await siege.eve.sendContent(encodeContent({ type, id: 7 }));
  }
  await siege.eve.sendContent(encodeContent({ type: "copy", id: 7, from: 0, length: 0xffffffff }));
  await siege.done(siege.tell());
  assertEquals([treeOf(siege.hub.dir), siege.exchange.contentBytes.received], [[], 0]);
});

Deno.test("Exchange ends with somebody who sends more than it told of", async () => {
  await using siege = await Siege.open();
  siege.tell(row("a", "right"));
  await until(() => siege.wants.length === 1);
  const id = siege.wants[0]?.id ?? 0;
  const data = new TextEncoder().encode("right and more");
  await siege.eve.sendContent(encodeContent({ type: "data", id, data }));
  assertEquals(
    (await siege.exchange.closed)?.message,
    "Cannot receive contents: more than announced",
  );
  assertEquals(treeOf(siege.hub.dir), []);
});

/** Entries that take much memory. */
function heavyEntries(): SyncEntry[] {
  const names = Array.from({ length: MAX_VERSION_REPLICAS }, () => makeReplica());
  const version = new Map(names.map((name) => [name, 1]));
  return Array.from({ length: 20 }, (_, n) => fileEntry(`${n}`, { version }));
}

Deno.test("Answerer keeps a bounded part of the requests that wait, and of the pages of one", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("hub");
  const failures: unknown[] = [];
  const answerer = new Answerer({
    source: "r00000000000000cc",
    folder,
    send: () => Promise.resolve(),
    take: () => Promise.resolve(0),
    mayTake: () => true,
    onPlan: () => {},
    onRound: () => {},
    onFailure: (error) => failures.push(error),
  });
  const page = { ...make.client("sync_request").data, entries: heavyEntries().map(entryToMessage) };
  let waiting = 0;
  const error = assertThrows(() => {
    for (; waiting < 100; waiting++) answerer.take({ ...page, round: waiting });
  }, LimitError);
  assertEquals(error.details, { limit: "maxWaitingBytes", max: 32 * 1024 * 1024 });
  assert(waiting > 5, `${waiting}`);
  await answerer.end();
  assertEquals(failures, []);
});

Deno.test("Answerer lets somebody who asks again and again wait as long as each answer has taken", async () => {
  await using scratch = new Scratch();
  let nowMs = 0;
  const clock = { ...systemClock, now: () => nowMs += 10 };
  const folder = await scratch.folder("hub", { clock });
  let answers = 0;
  const answerer = new Answerer({
    source: "r00000000000000cc",
    folder,
    send: () => Promise.resolve(void answers++),
    take: () => Promise.resolve(0),
    mayTake: () => true,
    onPlan: () => {},
    onRound: () => {},
    onFailure: (error) => assert(false, String(error)),
  });
  const startMs = performance.now();
  for (let n = 0; n < 50; n++) answerer.take({});
  await until(() => answers === 5);
  assert(performance.now() - startMs >= 35);
  await answerer.end();
  assert(answers < 10, `${answers} answers`);
});

Deno.test("Changes drops what waits for somebody who does not say who it is, when it is too much", async () => {
  let dropped = 0;
  const taken: SyncEntry[] = [];
  const changes = new Changes({
    take: (entries) => Promise.resolve(taken.push(...entries)).then(() => 0),
    onTaken: () => {},
    onDropped: () => dropped++,
    onFailure: (error) => assert(false, String(error)),
  });
  const entries = heavyEntries();
  for (let n = 0; n < 100; n++) {
    for (const entry of entries) changes.add([{ ...entry, path: `${n} ${entry.path}` }]);
  }
  changes.source = "r0000000000000001";
  await changes.end();
  assert(dropped > 1 && taken.length < 1_000, `${dropped} times, ${taken.length} are left`);
});

Deno.test("Backlog counts what entries take of memory, whatever bytes they came in", () => {
  const backlog = new Backlog("maxBytes", 100_000);
  const [small, large] = [fileEntry("a"), fileEntry("a".repeat(3_000))];
  for (let n = 0; n < 10; n++) backlog.add([small, large]);
  for (let n = 0; n < 10; n++) backlog.remove([small, large]);
  backlog.add(Array.from({ length: 12 }, () => large));
  let error: unknown;
  try {
    backlog.add(Array.from({ length: 12 }, () => large));
  } catch (thrown) {
    error = thrown;
  }
  assert(error instanceof LimitError && error.message.includes("maxBytes 100000"), `${error}`);
});

Deno.test("Exchange does not keep the answers that a hub sends to nothing", async () => {
  await using scratch = new Scratch();
  const folder = await scratch.folder("ann");
  const [clientPort, evil] = portPair();
  await using exchange = Exchange.open(folder, clientPort, { role: "client" });
  const flood = () => {
    for (let n = 0; n < 200; n++) {
      evil.send(make.server("sync_response", { round: 1, instructions: [], more: true }));
    }
  };
  for await (const input of evil.receive) {
    if (input.type !== "message" || input.message.type !== "sync_request") continue;
    evil.send(make.server("sync_response", { round: 1, instructions: [], index_seq: 1 }));
    // Now the client gets contents that never come, and reads no answers.
    const entry = row("never", "sent");
    const instruction = { action: "receive", file_path: "never", entry } as const;
    evil.send(
      make.server("sync_response", { round: 1, instructions: [instruction], index_seq: 2 }),
    );
    break;
  }
  flood();
  const why = await exchange.closed;
  assert(why instanceof LimitError && why.message.includes("64 answers"), `${why}`);
});

Deno.test("Exchange makes something whole of a folder that is told of in pieces that contradict each other", async () => {
  await using siege = await Siege.open();
  const { hub, eve } = siege;
  for (const path of ["a/b", "a/c", "mine"]) write(hub.dir, path, path, LONG_AGO);
  await hub.scan();
  const ann = await siege.honest("ann");
  const random = seededRandom(5);
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T;
  const paths = ["a", "A", "a/b", "a/b/c", "b", "b/a", "B/a", "été", "\u00c9t\u00e9"];
  siege.contents = ["a/b", "a/c", "mine"];
  for (let n = 0; n < 60; n++) {
    const [path, from] = [pick(paths), pick(paths)];
    const version = { [pick([make.replica, hub.index.replica])]: 1 + Math.floor(random() * 9) };
    const kind = pick(["file", "file", "directory"] as const);
    const entry = kind === "file"
      ? row(path, pick(siege.contents), { version })
      : make.entry({ path, kind, version });
    if (random() < 0.3) siege.tell(entry, make.entry({ path: from, deleted: true, version }));
    else if (path !== from && random() < 0.5) {
      const old_entry = make.entry({ path: from, deleted: true, version });
      const change = { file_path: path, entry, old_path: from, old_entry };
      eve.send(make.client("file_changed", { operation: "rename", ...change }));
    } else eve.send(make.client("file_changed", { operation: "update", file_path: path, entry }));
    if (n % 10 === 9) await siege.done(siege.tell());
  }
  write(hub.dir, "last", "of all");
  await hub.scan();
  await until(() => treeOf(ann.dir).includes("last = of all"));
  await until(() => treeOf(ann.dir).join() === treeOf(hub.dir).join());
  // Whatever was told, no contents are gone that nobody has deleted.
  assert(treeOf(hub.dir).some((line) => line.endsWith(" = mine")));
  assertEquals(await Promise.race([siege.exchange.closed, Promise.resolve("open")]), "open");
});

Deno.test("SyncFolder looks at itself a few times, however many entries cannot be taken in", async () => {
  await using scratch = new Scratch();
  let looks = 0;
  const index = new Proxy(scratch.use(SqliteIndex.inMemory()), {
    get: (target, name) => {
      if (name === "known") looks++;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const folder = await scratch.folder("hub", { index });
  write(folder.dir, "a", "x");
  Deno.mkdirSync(`${scratch.dir}/out`);
  Deno.symlinkSync("../out", `${folder.dir}/link`);
  for (const path of ["one/ignored", "two/ignored"]) write(folder.dir, path, "not shared");
  write(folder.dir, ".kithignore", "ignored");
  await folder.scan();
  const facts = { sha256: hash("x"), size: 1 };
  const links = Array.from({ length: 200 }, (_, n) => fileEntry(`link/${n}`, facts));
  const gone = ["one", "two"].flatMap((path) => {
    const entry = folder.index.get(path);
    if (entry === undefined) return [];
    return tombstoneOf(entry, new Map([...entry.version, [make.replica, 9]]));
  });
  looks = 0;
  const failed = await folder.takeIn([...links, fileEntry("b", facts), ...gone], make.replica);
  assertEquals(failed.map(({ path }) => path), links.map(({ path }) => path));
  assert(looks <= 50, `${looks} looks`);
  assertEquals(folder.index.get("b")?.deleted, false);
  assertEquals(gone.map(({ path }) => folder.index.get(path)?.deleted), [false, false]);
});
