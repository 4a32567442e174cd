import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Metrics } from "../../src/metrics.ts";
import { Network } from "../../src/secure/network.ts";
import { KnownSender, MAX_SENDERS, Senders } from "../../src/secure/senders.ts";
import { KEY } from "./seal_fixture.ts";

const MINUTE = 60_000n << 20n; // of a counter

Deno.test("Senders remembers who is heard of, and forgets the half that has been silent longest", async () => {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const senders = new Senders(clock, metrics.counter("forgotten"));
  assertEquals(senders.completeSinceMs, 0);
  await clock.advance(5);
  const last = BigInt(MAX_SENDERS) - 1n;
  for (let sender = 0n; sender < last; sender++) {
    senders.open(sender, 0n, 5);
    if (sender % 1_000n === 0n) { for (let times = 0; times < 2; times++) assert(senders.get(0n)); }
  }
  assertEquals([senders.completeSinceMs, metrics.snapshot()], [0, {}]);
  senders.open(last, 0n, 5);
  assertEquals(metrics.snapshot(), { forgotten: MAX_SENDERS / 2 - 1 });
  assertEquals(senders.completeSinceMs, 7, "what was sealed just now may have been taken");
  assert(senders.get(0n), "heard of in the second half");
  assertEquals(senders.get(1n), undefined);
  for (let sender = BigInt(MAX_SENDERS / 2); sender <= last; sender++) assert(senders.get(sender));
});

Deno.test("Senders takes what a new sender sealed since its memory begins, and nothing before", async () => {
  const clock = new ManualClock();
  await clock.advance(1_000);
  const senders = new Senders(clock, new Metrics().counter("forgotten"));
  const now = 10n * MINUTE;
  const second = MINUTE / 60n;
  const known = senders.open(1n, now, 4_000); // sealed three seconds after that
  assert(known.fits(now) && known.fits(now - 3n * second));
  assert(!known.fits(now - 4n * second));
  assert(!senders.open(2n, now, 1_000).fits(now - second / 100n));
  assert(!senders.open(3n, now, 3_600_000).fits(now - 3n * MINUTE), "nor what is late");
});

Deno.test("KnownSender tells what is late by the fastest that came", () => {
  const sender = new KnownSender(0n);
  assert(!sender.isLate(MINUTE, 1e9), "nothing came yet");
  assert(sender.take(10n * MINUTE, 5_000));
  assert(!sender.isLate(11n * MINUTE, 65_000));
  assert(!sender.isLate(10n * MINUTE, 125_000));
  assert(sender.isLate(10n * MINUTE, 125_001));
  assert(sender.take(12n * MINUTE, 5_000), "its clock was set forward");
  assert(sender.isLate(10n * MINUTE + 1n, 5_001));
  assert(sender.takeFresh(10n * MINUTE + 2n, 5_001));
  assert(
    !sender.isLate(10n * MINUTE + 1n, 5_001),
    "fresh for certain, so this is how long it takes",
  );
});

Deno.test("KnownSender remembers one key", () => {
  const [first, second] = new Network("home", [KEY, new Uint8Array(32)]).keys;
  assert(first && second);
  const sender = new KnownSender(0n);
  assertEquals(sender.keyUnder(first), undefined);
  sender.rememberKey(first, KEY);
  assertEquals([sender.keyUnder(first), sender.keyUnder(second)], [KEY, undefined]);
});
