import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Link } from "../../src/endpoint/link.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  RemoteError,
  TimeoutError,
} from "../../src/errors.ts";
import { encodeManifest } from "../../src/transfer/manifest.ts";
import { MAX_TRANSFERS, Receiver } from "../../src/transfer/receive.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { netTransport } from "../../src/transport/mod.ts";
import { infoOf, settle } from "../endpoint/fixture.ts";
import { Events, Exchange, listing, pattern, sha256 } from "./fixture.ts";

const MIB = 1024 * 1024;

Deno.test("Receiver refuses everything unless it is told to accept", async () => {
  await using exchange = await Exchange.open({ noReceiver: true });
  Receiver.open(exchange.endpoint, { dir: exchange.inbox });
  const link = await exchange.link();
  const error = await assertRejects(() => offer(link, { a: 1 }), RemoteError, "was refused");
  assertEquals(error.code, "not-allowed");
  assertEquals(exchange.received(), []);
});

Deno.test("Receiver asks with who sends what, and takes an answer that takes its time", async () => {
  const answer = Promise.withResolvers<boolean>();
  const asked: unknown[] = [];
  await using exchange = await Exchange.open({
    receiver: {
      accept: ({ from, label, manifest }) => {
        asked.push([from.name, label, manifest.files, manifest.totalBytes]);
        return answer.promise;
      },
    },
  });
  const offering = offer(await exchange.link("alice"), { a: 1, "f/b": 2 });
  await settle();
  assertEquals(asked.length, 1);
  const [name, label, files, bytes] = asked[0] as unknown[];
  assertEquals([name, files, bytes], ["alice", 2, 3]);
  assertStringIncludes(String(label), "alice (alice:");
  answer.resolve(true);
  assertEquals(typeof await offering, "number");
});

Deno.test("Receiver says of a decision that failed only that it did", async () => {
  await using exchange = await Exchange.open({
    receiver: {
      accept: () => {
        throw new Error("secret");
      },
    },
  });
  const link = await exchange.link();
  for (let attempt = 0; attempt < MAX_TRANSFERS + 1; attempt++) {
    const error = await assertRejects(() => offer(link, { a: 1 }), RemoteError);
    assertEquals([error.code, error.message], ["internal", "The handler failed"]);
  }
});

Deno.test("Receiver refuses a hostile manifest by what is wrong with it, and writes nothing", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const rows: readonly (readonly [unknown, string, string])[] = [
    [[["../up", false, 1, 0o644, 0]], "bad-message", "dot segment"],
    [[["/etc/passwd", false, 1, 0o644, 0]], "bad-message", "absolute path"],
    [[[".kith-partial/x", false, 1, 0o644, 0]], "bad-message", "reserved folder"],
    [[["A", false, 1, 0o644, 0], ["a", false, 1, 0o644, 0]], "bad-message", "store both"],
    [[["a", false, -1, 0o644, 0]], "bad-message", "size of entry 0"],
    [[["a", false, 2 ** 53, 0o644, 0]], "bad-message", "size of entry 0"],
    [[["a", false, 1, 0o644]], "bad-message", "entry 0"],
    ["all of it", "bad-message", "entries is not an array"],
  ];
  for (const [entries, code, text] of rows) {
    const asking = () => link.request("transfer.offer", { manifest: { entries } });
    const error = await assertRejects(asking, RemoteError, text);
    assertEquals(error.code, code);
  }
  await assertRejects(() => link.request("transfer.offer", {}), RemoteError, "entries");
  assertEquals(exchange.received(), []);
});

Deno.test("Receiver names the limit that an offer breaks", async () => {
  await using exchange = await Exchange.open({ receiver: { maxTotalBytes: 1_000 } });
  const link = await exchange.link();
  const error = await assertRejects(() => offer(link, { a: 600, b: 401 }), RemoteError);
  assertEquals([error.code, error.details.limit], ["limit", "maxTotalBytes"]);
  assertEquals(await offer(link, { a: 600, b: 400 }), 1);

  await using wide = await Exchange.open();
  const offering = offer(await wide.link(), { a: 2 ** 52 });
  const full = await assertRejects(() => offering, RemoteError, "Not enough free space");
  assertEquals([full.code, full.details.limit], ["limit", "freeBytes"]);
  assert(Number(full.details.max) < 2 ** 52);
});

