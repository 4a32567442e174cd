import { assert, assertEquals, assertThrows } from "@std/assert";
import { LimitError } from "../../src/errors.ts";
import { TimerEvent } from "../../src/testing/events.ts";
import { Life } from "../../src/testing/life.ts";
import { Machine } from "../../src/testing/machine.ts";
import { Network } from "../../src/testing/network.ts";
import { Timeline } from "../../src/testing/timeline.ts";

function newLife(timeline: Timeline): Life {
  const network = new Network(timeline, { link: {}, uplinkQueueMs: 0, inboxBytes: 0 });
  const own = { name: "a", index: 0, seed: 1, skewMs: 0, drift: 0, uplinkBytesPerSecond: 1 };
  const machine = new Machine({ ...own, make: () => ({ receive: () => {} }) });
  return new Life({ seed: 1, timeline, network }, machine);
}

/** The times at which events happen until `untilMs`. */
function drain(timeline: Timeline, untilMs: number): number[] {
  const times: number[] = [];
  while (timeline.next(untilMs) !== undefined) times.push(timeline.nowMs);
  return times;
}

Deno.test("Timeline goes from event to event, and in the end to the time it was told", () => {
  const timeline = new Timeline();
  const { clock } = newLife(timeline);
  for (const ms of [5, 2, 9]) clock.after(ms, () => {});
  assertEquals(drain(timeline, 6), [2, 5]);
  assertEquals([timeline.nowMs, timeline.waiting], [6, 1]);
  clock.after(3, () => {});
  assertEquals(drain(timeline, 9), [9, 9]);
});

Deno.test("Timeline clears its queue of cancelled timers, again and again", () => {
  const timeline = new Timeline();
  const { clock } = newLife(timeline);
  const kept = Array.from({ length: 100 }, (_, index) => clock.after(1000 + index, () => {}));
  for (let round = 0; round < 5; round++) {
    const timers = Array.from({ length: 12_000 }, () => clock.after(500, () => {}));
    for (const timer of [...timers, ...timers]) timer.cancel();
    assert(timeline.waiting < 12_000 + kept.length, `${timeline.waiting} wait in round ${round}`);
  }
  assertEquals(drain(timeline, 600).length, 0);
  kept[0]?.cancel();
  assertEquals(drain(timeline, 2000).length, 99);
  assertEquals([timeline.waiting, timeline.events], [0, 99]);
});

Deno.test("Timeline fires the timers left when half of them were cancelled, in order", () => {
  const timeline = new Timeline();
  const life = newLife(timeline);
  const timers = Array.from({ length: 30_000 }, (_, index) => {
    const timer = new TimerEvent(life, () => {});
    timer.queued = true;
    timeline.schedule(1000 + index % 100, timer);
    return timer;
  });
  timers.forEach((timer, index) => index % 10 === 0 || timer.cancel());
  const times = drain(timeline, 2000);
  assertEquals(times, times.toSorted((a, b) => a - b));
  assertEquals(times.length, 3000);
});

Deno.test("Timeline takes many events at one time, and does not take it for standing still", () => {
  const timeline = new Timeline({ maxAtOnce: 1000 });
  const { clock } = newLife(timeline);
  const fill = () => {
    for (let count = 0; count < 600; count++) clock.after(0, () => {});
  };
  for (let ms = 1; ms <= 2; ms++) {
    fill();
    clock.after(1, () => {});
    assertEquals(drain(timeline, ms).length, 601);
  }
  fill();
  assertThrows(fill, LimitError, "more than 1000 events at 2 ms");
});
