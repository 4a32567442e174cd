import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  ClosedError,
  IntegrityError,
  InvalidPacketError,
  NotFoundError,
  RemoteError,
  TimeoutError,
} from "../../src/errors.ts";
import { buildManifest, manifestRoot } from "../../src/transfer/manifest.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import type { SendEvent } from "../../src/transfer/send_options.ts";
import { CHUNK_BYTES, PIECE_BYTES, SMALL_BYTES } from "../../src/transfer/steps.ts";
import { settle } from "../endpoint/fixture.ts";
import { collect, Events, Exchange, parts, pattern, same, sha256, wholes } from "./fixture.ts";

const MIB = 1024 * 1024;

Deno.test("sendFiles sends files of every size, with their times and permissions", async () => {
  const sizes = [SMALL_BYTES, PIECE_BYTES, CHUNK_BYTES].flatMap((n) => [n - 1, n, n + 1]);
  for (const size of [0, 1, ...sizes]) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const bytes = pattern(size);
    const source = (await exchange.build({ "file.bin": bytes })).source(0);
    Deno.chmodSync(source, 0o640);
    Deno.utimeSync(source, 1_600_000_000, 1_600_000_000);
    const sent = await collect(await exchange.link("alice"), await buildManifest([source]));
    const hash = sha256(bytes).toHex();
    const done = sent.at(-1);
    assert(done?.type === "done");
    const { files, bytes: total, sha256: sum, resentBytes, sentBytes, unchanged } = done;
    assertEquals([files, total, sum, resentBytes], [1, size, hash, 0]);
    assertEquals([sentBytes, unchanged], [size, 0]);
    assertProgress(sent, size);

    const { path, from } = await events.next("received");
    assertEquals([path, from.name], ["file.bin", "alice"]);
    const finished = await events.next("done");
    assertEquals([finished.files, finished.bytes, finished.sha256], [1, size, hash]);
    assert(same(Deno.readFileSync(`${exchange.inbox}/file.bin`), bytes), `${size}`);
    const { mode, mtime } = Deno.statSync(`${exchange.inbox}/file.bin`);
    assertEquals([(mode ?? 0) & 0o777, mtime?.getTime()], [0o640, 1_600_000_000_000]);
    assertEquals(exchange.received(), [".kith-partial/", "file.bin"]);
    exchange.receiver.close();
    await events.over;
  }
});

Deno.test("sendFiles sends folders, empty ones too, and sums them up by their root", async () => {
  await using exchange = await Exchange.open();
  const files = { "f/a.txt": pattern(10), "f/g/b.txt": pattern(0), "top.txt": pattern(300_000) };
  const built = await exchange.build({ ...files, "f/empty": null, "f/g/deep/er": null });
  const sent = await collect(await exchange.link(), built);
  assertEquals(exchange.received().filter((path) => !path.startsWith(".")), [
    "f/",
    "f/a.txt",
    "f/empty/",
    "f/g/",
    "f/g/b.txt",
    "f/g/deep/",
    "f/g/deep/er/",
    "top.txt",
  ]);
  for (const [path, bytes] of Object.entries(files)) {
    assert(same(Deno.readFileSync(`${exchange.inbox}/${path}`), bytes), path);
  }
  const done = sent.at(-1);
  assert(done?.type === "done");
  const hashed = Object.entries(files).map(([path, bytes]) => {
    return { path, size: bytes.length, sha256: sha256(bytes).toHex() };
  });
  assertEquals([done.files, done.bytes, done.sha256], [3, 300_010, manifestRoot(hashed)]);
  assertProgress(sent, 300_010);
});

Deno.test("sendFiles sends no files at all, and folders without any", async () => {
  for (const files of [{}, { "empty": null, "other/empty": null }]) {
    await using exchange = await Exchange.open();
    const sent = await collect(await exchange.link(), await exchange.build(files));
    assertEquals(sent.map(({ type }) => type), ["accepted", "done"]);
    const done = sent.at(-1);
    assert(done?.type === "done");
    assertEquals([done.files, done.bytes, done.sha256], [0, 0, manifestRoot([])]);
    const folders = Object.keys(files).length === 0 ? [] : ["empty/", "other/", "other/empty/"];
    assertEquals(exchange.received().filter((path) => !path.startsWith(".")), folders);
    assertEquals(parts(exchange.inbox), {});
  }
});

