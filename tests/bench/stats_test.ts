import { assert, assertEquals, assertThrows } from "@std/assert";
import { shuffled, spread } from "../../bench/stats.ts";
import { seededRandom } from "../../src/clock.ts";

Deno.test("spread takes the middle of an odd number of values", () => {
  assertEquals(spread([9, 1, 5]), { median: 5, min: 1, max: 9 });
  assertEquals(spread([7]), { median: 7, min: 7, max: 7 });
});

Deno.test("spread takes the mean of the two middle ones of an even number", () => {
  assertEquals(spread([10, 1, 2, 100]), { median: 6, min: 1, max: 100 });
});

Deno.test("spread sorts numbers as numbers and leaves its input alone", () => {
  const values = [100, 9, 20];
  assertEquals(spread(values).median, 20);
  assertEquals(values, [100, 9, 20]);
});

Deno.test("spread refuses nothing at all", () => {
  assertThrows(() => spread([]), RangeError, "median of nothing");
});

Deno.test("shuffled keeps every item and follows the seed", () => {
  const items = Array.from({ length: 20 }, (_, i) => i);
  const order = shuffled(items, seededRandom(3));
  assertEquals(order.toSorted((a, b) => a - b), items);
  assertEquals(order, shuffled(items, seededRandom(3)));
  assert(order.some((item, at) => item !== at));
});

Deno.test("shuffled puts either of two first about as often", () => {
  const random = seededRandom(11);
  const firsts = Array.from({ length: 1000 }, () => shuffled(["ours", "baseline"], random)[0]);
  const ours = firsts.filter((side) => side === "ours").length;
  assert(ours > 420 && ours < 580, `${ours} of 1000`);
});
