import { assert, assertEquals, assertRejects } from "@std/assert";
import { measureFlood } from "../../src/testing/dht_floods.ts";
import { lineThrough, measureGrowth } from "../../src/testing/dht_growth.ts";
import { measureHolders } from "../../src/testing/dht_holders.ts";
import { getValues, measureLookups, putValues } from "../../src/testing/dht_lookups.ts";
import { killSome, runDht } from "../../src/testing/dht_scenario.ts";
import { mean } from "../../src/testing/gossip_scenario.ts";
import { ScenarioError } from "../../src/testing/mod.ts";

// A small part of what `npm run sim` runs: mostly fewer nodes, and one seed.

Deno.test("values of a DHT of 1000 are found in few rounds, also when a fifth is killed at once", async () => {
  const { figures: { whole, left, nearestHops } } = await runDht({ seed: 1, nodes: 1_000 }, {
    measure: async (stage) => {
      const values = await putValues(stage, 300);
      const nearestHops = mean(values.map(({ hops }) => hops));
      const whole = await getValues(stage, values.slice(0, 150));
      killSome(stage, 0.2);
      return { whole, left: await getValues(stage, values.slice(150)), nearestHops };
    },
  });
  assertEquals([whole.hops.length, whole.success], [150, 1]);
  assert(whole.medianHops <= 3 && whole.p99Hops <= 6, `p99 ${whole.p99Hops} rounds`);
  assert(whole.meanHops > 1 && whole.medianMs >= 80, "nobody was asked for anything");
  assert(left.success >= 0.99, `${left.success} with a fifth dead`);
  assert(left.p99Ms > whole.p99Ms, "nobody was dead");
  // Ten times the nodes are 3.3 doublings.
  const { figures: small } = await measureLookups({ seed: 1, nodes: 100, values: 200 });
  const perDoubling = (nearestHops - small.meanPutHops) / Math.log2(10);
  assert(perDoubling > 0 && perDoubling <= 0.5, `${perDoubling} rounds for each doubling`);
  assert(whole.meanHops - small.meanHops <= 1, `${small.meanHops} and ${whole.meanHops} rounds`);
});

Deno.test("values of a DHT are found though a fifth of its nodes names its accomplices", async () => {
  const hostile = { seed: 1, nodes: 150, values: 200, malicious: 0.2 };
  const { figures } = await measureLookups({ ...hostile, paths: 4 });
  assert(figures.success >= 0.95, `${figures.success} were found`);
  assert(figures.holders < 18, "hostile nodes gave what they were given");
});

Deno.test("values are found by disjoint paths where inventions stop a single one", async () => {
  const hostile = {
    seed: 1,
    nodes: 60,
    values: 60,
    malicious: 0.2,
    hostility: "inventions",
  } as const;
  const [one, four] = [
    await measureLookups({ ...hostile, paths: 1 }),
    await measureLookups({ ...hostile, paths: 4 }),
  ].map(({ figures }) => figures);
  assert(four !== undefined && four.success >= 0.95, `${four?.success} were found`);
  assert(one !== undefined && one.asked > 1.5 * four.asked, "nobody was sent astray");
});

Deno.test("values of a DHT are found where packets get lost", async () => {
  const { figures } = await measureLookups({ seed: 1, nodes: 50, values: 100, loss: 0.1 });
  assert(figures.success >= 0.99, `${figures.success} were found`);
  assert(Math.max(figures.p99Ms, figures.asked) > 3 && figures.holders < 20, "nothing was lost");
});

Deno.test("the way to the nearest node grows by little while a DHT grows by much", async () => {
  const { figures } = await measureGrowth({ seed: 1, values: 50, sizes: [30, 60, 120] });
  const { nearestHops: [few = 0, , many = 0], hopsPerDoubling, success } = figures;
  assertEquals(success, 1);
  assert(few >= 1 && many > few && many < 2, `${few} and ${many} hops`);
  assert(hopsPerDoubling > 0 && hopsPerDoubling <= 0.5, `${hopsPerDoubling} for each doubling`);
});

Deno.test("lineThrough finds the line, and how much it explains", () => {
  assertEquals(lineThrough([[1, 3], [2, 5], [3, 7]]), { start: 1, slope: 2, fit: 1 });
  assertEquals(lineThrough([[0, 4], [1, 4]]), { start: 4, slope: 0, fit: 1 });
  const { slope, fit } = lineThrough([[0, 0], [1, 1], [2, 0]]);
  assertEquals([slope, fit], [0, 0]);
});

Deno.test("values outlive the half of their holders that leaves between two publications", async () => {
  const { figures } = await measureHolders({ seed: 1, nodes: 60, values: 1, periods: 2 });
  const { lost, fewest, kept, left } = figures;
  assertEquals(lost, 0);
  assert(left >= 15 && Math.min(...fewest) <= 12, `${left} left, ${fewest} still kept it`);
  assert(Math.min(...kept) >= 12, `${kept} of the 20 nearest kept it again`);
});

Deno.test("a flood of values fills no store and evicts none of the others'", async () => {
  const { figures } = await measureFlood({ seed: 1, nodes: 25, values: 40, each: 160 });
  const { refused, evicted, fullest, fullestBytes, lost, success } = figures;
  assert(refused > 0 && evicted > 0 && fullestBytes > 0.95, "it was no flood");
  assert(fullest <= 1 && fullestBytes <= 1, `${fullest}, ${fullestBytes} of what may be`);
  assertEquals([lost, success], [0, 1]);
});

Deno.test("a scenario of the DHT has the same hash for the same seed, and another one for another", async () => {
  const options = { nodes: 30, values: 20, loss: 0.05 };
  const runs = [];
  for (const seed of [1, 1, 2]) runs.push(await measureLookups({ seed, ...options }));
  assertEquals(runs[0], runs[1]);
  assert(runs[0]?.hash !== runs[2]?.hash);
});

Deno.test("runDht names the seed of what fails", async () => {
  const failing = runDht({ seed: 42, nodes: 2 }, {
    measure: () => Promise.reject(new Error("nothing works")),
  });
  const error = await assertRejects(() => failing, ScenarioError, "seed 42");
  assertEquals(error.schedule.seed, 42);
});
