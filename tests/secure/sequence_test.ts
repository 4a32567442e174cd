import { assert, assertEquals } from "@std/assert";
import { type Clock, ManualClock, seededRandom } from "../../src/clock.ts";
import { millisecondsOf, Sequence } from "../../src/secure/sequence.ts";

/** A clock whose wall can be set to anything. */
function wallClock(): Clock & { nowMs: number; wall: number } {
  const clock = {
    nowMs: 0,
    wall: Date.UTC(2026, 0, 1),
    now: () => clock.nowMs,
    wallMs: () => clock.wall,
    after: () => ({ cancel: () => {} }),
    random: () => 0.5,
  };
  return clock;
}

Deno.test("Sequence never gives a sender and counter twice: restarts, crashes, clocks set back, many at once", () => {
  const random = seededRandom(3);
  const clock = wallClock();
  const given = new Set<string>();
  const running = [new Sequence(clock)];
  let count = 0;
  for (let i = 0; i < 20_000; i++) {
    const dice = random();
    if (dice < 0.005) clock.wall -= random() * 10 * 86_400_000;
    else if (dice < 0.01) clock.wall += random() * 10 * 86_400_000;
    else if (dice < 0.3) clock.nowMs += random() * 100;
    else if (dice < 0.32) running.push(new Sequence(clock)); // another process of the same home
    else if (dice < 0.33) running.splice(0, running.length, new Sequence(clock)); // all crash, one comes back
    const sequence = running[Math.floor(random() * running.length)] as Sequence;
    given.add(`${sequence.sender} ${sequence.next()}`);
    count++;
  }
  assertEquals(given.size, count);
});

Deno.test("Sequence only grows, and is never behind the wall clock", () => {
  const random = seededRandom(4);
  const clock = wallClock();
  const sequence = new Sequence(clock);
  let last = -1n;
  for (let i = 0; i < 5_000; i++) {
    if (random() < 0.1) clock.wall += (random() - 0.5) * 1e9;
    if (random() < 0.5) clock.nowMs += random() * 10;
    const counter = sequence.next();
    assert(counter > last);
    assert(counter >= BigInt(Math.floor(clock.wall)) << 20n);
    assert(counter < 2n ** 64n);
    last = counter;
  }
});

Deno.test("Sequence fits 64 bits under any clock", () => {
  for (const wall of [-1e15, 0, 2 ** 44 + 1, 8.64e15]) {
    const clock = { ...wallClock(), wallMs: () => wall };
    const sequence = new Sequence(clock);
    const counters = [sequence.next(), sequence.next()];
    assert(counters.every((counter) => counter >= 0n && counter < 2n ** 64n));
    assertEquals(new Set(counters).size, 2);
  }
});

Deno.test("Sequence tells the age of its own counters, also across a clock set back or forward", async () => {
  const clock = new ManualClock();
  const sequence = new Sequence(clock);
  assertEquals(sequence.ageMs(0n, 0), undefined);
  const first = sequence.next();
  await clock.advance(1_500);
  const second = sequence.next();
  assertEquals([sequence.ageMs(first, 1_500), sequence.ageMs(second, 1_500)], [1_500, 0]);
  assertEquals(sequence.ageMs(first - 1n, 1_500), undefined, "of an earlier run");
  assertEquals(sequence.ageMs(second + 1n, 1_500), undefined, "not given yet");

  const moving = wallClock();
  const moved = new Sequence(moving);
  const early = moved.next();
  moving.wall -= 86_400_000;
  moving.nowMs += 700.5;
  moved.next();
  assertEquals(moved.ageMs(early, moving.nowMs), 700.5);
  moving.wall += 2 * 86_400_000;
  moved.next();
  assert((moved.ageMs(early, moving.nowMs) ?? 0) >= 700.5, "rather too much");
});

Deno.test("millisecondsOf reads the time in a counter", async () => {
  const clock = new ManualClock({ epochMs: 1_000_000 });
  const sequence = new Sequence(clock);
  assertEquals(millisecondsOf(sequence.next()), 1_000_000);
  await clock.advance(42);
  assertEquals(millisecondsOf(sequence.next()), 1_000_042);
});
