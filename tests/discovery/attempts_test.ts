import { assertEquals } from "@std/assert";
import { Attempts } from "../../src/discovery/attempts.ts";
import { ClosedError, UnsupportedError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";

function scene() {
  const [metrics, said] = [new Metrics(), [] as string[]];
  const warn = (message: string, fields = {}) => void said.push(JSON.stringify([message, fields]));
  return { metrics, said, attempts: new Attempts({ ...silentLogger, warn }, metrics) };
}

const fails = () => Promise.reject(new Error("network\u001b is down"));

Deno.test("Attempts counts every failure and tells of it once, and again when it had worked meanwhile", async () => {
  const { attempts, metrics, said } = scene();
  for (let n = 0; n < 3; n++) await attempts.tolerate("ask on eth0", fails);
  await attempts.tolerate("ask on eth1", fails);
  assertEquals(said, [
    '["could not ask on eth0",{"why":"network\\\\u{1b} is down"}]',
    '["could not ask on eth1",{"why":"network\\\\u{1b} is down"}]',
  ]);
  await attempts.tolerate("ask on eth0", () => Promise.resolve());
  await attempts.tolerate("ask on eth0", fails);
  assertEquals(said.length, 3);
  assertEquals(metrics.snapshot(), { "discovery.failures": 5 });
});

Deno.test("Attempts takes no closed socket for a failure", async () => {
  const { attempts, metrics } = scene();
  await attempts.tolerate("receive", () => Promise.reject(new ClosedError("closed")));
  assertEquals(metrics.snapshot(), {});
});

Deno.test("Attempts remembers the permission that was missing, and a bounded number of ways", async () => {
  const { attempts } = scene();
  const obstacle = new UnsupportedError("run with --allow-net");
  await attempts.tolerate("ask", () => Promise.reject(obstacle));
  await attempts.tolerate("ask", fails);
  assertEquals(attempts.obstacle, obstacle);
  for (let n = 0; n < 1_000; n++) attempts.tried(`way ${n % 500}`);
  assertEquals([attempts.asked.length, attempts.asked[1]], [256, "way 1"]);
});
