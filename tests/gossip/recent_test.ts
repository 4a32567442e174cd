import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { Recent } from "../../src/gossip/recent.ts";

Deno.test("Recent keeps an entry as long as it says, and at most twice that while others come", () => {
  const recent = new Recent<number>({ keepMs: 100, maxEntries: 1_000 });
  const addedMs = new Map<string, number>();
  const random = seededRandom(3);
  for (let nowMs = 0, n = 0; nowMs < 5_000; nowMs += random() * 20, n++) {
    const key = String(n);
    assert(recent.add(key, n, nowMs));
    addedMs.set(key, nowMs);
    for (const [old, atMs] of addedMs) {
      if (nowMs - atMs < 100) assert(recent.has(old), `${old} is forgotten too early`);
      if (nowMs - atMs > 220) assert(!recent.has(old), `${old} is remembered for too long`);
    }
  }
});

Deno.test("Recent knows a key from what is new, and does not keep it longer for being asked again", () => {
  const recent = new Recent<string>({ keepMs: 100, maxEntries: 10 });
  assert(recent.add("a", "first", 0));
  for (const nowMs of [50, 99, 101, 150, 199]) assert(!recent.add("a", "again", nowMs));
  assertEquals([recent.get("a"), recent.get("b"), recent.has("b")], ["first", undefined, false]);
  assert(recent.add("a", "anew", 300));
  assertEquals(recent.get("a"), "anew");
  recent.delete("a");
  assertEquals([recent.has("a"), recent.size], [false, 0]);
});

Deno.test("Recent forgets both generations after a silence", () => {
  const recent = new Recent<true>({ keepMs: 100, maxEntries: 10 });
  recent.add("a", true, 0);
  recent.add("b", true, 1_000);
  assertEquals([recent.has("a"), recent.size], [false, 1]);
});

Deno.test("Recent never has more entries than it may, and the newest half for certain", () => {
  const recent = new Recent<true>({ keepMs: 1e9, maxEntries: 8 });
  for (let n = 0; n < 100; n++) {
    recent.add(String(n), true, 0);
    assert(recent.size <= 8);
    for (let newer = Math.max(0, n - 3); newer <= n; newer++) assert(recent.has(String(newer)));
  }
});

Deno.test("Recent refuses options out of range", () => {
  for (const keepMs of [0, -1, NaN]) {
    assertThrows(() => new Recent({ keepMs, maxEntries: 2 }), RangeError, "keepMs");
  }
  for (const maxEntries of [1, 2.5, NaN]) {
    assertThrows(() => new Recent({ keepMs: 1, maxEntries }), RangeError, "maxEntries");
  }
});
