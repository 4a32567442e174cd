import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Suspicion, type SuspicionTimes } from "../../src/membership/suspicion.ts";
import { CountingClock } from "./counting_clock.ts";

const TIMES: SuspicionTimes = { minMs: 5_000, maxMs: 30_000, confirmations: 3 };
const CLAIM = new Uint8Array(1);

class Run {
  readonly time = new ManualClock();
  readonly clock = new CountingClock(this.time);
  readonly calledMs: number[] = [];
  readonly overMs: number[] = [];
  readonly lateMs: number[] = [];
  readonly suspicion: Suspicion;

  constructor(times: SuspicionTimes = TIMES) {
    this.suspicion = new Suspicion(this.clock, times, {
      lastCall: () => void this.calledMs.push(this.time.now()),
      over: (lateMs) => {
        this.overMs.push(this.time.now());
        this.lateMs.push(lateMs);
      },
    });
  }

  /** So many accuse at once. */
  accuse(count: number): boolean[] {
    return Array.from({ length: count }, (_, at) => this.suspicion.confirm(`accuser ${at}`, CLAIM));
  }
}

Deno.test("Suspicion lasts as long as Lifeguard's formula says, for every number of accusers", async () => {
  const { minMs, maxMs, confirmations } = TIMES;
  for (let further = 0; further <= confirmations + 2; further++) {
    const run = new Run();
    run.accuse(further + 1);
    await run.time.advance(40_000);
    // Section IV-B: max(min, max - (max - min) * log(C + 1) / log(K + 1)).
    const share = Math.log(further + 1) / Math.log(confirmations + 1);
    const expectedMs = Math.max(minMs, maxMs - (maxMs - minMs) * share);
    assertEquals(run.overMs.map(Math.round), [Math.round(expectedMs)]);
    assertEquals(run.calledMs.map(Math.round), [Math.round(expectedMs - 1_000)]);
    assertEquals(run.lateMs.map(Math.abs).map(Math.round), [0]);
  }
});

Deno.test("Suspicion counts from its beginning, whenever accusers come", async () => {
  const run = new Run();
  run.accuse(1);
  await run.time.advance(4_000);
  run.accuse(4);
  await run.time.advance(999);
  assertEquals(run.overMs, []);
  await run.time.advance(1);
  assertEquals(run.overMs, [5_000]);
});

Deno.test("Suspicion is over at once when late accusers confirm it, and not as if its timer were late", async () => {
  const run = new Run();
  run.accuse(1);
  await run.time.advance(8_000);
  run.accuse(4);
  await run.time.advance(1_000);
  assertEquals([run.overMs, run.lateMs], [[8_000], [0]]);
});

Deno.test("Suspicion takes everybody once, and a bounded number of accusers", () => {
  const run = new Run();
  assertEquals(run.accuse(1), [true]);
  assertEquals(run.accuse(9), [false, true, true, true, true, true, false, false, false]);
  assert(run.suspicion.isConfirmed);
  assertEquals(run.suspicion.accusers, [0, 1, 2, 3, 4, 5].map((at) => `accuser ${at}`));
  assertEquals(run.suspicion.accusations.length, 6);
  run.suspicion.stop();
});

Deno.test("Suspicion in a small group needs nobody's confirmation", async () => {
  const run = new Run({ minMs: 3_000, maxMs: 18_000, confirmations: 0 });
  assertEquals(run.accuse(2), [true, false]);
  assert(run.suspicion.isConfirmed);
  await run.time.advance(20_000);
  assertEquals(run.overMs, [3_000]);
});

Deno.test("Suspicion that is extended waits the least time again, with another last call", async () => {
  const run = new Run();
  run.accuse(4);
  await run.time.advance(5_000);
  run.suspicion.extend();
  await run.time.advance(4_999);
  assertEquals([run.calledMs, run.overMs], [[4_000, 9_000], [5_000]]);
  await run.time.advance(1);
  assertEquals(run.overMs, [5_000, 10_000]);
});

Deno.test("Suspicion that is stopped leaves no timer, before and after its last call", async () => {
  for (const ms of [0, 4_500]) {
    const run = new Run();
    run.accuse(4);
    await run.time.advance(ms);
    run.suspicion.stop();
    assertEquals(run.clock.waiting, 0);
    await run.time.advance(60_000);
    assertEquals(run.overMs, []);
  }
});

Deno.test("Suspicion shorter than a last call still calls", async () => {
  const run = new Run({ minMs: 400, maxMs: 400, confirmations: 0 });
  run.accuse(1);
  await run.time.advance(1_000);
  assertEquals([run.calledMs, run.overMs], [[0], [400]]);
});
