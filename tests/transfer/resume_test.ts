import { assert, assertEquals, assertLess, assertLessOrEqual, assertRejects } from "@std/assert";
import { StoredBytes } from "../../src/endpoint/resources.ts";
import type { BuiltManifest } from "../../src/transfer/manifest.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { type SendOptions, SentBefore } from "../../src/transfer/send_options.ts";
import { CHUNK_BYTES } from "../../src/transfer/steps.ts";
import { settle } from "../endpoint/fixture.ts";
import { Exchange, parts, pattern, same, sendAll, wholes } from "./fixture.ts";

const MIB = 1024 * 1024;

/** What a handshake, an offer and messages may need beside the bytes of files. */
const OVERHEAD_BYTES = 32 * 1024;

/** Sends until so many bytes are there, then the sender is killed. */
async function sendUntil(
  exchange: Exchange,
  built: BuiltManifest,
  bytes: number,
  options: SendOptions = {},
): Promise<void> {
  const link = await exchange.link("alice");
  await assertRejects(async () => {
    for await (const event of sendFiles(link, built, options)) {
      if (event.type === "progress" && event.bytes >= bytes) exchange.network.kill("alice");
    }
  });
  while (exchange.receiver.progress.length > 0) await settle();
}

Deno.test("a file is gone on with where it was interrupted, however often", async () => {
  await using exchange = await Exchange.open();
  const contents = pattern(5 * CHUNK_BYTES + 9);
  const built = await exchange.build({ film: contents });
  const before = new SentBefore();
  for (const bytes of [1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1]) {
    await sendUntil(exchange, built, bytes, { before });
    const [kept = 0] = Object.values(parts(exchange.inbox));
    assert(kept >= bytes && kept <= bytes + 2 * CHUNK_BYTES, `${kept}`);
    assertEquals([Object.keys(parts(exchange.inbox)).length, wholes(exchange.inbox)], [1, []]);
  }
  const [kept = 0] = Object.values(parts(exchange.inbox));
  const done = await sendAll(await exchange.link("alice"), built, { before });
  assertEquals([done.bytes, done.sentBytes], [contents.length, contents.length - kept]);
  assertLessOrEqual(done.resentBytes, 3 * CHUNK_BYTES);
  assertLessOrEqual(exchange.crossed, contents.length + 3 * CHUNK_BYTES + 4 * OVERHEAD_BYTES);
  assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
  assertEquals([parts(exchange.inbox), wholes(exchange.inbox)], [{}, ["film"]]);
});

Deno.test("a part that was damaged is gone on with at the last chunk before that", async () => {
  const contents = pattern(4 * CHUNK_BYTES);
  const flips: readonly (readonly [at: number, agreed: number])[] = [
    [2 * CHUNK_BYTES + 5, 2 * CHUNK_BYTES],
    [0, 0],
  ];
  for (const [at, agreed] of flips) {
    await using exchange = await Exchange.open();
    const built = await exchange.build({ film: contents });
    await sendUntil(exchange, built, 3 * CHUNK_BYTES + 1);
    const [[path = "", kept = 0] = []] = Object.entries(parts(exchange.inbox));
    const bytes = Deno.readFileSync(`${exchange.inbox}/${path}`);
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    Deno.writeFileSync(`${exchange.inbox}/${path}`, bytes);
    const done = await sendAll(await exchange.link("alice"), built);
    assertEquals([done.sentBytes, done.resentBytes], [contents.length - agreed, kept - agreed]);
    assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
  }
});

Deno.test("a part that is as long as the file, or longer, becomes the file", async () => {
  const contents = pattern(CHUNK_BYTES + MIB);
  for (const extra of [0, 1, CHUNK_BYTES]) {
    await using exchange = await Exchange.open({ network: { bufferBytes: 64 * 1024 } });
    const built = await exchange.build({ film: contents });
    await sendUntil(exchange, built, 1);
    const [path = ""] = Object.keys(parts(exchange.inbox));
    Deno.writeFileSync(`${exchange.inbox}/${path}`, contents);
    Deno.writeFileSync(`${exchange.inbox}/${path}`, pattern(extra), { append: true });
    const done = await sendAll(await exchange.link("alice"), built);
    assertEquals([done.bytes, done.sentBytes], [contents.length, 0]);
    assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
    assertEquals([parts(exchange.inbox), wholes(exchange.inbox)], [{}, ["film"]]);
  }
});