Deno.test("sendFiles sends many small files, over a connection that takes little at a time", async () => {
  await using exchange = await Exchange.open({ network: { bufferBytes: 1_000 } });
  const events = new Events(exchange.receiver);
  const files = Object.fromEntries(
    Array.from({ length: 300 }, (_, at) => [`d/${at}`, pattern(at * 7)]),
  );
  const sent = await collect(await exchange.link(), await exchange.build(files));
  assertEquals(sent.at(-1)?.type, "done");
  for (const [path, bytes] of Object.entries(files)) {
    assert(same(Deno.readFileSync(`${exchange.inbox}/${path}`), bytes), path);
  }
  exchange.receiver.close();
  await events.over;
  assertEquals(events.types.length, 301);
});

Deno.test("sendFiles passes a refusal on, and waits for one no longer than it may", async () => {
  await using exchange = await Exchange.open({ receiver: { accept: () => false } });
  const built = await exchange.build({ a: pattern(1) });
  const link = await exchange.link();
  const error = await assertRejects(() => collect(link, built), RemoteError, "refused");
  assertEquals(error.code, "not-allowed");

  await using slow = await Exchange.open({ receiver: { accept: () => new Promise(() => {}) } });
  const options = { acceptTimeoutMs: 500 };
  const waiting = collect(await slow.link(), await slow.build({ a: pattern(1) }), options);
  const late = assertRejects(() => waiting, TimeoutError);
  await slow.clock.advance(500);
  await late;
});

Deno.test("sendFiles gives up when a file changes under it, and so does the receiver", async () => {
  const changes: Record<string, (path: string) => void> = {
    "grows": (path) => Deno.writeFileSync(path, Uint8Array.of(1), { append: true }),
    "is written anew": (path) => Deno.writeFileSync(path, contents),
    "shrinks": (path) => Deno.truncateSync(path, PIECE_BYTES + 5),
    "is emptied": (path) => Deno.truncateSync(path, 0),
  };
  const contents = pattern(CHUNK_BYTES + 2 * MIB);
  for (const when of ["accepted", "progress"]) {
    for (const [what, change] of Object.entries(changes)) {
      await using exchange = await Exchange.open();
      const events = new Events(exchange.receiver);
      const built = await exchange.build({ "a.bin": contents, "b.txt": pattern(9) });
      const link = await exchange.link();
      const sending = async () => {
        for await (const { type } of sendFiles(link, built)) {
          if (type === when) change(built.source(0));
        }
      };
      const error = await assertRejects(sending, IntegrityError, "changed while it was being read");
      assertEquals(error.code, "bad-hash", what);
      await events.next("failed");
      exchange.receiver.close();
      await events.over;
      assert(!wholes(exchange.inbox).includes("a.bin"), what);
    }
  }
});

Deno.test("sendFiles names a file that has gone, and the receiver keeps the ones before it", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const built = await exchange.build({ a: pattern(SMALL_BYTES + 1), b: pattern(10) });
  Deno.removeSync(built.source(1));
  const link = await exchange.link();
  const error = await assertRejects(() => collect(link, built), NotFoundError, "/out/b");
  assertEquals(error.code, "no-path");
  await events.next("failed");
  await exchange.receiver[Symbol.asyncDispose]();
  await events.over;
  assertEquals(wholes(exchange.inbox), ["a"]);
});

