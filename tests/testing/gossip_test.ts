import { assert, assertEquals } from "@std/assert";
import { simulateTopic } from "../../src/testing/gossip_group.ts";
import { measureLateJoiner, measureMemory } from "../../src/testing/gossip_history.ts";
import { measureHostility } from "../../src/testing/gossip_hostility.ts";
import {
  measureChurn,
  measureIslands,
  measureKill,
  measurePartition,
} from "../../src/testing/gossip_outages.ts";
import { measureSpread } from "../../src/testing/gossip_spread.ts";
import { measureRejection, measureReplay } from "../../src/testing/gossip_threats.ts";

// A small part of what `npm run sim` runs: fewer peers, and one seed.

Deno.test("messages come to everybody once, by few hops and hardly any packet too many", () => {
  for (const [senders, redundancy, hops] of [["one", 0.15, 12], ["many", 0.5, 20]] as const) {
    const { figures } = measureSpread({ seed: 1, nodes: 40, senders });
    assertEquals([figures.missed, figures.repeated, figures.lastHop.length], [0, 0, 20]);
    assert(figures.redundancy >= 0 && figures.redundancy <= redundancy, `${figures.redundancy}`);
    assert(Math.min(...figures.lastHop) >= 2 && Math.max(...figures.lastHop) <= hops);
    assert(Math.min(...figures.lastMs) >= 80 && figures.controlBytes > 0);
  }
});

Deno.test("messages come to everybody who is left within 3 s when a fifth is killed", () => {
  const { figures } = measureKill({ seed: 1, nodes: 50 });
  assertEquals([figures.missed, figures.missedForGood, figures.lastMs.length], [0, 0, 10]);
  assert(Math.max(...figures.lastMs) <= 3_000, `${figures.lastMs} ms`);
});

Deno.test("messages come to everybody who runs while peers come and go and packets get lost", () => {
  const { figures } = measureChurn({ seed: 1, nodes: 20, churn: 0.02 });
  assertEquals([figures.published, figures.missed, figures.repeated], [300, 0, 0]);
});

Deno.test("two parts of a topic become one when a peer of one is told of a peer of the other", () => {
  const { figures } = measureIslands({ seed: 1, nodes: 24 });
  assertEquals([figures.missed, figures.repeated], [0, 0]);
  assert(figures.joinedMs <= 60_000 && figures.wholeMs <= 60_000, JSON.stringify(figures));
});

Deno.test("a divided topic is one again, and what was published meanwhile gets everywhere", () => {
  const { figures } = measurePartition({ seed: 1, nodes: 24, seconds: 30 });
  assertEquals([figures.missed, figures.repeated], [0, 0]);
  assert(figures.joinedMs <= 60_000 && figures.wholeMs <= 60_000, JSON.stringify(figures));
});

Deno.test("old messages that are sent again come to nobody, whatever its clock says", () => {
  const { figures } = measureReplay({ seed: 1, nodes: 6 });
  assert(figures.replayed >= 100, `${figures.replayed} packets`);
  assertEquals([figures.deliveries, figures.futureDeliveries, figures.keptBy], [0, 0, 0]);
  assertEquals(figures.littleDeliveries, 5);
});

Deno.test("a message that peers refuse gets no further than from its author to them", () => {
  const { figures } = measureRejection({ seed: 1, nodes: 20 });
  assert(figures.first >= 1 && figures.shunnedBy >= 1);
  assertEquals([figures.beyond, figures.deliveries, figures.wronged], [0, 0, 0]);
});

for (const kind of ["drop", "forge", "flood"] as const) {
  Deno.test(`honest peers get what honest ones publish though a third ${kind}s`, () => {
    const { figures } = measureHostility({
      seed: 1,
      nodes: 15,
      kinds: [kind],
      ownMessages: 50,
      messages: 15,
    });
    assert(figures.delivered >= 0.99, `${figures.delivered} were delivered`);
    assertEquals([figures.repeated, figures.forged, figures.wronged], [0, 0, 0]);
    assert(figures.mostMissing <= 4_096 && figures.mostUntold <= 5 * 16_384);
    assert(figures.mostKept <= 16_384 && figures.mostKnown <= 30);
    if (kind === "flood") assert(figures.mostKept > 200, "it was no flood");
    if (kind === "forge") assert(figures.shunned > 1, "nobody noticed");
  });
}

Deno.test("somebody who joins late gets all that is kept, each message once", () => {
  const { figures } = measureLateJoiner({ seed: 1, nodes: 5, messages: 600 });
  assertEquals([figures.missed, figures.repeated, figures.kept], [0, 0, 600]);
  assert(figures.wholeMs <= 5_000 && figures.copies < 1.5, JSON.stringify(figures));
});

Deno.test("a peer remembers no more of many messages than of few, in order and out of order", () => {
  const options = { seed: 1, maxMessages: 1_000 };
  const [few, many] = [2_000, 8_000].map((messages) => {
    return measureMemory({ ...options, messages }).figures;
  });
  assertEquals([few?.mostRanges, few?.mostAuthors, few?.mostKept], [8, 8, 1_000]);
  assertEquals({ ...many, accepted: 0 }, { ...few, accepted: 0 });
  assertEquals(many?.accepted, 8_000);
  const shuffled = measureMemory({ ...options, messages: 5_000, shuffled: true }).figures;
  assert(shuffled.accepted < 5_056, "nothing is missing");
  assert(shuffled.mostRanges > 8 && shuffled.mostRanges <= 8 * 256);
  assertEquals(shuffled.mostKept, 1_000);
});

Deno.test("a scenario of gossip has the same hash for the same seed, and another one for another", () => {
  const runs = [1, 1, 2].map((seed) => measureSpread({ seed, nodes: 10 }));
  assertEquals(runs[0], runs[1]);
  assert(runs[0]?.hash !== runs[2]?.hash);
});

Deno.test("simulateTopic yields now and then, and tells of honest peers who are left alone", () => {
  const simulated = simulateTopic({ seed: 1, nodes: 20, kill: 0.2, malicious: 0.2 });
  assertEquals(simulated.next().value, 5);
  let step = simulated.next();
  while (!step.done) step = simulated.next();
  const { expected, missed, lastHop, repeated } = step.value;
  // 20 messages of one peer to 11 others: 4 of 20 are hostile, and 4 more are dead, none of them the author.
  assert(expected >= 20 * 11 && expected <= 20 * 15, `${expected} deliveries`);
  assertEquals([missed, repeated], [0, 0]);
  assert(lastHop >= 1);
});
