import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { isSame, MAC_BYTES, RotatingMac } from "../../src/secure/rotating_mac.ts";

Deno.test("RotatingMac knows its codes again in this period and the next", async () => {
  const clock = new ManualClock();
  await clock.advance(9_999);
  const mac = new RotatingMac(clock, 10_000);
  const code = mac.sign("a");
  assertEquals([code.length, mac.period], [MAC_BYTES, 0]);
  assert(mac.verify("a", code));
  assert(!mac.verify("b", code));
  await clock.advance(1);
  assertEquals(mac.period, 1);
  assertNotEquals(mac.sign("a"), code);
  assert(mac.verify("a", code) && mac.verify("a", mac.sign("a")));
  await clock.advance(10_000);
  assert(!mac.verify("a", code));
});

Deno.test("RotatingMac differs from another of the same clock", () => {
  const clock = new ManualClock();
  assert(!new RotatingMac(clock, 10).verify("a", new RotatingMac(clock, 10).sign("a")));
});

Deno.test("isSame compares every byte, and lengths", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);
  assert(isSame(bytes(), bytes()) && isSame(bytes(1, 2, 3), bytes(1, 2, 3)));
  for (const other of [[0, 2, 3], [1, 0, 3], [1, 2, 0], [1, 2], [1, 2, 3, 0]]) {
    assert(!isSame(bytes(1, 2, 3), bytes(...other)));
  }
});
