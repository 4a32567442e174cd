import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { immutableKey, plainKey, signedKey } from "../../src/dht/record.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { settle } from "../endpoint/fixture.ts";
import { nodeOf, plant, three, versionsAt, Village, type Villager } from "./dht_fixture.ts";
import { NOW_S, signed } from "./record_fixture.ts";

const NOW_MS = 1_000 * NOW_S;
const HOUR_MS = 3_600_000;
const NONSENSE = new Uint8Array([0xc1]);

Deno.test("Dht.put puts what Dht.get gets, and says where it is and who keeps it", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  const put = await village.run(ann.dht.put("tea", { hot: true }));
  const key = signedKey("shared", "tea", ann.peerId).toHex();
  const seq = put.seq ?? 0;
  assertEquals(put, { key, seq, holders: 2, unconfirmed: 0, refused: 0, silent: 0, hops: 1 });
  assert(seq >= NOW_MS && seq <= village.clock.wallMs());
  const found = await village.run(bob.dht.get("tea", { fresh: true }));
  const { rttMs: _, ...rest } = found ?? { rttMs: 0 };
  assertEquals(rest, {
    value: { hot: true },
    author: ann.peerId,
    seq,
    others: [],
    hops: 1,
    asked: 2,
  });
  // What it keeps itself it asks nobody for, who else may have it.
  const here = await village.run(bob.dht.get("tea", { quorum: 1 }));
  assertEquals([here?.value, here?.seq], [{ hot: true }, seq]);
  assertEquals(await village.run(bob.dht.get("coffee")), undefined);
});

Deno.test("Dht.get has our own first, else the first by id, or only that of whom is named", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await three(village);
  for (const one of [ann, bob]) await village.run(one.dht.put("tea", one.host));
  const got = async (reader: Villager, options = {}) => {
    const found = await village.run(reader.dht.get("tea", { fresh: true, ...options }));
    return found && [found.value, ...found.others.map(({ value }) => value)];
  };
  const [first, second] = [ann, bob].toSorted((a, b) => a.peerId < b.peerId ? -1 : 1);
  assertEquals(await got(ann), ["ann", "bob"]);
  assertEquals(await got(bob), ["bob", "ann"]);
  assertEquals(await got(carol), [first?.host, second?.host]);
  const shared = { own: false };
  assertEquals(await got(carol, { author: ann.peerId, ...shared }), ["ann", "bob"]);
  assertEquals(await got(carol, { author: bob.peerId.toUpperCase(), ...shared }), ["bob", "ann"]);
  // Nobody else's is taken for that of who is named.
  assertEquals(await got(carol, { author: carol.peerId, ...shared }), undefined);
  assertEquals(await got(carol, { author: ann.peerId }), undefined);
  const error = await village.failure(carol.dht.get("tea", { author: "ann" }));
  assertInstanceOf(error, TypeError);
  assertStringIncludes(error.message, "40 hexadecimal digits");
});

Deno.test("Dht.put with own is beside what is shared, where only its author can put anything", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  const shared = await village.run(ann.dht.put("tea", "for all"));
  const own = await village.run(ann.dht.put("tea", "mine", { own: true }));
  assertEquals(own.key, signedKey("own", "tea", ann.peerId).toHex());
  assert(own.key !== shared.key);
  assertEquals((await village.run(bob.dht.get("tea", { author: ann.peerId })))?.value, "mine");
  assertEquals((await village.run(bob.dht.get("tea")))?.value, "for all");
  assertEquals((await village.run(ann.dht.get("tea", { own: true })))?.value, "mine");
  assertEquals(await village.run(bob.dht.get("tea", { own: true })), undefined);
});

Deno.test("Dht.put takes names of up to 255 bytes of text of one line, and values of 64 KiB", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  for (const name of ["a b/c", "x".repeat(255), "é".repeat(127), "\u{1f375}"]) {
    await village.run(ann.dht.put(name, name.length));
    assertEquals((await village.run(bob.dht.get(name, { fresh: true })))?.value, name.length);
  }
  await village.run(ann.dht.put("caf\u00e9", "one name, however it is written"));
  const found = await village.run(bob.dht.get("cafe\u0301", { fresh: true }));
  assertEquals(found?.value, "one name, however it is written");
  const odd: readonly [name: string, value: unknown, kind: typeof RangeError | typeof TypeError][] =
    [
      ["x".repeat(256), 1, RangeError],
      ["é".repeat(128), 1, RangeError],
      ["", 1, TypeError],
      ["a\nb", 1, TypeError],
      ["a\u0000", 1, TypeError],
      ["\u009b", 1, TypeError],
      ["\ud800", 1, TypeError],
      ["tea", new Uint8Array(65_536), RangeError],
      ["tea", () => {}, TypeError],
    ];
  for (const [name, value, kind] of odd) {
    assertInstanceOf(await village.failure(ann.dht.put(name, value)), kind);
    if (name !== "tea") assertInstanceOf(await village.failure(ann.dht.provide(name)), kind);
  }
});