Deno.test("Receiver counts what it has promised to others as taken", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const free = await assertRejects(() => offer(link, { a: 2 ** 52 }), RemoteError);
  const half = Math.floor(Number(free.details.max) * 0.6);
  await offer(link, { a: half });
  await assertRejects(() => offer(link, { b: half }), RemoteError, "Not enough free space");
});

Deno.test("Receiver takes 16 transfers at a time, also when all are decided at once, and no more", async () => {
  const answer = Promise.withResolvers<boolean>();
  await using exchange = await Exchange.open({ receiver: { accept: () => answer.promise } });
  const link = await exchange.link();
  const offers = Array.from({ length: MAX_TRANSFERS }, (_, at) => offer(link, { [`f${at}`]: 1 }));
  await settle();
  const full = () => assertRejects(() => offer(link, { more: 1 }), RemoteError, "maxTransfers");
  assertEquals((await full()).details, { limit: "maxTransfers", max: MAX_TRANSFERS });
  answer.resolve(true);
  const ids = await Promise.all(offers);
  assertEquals(new Set(ids).size, MAX_TRANSFERS);
  await full();
  const run = link.request("transfer.run", { id: ids[0] });
  await sendByHand(link, ids[0] ?? 0, [pattern(1)]);
  await run;
  assertEquals(typeof await offer(link, { more: 1 }), "number");
});

Deno.test("Receiver begins nothing that was withdrawn while somebody was deciding", async () => {
  const nothing = () => Promise.resolve();
  const ways: Record<string, (link: Link, exchange: Exchange) => Promise<() => Promise<void>>> = {
    "aborted": async (link) => {
      const controller = new AbortController();
      const { signal } = controller;
      const asking = assertRejects(() => offer(link, { "f/a": 1 }, { signal }));
      await settle();
      controller.abort(new Error("changed my mind"));
      await asking;
      return nothing;
    },
    "timed out": async (link, { clock }) => {
      const asking = assertRejects(
        () => offer(link, { "f/a": 1 }, { timeoutMs: 50 }),
        TimeoutError,
      );
      await clock.advance(50);
      await asking;
      return nothing;
    },
    "gone": async (link) => {
      const asking = assertRejects(() => offer(link, { "f/a": 1 }), ClosedError);
      await settle();
      await link.close();
      await asking;
      return nothing;
    },
    "receiver closed": async (link, { receiver }) => {
      const asking = assertRejects(() => offer(link, { "f/a": 1 }), RemoteError, "given up");
      await settle();
      receiver.close();
      return async () => assertEquals((await asking).code, "closed");
    },
  };
  for (const [way, withdraw] of Object.entries(ways)) {
    const answer = Promise.withResolvers<boolean>();
    await using exchange = await Exchange.open({ receiver: { accept: () => answer.promise } });
    const answered = await withdraw(await exchange.link(), exchange);
    await settle();
    answer.resolve(true);
    await settle();
    assertEquals([exchange.receiver.progress, exchange.received()], [[], []], way);
    await answered();
  }
});

Deno.test("Receiver shows how far each transfer is, while it lasts", async () => {
  await using exchange = await Exchange.open();
  const { receiver } = exchange;
  const link = await exchange.link("alice");
  const id = await offer(link, { a: 100 });
  const run = link.request("transfer.run", { id });
  const progress = () => receiver.progress.map(({ from, bytes }) => [from.name, bytes]);
  assertEquals(progress(), [["alice", 0]]);
  link.post("transfer.data", { id, index: 0, data: pattern(60) });
  await settle();
  assertEquals(progress(), [["alice", 60]]);
  link.post("transfer.data", { id, index: 0, data: pattern(100).subarray(60) });
  link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(100)) });
  await run;
  await settle();
  assertEquals(progress(), []);
});

