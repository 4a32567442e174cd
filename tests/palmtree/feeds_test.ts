import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { ChunkSet } from "../../src/palmtree/chunk_set.ts";
import { Feeds } from "../../src/palmtree/feeds.ts";
import { RELAY_DEFAULTS } from "../../src/palmtree/relay_options.ts";

/** Feeds of `size` chunks of 10 bytes, of which `count` are there, and what they gave. */
function glass(size: number, count = size, lagEveryMs = 0, lagChunks = 8) {
  const have = new ChunkSet(size);
  for (let index = 0; index < count; index++) have.add(index);
  const given: [string, number][] = [];
  const feeds = new Feeds(have, {
    give: (peerId, index) => void given.push([peerId, index]),
    sizeOf: () => 10,
  }, { ...RELAY_DEFAULTS, lagEveryMs, lagChunks });
  /** All that is on the way to one arrives, again and again, so many times. */
  const take = (peerId: string, times: number, nowMs = 0) => {
    for (let nth = 0; nth < times; nth++) {
      const at = given.findIndex(([to]) => to === peerId);
      const [, index] = given.splice(at, 1)[0] ?? [];
      if (at >= 0 && index !== undefined) feeds.sent(peerId, index, nowMs);
    }
  };
  return { have, feeds, given, take };
}

const bits = (size: number, ...indexes: number[]) => {
  const set = new ChunkSet(size);
  for (const index of indexes) set.add(index);
  return set;
};

Deno.test("Feeds gives a child what it lacks, in order, a few at once", () => {
  const { feeds, given, take } = glass(10);
  feeds.add("a", false, 0);
  assertEquals(given, [], "it has not said what it has");
  feeds.started("a", bits(10, 0, 2, 9), 0);
  assertEquals(given.map(([, index]) => index), [1, 3, 4, 5]);
  take("a", 2);
  assertEquals(given.map(([, index]) => index), [4, 5, 6, 7]);
  take("a", 20);
  assertEquals([given.length, feeds.egressBytes, feeds.sentTo("a")], [0, 70, 70]);
  feeds.sent("a", 7, 0);
  assertEquals(feeds.egressBytes, 70, "once");
});

Deno.test("Feeds lets a child say once over a link what it has: nobody is given everything again and again", () => {
  const { feeds, given } = glass(10);
  feeds.add("a", false, 0);
  feeds.started("a", bits(10), 0);
  assertThrows(() => feeds.started("a", bits(10), 0), InvalidPacketError, "have: it came");
  assertEquals(given.length, 4, "nothing more is on the way");
  feeds.remove("a");
  feeds.add("a", false, 0);
  feeds.started("a", bits(10), 0);
  assertEquals(given.length, 8, "another link begins anew");
});

Deno.test("Feeds passes on what comes as it comes", () => {
  const { feeds, given, have, take } = glass(10, 0);
  feeds.add("a", false, 0);
  feeds.started("a", bits(10), 0);
  have.add(5);
  feeds.pump(0);
  have.add(2);
  feeds.pump(0);
  assertEquals(given.map(([, index]) => index), [5, 2]);
  take("a", 2);
  feeds.pump(0);
  assertEquals(given, []);
});

Deno.test("Feeds gives an original everything in its order, and waits where something is missing", () => {
  const { feeds, given, have, take } = glass(6, 0);
  for (const index of [0, 1, 3]) have.add(index);
  feeds.add("a", true, 0);
  assertEquals(given.map(([, index]) => index), [0, 1]);
  take("a", 2);
  assertEquals(given, []);
  have.add(2);
  feeds.pump(0);
  assertEquals(given.map(([, index]) => index), [2, 3]);
  feeds.started("a", bits(6, 5), 0);
  assertEquals(given.length, 2, "it cannot say what it has");
});

Deno.test("Feeds keeps children apart: who takes nothing keeps nobody back", () => {
  const { feeds, given, take } = glass(100);
  for (const peerId of ["a", "b"]) {
    feeds.add(peerId, false, 0);
    feeds.started(peerId, bits(100), 0);
  }
  take("a", 100);
  assertEquals([feeds.sentTo("a"), feeds.sentTo("b")], [1_000, 0]);
  assertEquals(given.length, 4);
});