Deno.test("Dht.put and store keep something for 1 s to a week, and take no other time or version", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  for (const ttlS of [0, -1, 0.5, 604_801, NaN, Infinity]) {
    for (const put of [() => ann.dht.put("tea", 1, { ttlS }), () => ann.dht.store(1, { ttlS })]) {
      const error = await village.failure(put());
      assertInstanceOf(error, RangeError);
      assertStringIncludes(error.message, "ttlS");
    }
  }
  for (const cas of [-1, 0.5, NaN, Infinity, 2 ** 53 - 1]) {
    const error = await village.failure(ann.dht.put("tea", 1, { cas }));
    assertInstanceOf(error, RangeError);
    assertStringIncludes(error.message, "cas");
  }
  assertEquals(bob.dht.stat().records, 0);
  await village.run(ann.dht.put("tea", 1, { ttlS: 604_800 }));
  await village.run(ann.dht.put("short", 1, { ttlS: 60 }));
  assertEquals(bob.dht.stat().records, 2);
  await village.clock.advance(61_000);
  assertEquals(await village.run(bob.dht.get("short")), undefined);
});

Deno.test("Dht puts again what is to last as long as it is there, and nothing else", async () => {
  await using village = new Village();
  const tuning = { republishMs: 600_000, ttlS: 1_800 };
  const [ann, bob] = await village.crowd(["ann", "bob"], { tuning });
  assert(ann && bob);
  await village.run(ann.dht.put("lasting", 1));
  await village.run(ann.dht.put("passing", 1, { ttlS: 1_800 }));
  const lasting = await village.run(ann.dht.store("lasting"));
  const passing = await village.run(ann.dht.store("passing", { ttlS: 1_800 }));
  assertEquals([ann.dht.stat().records, bob.dht.stat().records], [2, 4]);
  const [first = 0] = Object.values(versionsAt(bob, "lasting"));
  for (let n = 0; n < 60; n++) await village.clock.advance(60_000);
  const [last = 0] = Object.values(versionsAt(bob, "lasting"));
  assert(last > first + HOUR_MS / 2, `version ${last} after ${first}`);
  assertEquals(versionsAt(bob, "passing"), {});
  assertEquals(bob.storage.get(lasting.key).length, 1);
  assertEquals(bob.storage.get(passing.key).length, 0);
});

Deno.test("Dht.store puts a value under its hash, where Dht.fetch finds it", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  const { key, seq, holders } = await village.run(ann.dht.store(["a", 1]));
  assertEquals([key, seq, holders], [immutableKey(encode(["a", 1])).toHex(), undefined, 2]);
  for (const wanted of [key, key.toUpperCase()]) {
    const found = await village.run(bob.dht.fetch(wanted, { fresh: true }));
    assertEquals([found?.value, found?.author, found?.seq], [["a", 1], undefined, undefined]);
  }
  assertEquals(await village.run(bob.dht.fetch("ab".repeat(20))), undefined);
  for (const odd of ["", "tea", key.slice(1), `${key}0`, `0x${key.slice(2)}`]) {
    assertInstanceOf(await village.failure(bob.dht.fetch(odd)), TypeError);
  }
});

Deno.test("Dht.put with plain is for closed networks", async () => {
  await using village = new Village();
  const options = { allowPlain: true };
  const [ann, bob] = await village.crowd(["ann", "bob"], options);
  assert(ann && bob);
  const { key, seq } = await village.run(ann.dht.put("tea", 1, { plain: true }));
  assertEquals([key, seq], [plainKey("tea").toHex(), undefined]);
  await village.run(bob.dht.put("tea", 2, { plain: true }));
  const found = await village.run(ann.dht.get("tea", { plain: true, fresh: true }));
  assertEquals([found?.value, found?.author], [2, undefined]);
  const whose = { plain: true, fresh: true, author: bob.peerId };
  assertEquals((await village.run(ann.dht.get("tea", whose)))?.value, 2);
  const open = await village.open("open", { seeds: ["ann"] });
  assertInstanceOf(await village.failure(open.dht.put("tea", 3, { plain: true })), TypeError);
});

Deno.test("Dht.provide says who has something and where, until it is withdrawn", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await three(village);
  await village.run(ann.dht.provide("lamp", { watts: 7 }));
  await village.run(bob.dht.provide("lamp"));
  const who = async () => {
    const found = await village.run(carol.dht.providers("lamp", { fresh: true }));
    return found.map(({ peerId }) => peerId).toSorted();
  };
  assertEquals(await who(), [ann.peerId, bob.peerId].toSorted());
  const found = await village.run(carol.dht.providers("lamp"));
  // Hosts that are no addresses nobody is sent to.
  assertEquals(found.find(({ peerId }) => peerId === ann.peerId), {
    peerId: ann.peerId,
    addresses: [],
    data: { watts: 7 },
  });
  ann.dht.withdraw("lamp");
  ann.dht.withdraw("lamp");
  carol.dht.withdraw("never said");
  for (let n = 0; n < 180; n++) await village.clock.advance(60_000);
  assertEquals(await who(), [bob.peerId]);
});

