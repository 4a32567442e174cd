import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { draw } from "../../src/gossip/shuffled.ts";

Deno.test("draw draws each once, evenly, and leaves the list as it was", () => {
  const random = seededRandom(5);
  const list = [0, 1, 2, 3];
  const counts = [0, 0, 0, 0];
  for (let round = 0; round < 1_000; round++) {
    const drawn = draw(list, 2, random);
    assertEquals([drawn.length, new Set(drawn).size], [2, 2]);
    for (const one of drawn) counts[one] = (counts[one] ?? 0) + 1;
  }
  for (const count of counts) assert(count > 420 && count < 580, `${count} of 1,000`);
  assertEquals(list, [0, 1, 2, 3]);
  assertEquals(draw(list, 9, random).sort(), list);
  assertEquals([draw(list, 0, random), draw(list, -1, random), draw([], 3, random)], [[], [], []]);
  assertEquals(draw(list, 1.5, random).length, 2, "half of one is one");
});
