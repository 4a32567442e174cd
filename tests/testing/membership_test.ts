import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { draw, percentile, runMembership } from "../../src/testing/membership.ts";
import { measureDetection, measureLeaving } from "../../src/testing/membership_detection.ts";
import { measureForgery, measureLiar } from "../../src/testing/membership_forgery.ts";
import { simulateGroup } from "../../src/testing/membership_group.ts";
import {
  measureBlocked,
  measurePartition,
  measureRestart,
} from "../../src/testing/membership_outages.ts";
import { measurePauses } from "../../src/testing/membership_pauses.ts";
import { measureTraffic } from "../../src/testing/membership_traffic.ts";
import { ScenarioError } from "../../src/testing/mod.ts";

// A small part of what `npm run sim` runs: 30 members, and minutes of simulated time.
const nodes = 30;

Deno.test("a member that is killed is dead everywhere within 12 s, and nobody else is", () => {
  for (const seed of [1, 2]) {
    const { figures } = measureDetection({ seed, nodes, kills: 2 });
    const { everywhereMs, anywhereMs, falseDeaths } = figures;
    assertEquals([everywhereMs.length, anywhereMs.length], [2, 29 + 28]);
    assert(Math.max(...everywhereMs) <= 12_000, `seed ${seed}: ${everywhereMs} ms`);
    assert(Math.min(...anywhereMs) > 2_000, "too soon to have been suspected for a while");
    assertEquals(falseDeaths, 0);
  }
});

Deno.test("members that leave are gone everywhere within 3 s, and never suspected", () => {
  const { figures } = measureLeaving({ seed: 1, nodes });
  assertEquals([figures.everywhereMs.length, figures.mistaken], [3, 0]);
  assert(Math.max(...figures.everywhereMs) <= 3_000, `${figures.everywhereMs} ms`);
});

Deno.test("members that are paused 2 s are suspected, refute it, and nobody dies", () => {
  const { figures } = measurePauses({ seed: 1, nodes, seconds: 180 });
  assertEquals([figures.falseDeaths, figures.falseSuspicions, figures.pauses], [0, 0, 10]);
  assert(figures.suspicions > 0 && figures.refutations >= figures.suspicions);
});

Deno.test("members with too much to do suspect others wrongly, but not with Lifeguard", () => {
  const options = { seed: 1, nodes, seconds: 90, inARow: 14, loss: 0.05 };
  const off = measurePauses({ ...options, lifeguard: false }).figures;
  assert(off.falseSuspicions > 0, "plain SWIM gives nothing to compare with");
  assertEquals(measurePauses(options).figures.falseSuspicions, 0);
});

Deno.test("a divided group is one again within 30 s", () => {
  const { figures } = measurePartition({ seed: 1, nodes, seconds: 120 });
  assert(figures.dividedMs > 0 && figures.dividedMs <= 120_000, `${figures.dividedMs} ms`);
  assert(figures.healedMs <= 30_000, `${figures.healedMs} ms`);
});

Deno.test("half of a group that is restarted leaves no ghosts, with old keys and with new ones", () => {
  for (const newIdentities of [false, true]) {
    const { wholeMs } = measureRestart({ seed: 1, nodes, newIdentities }).figures;
    assert(wholeMs > 0 && wholeMs <= 120_000, `${wholeMs} ms`);
  }
});

Deno.test("a group comes together without UDP, says so, and says when it is back", () => {
  const { figures } = measureBlocked({ seed: 1, nodes, fromStart: true });
  assert(figures.degradedMs <= 30_000 && figures.restoredMs <= 30_000, JSON.stringify(figures));
  assert(figures.wholeMs <= 110_000, `${figures.wholeMs} ms`);
});

Deno.test("claims that nobody has signed change nothing", () => {
  const { figures } = measureForgery({ seed: 1, nodes: 10 });
  assertEquals([figures.changes, figures.refutations], [0, 0]);
  assert(figures.refused > 1_000, `${figures.refused} were refused`);
});

Deno.test("a member that accuses all others kills nobody, and all others name it", () => {
  const { deaths, namedBy, suspicions, unproven, muted, traffic } =
    measureLiar({ seed: 1, nodes: 20 }).figures;
  assertEquals([deaths, namedBy], [0, 19]);
  assert(suspicions > 0 && unproven > 0 && muted > 0);
  assert(traffic < 60, `${traffic} times the traffic of a calm`);
});

Deno.test("a member of a larger group sends as much as one of a small group", () => {
  const [small, large] = [25, 100].map((nodes) => {
    return measureTraffic({ seed: 1, nodes, seconds: 30 }).figures.bytesPerSecond;
  });
  assert(small !== undefined && large !== undefined && small > 50);
  assert(large / small <= 1.5, `${large} bytes to ${small}`);
});

Deno.test("a scenario has the same hash for the same seed, and another one for another", () => {
  const runs = [1, 1, 2].map((seed) => measureRestart({ seed, nodes: 10 }));
  assertEquals(runs[0], runs[1]);
  assert(runs[0]?.hash !== runs[2]?.hash);
});

Deno.test("a scenario that fails names its seed and the faults that it takes", () => {
  const failing = () => {
    runMembership({ seed: 3, nodes: 4 }, {
      faults: (names) => names.map((node) => ({ atMs: 10, kind: "kill", node })),
      measure: ({ simulation }) => {
        simulation.run(100);
        if (!simulation.running.includes("n2")) throw new Error("n2 is gone");
      },
    });
  };
  const { message } = assertThrows(failing, ScenarioError);
  assertStringIncludes(message, "seed 3 and 1 of 4 faults");
  assertStringIncludes(message, '{"atMs":10,"kind":"kill","node":"n2"}');
});

Deno.test("simulateGroup yields every second, and does not say when what has not happened", () => {
  const simulated = simulateGroup({ seed: 1, nodes: 5, seconds: 2 });
  assertEquals([simulated.next().value, simulated.next().value], [1_000, 2_000]);
  const { done, value } = simulated.next();
  assert(done && typeof value === "object");
  assertEquals([value.deadAtHalfMs, value.deadEverywhereMs, value.falseDeaths], [
    undefined,
    undefined,
    0,
  ]);
});

Deno.test("draw takes each name once, and percentile the smallest value that is enough", () => {
  const names = draw(["a", "b", "c"], 5, seededRandom(1));
  assertEquals(names.toSorted(), ["a", "b", "c"]);
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  assertEquals([50, 99, 100, 0].map((percent) => percentile(values, percent)), [100, 198, 200, 1]);
  assertEquals(percentile([], 50), NaN);
});
