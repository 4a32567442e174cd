import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import {
  explore,
  type Fault,
  replay,
  ScenarioError,
  type Schedule,
  type Simulation,
} from "../../src/testing/mod.ts";
import { spawnFlooders, spawnRecorder } from "./toys.ts";

/** Kills, pauses and restarts of five nodes at random. */
function randomFaults(seed: number, count = 16): Fault[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index): Fault => {
    const [atMs, node] = [100 * index, `n${1 + Math.floor(random() * 4)}`];
    const chance = random();
    if (chance < 0.3) return { atMs, kind: "kill", node };
    return chance < 0.6 ? { atMs, kind: "restart", node } : { atMs, kind: "pause", node, ms: 50 };
  });
}

/** Fails whenever `n3` is dead in the end. */
function everybodyLearns(simulation: Simulation): void {
  const flooders = spawnFlooders(simulation, 5);
  simulation.run(2000);
  flooders[0]?.raise(5);
  simulation.run(1000);
  if (!simulation.running.includes("n3")) throw new Error(`n3 is dead at ${simulation.nowMs} ms`);
}

function failureOf(run: () => unknown): ScenarioError {
  return assertThrows(run, ScenarioError);
}

Deno.test("explore runs every seed and returns its fingerprint and its figures", () => {
  const options = {
    seeds: [1, 2, 3],
    schedule: () => [{ atMs: 10, kind: "kill", node: "n1" }] as const,
    scenario: everybodyLearns,
    simulation: { link: { delayMs: 5 } },
  };
  const runs = explore(options);
  assertEquals(runs.map(({ seed }) => seed), [1, 2, 3]);
  assertEquals(new Set(runs.map(({ hash }) => hash)).size, 3);
  assert(runs.every(({ totals }) => totals.packetsOut > 0));
  assertEquals(explore(options), runs);
});

Deno.test("explore shortens the schedule of a failing run to what is needed, for replay", () => {
  const failing = Array.from({ length: 40 }, (_, seed) => seed).filter((seed) => {
    const last = randomFaults(seed).findLast((fault) =>
      "node" in fault && fault.node === "n3" && fault.kind !== "pause"
    );
    return last?.kind === "kill";
  });
  assert(failing.length > 5);
  for (const seed of failing) {
    const options = { seeds: [seed], schedule: randomFaults, scenario: everybodyLearns };
    const error = failureOf(() => explore(options));
    assertEquals(error.schedule.faults.length, 1);
    assertEquals(error.schedule.faults[0]?.kind, "kill");
    assertStringIncludes(error.message, `seed ${seed} and 1 of 16 faults`);
    assertStringIncludes(error.message, "n3 is dead at 3000 ms");
    const json = error.message.split("To replay: ")[1] ?? "";
    const schedule: Schedule = JSON.parse(json);
    const again = failureOf(() => replay(schedule, { scenario: everybodyLearns }));
    assertEquals(again.schedule, error.schedule);
    assertInstanceOf(again.cause, Error);
    assertEquals(again.cause.message, "n3 is dead at 3000 ms");
  }
});

Deno.test("explore finds a pair of faults that only fail together", () => {
  const faults: Fault[] = Array.from(
    { length: 20 },
    (_, index) => ({ atMs: 100 * index, kind: "pause", node: `n${index}`, ms: 10 }),
  );
  const scenario = (simulation: Simulation, given: readonly Fault[]) => {
    for (let index = 0; index < 20; index++) spawnRecorder(simulation, `n${index}`);
    const nodes = given.map((fault) => "node" in fault ? fault.node : "");
    if (nodes.includes("n4") && nodes.includes("n17")) throw new Error("n4 and n17 together");
  };
  const options = { seeds: [1], schedule: () => faults, scenario };
  const found = failureOf(() => explore(options)).schedule.faults;
  assertEquals(found, faults.filter((_, index) => index === 4 || index === 17));
});

Deno.test("explore does not take another failure for the one it looks for", () => {
  const faults: Fault[] = [1, 2, 3].map((atMs) => ({ atMs, kind: "heal" }));
  const scenario = (_: Simulation, given: readonly Fault[]) => {
    if (given.length === 3) throw new Error("all three");
    if (given.length > 0) throw new Error("some");
  };
  const error = failureOf(() => explore({ seeds: [1], schedule: () => faults, scenario }));
  assertEquals(error.schedule.faults, faults);
  assertStringIncludes(error.message, "all three");
});

Deno.test("explore stops shortening when its reruns are used up", () => {
  let runs = 0;
  const scenario = (simulation: Simulation) => {
    runs++;
    everybodyLearns(simulation);
  };
  const kill: Fault = { atMs: 1900, kind: "kill", node: "n3" };
  const schedule = () => [...randomFaults(1, 12), kill];
  const error = failureOf(() => explore({ seeds: [1], schedule, scenario, maxReruns: 3 }));
  assertEquals([runs, error.schedule.faults.length], [4, 7]); // the first 6 went
  runs = 0;
  const whole = failureOf(() => explore({ seeds: [1], schedule, scenario, maxReruns: 0 }));
  assertEquals([runs, whole.schedule.faults.length], [1, 13]);
});

Deno.test("explore says so when a failing run does not fail again", () => {
  let runs = 0;
  const scenario = () => {
    if (runs++ === 0) throw new Error("once");
  };
  const error = failureOf(() => explore({ seeds: [6], scenario }));
  assertStringIncludes(error.message, "seed 6, but not when it is run again");
});

Deno.test("explore names the node of what a node throws, and refuses what it cannot run", () => {
  const throwing = (simulation: Simulation) => {
    spawnRecorder(simulation, "a").host.clock.after(3, () => {
      throw new RangeError("Counter ran over");
    });
    simulation.run(10);
  };
  const error = failureOf(() => explore({ seeds: [2], scenario: throwing }));
  assertStringIncludes(error.message, "Counter ran over (node a at 3 ms, seed 2)");
  const slow = async (simulation: Simulation) => await simulation.runAsync(1);
  assertStringIncludes(failureOf(() => explore({ seeds: [1], scenario: slow })).message, "asynch");
  const strange = JSON.parse('{"seed":1,"faults":[{"atMs":1,"kind":"flood"}]}');
  const run = (simulation: Simulation) => simulation.run(5);
  assertStringIncludes(failureOf(() => replay(strange, { scenario: run })).message, "flood");
});

Deno.test("faults do to a simulation what its methods do", () => {
  const scenario = (simulation: Simulation) => {
    const [a, b] = [spawnRecorder(simulation, "a"), spawnRecorder(simulation, "b")];
    const got: number[] = [];
    for (let atMs = 0; atMs < 80; atMs += 10) {
      simulation.run(atMs + 5 - simulation.nowMs);
      a.host.send(Uint8Array.of(atMs), b.host.address);
    }
    simulation.run(20);
    got.push(...b.got.map(({ byte }) => byte));
    assertEquals(got, [0, 20, 40, 60]);
    assertEquals(simulation.running, ["a"]);
  };
  replay({
    seed: 1,
    faults: [
      { atMs: 10, kind: "partition", groups: [["a"]] },
      { atMs: 20, kind: "heal" },
      { atMs: 30, kind: "block", blocked: true },
      { atMs: 40, kind: "block", blocked: false, nodes: ["a", "b"] },
      { atMs: 50, kind: "link", link: { loss: 1 }, between: ["a", "b"], oneWay: true },
      { atMs: 60, kind: "link", link: { loss: 0 }, between: ["a", "b"] },
      { atMs: 70, kind: "stop", node: "b" },
    ],
  }, { scenario });
});
