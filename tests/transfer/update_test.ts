import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { IntegrityError, RemoteError } from "../../src/errors.ts";
import { buildManifest } from "../../src/transfer/manifest.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { collect, Exchange, parts, same, sendAll, wholes } from "./fixture.ts";

const MIB = 1024 * 1024;
const UPDATE = { receiver: { update: true } };
const options = { update: true };

/** Bytes that do not repeat and do not get smaller. */
function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = seededRandom(seed);
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >> 2);
  for (let at = 0; at < words.length; at++) words[at] = random() * 2 ** 32;
  return bytes;
}

const film = noise(MIB + 11);

Deno.test("an update of what is unchanged costs less than 1 % of its bytes on the wire", async () => {
  await using exchange = await Exchange.open(UPDATE);
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, at) => [`folder/${at}`, film.subarray(at, at + 16_000)]),
  );
  const built = await exchange.build(files);
  const total = built.manifest.totalBytes;
  const link = await exchange.link("alice");
  const first = await sendAll(link, built, options);
  assertEquals([first.files, first.unchanged, first.bytes], [200, 0, total]);
  const before = exchange.crossed;
  const again = await sendAll(link, built, options);
  assertEquals([again.files, again.unchanged, again.sentBytes], [0, 200, 0]);
  assertLess(exchange.crossed - before, total / 100);
  assertEquals([wholes(exchange.inbox).length, parts(exchange.inbox)], [200, {}]);
});

/** 10,000 take a second and a half to be made. */
const MANY = Deno.env.has("KITH_SOAK") ? 10_000 : 2_000;

Deno.test(`an update looks at ${MANY} unchanged files in a moment`, async () => {
  await using exchange = await Exchange.open(UPDATE);
  const dirs = [`${exchange.dir}/out/many`, `${exchange.inbox}/many`];
  for (const dir of dirs) {
    Deno.mkdirSync(dir, { recursive: true });
    for (let at = 0; at < MANY; at++) Deno.writeFileSync(`${dir}/${at}`, new Uint8Array(1));
  }
  const built = await buildManifest([`${dirs[0]}`]);
  for (const { path, mtimeMs } of built.manifest.entries) {
    const time = new Date(mtimeMs);
    Deno.utimeSync(`${exchange.inbox}/${path}`, time, time);
  }
  const link = await exchange.link("alice");
  const before = exchange.crossed;
  const done = await sendAll(link, built, options);
  assertEquals([done.files, done.unchanged], [0, MANY]);
  assertLess(exchange.crossed - before, 15 * MANY);
});

Deno.test("an update sends only what an older version has not", async () => {
  const middle = film.slice();
  middle.set([1, 2, 3, 4], 500_000);
  const versions: Record<string, readonly [newer: Uint8Array, most: number]> = {
    "a changed block in the middle": [middle, 10_000],
    "an insertion at the start": [Uint8Array.from([7, 7, 7, ...film]), 10_000],
    "a truncation": [film.slice(0, 700_001), 10_000],
    "growth": [Uint8Array.from([...film, ...noise(70_000, 2)]), 80_000],
    "a long stretch that is new": [Uint8Array.from([...film, ...noise(MIB, 2)]), MIB + 10_000],
    "halves that have changed places": [
      Uint8Array.from([...film.subarray(500_000), ...film.subarray(0, 500_000)]),
      20_000,
    ],
    "nothing in common": [noise(MIB, 3), MIB],
    "less than a block": [Uint8Array.of(1), 1],
    "nothing": [new Uint8Array(0), 0],
  };
  for (const [what, [newer, most]] of Object.entries(versions)) {
    await using exchange = await Exchange.open(UPDATE);
    const link = await exchange.link("alice");
    await sendAll(link, await exchange.build({ "f/film": film }), options);
    const built = await exchange.build({ "f/film": newer });
    const before = exchange.crossed;
    const done = await sendAll(link, built, options);
    assert(same(Deno.readFileSync(`${exchange.inbox}/f/film`), newer), what);
    assert(done.sentBytes <= most, `${what}: ${done.sentBytes}`);
    assertLess(exchange.crossed - before, most + 12_000, what);
    assertEquals([wholes(exchange.inbox), parts(exchange.inbox)], [["f/film"], {}], what);
  }
});

Deno.test("an update is refused unless the receiver allows it, and nothing else is", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link("alice");
  const built = await exchange.build({ a: film.subarray(0, 10) });
  const error = await assertRejects(() => sendAll(link, built, options), RemoteError, "update");
  assertEquals(error.code, "not-allowed");
  await sendAll(link, built);
  await sendAll(link, built);
  assertEquals(wholes(exchange.inbox), ["a", "a (1)"]);
});

