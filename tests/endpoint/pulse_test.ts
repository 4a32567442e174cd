import { assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Pulse, type Verdict } from "../../src/endpoint/pulse.ts";
import { settle } from "./fixture.ts";

/** Half a heartbeat. */
const HALF_MS = 500;

/** A pulse, and a clock that brings it from one beat to the next. */
function start(): { pulse: Pulse; beat: (ms?: number) => Promise<Verdict> } {
  const clock = new ManualClock();
  const pulse = new Pulse(clock);
  return {
    pulse,
    beat: async (ms = HALF_MS) => {
      await clock.advance(ms);
      return pulse.beat(HALF_MS);
    },
  };
}

async function beats(count: number, beat: () => Promise<Verdict>): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  while (verdicts.length < count) verdicts.push(await beat());
  return verdicts;
}

Deno.test("Pulse pings every other half, for as long as something comes", async () => {
  const { pulse, beat } = start();
  const verdicts = await beats(100, () => {
    pulse.heard();
    return beat();
  });
  assertEquals(verdicts, Array.from({ length: 50 }, () => ["ping", "wait"] as const).flat());
});

Deno.test("Pulse takes a side for dead after four silent halves, and stays with that", async () => {
  const { beat } = start();
  // The first half counts as heard: the connection has just been made.
  assertEquals(await beats(7, beat), ["ping", "wait", "ping", "wait", "dead", "dead", "dead"]);
});

Deno.test("Pulse begins to count anew with anything that comes", async () => {
  const { pulse, beat } = start();
  assertEquals(await beats(4, beat), ["ping", "wait", "ping", "wait"]);
  pulse.heard();
  assertEquals(await beats(5, beat), ["ping", "wait", "ping", "wait", "dead"]);
});

Deno.test("Pulse does not count a half in which its own program stood still", async () => {
  const { beat } = start();
  assertEquals(await beats(4, beat), ["ping", "wait", "ping", "wait"]);
  // What has come meanwhile was not read yet: the other side gets its whole time again.
  assertEquals(await beat(2 * HALF_MS + 1), "ping");
  assertEquals(await beats(4, beat), ["wait", "ping", "wait", "dead"]);
});

Deno.test("Pulse counts a half that is a little late", async () => {
  const { beat } = start();
  assertEquals(await beats(5, () => beat(2 * HALF_MS)), ["ping", "wait", "ping", "wait", "dead"]);
});

Deno.test("Pulse does not count while nothing is read, and pings all the same", async () => {
  const { pulse, beat } = start();
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const busy = [pulse.during(first.promise), pulse.during(second.promise)];
  assertEquals(await beats(6, beat), ["ping", "wait", "ping", "wait", "ping", "wait"]);
  first.resolve();
  await busy[0];
  assertEquals(await beats(6, beat), ["ping", "wait", "ping", "wait", "ping", "wait"]);
  second.resolve();
  await busy[1];
  // One half for what came while nothing was read, then four.
  assertEquals(await beats(5, beat), ["ping", "wait", "ping", "wait", "dead"]);
});

Deno.test("Pulse.during passes on why it failed, and counts again", async () => {
  const { pulse, beat } = start();
  const busy = Promise.withResolvers<void>();
  const failed = assertRejects(() => pulse.during(busy.promise), Error, "boom");
  busy.reject(new Error("boom"));
  await failed;
  await settle();
  assertEquals((await beats(5, beat)).at(-1), "dead");
});

Deno.test("Pulse.rttMs is the first round trip, then moves an eighth of the way to each further one", () => {
  const { pulse } = start();
  assertEquals(pulse.rttMs, undefined);
  pulse.measured(80);
  assertEquals(pulse.rttMs, 80);
  pulse.measured(160);
  assertEquals(pulse.rttMs, 90);
  pulse.measured(10);
  assertEquals(pulse.rttMs, 80);
  for (let n = 0; n < 100; n++) pulse.measured(0);
  assertEquals((pulse.rttMs ?? 1) < 0.001, true);
});
