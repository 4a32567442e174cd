import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { Keeper, type KeeperOptions, type PutOptions } from "../../src/dht/keeper.ts";
import { type DhtRecord, immutableRecord, plainRecord } from "../../src/dht/record.ts";
import {
  type DhtStorage,
  type Host,
  ITEM_OVERHEAD,
  MemoryStorage,
  type StoredItem,
} from "../../src/dht/storage.ts";
import { SqliteStorage } from "../../src/dht/sqlite_storage.ts";
import { AuthError, LimitError } from "../../src/errors.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { ScratchHome } from "../secure/home_fixture.ts";
import { bob, NOW_S, numbered, signed, unproven } from "./record_fixture.ts";

const HOUR_S = 3_600;
const NOW_MS = 1_000 * NOW_S;

/** A host in a private network, which stands for itself. */
const LOCAL: PutOptions = { source: "10.0.0.1", subnet: undefined, ttlS: HOUR_S };

function keeperOf(options: KeeperOptions = {}, storage: DhtStorage = new MemoryStorage()) {
  const clock = new ManualClock();
  return { clock, storage, keeper: new Keeper(storage, clock, options) };
}

/** How a host puts: each network has 256 of them. */
function from(network: number, number = 0): PutOptions {
  return { source: `n${network}.${number}`, subnet: `n${network}`, ttlS: HOUR_S };
}

function itemsOf(storage: DhtStorage): StoredItem[] {
  return [...storage.keys()].flatMap((key) => storage.get(key));
}

Deno.test("Keeper keeps the newest version of a record", () => {
  const { keeper } = keeperOf();
  const [first, second] = [signed({ seq: 1 }), signed({ seq: 2, value: encode("a") })];
  assertEquals(keeper.put(first, LOCAL), "added");
  assertEquals(keeper.put(second, LOCAL), "updated");
  assertEquals(keeper.put(second, LOCAL), "refreshed");
  const error = assertThrows(() => keeper.put(first, LOCAL), AuthError, "not newer than version 2");
  assertEquals([error.code, error.details], ["not-allowed", { seq: 2 }]);
  assertEquals(keeper.get(first.key), [second]);
  // Of the same number the greater value wins, in whatever order they come.
  assertThrows(() => keeper.put(signed({ seq: 2, value: encode("A") }), LOCAL), AuthError);
  assertEquals(keeper.put(signed({ seq: 2, value: encode("b") }), LOCAL), "updated");
  assertEquals(keeper.totals.records, 1);
});

Deno.test("Keeper lets exactly one of two writers win who both saw the same version", () => {
  const written = ["a", "b"].map((value) => signed({ seq: 2, value: encode(value) }));
  for (const inOrder of [written, written.toReversed()]) {
    const { keeper } = keeperOf();
    keeper.put(signed({ seq: 1 }), LOCAL);
    const [winner, loser] = inOrder as [DhtRecord, DhtRecord];
    assertEquals(keeper.put(winner, { ...LOCAL, cas: 1 }), "updated");
    const error = assertThrows(
      () => keeper.put(loser, { ...LOCAL, cas: 1 }),
      AuthError,
      "version 2 is kept, not 1",
    );
    assertEquals(error.details, { seq: 2 });
    assertEquals(keeper.put(winner, { ...LOCAL, cas: 1 }), "refreshed");
    assertEquals(keeper.get(winner.key), [winner]);
  }
});

Deno.test("Keeper lets the first of two writers win where nothing was", () => {
  const { keeper } = keeperOf();
  assertEquals(keeper.put(signed({ seq: 1 }), { ...LOCAL, cas: 0 }), "added");
  const other = signed({ seq: 1, value: encode("z") });
  assertThrows(
    () => keeper.put(other, { ...LOCAL, cas: 0 }),
    AuthError,
    "version 1 is kept, not 0",
  );
});

Deno.test("Keeper lets nothing plain take the place of what cannot be forged", () => {
  const { keeper } = keeperOf();
  const genuine = immutableRecord(encode("hello"));
  const forged = plainRecord(genuine.key, encode("other"));
  keeper.put(forged, LOCAL);
  assertEquals(keeper.put(genuine, LOCAL), "updated");
  assertThrows(() => keeper.put(forged, LOCAL), AuthError, "its key is a kept value's hash");
  assertEquals(keeper.get(genuine.key), [genuine]);
  const name = signed({ scope: "shared" });
  keeper.put(name, LOCAL);
  keeper.put(plainRecord(name.key, encode("other")), LOCAL);
  assertEquals(keeper.get(name.key).length, 2);
});