Deno.test("Receiver gives up on data that is not what was announced, leaves nothing and tells both", async () => {
  const wrong: Record<string, readonly [Record<string, unknown>[], string, string]> = {
    "another hash": [
      [{ data: pattern(10) }, { sha256: sha256(pattern(9)) }],
      "bad-hash",
      "SHA-256",
    ],
    "no hash": [[{ data: pattern(10) }, { sha256: null }], "bad-hash", "SHA-256"],
    "fewer bytes": [[{ data: pattern(9) }, { sha256: sha256(pattern(9)) }], "bad-hash", "size"],
    "no bytes": [[{ sha256: sha256(new Uint8Array(0)) }], "bad-hash", "size"],
    "more bytes": [
      [{ data: pattern(10) }, { data: pattern(1) }],
      "too-large",
      "10 bytes announced",
    ],
    "out of turn": [[{ data: pattern(10) }, { data: pattern(1), index: 1 }], "bad-message", "turn"],
    "a folder": [[{ data: pattern(1), index: 2 }], "bad-message", "file 2 is out of turn"],
    "no such file": [[{ data: pattern(1), index: 99 }], "bad-message", "file 99 is out of turn"],
    "no index": [[{ data: pattern(1), index: null }], "bad-message", "bad index"],
    "index -1": [[{ data: pattern(1), index: -1 }], "bad-message", "bad index"],
    "index 0.5": [[{ data: pattern(1), index: 0.5 }], "bad-message", "bad index"],
    "text": [[{ data: "0123456789" }], "bad-message", "bad data"],
  };
  for (const [what, [messages, code, text]] of Object.entries(wrong)) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const link = await exchange.link();
    const id = await offer(link, { a: 10, b: 10 }, { folders: ["f"] });
    const run = assertRejects(() => link.request("transfer.run", { id }), RemoteError, text);
    for (const fields of messages) {
      const header = "sha256" in fields ? "transfer.end" : "transfer.data";
      link.post(header, { id, index: 0, ...fields });
    }
    // What the sender had already sent when it learnt of it changes nothing.
    link.post("transfer.data", { id, index: 0, data: pattern(10) });
    link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(10)) });
    assertEquals((await run).code, code, what);
    const failed = await events.next("failed");
    assertStringIncludes(String(failed.error), text);
    assertEquals(events.types, ["failed"], what);
    exchange.receiver.close();
    assertEquals(exchange.received(), ["f/"], what);
    await events.over;
  }
});

Deno.test("Receiver ignores data of transfers that are not the sender's", async () => {
  await using exchange = await Exchange.open();
  const [alice, mallory] = [await exchange.link("alice"), await exchange.link("mallory")];
  const id = await offer(alice, { a: 3 });
  const run = alice.request("transfer.run", { id });
  for (const other of [id, id + 1, 0, -1, "1", null, 1e300]) {
    mallory.post("transfer.data", { id: other, index: 0, data: Uint8Array.of(6, 6, 6) });
    mallory.post("transfer.end", { id: other, index: 0, sha256: sha256(Uint8Array.of(6, 6, 6)) });
    const stealing = () => mallory.request("transfer.run", { id: other });
    const error = await assertRejects(stealing, RemoteError, "bad id");
    assertEquals(error.code, "bad-message");
  }
  await sendByHand(alice, id, [pattern(3)]);
  assertEquals((await run as { files: number }).files, 1);
  assertEquals(Deno.readFileSync(`${exchange.inbox}/a`), pattern(3));
});

