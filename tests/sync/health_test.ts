import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Metrics } from "../../src/metrics.ts";
import { limitIn } from "../../src/sync/descriptors.ts";
import { SyncHealth } from "../../src/sync/health.ts";

Deno.test("SyncHealth tells the rates of the last minute, and counts for good", async () => {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const health = new SyncHealth(clock, metrics);
  assertEquals(health.rates(), { received: 0, sent: 0, errors: 0 });
  health.count("messages.in", 600);
  health.error("RATE_LIMITED");
  for (let n = 0; n < 12; n++) {
    await clock.advance(5_000);
    health.tick();
  }
  assertEquals(health.rates().received, 10);
  for (let n = 0; n < 2; n++) {
    await clock.advance(5_000);
    health.tick();
  }
  health.count("messages.out", 60);
  assertEquals(health.rates(), { received: 0, sent: 1, errors: 0 });
  assertEquals(metrics.snapshot(), {
    "sync.error.rate_limited": 1,
    "sync.errors": 1,
    "sync.messages.in": 600,
    "sync.messages.out": 60,
  });
});

Deno.test("limitIn reads the soft limit of open files", () => {
  const line = "Max open files            1024                 524288               files";
  assertEquals(limitIn(`Limit  Soft  Hard\n${line}\nMax locked memory 1 2 bytes`), 1_024);
  assertEquals(
    limitIn("Max open files            unlimited            unlimited            files"),
    undefined,
  );
  assertEquals(limitIn(""), undefined);
});
