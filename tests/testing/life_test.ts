import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import type { Clock } from "../../src/clock.ts";
import { Simulation, type SpawnOptions } from "../../src/testing/mod.ts";
import { assertNear, Recorder, spawnRecorder } from "./toys.ts";

function clockOf(simulation: Simulation, name: string, options: SpawnOptions = {}): Clock {
  return simulation.spawn(name, (host) => new Recorder(host), options).host.clock;
}

Deno.test("SimHost.clock begins at 0 in every life, its wall clock is off by skew and drift", () => {
  using simulation = new Simulation({ seed: 1 });
  const right = clockOf(simulation, "right");
  simulation.run(500_000);
  const wrong = clockOf(simulation, "wrong", { skewMs: -3000, drift: 0.01 });
  assertEquals([right.now(), wrong.now()], [500_000, 0]);
  simulation.run(500_000);
  assertEquals(right.now(), 1_000_000);
  assertNear(wrong.now(), 505_000, 1e-6);
  assertNear(wrong.wallMs() - right.wallMs(), 10_000 - 3000, 1e-3);
});

Deno.test("SimHost.clock.after goes by the node's own clock, and is never early", () => {
  using simulation = new Simulation({ seed: 1 });
  for (const drift of [0, 0.1, -0.1, 1e-4, -3e-5]) {
    simulation.run(0.7);
    const clock = clockOf(simulation, `drift ${drift}`, { drift });
    const random = clockOf(simulation, `random ${drift}`).random;
    let fired = 0;
    const next = () => {
      const delayMs = Math.ceil(random() * 30) * 1.1 / 10; // often a whole number of ticks
      const deadlineMs = clock.now() + delayMs;
      clock.after(delayMs, () => {
        fired++;
        assert(clock.now() >= deadlineMs, `${clock.now()} is before ${deadlineMs}`);
        assert(clock.now() - deadlineMs < 0.003, `${clock.now()} is long after ${deadlineMs}`);
        next();
      });
    };
    next();
    simulation.run(1000);
    assertNear(fired, 587 * (1 + drift), 60);
  }
});

Deno.test("SimHost.clock.after waits for a pause of nothing, forever, and not for what was taken back", () => {
  using simulation = new Simulation({ seed: 1 });
  const clock = clockOf(simulation, "a", { drift: 0.001 });
  const fired: string[] = [];
  clock.after(0, () => fired.push("at once"));
  clock.after(-5, () => fired.push("late already"));
  clock.after(Infinity, () => fired.push("never")).cancel();
  clock.after(Number.MAX_VALUE, () => fired.push("not in our time"));
  const taken = clock.after(3, () => fired.push("taken back"));
  assertEquals(fired, []);
  const seen = clock.after(1, () => fired.push("after 1"));
  simulation.run(2);
  taken.cancel();
  taken.cancel();
  seen.cancel();
  simulation.run(10);
  assertEquals(fired, ["at once", "late already", "after 1"]);
  assertThrows(() => clock.after(NaN, () => {}), RangeError, "NaN");
});

Deno.test("SimHost.clock.random differs between nodes, and not by who else is there", () => {
  const draw = (names: string[]) => {
    using simulation = new Simulation({ seed: 9 });
    return names.map((name) => spawnRecorder(simulation, name).host.clock.random());
  };
  const [a, b] = draw(["a", "b"]);
  assertNotEquals(a, b);
  assertEquals(draw(["x", "b", "a"]).slice(1), [b, a]);
});
