import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import {
  ConnectionLimiter,
  FAILURES_PER_ADDRESS,
  FAILURES_PER_SUBNET,
  isLoopback,
  MAX_BUCKETS,
  rateError,
  subnetOf,
  TokenBuckets,
} from "../../src/endpoint/limits.ts";
import { LimitError } from "../../src/errors.ts";
import type { Address } from "../../src/transport/transport.ts";

function at(hostname: string): Address {
  return { hostname, port: 50_000 };
}

function fail(limiter: ConnectionLimiter, hostname: string, times: number): void {
  for (let i = 0; i < times; i++) limiter.failed(at(hostname));
}

/** The name of the limit that keeps an address out. */
function refusalOf(limiter: ConnectionLimiter, hostname: string): unknown {
  return limiter.admit(at(hostname))?.details.limit;
}

Deno.test("TokenBuckets gives a burst at once, then what comes back", async () => {
  const clock = new ManualClock();
  const buckets = new TokenBuckets(clock, { perSecond: 4, burst: 3 });
  const take = (times: number) => Array.from({ length: times }, () => buckets.take("a"));
  assertEquals(take(4), [true, true, true, false]);
  assertEquals(buckets.take("b"), true);
  await clock.advance(249);
  assertEquals(take(1), [false]);
  await clock.advance(1);
  assertEquals(take(2), [true, false]);
  await clock.advance(60_000);
  assertEquals(take(4), [true, true, true, false]); // never more than the burst
});

Deno.test("TokenBuckets takes all of a cost or nothing", async () => {
  const clock = new ManualClock();
  const buckets = new TokenBuckets(clock, { perSecond: 1, burst: 10 });
  assertEquals(buckets.take("a", 7), true);
  assertEquals(buckets.take("a", 4), false);
  assertEquals(buckets.peek("a"), 3);
  assertEquals(buckets.take("a", 3), true);
  assertEquals(buckets.take("a", 0), true);
  await clock.advance(500);
  assertEquals(buckets.peek("a"), 0.5);
  assertEquals(buckets.take("new", 11), false);
  assertEquals(buckets.take("new", 10), true);
});

Deno.test("TokenBuckets.peek changes nothing and remembers nobody", () => {
  const buckets = new TokenBuckets(new ManualClock(), { perSecond: 1, burst: 5, maxKeys: 2 });
  assertEquals([buckets.peek("stranger"), buckets.size], [5, 0]);
  buckets.take("a", 3);
  buckets.take("b", 3);
  for (let i = 0; i < 10; i++) assertEquals(buckets.peek("a"), 2);
  buckets.take("c"); // a was looked at last, b taken from last
  assertEquals(["a", "b", "c"].map((key) => buckets.peek(key)), [5, 2, 4]);
});

Deno.test("TokenBuckets forgets full buckets first", async () => {
  const clock = new ManualClock();
  const buckets = new TokenBuckets(clock, { perSecond: 1, burst: 10, maxKeys: 3 });
  buckets.take("emptied", 10);
  buckets.take("touched", 1);
  buckets.take("used", 5);
  await clock.advance(1_000);
  buckets.take("new", 2);
  assertEquals(buckets.size, 3);
  assertEquals(["emptied", "touched", "used", "new"].map((key) => buckets.peek(key)), [
    1,
    10,
    6,
    8,
  ]);
});

Deno.test("TokenBuckets forgets what was used least recently when none is full", () => {
  const buckets = new TokenBuckets(new ManualClock(), { perSecond: 1, burst: 10, maxKeys: 3 });
  for (const key of ["a", "b", "c", "b", "a"]) buckets.take(key);
  buckets.take("b", 100); // what is refused is a use too
  buckets.take("d");
  assertEquals(["a", "b", "c", "d"].map((key) => buckets.peek(key)), [8, 8, 10, 9]);
});

