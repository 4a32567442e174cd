import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { Pace, Squeezer } from "../../src/transfer/pace.ts";
import { settle } from "../endpoint/fixture.ts";

const never = new AbortController().signal;

Deno.test("Pace lets through what was asked for, and a tenth of a second's at once", async () => {
  const clock = new ManualClock();
  const pace = new Pace(clock, 1_000);
  let through = 0;
  const sending = (async () => {
    for (let n = 0; n < 100; n++, through += 50) await pace.take(50, never);
  })();
  await settle();
  const atOnce = through;
  assert(atOnce >= 50 && atOnce <= 150, `${atOnce}`);
  for (let second = 1; second <= 4; second++) {
    await clock.advance(1_000);
    assertEquals(through, atOnce + second * 1_000);
  }
  await clock.advance(1_000);
  assertEquals(through, 5_000);
  await sending;

  // Who has waited long does not catch up with all of it.
  await clock.advance(60_000);
  const later = pace.take(150, never).then(() => through++);
  await settle();
  assertEquals(through, 5_000);
  await clock.advance(50);
  await later;
});

Deno.test("Pace waits no longer than its signal allows, and not at all without a limit", async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const waiting = new Pace(clock, 1).take(1e9, controller.signal);
  await settle();
  controller.abort();
  await waiting;
  await new Pace(clock).take(1e15, never);
  for (const rate of [0, -1, NaN]) assertThrows(() => new Pace(clock, rate), RangeError, "Rate");
});

Deno.test("Squeezer makes text smaller, leaves noise as it is, and tries that again now and then", () => {
  const text = new TextEncoder().encode("all work and no play ".repeat(500));
  const random = seededRandom(1);
  const noise = Uint8Array.from({ length: 10_000 }, () => random() * 256);
  const squeezer = new Squeezer(true);
  assert((squeezer.squeeze(text)?.length ?? Infinity) < text.length / 20);
  assert(squeezer.wants(Infinity));
  assertEquals(squeezer.squeeze(noise), undefined);
  let skipped = 0;
  while (!squeezer.wants(0)) skipped++;
  assertEquals(skipped, 16);
  squeezer.squeeze(noise);
  squeezer.reset(); // another file
  assert(squeezer.wants(0));
});

Deno.test("Squeezer squeezes where little goes through, unless it is told what to do", () => {
  const rates = [0, 1e6, 24 * 1024 * 1024, 30e6, Infinity];
  const wants = (mode: "auto" | boolean) => rates.map((rate) => new Squeezer(mode).wants(rate));
  assertEquals(wants("auto"), [true, true, true, false, false]);
  assertEquals(wants(true), [true, true, true, true, true]);
  assertEquals(wants(false), [false, false, false, false, false]);
});
