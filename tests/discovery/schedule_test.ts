import { assertEquals } from "@std/assert";
import { repeatQuestions } from "../../src/discovery/schedule.ts";
import { CountingClock } from "../endpoint/fixture.ts";

Deno.test("repeatQuestions asks soon and often at first, then every two seconds, until aborted", async () => {
  const [clock, end] = [new CountingClock(), new AbortController()];
  await clock.advance(1_000);
  const { signal } = end;
  const [early, late]: [number[], number[]] = [[], []];
  repeatQuestions({ clock, signal }, () => early.push(clock.now() - 1_000));
  repeatQuestions({ clock, signal, afterMs: 50 }, () => late.push(clock.now() - 1_050));
  assertEquals([early, late], [[0], []]);
  await clock.advance(6_000);
  assertEquals(early, [0, 100, 300, 700, 1_500, 3_500, 5_500]);
  assertEquals(late, early);
  end.abort();
  assertEquals(clock.timers, 0);
  await clock.advance(60_000);
  assertEquals(early.length, 7);
});

Deno.test("repeatQuestions does not ask when it was aborted before it began, or while it asks", async () => {
  const clock = new CountingClock();
  let asked = 0;
  repeatQuestions({ clock, signal: AbortSignal.abort() }, () => asked++);
  const end = new AbortController();
  repeatQuestions({ clock, signal: end.signal }, () => {
    asked++;
    end.abort();
  });
  await clock.advance(60_000);
  assertEquals([asked, clock.timers], [1, 0]);
});