Deno.test("a folder is gone on with under the name it got, and nothing in it comes twice", async () => {
  await using exchange = await Exchange.open();
  Deno.mkdirSync(`${exchange.inbox}/album`);
  Deno.writeTextFileSync(`${exchange.inbox}/album/mine`, "mine");
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_, at) => [`album/${at}`, pattern(at * 40_000)]),
  );
  const built = await exchange.build({ ...files, "album/empty": null, "notes": pattern(9) });
  const before = new SentBefore();
  for (const bytes of [2 * MIB, 9 * MIB]) await sendUntil(exchange, built, bytes, { before });
  const there = wholes(exchange.inbox);
  assert(there.length > 5 && there.every((path) => path.startsWith("album")), there.join());
  const done = await sendAll(await exchange.link("alice"), built, { before });
  const total = built.manifest.totalBytes;
  assertEquals([done.files, done.bytes], [31, total]);
  assertLessOrEqual(done.resentBytes, 2 * CHUNK_BYTES);
  assertLessOrEqual(exchange.crossed, total + 2 * CHUNK_BYTES + 3 * OVERHEAD_BYTES);
  for (const [path, bytes] of Object.entries(files)) {
    assert(same(Deno.readFileSync(`${exchange.inbox}/${path.replace("m/", "m (1)/")}`), bytes));
  }
  assertEquals([wholes(exchange.inbox).length, parts(exchange.inbox)], [32, {}]);
  assertEquals(Deno.readTextFileSync(`${exchange.inbox}/album/mine`), "mine");

  // The next time is another transfer, in another folder.
  await sendAll(await exchange.link("alice"), built);
  assertEquals(wholes(exchange.inbox).filter((path) => path.startsWith("album (2)/")).length, 30);
});

Deno.test("nobody else goes on with a part, nor is another file put in its place", async () => {
  await using exchange = await Exchange.open();
  const contents = pattern(2 * CHUNK_BYTES);
  const built = await exchange.build({ film: contents });
  await sendUntil(exchange, built, CHUNK_BYTES);
  const bob = await sendAll(await exchange.link("bob"), built);
  assertEquals(bob.sentBytes, contents.length);
  const other = contents.toReversed();
  const again = await exchange.build({ film: other }); // it was changed meanwhile
  const done = await sendAll(await exchange.link("alice"), again);
  assertEquals(done.sentBytes, contents.length);
  assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
  assert(same(Deno.readFileSync(`${exchange.inbox}/film (1)`), other));
});

Deno.test("the same file twice at once makes two files, and leaves no parts", async () => {
  await using exchange = await Exchange.open();
  const contents = pattern(CHUNK_BYTES + MIB);
  const built = await exchange.build({ film: contents });
  await sendUntil(exchange, built, MIB);
  const links = [await exchange.link("alice"), await exchange.link("alice")];
  const [one, two] = await Promise.all(links.map((link) => sendAll(link, built)));
  assertEquals([one?.bytes, two?.bytes], [contents.length, contents.length]);
  assertEquals(wholes(exchange.inbox), ["film", "film (1)"]);
  for (const name of wholes(exchange.inbox)) {
    assert(same(Deno.readFileSync(`${exchange.inbox}/${name}`), contents), name);
  }
  assertEquals(parts(exchange.inbox), {});

  // Of two that are interrupted one can be gone on with; nobody would find the other again.
  const third = await exchange.build({ third: contents });
  const [first, second] = [await exchange.link("alice"), await exchange.link("alice")];
  const begun = [first, second].map((link) => sendFiles(link, third));
  for (const sending of begun) {
    for await (const { type } of { [Symbol.asyncIterator]: () => keepOpen(sending) }) {
      if (type === "progress") break;
    }
  }
  await Promise.all(begun.map((sending) => sending.return()));
  while (exchange.receiver.progress.length > 0) await settle();
  assertEquals(Object.keys(parts(exchange.inbox)).length, 1);
});

/** The same iterator, which a loop that is left does not end. */
function keepOpen<T>(iterator: AsyncGenerator<T, void, void>): AsyncIterator<T> {
  return { next: () => iterator.next() };
}