Deno.test("TokenBuckets forgets at most a sixteenth of what it might keep", () => {
  const buckets = new TokenBuckets(new ManualClock(), { perSecond: 1, burst: 2, maxKeys: 160 });
  for (let i = 0; i <= 160; i++) buckets.take(`${i}`);
  assertEquals(buckets.size, 151);
  assertEquals([buckets.peek("9"), buckets.peek("10")], [2, 1]);
});

Deno.test("TokenBuckets stays small and quick under a flood of a million keys", async () => {
  const clock = new ManualClock();
  const random = seededRandom(3);
  const buckets = new TokenBuckets(clock, { perSecond: 1_000, burst: 2 });
  const keys = Array.from({ length: 1_000_000 }, () => random().toString(36));
  let largest = 0;
  const startMs = performance.now();
  for (const [i, key] of keys.entries()) {
    buckets.take(key);
    if (buckets.size > largest) largest = buckets.size;
    if (i % 200_000 === 0) await clock.advance(0.5);
  }
  const tookMs = performance.now() - startMs;
  assertEquals(largest, MAX_BUCKETS);
  assert(tookMs < 10_000, `${tookMs} ms`); // a scan for the oldest per key would take far longer
});

Deno.test("TokenBuckets agrees with a bucket that is filled by hand", async () => {
  const clock = new ManualClock();
  const random = seededRandom(9);
  const buckets = new TokenBuckets(clock, { perSecond: 8, burst: 6 });
  let eighths = 6 * 8; // whole eighths of a token, so that nothing is rounded
  for (let step = 0; step < 3_000; step++) {
    const waitMs = 125 / 8 * Math.floor(random() * 12);
    await clock.advance(waitMs);
    eighths = Math.min(6 * 8, eighths + waitMs / 125 * 8);
    const cost = Math.floor(random() * 4);
    const enough = eighths >= cost * 8;
    assertEquals(buckets.take("a", cost), enough, `step ${step}`);
    if (enough) eighths -= cost * 8;
    assertEquals(buckets.peek("a"), eighths / 8, `step ${step}`);
  }
});

Deno.test("TokenBuckets refuses rates, limits and costs that make no sense", () => {
  const clock = new ManualClock();
  const good = { perSecond: 1, burst: 1 };
  for (const perSecond of [0, -1, NaN, Infinity]) {
    assertThrows(() => new TokenBuckets(clock, { ...good, perSecond }), RangeError, "perSecond");
  }
  for (const burst of [0, 0.5, NaN, Infinity]) {
    assertThrows(() => new TokenBuckets(clock, { ...good, burst }), RangeError, "burst must be");
  }
  for (const maxKeys of [0, 1.5, NaN, Infinity]) {
    assertThrows(() => new TokenBuckets(clock, { ...good, maxKeys }), RangeError, "maxKeys");
  }
  const buckets = new TokenBuckets(clock, good);
  for (const cost of [-1, NaN]) {
    assertThrows(() => buckets.take("a", cost), RangeError, `current value is ${cost}`);
  }
  assertEquals(buckets.peek("a"), 1);
});

Deno.test("subnetOf names the network of an address, however it is written", () => {
  const networks: [subnet: string, addresses: string[]][] = [
    ["192.0.2.0/24", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "::FFFF:c000:0207"]],
    ["255.255.255.0/24", ["255.255.255.255", "0:0:0:0:0:ffff:255.255.255.255"]],
    ["2001:db8:0:0::/64", ["2001:db8::", "2001:DB8::1", "2001:0db8:0:0:f:f:f:f"]],
    ["2001:db8:0:1::/64", ["2001:db8:0:1::", "2001:db8:0:1:2:3:4:5", "2001:db8::1:0:0:0:9"]],
    ["fe80:0:0:0::/64", ["fe80::1%eth0", "fe80::2%3", "fe80::3"]],
    ["0:0:0:0::/64", ["::1", "::", "0:0:0:0:0:0:0:1", "::192.0.2.7"]],
    ["64:ff9b:0:0::/64", ["64:ff9b::192.0.2.7", "64:ff9b::c000:207"]],
    ["1:2:3:4::/64", ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4"]],
    ["0:2:3:4::/64", ["::2:3:4:5:6:7:8"]],
  ];
  for (const [subnet, addresses] of networks) {
    for (const address of addresses) assertEquals(subnetOf(address), subnet, address);
  }
});