Deno.test("Receiver takes transfers side by side, and gives what has the same name another", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const links = [await exchange.link("alice"), await exchange.link("bob")];
  const sizes = { "same.txt": 5, "folder/x": 7 };
  const ids = await Promise.all(links.map((link) => offer(link, sizes)));
  const runs = links.map((link, at) => link.request("transfer.run", { id: ids[at] }));
  for (const [index, size] of Object.values(sizes).entries()) {
    for (const [at, link] of links.entries()) {
      const data = pattern(size).map((byte) => byte + at);
      link.post("transfer.data", { id: ids[at], index, data: data.subarray(0, 2) });
      link.post("transfer.data", { id: ids[at], index, data: data.subarray(2) });
      link.post("transfer.end", { id: ids[at], index, sha256: sha256(data) });
    }
  }
  await Promise.all(runs);
  exchange.receiver.close();
  await events.over;
  const names = ["same.txt", "same (1).txt", "folder/x", "folder (1)/x"];
  const files = exchange.received().filter((path) => !path.endsWith("/"));
  assertEquals(files.sort(), names.toSorted());
  assertEquals(events.types.filter((type) => type === "done").length, 2);
  const firsts = names.map((name) => Deno.readFileSync(`${exchange.inbox}/${name}`)[0]);
  assertEquals(firsts.slice(0, 2).sort(), [0, 1]); // whichever was on the disk first
  assertEquals(firsts.slice(2), [0, 1]); // folders get their names when the offer is accepted
});

Deno.test("Receiver removes what is incomplete when the sender disappears", async () => {
  for (const way of ["closes", "dies", "cancels"]) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const link = await exchange.link("alice");
    const id = await offer(link, { a: 10, b: 10 });
    const controller = new AbortController();
    const { signal } = controller;
    const run = link.request("transfer.run", { id }, { signal }).catch((error) => error);
    link.post("transfer.data", { id, index: 0, data: pattern(10) });
    link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(10)) });
    link.post("transfer.data", { id, index: 1, data: pattern(5) });
    await events.next("received");
    await settle();
    assertEquals(exchange.received().length, 3, way); // a, the folder of parts and a part
    if (way === "closes") await link.close();
    else if (way === "dies") exchange.network.kill("alice");
    else controller.abort(new Error("changed my mind"));
    const { error, from } = await events.next("failed");
    assert(error instanceof ClosedError);
    assertEquals(from.name, "alice");
    assert(await run instanceof Error);
    exchange.receiver.close();
    await events.over;
    assertEquals([events.types, exchange.received()], [["received", "failed"], ["a"]], way);
  }
});

Deno.test("Receiver.close tells senders at once, removes what is incomplete, and is harmless twice", async () => {
  await using exchange = await Exchange.open();
  const { receiver } = exchange;
  const events = new Events(receiver);
  const link = await exchange.link();
  const [running, accepted] = [await offer(link, { a: 10 }), await offer(link, { b: 10 })];
  const run = assertRejects(() => link.request("transfer.run", { id: running }), RemoteError);
  link.post("transfer.data", { id: running, index: 0, data: pattern(5) });
  await settle();
  receiver.close();
  receiver.close();
  await receiver[Symbol.asyncDispose]();
  assertEquals((await run).code, "closed");
  assertEquals(exchange.received(), []);
  await events.over;
  assertEquals(events.types, ["failed", "failed"]);
  const late = await assertRejects(
    () => link.request("transfer.run", { id: accepted }),
    RemoteError,
  );
  assertEquals(late.code, "no-endpoint");
  await assertRejects(() => offer(link, { c: 1 }), RemoteError, "No endpoint");

  assertThrows(() => [1, 2].map(() => exchange.receive()), TypeError, "has a handler already");
});

Deno.test("Receiver slows senders down while nobody reads its events, and still lets go", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const files = Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`f${at}`, 0]));
  const id = await offer(link, files);
  const run = link.request("transfer.run", { id }, { timeoutMs: Infinity }).catch((error) => error);
  const empty = sha256(new Uint8Array(0));
  for (let index = 0; index < 400; index++) link.post("transfer.end", { id, index, sha256: empty });
  await until(() => exchange.received().length >= 257);
  await settle();
  assertEquals(exchange.received().length, 257); // 256 files and the folder of parts
  // The receiving end may be closed in any order.
  await exchange.endpoint.close();
  exchange.receiver.close();
  assert(await run instanceof ClosedError);
});

