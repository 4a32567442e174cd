import { assertEquals } from "@std/assert";
import type { DhtMode } from "../../src/dht/dht_options.ts";
import { PROMOTE_AFTER_MS, Promotion } from "../../src/dht/promotion.ts";
import { CountingClock } from "../endpoint/fixture.ts";

/** Somebody who may be promoted, and how often that happened. */
function candidate(mode: DhtMode | "auto") {
  const clock = new CountingClock();
  const promoted: boolean[] = [];
  const promotion: Promotion = new Promotion({
    clock,
    mode,
    // Whoever begins to answer says so itself: it has to be one already.
    promote: () => void promoted.push(promotion.isServer),
  });
  return { clock, promoted, promotion };
}

Deno.test("Promotion lets a server answer as soon as it takes part, and not before", async () => {
  const { clock, promoted, promotion } = candidate("server");
  await clock.advance(2 * PROMOTE_AFTER_MS);
  assertEquals([promotion.isServer, promoted], [false, []]);
  promotion.begin();
  assertEquals([promotion.isServer, promoted], [true, [true]]);
  promotion.begin();
  assertEquals([promoted, clock.timers], [[true], 0]);
});

Deno.test("Promotion never lets a client answer", async () => {
  const { clock, promoted, promotion } = candidate("client");
  promotion.begin();
  await clock.advance(10 * PROMOTE_AFTER_MS);
  assertEquals([promotion.isServer, promoted, clock.timers], [false, [], 0]);
});

Deno.test("Promotion has one that is to find out answer a minute after it first took part", async () => {
  const { clock, promoted, promotion } = candidate("auto");
  await clock.advance(PROMOTE_AFTER_MS);
  promotion.begin();
  await clock.advance(PROMOTE_AFTER_MS - 1);
  promotion.begin(); // the minute does not begin again
  assertEquals([promotion.isServer, clock.timers], [false, 1]);
  await clock.advance(1);
  assertEquals([promotion.isServer, promoted], [true, [true]]);
  promotion.begin();
  await clock.advance(10 * PROMOTE_AFTER_MS);
  assertEquals([promoted, clock.timers], [[true], 0]);
});

Deno.test("Promotion.close takes its timer back, and nobody is promoted any more", async () => {
  for (const mode of ["auto", "server"] as const) {
    const { clock, promoted, promotion } = candidate(mode);
    if (mode === "auto") promotion.begin();
    promotion.close();
    assertEquals(clock.timers, 0);
    promotion.close();
    promotion.begin();
    await clock.advance(2 * PROMOTE_AFTER_MS);
    assertEquals([promotion.isServer, promoted, clock.timers], [false, [], 0]);
  }
});