Deno.test("subnetOf gives nothing for names and what only looks like an address", () => {
  const others = ["", "localhost", "bob.example", "cafe", "127.evil.example", "1.2.3", "1.2.3.4.5"];
  const ipv4 = [
    "256.0.0.1",
    "1.2.3.1000",
    "1.2.3.4.",
    ".1.2.3.4",
    "0x7f.0.0.1",
    "1..2.3",
    "x1.2.3.4",
  ];
  const ipv6 = [
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::12345",
    "::g",
    "1:",
  ];
  const mixed = [
    ":1.2.3.4",
    "::1000.2.3.4",
    "::1.2.3",
    "::1.2.3.256",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1::2:3:4:5:6:7:8",
  ];
  for (const text of [...others, ...ipv4, ...ipv6, ...mixed, "[::1]", "%eth0", ":".repeat(1e5)]) {
    assertEquals(subnetOf(text), undefined, text.slice(0, 50));
  }
});

Deno.test("subnetOf gives nothing or a network for random text", () => {
  const random = seededRandom(21);
  const alphabet = "0123456789abcdef:::::.....%x";
  let networks = 0;
  for (let round = 0; round < 50_000; round++) {
    const chars = Array.from(
      { length: Math.floor(random() * 18) },
      () => alphabet[Math.floor(random() * alphabet.length)],
    );
    const subnet = subnetOf(chars.join(""));
    if (subnet === undefined) continue;
    networks++;
    assert(
      /^(\d{1,3}\.){3}0\/24$|^([0-9a-f]{1,4}:){4}:\/64$/.test(subnet),
      `${chars.join("")}: ${subnet}`,
    );
  }
  assert(networks > 100, `${networks}`);
});

Deno.test("isLoopback knows this machine by its addresses and its name", () => {
  const own = ["127.0.0.1", "127.255.255.255", "::1", "0:0::0:1", "localhost", "LocalHost"];
  for (const hostname of [...own, "::ffff:127.0.0.1", "::1%lo"]) {
    assert(isLoopback(hostname), hostname);
  }
  const others = [
    "128.0.0.1",
    "126.255.255.255",
    "0.0.0.0",
    "::",
    "::2",
    "1::1",
    "::ffff:10.0.0.1",
  ];
  for (const hostname of [...others, "127.evil.example", "127.0.0.1.example", "localhost.x", ""]) {
    assert(!isLoopback(hostname), hostname);
  }
});

Deno.test("ConnectionLimiter refuses an address that failed too often, until time has passed", async () => {
  const clock = new ManualClock();
  const limiter = new ConnectionLimiter(clock);
  fail(limiter, "192.0.2.7", FAILURES_PER_ADDRESS.burst - 1);
  assertEquals(limiter.admit(at("192.0.2.7")), undefined);
  fail(limiter, "192.0.2.7", 1);
  const error = limiter.admit({ hostname: "192.0.2.7", port: 1 }); // whatever the port
  assert(error instanceof LimitError);
  assertEquals([error.code, error.details], ["rate", { limit: "failuresPerAddress", max: 32 }]);
  assertEquals(limiter.admit(at("192.0.2.8")), undefined);
  await clock.advance(999);
  assertEquals(refusalOf(limiter, "192.0.2.7"), "failuresPerAddress");
  await clock.advance(1);
  assertEquals(refusalOf(limiter, "192.0.2.7"), undefined);
  fail(limiter, "192.0.2.7", 1);
  assertEquals(refusalOf(limiter, "192.0.2.7"), "failuresPerAddress");
});