Deno.test("Feeds finds a child lagging that takes less than half of what its sibling takes, and gives it one at a time", () => {
  const { feeds, given, take } = glass(100);
  for (const peerId of ["a", "b"]) {
    feeds.add(peerId, false, 0);
    feeds.started(peerId, bits(100), 0);
  }
  take("a", 8);
  take("b", 4);
  assertEquals(feeds.tick(0), [], "half is enough");
  take("a", 8);
  take("b", 3);
  assertEquals(feeds.tick(0), [{ peerId: "b", isLagging: true }]);
  assertEquals([feeds.active, feeds.size], [1, 2]);
  take("b", 4);
  assertEquals(given.filter(([to]) => to === "b").length, 1);
  take("a", 8);
  take("b", 2);
  assertEquals(feeds.tick(0), [{ peerId: "b", isLagging: false }], "it took six of eight");
  assertEquals(given.filter(([to]) => to === "b").length, 4);
});

Deno.test("Feeds compares children no more often than it is to: everybody is late for a moment", () => {
  const { feeds, take } = glass(100, 100, 1_000);
  for (const peerId of ["a", "b"]) {
    feeds.add(peerId, false, 0);
    feeds.started(peerId, bits(100), 0);
  }
  take("a", 20, 900);
  assertEquals(feeds.tick(999), [], "it has had no time");
  assertEquals(feeds.tick(1_000), [{ peerId: "b", isLagging: true }]);
  for (const peerId of ["a", "b"]) take(peerId, 20, 1_500);
  assertEquals(feeds.tick(1_999), []);
  assertEquals(feeds.tick(2_000), [{ peerId: "b", isLagging: false }]);
});

Deno.test("Feeds finds a child lagging by its last chunk, not by those that wait behind it", () => {
  const { feeds, take } = glass(100);
  feeds.add("a", false, 0);
  feeds.started("a", bits(100), 0);
  take("a", 1, 2_900); // three of the first four still wait
  assertEquals(feeds.tick(5_000), []);
  assertEquals(feeds.tick(5_901), [{ peerId: "a", isLagging: true }]);
});

Deno.test("Feeds finds an only child lagging that takes less than a quarter of what comes, not one that waits for more", () => {
  const { feeds, have, take } = glass(100, 0);
  feeds.add("a", false, 0);
  feeds.started("a", bits(100), 0);
  const come = (count: number) => {
    for (const to = have.count + count; have.count < to;) have.add(have.count);
    feeds.pump(0);
  };
  come(8);
  take("a", 8);
  assertEquals(feeds.tick(0), []);
  come(8);
  take("a", 2);
  assertEquals(feeds.tick(0), [], "a quarter is enough");
  come(8);
  take("a", 1);
  assertEquals(feeds.tick(0), [{ peerId: "a", isLagging: true }]);
});

Deno.test("Feeds finds a child lagging that takes too long for a chunk, and in the end dead", () => {
  const { feeds, take } = glass(100);
  feeds.add("a", false, 0);
  feeds.started("a", bits(100), 0);
  assertEquals(feeds.tick(3_000), []);
  assertEquals(feeds.tick(3_001), [{ peerId: "a", isLagging: true }]);
  assertEquals([feeds.dead(15_000), feeds.dead(15_001)], [[], ["a"]]);
  take("a", 9, 15_001);
  assertEquals(feeds.dead(15_001), []);
  assertEquals(feeds.tick(15_001), [{ peerId: "a", isLagging: false }]);
});

Deno.test("Feeds counts a child that has everything as one that takes nothing", () => {
  const { feeds, take } = glass(3);
  feeds.add("a", false, 0);
  feeds.started("a", bits(3), 0);
  assertEquals(feeds.active, 1);
  take("a", 3);
  assertEquals([feeds.active, feeds.ids], [0, ["a"]]);
  assert(feeds.remove("a") && !feeds.remove("a"));
});
