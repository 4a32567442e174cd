import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { LeftAlone } from "../../src/endpoint/left_alone.ts";

Deno.test("LeftAlone lasts twice as long each time, up to the most, and begins anew when it was ended", async () => {
  const clock = new ManualClock();
  const left = new LeftAlone(clock, { firstMs: 10, mostMs: 30, max: 8 });
  assertEquals(left.has("bob"), false);
  for (const forMs of [10, 20, 30, 30]) {
    left.add("bob");
    await clock.advance(forMs - 1);
    assertEquals(left.has("bob"), true, `${forMs} ms`);
    await clock.advance(1);
    assertEquals(left.has("bob"), false, `${forMs} ms`);
  }
  left.delete("bob");
  left.add("bob");
  await clock.advance(10);
  assertEquals(left.has("bob"), false);
});

Deno.test("LeftAlone forgets the first when there are too many", () => {
  const left = new LeftAlone(new ManualClock(), { firstMs: 10, mostMs: 30, max: 2 });
  for (const name of ["ann", "bob", "carol"]) left.add(name);
  assertEquals(["ann", "bob", "carol"].map((name) => left.has(name)), [false, true, true]);
});