Deno.test("Keeper forgets a record when its time is over, however long was asked for", async () => {
  for (
    const [what, ttlS, more, keptS] of [
      ["as asked", 10, {}, 10],
      ["at most maxTtlS", 9e9, {}, 100],
      ["its own for as long as it likes", 1_000, { own: true }, 1_000],
      ["to the end of the record", 50, { end: 20 }, 20],
      ["its own likewise", 50, { own: true, end: 20 }, 20],
    ] as const
  ) {
    const { end = 5_000, own = false } = { ...more } as { end?: number; own?: boolean };
    const { keeper, clock } = keeperOf({ maxTtlS: 100 });
    const record = signed({ expiresS: NOW_S + end });
    keeper.put(record, { ...LOCAL, ttlS, own });
    await clock.advance(1_000 * keptS - 1);
    assertEquals(keeper.get(record.key), [record], what);
    assertEquals(keeper.expire(), 0, what);
    await clock.advance(1);
    assertEquals(keeper.get(record.key), [], what);
    assertEquals([keeper.expire(), keeper.expire()], [1, 0], what);
    assertEquals(keeper.totals, { records: 0, bytes: 0 }, what);
  }
});

Deno.test("Keeper takes an older version again once the newer has ended", async () => {
  const { keeper, clock } = keeperOf();
  keeper.put(signed({ seq: 2 }), { ...LOCAL, ttlS: 1 });
  await clock.advance(1_000);
  assertEquals(keeper.put(signed({ seq: 1 }), LOCAL), "added");
});

Deno.test("Keeper keeps for longer what is put again, never shorter, and charges who brought it", () => {
  const { keeper, storage } = keeperOf();
  const record = numbered(1);
  keeper.put(record, { ...from(1), ttlS: 100 });
  keeper.put(record, { ...from(2), ttlS: 50 });
  assertEquals(itemsOf(storage)[0]?.expiresMs, NOW_MS + 100_000);
  keeper.put(record, { ...from(2), ttlS: 200 });
  assertEquals(itemsOf(storage)[0]?.expiresMs, NOW_MS + 200_000);
  assertEquals(itemsOf(storage)[0]?.source, "n1.0");
  assertEquals([...storage.usage()].length, 1);
});

Deno.test("Keeper forgets what ended page by page", async () => {
  const { keeper, clock } = keeperOf();
  for (let n = 0; n < 25; n++) keeper.put(numbered(n), { ...LOCAL, ttlS: 1 + n });
  await clock.advance(20_000);
  assertEquals([8, 8, 8].map((limit) => keeper.expire(limit)), [8, 8, 4]);
  assertEquals(keeper.forOthers.records, 5);
});

Deno.test("Keeper gives each record that is due once, at a time drawn by chance", async () => {
  const { keeper, clock } = keeperOf({ republishS: 1_000 });
  for (let n = 0; n < 100; n++) keeper.put(numbered(n), { ...LOCAL, ttlS: 80_000 });
  await clock.advance(749_000);
  assertEquals(keeper.due(1_000), []);
  await clock.advance(251_000);
  const atHalf = keeper.due(1_000).length;
  assert(atHalf > 25 && atHalf < 75, `${atHalf}`);
  assertEquals(keeper.due(1_000), []);
  await clock.advance(249_000);
  assertEquals(keeper.due(10).length, 10);
  assertEquals(keeper.due(1_000).length, 90 - atHalf);
});

Deno.test("Keeper does not give what somebody else put meanwhile, nor what has ended", async () => {
  const { keeper, clock } = keeperOf({ republishS: 1_000 });
  for (const [n, ttlS] of [5_000, 5_000, 1_100].entries()) {
    keeper.put(numbered(n), { ...LOCAL, ttlS });
  }
  await clock.advance(740_000);
  keeper.put(numbered(0), LOCAL);
  await clock.advance(520_000);
  assertEquals(keeper.due(9).map(({ record }) => record), [numbered(1)]);
});