Deno.test("sendFiles stops when its signal aborts, whatever it waits for", async () => {
  const reason = new Error("changed my mind");
  // Before anything, while the receiver thinks, in the middle, and while nobody reads what is sent.
  for (const when of ["before", "deciding", "progress", "blocked"]) {
    await using exchange = await Exchange.open({
      network: { bufferBytes: 64 * 1024 },
      receiver: { accept: () => when === "deciding" ? new Promise(() => {}) : true },
    });
    const built = await exchange.build({ a: pattern(2 * CHUNK_BYTES) });
    const controller = new AbortController();
    const { signal } = controller;
    if (when === "before") controller.abort(reason);
    const gate = Promise.withResolvers<void>();
    exchange.endpoint.handle("block", () => gate.promise, { inline: true });
    const link = await exchange.link();
    const sending = assertRejects(async () => {
      for await (const event of sendFiles(link, built, { signal })) {
        if (event.type !== "progress") continue;
        if (when === "progress") controller.abort(reason);
        if (when === "blocked") link.post("block", {});
      }
    });
    for (let turn = 0; turn < 20; turn++) await settle();
    controller.abort(reason);
    assertStrictEquals(await sending, reason, when);
    gate.resolve();
    for (let turn = 0; turn < 20; turn++) await settle();
    exchange.receiver.close();
    assertEquals(wholes(exchange.inbox), [], when);
  }
});

Deno.test("sendFiles cancels when its loop is left, and the receiver keeps what came", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const built = await exchange.build({ a: pattern(3 * MIB) });
  const link = await exchange.link();
  for await (const { type } of sendFiles(link, built)) {
    if (type === "progress") break;
  }
  const { error } = await events.next("failed");
  assertStringIncludes(String(error), "cancelled");
  exchange.receiver.close();
  await events.over;
  const [kept = 0] = Object.values(parts(exchange.inbox));
  assert(kept >= PIECE_BYTES, `${kept}`);
  // The link is as good as before.
  exchange.receive();
  const done = (await collect(link, built)).at(-1);
  assert(done?.type === "done");
  assertEquals([done.bytes, done.sentBytes], [3 * MIB, 3 * MIB - kept]);
});

Deno.test("sendFiles learns at once that the receiver gave up, and why", async () => {
  await using exchange = await Exchange.open();
  const built = await exchange.build({ a: pattern(3 * CHUNK_BYTES) });
  const link = await exchange.link();
  let sent = 0;
  const error = await assertRejects(async () => {
    for await (const event of sendFiles(link, built)) {
      if (event.type !== "progress") continue;
      if (sent === 0) exchange.receiver.close();
      sent = event.bytes;
    }
  }, RemoteError);
  assertEquals(error.code, "closed");
  assert(sent <= CHUNK_BYTES, "it went on");
  assertEquals(wholes(exchange.inbox), []);
});

Deno.test("sendFiles learns why the receiver gave up although the link ends with it", async () => {
  for (const bufferBytes of [1_000, 1_000_000]) {
    await using exchange = await Exchange.open({ network: { bufferBytes } });
    const built = await exchange.build({ a: pattern(3 * MIB) });
    const link = await exchange.link();
    let closing: Promise<void> | undefined;
    const error = await assertRejects(async () => {
      for await (const { type } of sendFiles(link, built)) {
        if (type !== "progress" || closing !== undefined) continue;
        exchange.receiver.close();
        closing = settle().then(() => exchange.endpoint.close());
      }
    }, RemoteError);
    assertEquals(error.code, "closed");
    await closing;
  }
});

Deno.test("sendFiles fails with the link", async () => {
  await using exchange = await Exchange.open();
  const built = await exchange.build({ a: pattern(3 * MIB) });
  const link = await exchange.link("alice");
  await assertRejects(async () => {
    for await (const { type } of sendFiles(link, built)) {
      if (type === "progress") exchange.network.kill("receiver");
    }
  }, ClosedError);
  await assertRejects(() => collect(link, built), ClosedError);
});

