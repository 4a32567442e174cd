import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { GroupClock } from "../../src/gossip/group_clock.ts";

const DAY_MS = 86_400_000;

/** A machine's two clocks, both moved by hand. */
class Clocks {
  nowMs = 0;
  epochMs = Date.UTC(2026, 0, 1);

  now(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.epochMs + this.nowMs;
  }
}

function group(offsets: readonly number[]): { clock: Clocks; time: GroupClock } {
  const clock = new Clocks();
  const time = new GroupClock(clock, { maxNeighbors: 100 });
  offsets.forEach((offset, i) => time.heard(`peer ${i}`, clock.wallMs() + offset));
  return { clock, time };
}

Deno.test("GroupClock is our own clock while nobody is heard", () => {
  const { clock, time } = group([]);
  clock.nowMs = 1_234;
  assertEquals([time.offsetMs, time.nowMs(), time.size], [0, clock.wallMs(), 0]);
});

Deno.test("GroupClock takes the median of our time and theirs; of an even number the middle", () => {
  assertEquals(group([100]).time.offsetMs, 50);
  assertEquals(group([-7]).time.offsetMs, -3);
  assertEquals(group([100, 300]).time.offsetMs, 100);
  assertEquals(group([-100, 300]).time.offsetMs, 0);
  assertEquals(group([100, 200, 300]).time.offsetMs, 150);
  assertEquals(group([5, 1_000, 30, 200]).time.offsetMs, 30, "sorted as numbers");
});

Deno.test("GroupClock puts a machine right that is days off, as soon as two neighbours are heard", () => {
  const { clock, time } = group([3 * DAY_MS, 3 * DAY_MS + 20]);
  assertEquals(time.nowMs(), clock.wallMs() + 3 * DAY_MS);
  clock.nowMs += 5_000;
  assertEquals(time.nowMs(), clock.wallMs() + 3 * DAY_MS, "and goes on");
});

Deno.test("GroupClock adds half of the round trip, and takes the last word of each neighbour", () => {
  const { clock, time } = group([]);
  time.heard("a", clock.wallMs(), 80);
  time.heard("b", clock.wallMs(), 81.5);
  assertEquals(time.offsetMs, 40);
  clock.nowMs += 10_000;
  time.heard("a", clock.wallMs() + 7);
  time.heard("b", clock.wallMs() + 9);
  assertEquals([time.offsetMs, time.size], [7, 2]);
});

Deno.test("GroupClock.gone takes a neighbour's time away, and is harmless for a stranger", () => {
  const { time } = group([100, 300]);
  time.gone("stranger");
  time.gone("peer 0");
  assertEquals(time.offsetMs, 150);
  time.gone("peer 1");
  assertEquals([time.offsetMs, time.size], [0, 0]);
});

Deno.test("GroupClock is not moved out of the range of the honest by fewer than half", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 2_000; round++) {
    const { clock, time } = group([]);
    const honest = [
      0,
      ...Array.from({ length: round % 9 }, () => Math.round(random() * 200 - 100)),
    ];
    const liars = Math.floor(random() * honest.length);
    honest.slice(1).forEach((offset, i) => time.heard(`honest ${i}`, clock.wallMs() + offset));
    for (let i = 0; i < liars; i++) {
      const extreme = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, clock.wallMs() + 1e6];
      const lie = extreme[round % 5] ?? Math.round((random() - 0.5) * 1e14);
      time.heard(`liar ${i}`, lie, random() * 1_000);
    }
    const { offsetMs } = time;
    const text = `round ${round}: ${offsetMs} is outside of ${honest} with ${liars} liars`;
    assert(offsetMs >= Math.min(...honest) && offsetMs <= Math.max(...honest), text);
    assert(Number.isInteger(offsetMs), text);
  }
});

Deno.test("GroupClock forgets what it heard when our clock jumps, until neighbours are heard anew", () => {
  for (const jumpMs of [3 * DAY_MS, -3 * DAY_MS]) {
    const { clock, time } = group([3 * DAY_MS, 3 * DAY_MS, 3 * DAY_MS]);
    clock.epochMs += jumpMs; // set right by a time server, or wrong by hand
    assertEquals([time.offsetMs, time.size], [0, 0]);
    assertEquals(time.nowMs(), clock.wallMs());
    time.heard("a", clock.wallMs() + 5);
    time.heard("b", clock.wallMs() + 9);
    assertEquals(time.offsetMs, 5);
  }
  const { clock, time } = group([500, 500]);
  clock.epochMs += DAY_MS;
  time.heard("a", clock.wallMs() + 5);
  assertEquals(time.size, 1, "old ones are not mixed with new ones");
});

Deno.test("GroupClock bears a clock that is put right slowly", () => {
  const { clock, time } = group([500, 500]);
  for (let i = 0; i < 100; i++) {
    clock.nowMs += 60_000;
    clock.epochMs += 1_000;
    assertEquals(time.offsetMs, 500);
  }
});

Deno.test("GroupClock listens to so many neighbours, those who were first, until one goes", () => {
  const clock = new Clocks();
  const time = new GroupClock(clock);
  for (let i = 0; i < 40; i++) time.heard(`peer ${i}`, clock.wallMs() + i);
  assertEquals([time.size, time.offsetMs], [16, 7]);
  time.heard("peer 3", clock.wallMs() + 100);
  assertEquals([time.size, time.offsetMs], [16, 8], "one that is there may speak again");
  time.gone("peer 15");
  time.heard("peer 39", clock.wallMs() + 39);
  assertEquals(time.size, 16);
});

Deno.test("GroupClock refuses what is no time", () => {
  const { time } = group([]);
  for (const wallMs of [NaN, Infinity, 0.5, 2 ** 53, -(2 ** 53)]) {
    assertThrows(() => time.heard("a", wallMs), TypeError, "theirWallMs");
  }
  for (const rttMs of [NaN, -1, Infinity]) {
    assertThrows(() => time.heard("a", 0, rttMs), TypeError, "rttMs");
  }
  assertEquals(time.size, 0);
  for (const maxNeighbors of [0, 1.5, NaN]) {
    assertThrows(() => new GroupClock(new Clocks(), { maxNeighbors }), RangeError);
  }
});
