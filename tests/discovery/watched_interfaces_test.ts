import { assertEquals, assertRejects } from "@std/assert";
import { Attempts } from "../../src/discovery/attempts.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import { followInterfaces } from "../../src/discovery/watched_interfaces.ts";
import { UnsupportedError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import { CountingClock } from "../endpoint/fixture.ts";

function scene() {
  const [clock, end, metrics] = [new CountingClock(), new AbortController(), new Metrics()];
  const attempts = new Attempts(silentLogger, metrics);
  return { clock, end, metrics, options: { attempts, clock, signal: end.signal } };
}

Deno.test("followInterfaces hands the interfaces over now and every two seconds, until aborted", async () => {
  const { clock, end, options } = scene();
  const takenMs: number[] = [];
  const take = () => Promise.resolve(void takenMs.push(clock.now()));
  await followInterfaces({ ...options, list: () => [] }, take);
  assertEquals(takenMs, [0]);
  await clock.advance(5_000);
  assertEquals(takenMs, [0, 2_000, 4_000]);
  end.abort();
  assertEquals(clock.timers, 0);
  await clock.advance(5_000);
  assertEquals(takenMs.length, 3);
});

Deno.test("followInterfaces rejects when they cannot be listed at first, and goes on when that is later", async () => {
  const { clock, end, metrics, options } = scene();
  const lists: (() => LocalInterface[])[] = [];
  const list = () => (lists.shift() ?? (() => []))();
  const fail = () => {
    throw new UnsupportedError("Cannot list network interfaces");
  };
  lists.push(fail);
  let taken = 0;
  const take = () => Promise.resolve(void taken++);
  await assertRejects(() => followInterfaces({ ...options, list }, take), UnsupportedError);
  assertEquals(clock.timers, 0);
  await followInterfaces({ ...options, list }, take);
  lists.push(fail, fail);
  await clock.advance(6_000);
  assertEquals([taken, metrics.snapshot()], [2, { "discovery.failures": 2 }]);
  end.abort();
});

Deno.test("followInterfaces does not list again before the last list was taken in, nor after it was aborted meanwhile", async () => {
  const { clock, end, options } = scene();
  const slow: PromiseWithResolvers<void>[] = [];
  let listed = 0;
  const list = () => {
    listed++;
    return [];
  };
  await followInterfaces({ ...options, list }, () => {
    if (listed === 1) return Promise.resolve();
    slow.push(Promise.withResolvers());
    return slow.at(-1)?.promise ?? Promise.resolve();
  });
  await clock.advance(10_000);
  assertEquals(listed, 2);
  slow[0]?.resolve();
  await clock.advance(2_000);
  assertEquals(listed, 3);
  end.abort();
  slow[1]?.resolve();
  await clock.advance(10_000);
  assertEquals([listed, clock.timers], [3, 0]);
});