Deno.test("sendFiles believes no answer that is none, and no other hash", async () => {
  const bytes = pattern(5);
  const good = { files: 1, bytes: 5, sha256: sha256(bytes).toHex() };
  const cases: readonly (readonly [unknown, unknown, string, string])[] = [
    [null, { done: good }, "bad-message", "bad answer"],
    [{}, { done: good }, "bad-message", "bad id"],
    [{ id: "1" }, { done: good }, "bad-message", "bad id"],
    [{ id: 1, wanted: [0, 2] }, { done: good }, "bad-message", "wanted is no list of entries"],
    [{ id: 1, held: [1, 0] }, { done: good }, "bad-message", "held is no list of entries"],
    [{ id: 1, unchanged: -1 }, { done: good }, "bad-message", "bad unchanged"],
    [{ id: 1 }, null, "bad-message", "summary is not one"],
    [{ id: 1 }, {}, "bad-message", "bad taken"],
    [{ id: 1 }, { taken: 6 }, "bad-message", "more was taken than sent"],
    [{ id: 1 }, { done: null }, "bad-message", "summary is not one"],
    [{ id: 1 }, { done: { ...good, files: "1" } }, "bad-message", "summary is not one"],
    [
      { id: 1 },
      { done: { ...good, sha256: sha256(pattern(6)).toHex() } },
      "bad-hash",
      "not what was sent",
    ],
  ];
  for (const [offered, ran, code, text] of cases) {
    await using exchange = await Exchange.open({ noReceiver: true });
    exchange.endpoint.handle("transfer.offer", () => offered);
    exchange.endpoint.handle("transfer.run", () => ran);
    const link = await exchange.link();
    const built = await exchange.build({ a: bytes });
    const error = await assertRejects(() => collect(link, built), Error, text);
    assert(error instanceof InvalidPacketError || error instanceof IntegrityError);
    assertEquals(error.code, code);
  }
});

Deno.test("sendFiles believes nothing of what is held that is none of it", async () => {
  const bytes = pattern(SMALL_BYTES + 1);
  const digests = sha256(bytes);
  const part = { kind: "part", index: 0, bytes: bytes.length, digests };
  const wrong: unknown[] = [
    ...[null, 5, [], { ...part, kind: "all" }, { ...part, index: 1 }, { ...part, index: -1 }],
    ...[{ ...part, bytes: -1 }, { ...part, bytes: 2 * CHUNK_BYTES }, { ...part, bytes: 2 ** 53 }],
    ...[{ ...part, digests: digests.subarray(1) }, { ...part, digests: "x" }],
    ...[{ kind: "older", index: 0 }, { kind: "older", index: 0, blockBytes: 1, signs: digests }],
    { kind: "older", index: 0, blockBytes: 4096, signs: digests },
  ];
  for (const held of wrong) {
    await using exchange = await Exchange.open({ noReceiver: true });
    exchange.endpoint.handle("transfer.offer", () => ({ id: 1, held: [0, 1] }));
    exchange.endpoint.handle("transfer.run", () => new Promise(() => {}));
    exchange.endpoint.handle("transfer.held", () => held);
    const built = await exchange.build({ a: bytes });
    const link = await exchange.link();
    await assertRejects(() => collect(link, built), InvalidPacketError, undefined, `${held}`);
  }
});

Deno.test("sendFiles waits a minute for the confirmation, and then withdraws", async () => {
  await using exchange = await Exchange.open({ noReceiver: true });
  const ran = Promise.withResolvers<AbortSignal>();
  exchange.endpoint.handle("transfer.offer", () => ({ id: 1 }));
  exchange.endpoint.handle("transfer.run", (_, { signal }) => {
    ran.resolve(signal);
    return new Promise(() => {});
  });
  const built = await exchange.build({ a: pattern(5) });
  const { clock } = exchange;
  const sending = collect(await exchange.link(), built, { clock });
  const late = assertRejects(() => sending, TimeoutError, "has taken nothing for 60 s");
  const signal = await ran.promise;
  await settle();
  await clock.advance(59_999);
  assertEquals(signal.aborted, false);
  await clock.advance(1);
  await late;
  await settle();
  assertEquals(signal.aborted, true);
});

function assertProgress(events: readonly SendEvent[], totalBytes: number): void {
  assertEquals(events.map(({ type }) => type), [
    "accepted",
    ...events.slice(1, -1).map(() => "progress"),
    "done",
  ]);
  let last = 0;
  for (const event of events) {
    if (event.type !== "progress") continue;
    assert(event.bytes > last && event.bytes - last <= CHUNK_BYTES);
    assertEquals(event.totalBytes, totalBytes);
    last = event.bytes;
  }
  assertEquals(last, totalBytes);
}