Deno.test("Keeper names the quota that refuses a record", () => {
  const size = ITEM_OVERHEAD;
  for (
    const [limit, max, who] of [
      ["maxRecordsPerSource", 3, from(1)],
      ["maxBytesPerSource", 4 * size - 1, from(1)],
      ["maxRecordsPerSubnet", 3, from(1, 9)],
      ["maxBytesPerSubnet", 4 * size - 1, from(1, 9)],
      ["maxRecords", 3, from(1)],
      ["maxBytes", 4 * size - 1, from(1)],
    ] as const
  ) {
    // Where the quota is the whole store's nobody has more than the newcomer would have.
    const { keeper } = keeperOf({ quotas: { [limit]: max } });
    for (let n = 0; n < 3; n++) keeper.put(numbered(n), from(1));
    const error = assertThrows(() => keeper.put(numbered(9), who), LimitError, `${limit} ${max}`);
    assertEquals([error.code, error.details], ["limit", { limit, max }]);
    assertEquals(keeper.forOthers, { records: 3, bytes: 3 * size });
    assertEquals(keeper.put(numbered(9), { ...who, own: true }), "added");
    assertEquals(keeper.put(numbered(1), who), "refreshed");
  }
});

Deno.test("Keeper keeps an older version when there is no room for a newer", () => {
  const { keeper, storage } = keeperOf({ quotas: { maxBytesPerSource: 1_000 } });
  const older = signed();
  keeper.put(older, LOCAL);
  const newer = signed({ seq: 2, value: new Uint8Array(1_000) });
  assertThrows(() => keeper.put(newer, LOCAL), LimitError, "maxBytesPerSource");
  assertEquals(keeper.get(older.key), [older]);
  assertEquals(keeper.forOthers, storage.totals());
});

Deno.test("Keeper has whoever has most under a full key make room there", () => {
  const { keeper } = keeperOf({ quotas: { maxPerKey: 4 } });
  const record = (author: number) => unproven(author, { scope: "shared" });
  for (let n = 0; n < 4; n++) keeper.put(record(n), from(n === 3 ? 2 : 1));
  assertEquals(keeper.put(record(4), from(3)), "added");
  assertEquals(keeper.put(record(5), from(4)), "added");
  const kept = keeper.get(record(0).key);
  assertEquals(kept.length, 4);
  const has = (author: number) => kept.some(({ slot }) => slot === record(author).slot);
  assert(has(3) && has(4) && has(5));
  assertEquals(keeper.evicted, 2);
  // Now that each has one nobody has more than a newcomer would have.
  const error = assertThrows(() => keeper.put(record(6), from(5)), LimitError, "maxPerKey 4");
  assertEquals(error.details, { limit: "maxPerKey", max: 4 });
  assertEquals(keeper.put(record(7), { ...from(5), own: true }), "added");
});

Deno.test("Keeper forgets what has ended before anybody makes room", async () => {
  const { keeper, clock } = keeperOf({ quotas: { maxRecords: 4 } });
  for (let n = 0; n < 4; n++) keeper.put(numbered(n), { ...from(1), ttlS: n === 3 ? 1 : 50 });
  await clock.advance(1_000);
  keeper.put(numbered(9), from(2));
  assertEquals([keeper.evicted, keeper.forOthers.records], [0, 4]);
});

Deno.test("Keeper forgets what has ended under a full key before anybody makes room there", async () => {
  const { keeper, clock } = keeperOf({ quotas: { maxPerKey: 2 } });
  const record = (author: number) => unproven(author, { scope: "shared" });
  for (let n = 0; n < 2; n++) keeper.put(record(n), { ...from(n), ttlS: 1 + n });
  await clock.advance(1_000);
  assertEquals(keeper.put(record(2), from(3)), "added");
  assertEquals(keeper.get(record(0).key).length, 2);
});