Deno.test("an update replaces no folder by a file and follows no link", async () => {
  await using exchange = await Exchange.open(UPDATE);
  const { inbox } = exchange;
  Deno.mkdirSync(`${inbox}/a`);
  Deno.writeTextFileSync(`${exchange.dir}/canary`, "alive");
  Deno.symlinkSync(`${exchange.dir}/canary`, `${inbox}/b`);
  Deno.symlinkSync(exchange.dir, `${inbox}/c`);
  const link = await exchange.link("mallory");
  for (const size of [9, 100_000]) {
    const onFolder = await exchange.build({ a: film.subarray(0, size) });
    await assertRejects(() => sendAll(link, onFolder, options), RemoteError);
    const through = await buildFor(exchange, "c/canary", size);
    await assertRejects(() => sendAll(link, through, options), RemoteError);
    // A link itself is a name like any other: what it led to stays as it is.
    await sendAll(link, await buildFor(exchange, "b", size), options);
    assertEquals(Deno.lstatSync(`${inbox}/b`).isFile, true);
    Deno.removeSync(`${inbox}/b`);
    Deno.symlinkSync(`${exchange.dir}/canary`, `${inbox}/b`);
  }
  assertEquals(Deno.lstatSync(`${inbox}/a`).isDirectory, true);
  assertEquals(Deno.readTextFileSync(`${exchange.dir}/canary`), "alive");
});

/** One file, and nothing of what was built before. */
async function buildFor(exchange: Exchange, path: string, size: number) {
  await Deno.remove(`${exchange.dir}/out`, { recursive: true });
  return await exchange.build({ [path]: film.subarray(0, size) });
}

Deno.test("an older version that changes while it is used spoils nothing", async () => {
  await using exchange = await Exchange.open(UPDATE);
  const link = await exchange.link("alice");
  await sendAll(link, await exchange.build({ film }), options);
  const newer = Uint8Array.from([1, ...film]);
  const built = await exchange.build({ film: newer });
  const error = await assertRejects(async () => {
    for await (const { type } of sendFiles(link, built, options)) {
      // After its blocks were listed, or before: in place, as an editor does.
      if (type === "accepted") setTimeout(() => spoil(), 0);
    }
  }, RemoteError).catch(() => undefined);
  if (error !== undefined) assertEquals(error.code, "bad-hash");
  function spoil(): void {
    using file = Deno.openSync(`${exchange.inbox}/film`, { write: true });
    for (let at = 0; at < film.length; at += 1_000) {
      file.seekSync(at, Deno.SeekMode.Start);
      file.writeSync(Uint8Array.of(film[at] === 0 ? 1 : 0));
    }
  }
  const now = Deno.readFileSync(`${exchange.inbox}/film`);
  if (error === undefined) assert(same(now, newer));
  // Either way the next update puts it right.
  Deno.utimeSync(`${exchange.inbox}/film`, 1, 1);
  await sendAll(link, built, options);
  assert(same(Deno.readFileSync(`${exchange.inbox}/film`), newer));
});

Deno.test("a file that shrinks while its changes are sent is an error", async () => {
  await using exchange = await Exchange.open(UPDATE);
  const link = await exchange.link("alice");
  await sendAll(link, await exchange.build({ film }), options);
  const built = await exchange.build({ film: Uint8Array.from([1, ...film]) });
  await assertRejects(
    async () => {
      for await (const { type } of sendFiles(link, built, options)) {
        if (type === "accepted") Deno.truncateSync(built.source(0), 5);
      }
    },
    IntegrityError,
    "changed while it was being read",
  );
  assert(same(Deno.readFileSync(`${exchange.inbox}/film`), film));
});

Deno.test("a dry run says what would be sent, and nothing is made", async () => {
  await using exchange = await Exchange.open(UPDATE);
  const link = await exchange.link("alice");
  const plan = async (update: boolean) => {
    const built = await exchange.build({ "f/a": film.subarray(0, 9), "f/b": film, "f/e": null });
    return await collect(link, built, { update, dryRun: true });
  };
  const bytes = film.length + 9;
  const all = { type: "plan", unchanged: 0, changed: [], added: ["f/a", "f/b"], bytes } as const;
  assertEquals(await plan(true), [all]);
  assertEquals(await plan(false), [all]);
  assertEquals(exchange.received(), []);
  const built = await exchange.build({ "f/a": film.subarray(0, 9), "f/b": film });
  await sendAll(link, built, options);
  assertEquals(await collect(link, built, { update: true, dryRun: true }), [
    { type: "plan", unchanged: 2, changed: [], added: [], bytes: 0 },
  ]);
  const later = await exchange.build({ "f/b": film.subarray(1), "f/c": new Uint8Array(3) });
  const [planned] = await collect(link, later, { update: true, dryRun: true });
  assert(planned?.type === "plan");
  assertEquals([planned.unchanged, planned.changed, planned.added], [1, ["f/b"], ["f/c"]]);
  assertEquals(exchange.receiver.progress, []);
  assertEquals(wholes(exchange.inbox), ["f/a", "f/b"]);
});
