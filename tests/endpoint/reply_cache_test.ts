import { assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { ReplyCache } from "../../src/endpoint/reply_cache.ts";

const ALICE = { hostname: "192.0.2.1", port: 4000 };
const PACKET = Uint8Array.of(1, 2, 3);

function packetOf(length: number, fill: number): Uint8Array {
  return new Uint8Array(length).fill(fill);
}

Deno.test("ReplyCache finds an answer by id, host and port, and nothing else", () => {
  const cache = new ReplyCache();
  assertEquals(cache.get(7, ALICE), undefined);
  cache.put(7, ALICE, PACKET);
  assertEquals(cache.get(7, { ...ALICE }), PACKET);
  assertEquals(cache.get(8, ALICE), undefined);
  assertEquals(cache.get(7 + 2 ** 32, ALICE), undefined);
  assertEquals(cache.get(7, { ...ALICE, port: 4001 }), undefined);
  assertEquals(cache.get(7, { ...ALICE, hostname: "192.0.2.2" }), undefined);
  assertEquals(cache.size, 1);
});

Deno.test("ReplyCache keeps copies", () => {
  const cache = new ReplyCache();
  const packet = PACKET.slice();
  cache.put(1, ALICE, packet);
  packet.fill(9);
  const kept = cache.get(1, ALICE);
  for (let id = 2; id < 5000; id++) cache.put(id, ALICE, packetOf(50, 9)); // it grows
  assertEquals(kept, PACKET);
  assertEquals(cache.get(1, ALICE), PACKET);
});

Deno.test("ReplyCache keeps the latest half of its answers and never more than all", () => {
  const cache = new ReplyCache({ maxReplies: 10 });
  for (let id = 1; id <= 100; id++) {
    cache.put(id, ALICE, packetOf(id, id));
    for (let recent = Math.max(1, id - 4); recent <= id; recent++) {
      assertEquals(cache.get(recent, ALICE), packetOf(recent, recent), `${recent} after ${id}`);
    }
    assertEquals(cache.size <= 10, true, `${cache.size} after ${id}`);
  }
  assertEquals(cache.get(90, ALICE), undefined);
});

Deno.test("ReplyCache is bounded by bytes too", () => {
  const cache = new ReplyCache({ maxBytes: 1000 });
  for (let id = 1; id <= 50; id++) cache.put(id, ALICE, packetOf(100, id));
  assertEquals(cache.size, 10);
  assertEquals(cache.get(46, ALICE), packetOf(100, 46));
  assertEquals(cache.get(40, ALICE), undefined);
});

Deno.test("ReplyCache forgets an answer the second time that it ages", () => {
  const cache = new ReplyCache();
  cache.put(1, ALICE, PACKET);
  cache.age();
  cache.put(2, ALICE, PACKET);
  assertEquals(cache.get(1, ALICE), PACKET);
  cache.age();
  assertEquals(cache.get(1, ALICE), undefined);
  assertEquals(cache.get(2, ALICE), PACKET);
  assertEquals(cache.size, 1);
  cache.clear();
  assertEquals(cache.get(2, ALICE), undefined);
  assertEquals(cache.size, 0);
});

Deno.test("ReplyCache is a map of what was put last, whatever the ids", () => {
  const random = seededRandom(11);
  const cache = new ReplyCache({ maxReplies: 2048 });
  const latest: [number, Uint8Array][] = [];
  for (let i = 0; i < 20_000; i++) {
    const spread = [1, 2 ** 16, 2 ** 32, 2 ** 37][i % 4] ?? 1;
    const id = Math.floor(random() * 2 ** 16) * spread + i * 2 ** 20 % 2 ** 53;
    const packet = packetOf(Math.floor(random() * 40), i & 0xff);
    if (cache.get(id, ALICE) !== undefined) continue;
    cache.put(id, ALICE, packet);
    latest.push([id, packet]);
    if (latest.length > 1024) latest.shift();
    const [known, expected] = latest[Math.floor(random() * latest.length)] ?? [0, packet];
    assertEquals(cache.get(known, ALICE), expected);
  }
});

Deno.test("ReplyCache refuses a size that leaves no room", () => {
  for (const maxReplies of [1, 0, -4, 2.5, NaN]) {
    assertThrows(() => new ReplyCache({ maxReplies }), RangeError, "maxReplies must be");
  }
});
