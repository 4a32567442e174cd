import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { type Caller, CallRates } from "../../src/endpoint/call_rates.ts";
import { MAX_BUCKETS } from "../../src/endpoint/limits.ts";
import type { Link } from "../../src/endpoint/link.ts";

/** A caller that has proven who it is, or has not. */
function callerOf(endpoint: string, hostname: string, peerId?: string): Caller {
  // Of a link nothing but its peer matters here.
  const link = peerId === undefined ? undefined : { peer: { peerId } } as Link;
  return { endpoint, link, remote: { hostname, port: 50_000 } };
}

/** How many of `times` calls are refused. */
function refusedOf(rates: CallRates, caller: Caller, times: number): number {
  return Array.from({ length: times }, () => rates.take(caller)).filter(Boolean).length;
}

Deno.test("CallRates lets a second's calls through at once, then as many as come back", async () => {
  const clock = new ManualClock();
  const rates = new CallRates(clock, { echo: 5 });
  const bob = callerOf("echo", "192.0.2.7", "b0b");
  assertEquals(refusedOf(rates, bob, 7), 2);
  await clock.advance(200);
  assertEquals(refusedOf(rates, bob, 2), 1);
  await clock.advance(60_000);
  assertEquals(refusedOf(rates, bob, 7), 2);
});

Deno.test("CallRates refuses with rate, names the limit and its value, and shows no raw name", () => {
  const rates = new CallRates(new ManualClock(), { default: 2 });
  const caller = callerOf("e\u001b[2J", "192.0.2.7");
  assertEquals(refusedOf(rates, caller, 2), 0);
  const error = rates.take(caller);
  assertEquals([error?.code, error?.details], ["rate", { limit: "requestsPerSecond", max: 2 }]);
  assertEquals(
    error?.message,
    'Cannot call "e\\u{1b}[2J": the caller\'s requests exceed requestsPerSecond 2',
  );
});

Deno.test("CallRates holds a named endpoint to its rate, every other to the default, each on its own", () => {
  const rates = new CallRates(new ManualClock(), { default: 3, echo: 1 });
  const counts = ["echo", "add", "sub"].map((name) => refusedOf(rates, callerOf(name, "a"), 5));
  assertEquals(counts, [4, 2, 2]);
});

Deno.test("CallRates leaves endpoints alone that have no rate", () => {
  const rates = new CallRates(new ManualClock(), { echo: 1 });
  assertEquals(refusedOf(rates, callerOf("add", "a"), 100), 0);
  assertEquals(refusedOf(rates, callerOf("constructor", "a"), 100), 0);
  assertEquals([rates.unlimited, new CallRates(new ManualClock(), {}).unlimited], [false, true]);
});

Deno.test("CallRates of less than one a second let one through at once", async () => {
  const clock = new ManualClock();
  const rates = new CallRates(clock, { echo: 0.1 });
  const bob = callerOf("echo", "192.0.2.7");
  assertEquals(refusedOf(rates, bob, 3), 2);
  await clock.advance(10_000);
  assertEquals(refusedOf(rates, bob, 3), 2);
  assertThrows(() => new CallRates(clock, { echo: 0 }), RangeError, "perSecond");
});

Deno.test("CallRates counts who has proven who it is by its peer id, wherever it calls from", () => {
  const rates = new CallRates(new ManualClock(), { echo: 2 });
  assertEquals(refusedOf(rates, callerOf("echo", "192.0.2.7", "b0b"), 2), 0);
  assertEquals(refusedOf(rates, callerOf("echo", "198.51.100.7", "b0b"), 1), 1);
  assertEquals(refusedOf(rates, callerOf("echo", "192.0.2.7", "a11ce"), 3), 1);
});

Deno.test("CallRates counts who has not by its address, of IPv6 by the network that one host has", () => {
  const rates = new CallRates(new ManualClock(), { echo: 2 });
  assertEquals(refusedOf(rates, callerOf("echo", "192.0.2.7"), 3), 1);
  assertEquals(refusedOf(rates, callerOf("echo", "::ffff:192.0.2.7"), 1), 1);
  assertEquals(refusedOf(rates, callerOf("echo", "192.0.2.8"), 3), 1);
  const hosts = Array.from({ length: 9 }, (_, n) => callerOf("echo", `2001:db8::${n + 1}`));
  assertEquals(hosts.filter((host) => rates.take(host) !== undefined).length, 7);
  assertEquals(refusedOf(rates, callerOf("echo", "2001:db8:1::1"), 1), 0);
});

Deno.test("CallRates remembers a bounded number of 100,000 callers", () => {
  const rates = new CallRates(new ManualClock(), { default: 5, echo: 5 });
  for (let n = 0; n < 100_000; n++) {
    rates.take(
      callerOf(n % 2 === 0 ? "echo" : `other-${n}`, `10.${n >> 16}.${n >> 8 & 255}.${n & 255}`),
    );
  }
  assert(rates.size <= 2 * MAX_BUCKETS && rates.size > MAX_BUCKETS, String(rates.size));
});