Deno.test("Keeper has whoever has most make room, oldest first", () => {
  const { keeper } = keeperOf({ quotas: { maxRecords: 6 } });
  for (let n = 0; n < 4; n++) keeper.put(numbered(n), from(1));
  for (let n = 4; n < 6; n++) keeper.put(numbered(n), from(2));
  keeper.put(numbered(0), from(2)); // the oldest is now another
  keeper.put(numbered(6), from(3));
  keeper.put(numbered(7), from(3));
  const gone = Array.from({ length: 8 }, (_, n) => n).filter((n) =>
    keeper.get(numbered(n).key).length === 0
  );
  assertEquals(gone, [1, 2]);
  assertEquals(keeper.evicted, 2);
  assertThrows(() => keeper.put(numbered(8), from(3)), LimitError, "maxRecords 6");
});

Deno.test("Keeper makes room for a large record by several small ones", () => {
  const { keeper } = keeperOf({ quotas: { maxBytes: 20 * ITEM_OVERHEAD, maxRecords: 20 } });
  for (let n = 0; n < 18; n++) keeper.put(numbered(n), from(1));
  for (let n = 18; n < 20; n++) keeper.put(numbered(n), from(2));
  keeper.put(numbered(20, 4 * ITEM_OVERHEAD), from(3));
  assertEquals(keeper.forOthers, { records: 16, bytes: 20 * ITEM_OVERHEAD });
  for (const n of [18, 19, 20]) assertEquals(keeper.get(numbered(n).key).length, 1);
});

Deno.test("Keeper keeps all that honest hosts brought through a flood by a thousand others", () => {
  const honest = (n: number) => from(n % 50, n);
  for (const attackers of ["of one network", "of many"]) {
    const { keeper, storage } = keeperOf({ quotas: { maxRecords: 1_000 } });
    for (let n = 0; n < 200; n++) keeper.put(numbered(n), honest(n));
    let refused = 0;
    for (let n = 0; n < 4_000; n++) {
      const network = attackers === "of one network" ? 1_000 : 1_000 + n % 20;
      try {
        keeper.put(numbered(1_000 + n), from(network, n % 1_000));
      } catch (error) {
        assert(error instanceof LimitError);
        refused++;
      }
      assert(storage.totals().records <= 1_000);
    }
    for (let n = 0; n < 200; n++) assertEquals(keeper.get(numbered(n).key).length, 1, attackers);
    assert(refused + keeper.evicted === 3_200, `${refused} refused, ${keeper.evicted} evicted`);
    // And there is room for newcomers still, at the cost of the flood.
    assertEquals(keeper.put(numbered(9_999), from(77)), "added");
  }
});

Deno.test("Keeper takes from nobody who has less than the mean, whatever is put in whatever order", async () => {
  const random = seededRandom(50);
  const below = (most: number) => Math.floor(random() * most);
  const quotas = { maxRecords: 60, maxBytes: 60 * 1_024, maxRecordsPerSource: 40, maxPerKey: 60 };
  const { keeper, storage, clock } = keeperOf({ quotas, maxTtlS: 500 });
  for (let step = 0; step < 1_500; step++) {
    const before = itemsOf(storage);
    // Some bring far more than others.
    const who = from(Math.floor(8 * random() ** 3), Math.floor(4 * random() ** 2));
    const { source, subnet } = who;
    const record = numbered(below(400));
    const nowMs = clock.wallMs();
    try {
      keeper.put(record, { ...who, own: below(20) === 0, ttlS: 1 + below(900) });
    } catch (error) {
      assert(error instanceof LimitError);
    }
    const after = itemsOf(storage);
    const others = after.filter(({ own }) => !own);
    assert(others.length <= 60 && sumOf(others) <= 60 * 1_024);
    assertEquals(keeper.forOthers, { records: others.length, bytes: sumOf(others) });
    assertEquals(keeper.totals, { records: after.length, bytes: sumOf(after) });
    const left = new Set(after.map(({ key }) => key));
    const evicted = before.filter(({ key, expiresMs }) => !left.has(key) && expiresMs > nowMs);
    assert(evicted.length <= 1);
    for (const item of evicted) {
      const live = before.filter(({ own, expiresMs }) => !own && expiresMs > nowMs);
      assert(!item.own);
      if (item.subnet !== subnet) assert(hasMean(live, item, "subnet"), `step ${step}`);
      if (item.source !== source) {
        assert(hasMean(live.filter((one) => one.subnet === item.subnet), item, "source"));
      }
    }
    if (below(4) === 0) await clock.advance(below(9_000));
    if (below(50) === 0) keeper.expire(5);
  }
  assert(keeper.evicted > 100, `${keeper.evicted} evicted`);
});