Deno.test("Receiver goes on when its file cannot be stored, and tells the sender no more than that", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const link = await exchange.link();
  const id = await offer(link, { a: 10 });
  const run = assertRejects(() => link.request("transfer.run", { id }), RemoteError);
  link.post("transfer.data", { id, index: 0, data: pattern(5) });
  await settle();
  const [part] = listing(`${exchange.inbox}/.kith-partial`);
  Deno.removeSync(`${exchange.inbox}/.kith-partial/${part}`);
  link.post("transfer.data", { id, index: 0, data: pattern(10).subarray(5) });
  link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(10)) });
  const error = await run;
  assert(!error.message.includes(exchange.dir), error.message);
  await events.next("failed");
  const next = await offer(link, { b: 1 });
  const again = link.request("transfer.run", { id: next });
  await sendByHand(link, next, [pattern(1)]);
  await again;
  exchange.receiver.close();
  assertEquals(exchange.received(), ["b"]);
  await events.over;
});

Deno.test("Receiver's loop may be left at done: the sender has its answer, over real sockets", async () => {
  const dir = await Deno.makeTempDir();
  const source = `${dir}/a.bin`;
  await Deno.writeFile(source, pattern(MIB));
  const client = await open("client");
  try {
    for (let round = 0; round < 50; round++) {
      const receiving = Promise.withResolvers<Endpoint>();
      const received = (async () => {
        await using endpoint = await open("server", 0);
        await using receiver = Receiver.open(endpoint, { dir: `${dir}/in`, accept: () => true });
        receiving.resolve(endpoint);
        for await (const event of receiver) if (event.type === "done") break;
      })();
      const { address } = await receiving.promise;
      assert(address !== undefined);
      await using link = await client.connect(address);
      const manifest = { entries: [entryOf("a.bin", MIB)], files: 1, totalBytes: MIB };
      const built = { manifest, skipped: [], source: () => source };
      let last = "nothing";
      for await (const { type } of sendFiles(link, built)) last = type;
      assertEquals(last, "done", `round ${round}`);
      await received;
    }
    assertEquals(listing(`${dir}/in`).length, 50);
  } finally {
    await client.close();
    await Deno.remove(dir, { recursive: true });
  }

  function open(name: string, port?: number): Promise<Endpoint> {
    return Endpoint.open({
      transport: netTransport,
      self: infoOf(name),
      hostname: "127.0.0.1",
      port,
      clientOnly: port === undefined,
    });
  }
});

/** Offers files of these sizes. @returns the transfer's id. */
async function offer(
  link: Link,
  sizes: Readonly<Record<string, number>>,
  options: { folders?: readonly string[]; signal?: AbortSignal; timeoutMs?: number } = {},
): Promise<number> {
  const { folders = [], signal, timeoutMs = Infinity } = options;
  const entries = [
    ...Object.entries(sizes).map(([path, size]) => entryOf(path, size)),
    ...folders.map((path) => ({ ...entryOf(path, 0), kind: "directory" as const })),
  ];
  const manifest = encodeManifest({ entries, files: 0, totalBytes: 0 });
  const withSignal = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  const answer = await link.request("transfer.offer", { manifest }, withSignal);
  const { id } = answer as { id: unknown };
  if (typeof id !== "number") throw new InvalidPacketError("bad-message", "No id");
  return id;
}

async function sendByHand(link: Link, id: number, files: readonly Uint8Array[]): Promise<void> {
  for (const [index, data] of files.entries()) {
    link.post("transfer.data", { id, index, data });
    link.post("transfer.end", { id, index, sha256: sha256(data) });
  }
  await link.flush();
}

function entryOf(path: string, size: number) {
  return { path, kind: "file" as const, size, mode: 0o644, mtimeMs: 0 };
}

/** Waits for what happens on the disk. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 20_000) throw new LimitError("limit", "It does not happen");
    await settle();
  }
}