Deno.test("ConnectionLimiter counts failures only: admitting costs nothing", () => {
  const limiter = new ConnectionLimiter(new ManualClock());
  for (let i = 0; i < 10_000; i++) assertEquals(limiter.admit(at("192.0.2.7")), undefined);
});

Deno.test("ConnectionLimiter owes no more than a bucket when many fail at the same time", async () => {
  const clock = new ManualClock();
  const limiter = new ConnectionLimiter(clock);
  fail(limiter, "192.0.2.7", 10_000);
  await clock.advance(1_000);
  assertEquals(refusalOf(limiter, "192.0.2.7"), undefined);
});

Deno.test("ConnectionLimiter refuses a subnet whose addresses fail in turn, and no other", () => {
  const limiter = new ConnectionLimiter(new ManualClock());
  for (let host = 0; host < FAILURES_PER_SUBNET.burst; host++) {
    const hostname = `2001:db8:0:1::${host.toString(16)}`;
    assertEquals(refusalOf(limiter, hostname), undefined);
    limiter.failed(at(hostname));
  }
  const error = limiter.admit(at("2001:db8:0:1:ffff::1"));
  assertEquals(error?.details, { limit: "failuresPerSubnet", max: 256 });
  assertEquals(refusalOf(limiter, "2001:db8:0:2::1"), undefined);
});

Deno.test("ConnectionLimiter knows an address in all its forms", () => {
  const limiter = new ConnectionLimiter(new ManualClock());
  const forms = ["::ffff:192.0.2.7", "192.0.2.7", "::FFFF:c000:207", "0:0:0:0:0:ffff:192.0.2.7"];
  for (const form of forms) fail(limiter, form, FAILURES_PER_ADDRESS.burst / forms.length);
  for (const form of forms) assertEquals(refusalOf(limiter, form), "failuresPerAddress", form);
});

Deno.test("ConnectionLimiter limits a host that only has a name", () => {
  const limiter = new ConnectionLimiter(new ManualClock());
  fail(limiter, "bob", 32);
  assertEquals(["bob", "BOB", "alice"].map((name) => refusalOf(limiter, name)), [
    "failuresPerAddress",
    "failuresPerAddress",
    undefined,
  ]);
});

Deno.test("ConnectionLimiter leaves this machine alone unless told", () => {
  const lenient = new ConnectionLimiter(new ManualClock());
  const strict = new ConnectionLimiter(new ManualClock(), { limitLoopback: true });
  for (const hostname of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"]) {
    fail(lenient, hostname, 1_000);
    fail(strict, hostname, 32);
    assertEquals(lenient.admit(at(hostname)), undefined, hostname);
    assertEquals(refusalOf(strict, hostname), "failuresPerAddress", hostname);
  }
});

Deno.test("ConnectionLimiter takes other rates", () => {
  const limiter = new ConnectionLimiter(new ManualClock(), {
    failuresPerAddress: { perSecond: 1, burst: 5 },
    failuresPerSubnet: { perSecond: 1, burst: 2 },
  });
  fail(limiter, "192.0.2.7", 2);
  assertEquals(limiter.admit(at("192.0.2.8"))?.details, { limit: "failuresPerSubnet", max: 2 });
  const failuresPerSubnet = { perSecond: 0, burst: 1 };
  assertThrows(() => new ConnectionLimiter(new ManualClock(), { failuresPerSubnet }), RangeError);
});

Deno.test("rateError names the limit in its text and its details", () => {
  const error = rateError("Cannot gossip: the rumors", "rumorsPerPeer", 9);
  assertEquals(error.message, "Cannot gossip: the rumors exceed rumorsPerPeer 9");
  assertEquals([error.code, error.details], ["rate", { limit: "rumorsPerPeer", max: 9 }]);
});