Deno.test("Keeper never has more bytes than it may, whatever is put", () => {
  const random = seededRandom(51);
  const quotas = { maxRecords: 50, maxBytes: 50_000, maxBytesPerSource: 20_000 };
  const { keeper, storage } = keeperOf({ quotas });
  for (let n = 0; n < 3_000; n++) {
    const who = from(Math.floor(6 * random() ** 2), Math.floor(3 * random()));
    try {
      keeper.put(numbered(n % 300, Math.floor(9_000 * random() ** 3)), who);
    } catch (error) {
      assert(error instanceof LimitError);
    }
    const { records, bytes } = storage.totals();
    assert(records <= 50 && bytes <= 50_000);
    assertEquals(keeper.forOthers, { records, bytes });
    for (const usage of storage.usage()) assert(usage.bytes <= 20_000);
  }
  assert(keeper.evicted > 100);
});

Deno.test("Keeper remembers who has how much when it is opened again", () => {
  using scratch = new ScratchHome();
  const quotas = { maxRecordsPerSource: 3 };
  {
    using storage = SqliteStorage.open(scratch.home, "dht.sqlite");
    const { keeper } = keeperOf({ quotas }, storage);
    for (let n = 0; n < 3; n++) keeper.put(numbered(n), LOCAL);
    keeper.put(numbered(3), { ...LOCAL, own: true });
  }
  using storage = SqliteStorage.open(scratch.home, "dht.sqlite");
  const { keeper } = keeperOf({ quotas }, storage);
  assertEquals([keeper.totals.records, keeper.forOthers.records], [4, 3]);
  assertThrows(() => keeper.put(numbered(4), LOCAL), LimitError, "maxRecordsPerSource 3");
  keeper.remove(numbered(0));
  assertEquals(keeper.put(numbered(4), LOCAL), "added");
});

Deno.test("Keeper counts anew when a storage has lost something", () => {
  class Failing extends MemoryStorage {
    override losses = 0;
  }
  const storage = new Failing();
  const { keeper } = keeperOf({ quotas: { maxRecordsPerSource: 2 } }, storage);
  for (let n = 0; n < 2; n++) keeper.put(numbered(n), LOCAL);
  storage.delete(numbered(0).key.toHex(), "");
  storage.losses++;
  assertEquals(keeper.put(numbered(2), LOCAL), "added");
  assertEquals(keeper.forOthers.records, 2);
});

Deno.test("Keeper's own records stay its own when their author has a newer version", () => {
  const { keeper, storage } = keeperOf();
  keeper.put(signed({}, bob), { ...LOCAL, own: true });
  keeper.put(signed({ seq: 2 }, bob), LOCAL);
  assertEquals(itemsOf(storage).map(({ own }) => own), [true]);
  keeper.put(numbered(1), { ...LOCAL, own: true });
  keeper.put(plainRecord(numbered(1).key, encode("theirs")), LOCAL);
  assertEquals(keeper.forOthers.records, 1);
  // What others brought is its own once it puts it too.
  keeper.put(numbered(2), LOCAL);
  keeper.put(numbered(2), { ...LOCAL, own: true });
  assertEquals(keeper.forOthers.records, 1);
});

Deno.test("Keeper refuses times that are none", () => {
  const { keeper, clock } = keeperOf();
  for (const ttlS of [0, -1, NaN]) {
    assertThrows(() => keeper.put(numbered(1), { ...LOCAL, ttlS }), RangeError, "ttlS must be");
  }
  const storage = new MemoryStorage();
  assertThrows(() => new Keeper(storage, clock, { maxTtlS: 0 }), RangeError, "maxTtlS must be");
  assertThrows(() => new Keeper(storage, clock, { republishS: -1 }), RangeError, "republishS");
});

function sumOf(items: readonly StoredItem[]): number {
  return items.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Whether those that an item is of have at least as many as they have in the mean; all items are as large. */
function hasMean(items: readonly StoredItem[], item: StoredItem, field: keyof Host): boolean {
  const names = new Set(items.map((one) => one[field]));
  return items.filter((one) => one[field] === item[field]).length >= items.length / names.size;
}
