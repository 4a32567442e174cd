import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { InFlight, MAX_IN_FLIGHT, type Waiting } from "../../src/endpoint/inflight.ts";
import { ClosedError, LimitError, TimeoutError } from "../../src/errors.ts";
import { CountingClock } from "./fixture.ts";

/** A request that notes what becomes of it. */
class Request implements Waiting<string> {
  readonly what = '"greet" of bob';
  readonly deadlineMs: number;
  outcome: unknown;
  constructor(deadlineMs = Infinity) {
    this.deadlineMs = deadlineMs;
  }
  resolve(value: string): void {
    this.outcome = value;
  }
  reject(error: unknown): void {
    this.outcome = error;
  }
}

Deno.test("InFlight gives a request back once, under its own id only", () => {
  const table = new InFlight<string>(new ManualClock());
  const requests = [new Request(), new Request(), new Request()];
  const ids = requests.map((request) => table.add(request));
  assertEquals(new Set(ids).size, 3);
  assert(ids.every((id) => Number.isSafeInteger(id) && id >= 1));
  assertEquals(table.size, 3);
  assertEquals(table.take(ids[1] ?? 0), requests[1]);
  assertEquals(table.take(ids[1] ?? 0), undefined);
  for (const id of [0, 1, 5, MAX_IN_FLIGHT - 1, Number.MAX_SAFE_INTEGER]) {
    assertEquals(table.take(id), undefined, `${id}`);
  }
  assertEquals(table.size, 2);
});

Deno.test("InFlight reuses slots and never an id", () => {
  const table = new InFlight<string>(new ManualClock());
  const seen = new Set<number>();
  let last = 0;
  for (let round = 0; round < 10_000; round++) {
    const id = table.add(new Request());
    assert(!seen.has(id));
    seen.add(id);
    assertEquals(table.take(last), undefined);
    assert(table.take(id) !== undefined);
    last = id;
  }
  assert([...seen].every((id) => id % MAX_IN_FLIGHT === 0), "one slot is enough");
});

Deno.test("InFlight finds every request among many that come and go", () => {
  const table = new InFlight<string>(new ManualClock());
  const random = seededRandom(5);
  const waiting = new Map<number, Request>();
  for (let step = 0; step < 20_000; step++) {
    if (random() < 0.55 && waiting.size < 500) {
      const request = new Request();
      waiting.set(table.add(request), request);
    } else {
      const ids = [...waiting.keys()];
      const id = ids[Math.floor(random() * ids.length)];
      if (id === undefined) continue;
      assertEquals(table.take(id), waiting.get(id));
      waiting.delete(id);
    }
    assertEquals(table.size, waiting.size);
  }
});

Deno.test("InFlight refuses the 65,537th request, and takes one when another has gone", () => {
  const table = new InFlight<string>(new ManualClock());
  const request = new Request();
  const ids = Array.from({ length: MAX_IN_FLIGHT }, () => table.add(request));
  assertEquals(new Set(ids).size, MAX_IN_FLIGHT);
  const error = assertThrows(() => table.add(request), LimitError, "maxInFlight");
  assertEquals(error.details, { limit: "maxInFlight", max: MAX_IN_FLIGHT });
  table.take(ids[777] ?? 0);
  const id = table.add(request);
  assertEquals(id % MAX_IN_FLIGHT, 777);
  assert(!ids.includes(id));
});

Deno.test("InFlight gives each request up at its own deadline, with one timer", async () => {
  const clock = new CountingClock();
  const table = new InFlight<string>(clock);
  const requests = [300, 100, 200, Infinity].map((ms) => new Request(ms));
  for (const request of requests) table.add(request);
  assertEquals(clock.timers, 1);
  const expired = () => requests.map(({ outcome }) => outcome instanceof TimeoutError);
  await clock.advance(98);
  assertEquals(expired(), [false, false, false, false]);
  await clock.advance(2);
  assertEquals(expired(), [false, true, false, false]);
  assertStringIncludes(String(requests[1]?.outcome), 'Cannot call "greet" of bob: no answer');
  await clock.advance(100);
  assertEquals(expired(), [false, true, true, false]);
  await clock.advance(1e9);
  assertEquals(expired(), [true, true, true, false]);
  assertEquals([clock.timers, table.size], [0, 1]);
});

Deno.test("InFlight does not give up what was answered, nor what took its slot", async () => {
  const clock = new ManualClock();
  const table = new InFlight<string>(clock);
  const [answered, next] = [new Request(100), new Request(200)];
  table.take(table.add(answered))?.resolve("in time");
  table.add(next);
  await clock.advance(150);
  assertEquals([answered.outcome, next.outcome], ["in time", undefined]);
  await clock.advance(50);
  assert(next.outcome instanceof TimeoutError);
});

Deno.test("InFlight.close rejects all and stops the timer", async () => {
  const clock = new CountingClock();
  const table = new InFlight<string>(clock);
  const requests = [new Request(100), new Request()];
  for (const request of requests) table.add(request);
  const error = new ClosedError("over");
  table.close(error);
  table.close(new ClosedError("again"));
  assertEquals(requests.map(({ outcome }) => outcome), [error, error]);
  assertEquals([clock.timers, table.size], [0, 0]);
  await clock.advance(1_000);
});