Deno.test("a receiver that is closed and opened again goes on", async () => {
  await using exchange = await Exchange.open();
  const contents = pattern(2 * CHUNK_BYTES);
  const built = await exchange.build({ film: contents });
  const link = await exchange.link("alice");
  const before = new SentBefore();
  await assertRejects(async () => {
    for await (const event of sendFiles(link, built, { before })) {
      if (event.type === "progress" && event.bytes >= MIB) exchange.receiver.close();
    }
  });
  exchange.receive();
  const [kept = 0] = Object.values(parts(exchange.inbox));
  const done = await sendAll(link, built, { before });
  assertEquals(done.sentBytes, contents.length - kept);
  assertLessOrEqual(done.resentBytes, CHUNK_BYTES);
});

Deno.test("a sender whose link broke unnoticed by the receiver goes on at once", async () => {
  await using exchange = await Exchange.open();
  const contents = pattern(2 * CHUNK_BYTES);
  const built = await exchange.build({ film: contents });
  const before = new SentBefore();
  const stuck = await exchange.link("alice");
  const sending = sendFiles(stuck, built, { before });
  for await (const event of { [Symbol.asyncIterator]: () => keepOpen(sending) }) {
    if (event.type === "progress" && event.bytes >= MIB) break;
  }
  assertEquals(exchange.receiver.progress.length, 1);
  const done = await sendAll(await exchange.link("alice"), built, { before });
  assertEquals(done.bytes, contents.length);
  assertLess(done.sentBytes, contents.length);
  await assertRejects(() => sending.next().then(() => sending.next()));
  assertEquals(wholes(exchange.inbox), ["film"]);
});

Deno.test("what came before an interruption counts once for maxStoredBytes, damaged or not", async () => {
  const contents = pattern(2 * CHUNK_BYTES);
  for (const isDamaged of [false, true]) {
    const stored = new StoredBytes(contents.length + 10);
    await using exchange = await Exchange.open({ receiver: { stored } });
    const built = await exchange.build({ film: contents });
    await sendUntil(exchange, built, CHUNK_BYTES);
    const [[path = "", kept = 0] = []] = Object.entries(parts(exchange.inbox));
    assertEquals(stored.used, kept);
    if (isDamaged) {
      using file = Deno.openSync(`${exchange.inbox}/${path}`, { write: true });
      file.writeSync(Uint8Array.of(255));
    }
    const done = await sendAll(await exchange.link("alice"), built);
    assertEquals(done.sentBytes, isDamaged ? contents.length : contents.length - kept);
    assertEquals(stored.used, contents.length);
  }
});

Deno.test("a file that was about to get its name when the link broke is no part to go on with", async () => {
  await using exchange = await Exchange.open();
  const { root } = exchange.receiver;
  const commit = root.commit.bind(root);
  const slow = Promise.withResolvers<void>();
  root.commit = async (...args) => {
    await slow.promise;
    return await commit(...args);
  };
  const built = await exchange.build({ "f/a": pattern(MIB), "f/b": pattern(CHUNK_BYTES) });
  await sendUntil(exchange, built, MIB + 1);
  const again = sendAll(await exchange.link("alice"), built);
  for (let turn = 0; turn < 20; turn++) await settle();
  slow.resolve();
  assertEquals((await again).bytes, MIB + CHUNK_BYTES);
  assertEquals([wholes(exchange.inbox), parts(exchange.inbox)], [["f/a", "f/b"], {}]);
});

Deno.test("a sender that does not know that all has arrived learns it, and nothing comes twice", async () => {
  for (
    const files of [{ film: pattern(70_000) }, { "album/a": pattern(70_000), film: pattern(9) }]
  ) {
    await using exchange = await Exchange.open();
    const built = await exchange.build({ ...files, taken: pattern(1) });
    Deno.mkdirSync(exchange.inbox, { recursive: true });
    for (const name of ["film", "taken"]) {
      Deno.writeTextFileSync(
        `${exchange.inbox}/${name}`,
        "mine",
      );
    }
    const before = new SentBefore();
    const first = await sendAll(await exchange.link("alice"), built, { before });
    const there = wholes(exchange.inbox);
    // As if the last word of the first attempt had been lost.
    const again = await sendAll(await exchange.link("alice"), built, { before });
    assertEquals([again.sha256, again.sentBytes], [first.sha256, 0]);
    assertEquals(wholes(exchange.inbox), there);
    assertEquals(Deno.readTextFileSync(`${exchange.inbox}/film`), "mine");
    // Another transfer is another one.
    await sendAll(await exchange.link("alice"), built);
    assertEquals(wholes(exchange.inbox).length > there.length, true);
  }
});