Deno.test("Dht.provide is refused for too much data, and to who is not reached", async () => {
  await using village = new Village();
  const [ann] = await three(village);
  const error = await village.failure(ann.dht.provide("lamp", "x".repeat(512)));
  assertInstanceOf(error, InvalidPacketError);
  assertEquals([error.code, error.details.max], ["too-large", 512]);
  const client = await village.open("client", { clientOnly: true, seeds: ["ann"] });
  const unreached = await village.failure(client.dht.provide("lamp"));
  assertInstanceOf(unreached, TypeError);
  assertStringIncludes(unreached.message, "client");
});

Deno.test("Dht: nonsense that somebody signs hides nobody else's value or provider", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await three(village);
  await village.run(ann.dht.put("tea", "green"));
  await village.run(ann.dht.provide("lamp"));
  for (const [name, scope] of [["tea", "shared"], ["lamp", "provider"]] as const) {
    const draft = { scope, name, value: NONSENSE, seq: 1, expiresS: NOW_S + 7_200 };
    const record = signed(draft, bob.identity);
    for (const one of [bob, carol]) plant(one, record, NOW_MS + 7_200_000);
  }
  const found = await village.run(carol.dht.get("tea", { fresh: true }));
  assertEquals([found?.value, found?.author, found?.others], ["green", ann.peerId, []]);
  const providers = await village.run(carol.dht.providers("lamp", { fresh: true }));
  assertEquals(providers.map(({ peerId }) => peerId), [ann.peerId]);
});

Deno.test("Dht.find has who is known, and asks the others for the rest", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  const client = await village.open("client", { clientOnly: true });
  await village.run(client.dht.join({ nodes: [nodeOf("ann")] }));
  for (const wanted of [bob.peerId, bob.peerId.toUpperCase()]) {
    const contact = await village.run(client.dht.find(wanted));
    assertEquals([contact?.key, contact?.address, contact?.tcpPort], [
      bob.peerId,
      nodeOf("bob"),
      3485,
    ]);
  }
  assertEquals(await village.run(client.dht.find("ab".repeat(20))), undefined);
  assertEquals(await village.run(ann.dht.find(client.peerId)), undefined);
  assertInstanceOf(await village.failure(ann.dht.find("bob")), TypeError);
});

Deno.test("Dht.trace tells of a name or a key who was asked and what they answered", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await three(village);
  const { key } = await village.run(ann.dht.put("tea", 1));
  for (const target of ["tea", key]) {
    const events = await village.run(Array.fromAsync(carol.dht.trace(target)));
    const asked = events.flatMap((event) => event.type === "asked" ? event.contact.key : []);
    assertEquals(new Set(asked), new Set([ann.peerId, bob.peerId]));
    const values = events.flatMap((event) => {
      return event.type === "answered" && event.answer.records.length > 0 ? event.contact.key : [];
    });
    // Who put it keeps it, too, to put it again.
    assertEquals(values.toSorted(), [ann.peerId, bob.peerId].toSorted());
    assertEquals(events.at(-1)?.type, "done");
  }
  const nodes = await village.run(Array.fromAsync(carol.dht.trace(key, { type: "find-node" })));
  assert(nodes.every((event) => event.type !== "answered" || event.answer.records.length === 0));
});

Deno.test("Dht.flush sends the copies that wait for others to travel with", async () => {
  await using village = new Village();
  const tuning = { confirms: 1 };
  const [ann, ...others] = await village.crowd(["ann", "bob", "carol", "dave"], { tuning });
  assert(ann !== undefined);
  const { holders, unconfirmed, key } = await village.run(ann.dht.put("first", 1));
  assertEquals([holders, unconfirmed], [1, 2]);
  await village.clock.advance(1_000);
  const keepers = (key: string) => others.filter(({ storage }) => storage.get(key).length > 0);
  assertEquals(keepers(key).length, 3);
  const put = ann.dht.put("second", 2); // nobody moves the clock
  const second = (await put).key;
  assertEquals(keepers(second).length, 1);
  await ann.dht.flush();
  await settle();
  assertEquals(keepers(second).length, 3);
});

Deno.test("Dht: what is aborted fails with the reason, and does nothing", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  const why = new Error("never mind");
  const signal = AbortSignal.abort(why);
  const works = [
    () => ann.dht.put("tea", 1, { signal }),
    () => ann.dht.store(1, { signal }),
    () => ann.dht.provide("tea", 1, { signal }),
    () => ann.dht.get("tea", { signal }),
    () => ann.dht.fetch("ab".repeat(20), { signal }),
    () => ann.dht.providers("tea", { signal }),
    () => ann.dht.find("ab".repeat(20), { signal }),
    () => Array.fromAsync(ann.dht.trace("tea", { signal })),
  ];
  for (const work of works) assertEquals(await village.failure(work()), why);
  assertEquals([ann.dht.stat().records, bob.dht.stat().records], [0, 0]);
});
