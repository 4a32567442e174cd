import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ManualClock, seededRandom, sleep, systemClock, type Timer } from "../src/clock.ts";

Deno.test("ManualClock fires timers in order of time, then of setting, at their time", async () => {
  const clock = new ManualClock();
  const random = seededRandom(7);
  const due = Array.from({ length: 500 }, (_, order) => ({ ms: Math.floor(random() * 50), order }));
  const fired: { ms: number; order: number }[] = [];
  for (const { ms, order } of due) clock.after(ms, () => fired.push({ ms: clock.now(), order }));
  await clock.advance(49);
  assertEquals(fired, due.toSorted((a, b) => a.ms - b.ms || a.order - b.order));
});

Deno.test("ManualClock fires nothing before its time, and nothing that was cancelled", async () => {
  const clock = new ManualClock();
  const fired: string[] = [];
  clock.after(10, () => fired.push("due"));
  const cancelled = clock.after(5, () => fired.push("cancelled"));
  const victim: Timer = clock.after(7, () => fired.push("victim"));
  clock.after(6, () => victim.cancel());
  clock.after(Infinity, () => fired.push("never"));
  cancelled.cancel();
  cancelled.cancel();
  await clock.advance(9.99);
  assertEquals(fired, []);
  await clock.advance(0.01);
  assertEquals(fired, ["due"]);
  victim.cancel(); // its time is over: harmless
  await clock.advance(1e12);
  assertEquals(fired, ["due"]);
});

Deno.test("ManualClock fires timers set by timers, and what promises do comes in between", async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  clock.after(1, () => {
    log.push(`first at ${clock.now()}`);
    void Promise.resolve().then(() => Promise.resolve()).then(() => log.push("settled"));
    clock.after(0, () => log.push(`at once at ${clock.now()}`));
    clock.after(1, () => log.push(`second at ${clock.now()}`));
  });
  clock.after(2, () => log.push("was set before second"));
  await clock.advance(2);
  assertEquals(log, [
    "first at 1",
    "settled",
    "at once at 1",
    "was set before second",
    "second at 2",
  ]);
});

Deno.test("ManualClock does not run backwards", async () => {
  const clock = new ManualClock({ epochMs: 1_000 });
  await clock.advance(5);
  await assertRejects(() => clock.advance(-1), RangeError, "-1");
  await assertRejects(() => clock.advance(NaN), RangeError);
  assertEquals([clock.now(), clock.wallMs()], [5, 1_005]);
  const fired: number[] = [];
  clock.after(-100, () => fired.push(clock.now()));
  await clock.advance(0);
  assertEquals(fired, [5]);
});

Deno.test("seededRandom gives the numbers of mulberry32, in [0, 1)", () => {
  const random = seededRandom(1);
  // Of the generator's public description, for seed 1.
  assertEquals(random(), 0.6270739405881613);
  const numbers = Array.from({ length: 10_000 }, seededRandom(42));
  assert(numbers.every((number) => number >= 0 && number < 1));
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  assert(Math.abs(mean - 0.5) < 0.02, `${mean}`);
  assertEquals(new ManualClock({ seed: 42 }).random(), numbers[0]);
  assert(seededRandom(43)() !== numbers[0]);
});

Deno.test("sleep resolves on its clock, and rejects with the reason of its signal", async () => {
  const clock = new ManualClock();
  let slept = false;
  const sleeping = sleep(clock, 10).then(() => slept = true);
  await clock.advance(9);
  assertEquals(slept, false);
  await clock.advance(1);
  await sleeping;

  const reason = new Error("no more");
  const controller = new AbortController();
  const aborted = assertRejects(() => sleep(clock, 10, { signal: controller.signal }));
  controller.abort(reason);
  assertStrictEquals(await aborted, reason);
  const { signal } = controller;
  assertStrictEquals(await assertRejects(() => sleep(clock, 10, { signal })), reason);
});

Deno.test("systemClock fires later, not at once, and takes timers back", async () => {
  const fired: string[] = [];
  systemClock.after(0, () => fired.push("taken back")).cancel();
  const before = systemClock.now();
  const firing = new Promise<void>((resolve) => systemClock.after(0, resolve));
  assertEquals(fired, []);
  await firing;
  assertEquals(fired, []);
  assert(systemClock.now() >= before);
  assert(Math.abs(systemClock.wallMs() - Date.now()) < 10_000);
});

Deno.test("systemClock does not fire at once what is more than 25 days away, or never", async () => {
  const fired: number[] = [];
  const timers = [2 ** 31, 1e15, Infinity].map((ms) => systemClock.after(ms, () => fired.push(ms)));
  // Timers fire in order of their time, so by then any that were cut to 1 ms would have.
  await new Promise<void>((resolve) => systemClock.after(5, resolve));
  for (const timer of timers) timer.cancel();
  assertEquals(fired, []);
});
