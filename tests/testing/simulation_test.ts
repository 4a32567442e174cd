import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { LimitError } from "../../src/errors.ts";
import { type SimHost, type SimNode, Simulation, SimulationError } from "../../src/testing/mod.ts";
import { Recorder, spawnFlooders, spawnRecorder } from "./toys.ts";

const DEAF: SimNode = { receive: () => {} };

/** A run in which everything happens that is drawn. */
function stormyRun(seed: number): { hash: string; events: number } {
  const link = { delayMs: [1, 9], loss: 0.1, duplication: 0.1, reordering: 0.1 } as const;
  using simulation = new Simulation({ seed, link });
  const flooders = spawnFlooders(simulation, 10);
  simulation.schedule([
    { atMs: 500, kind: "kill", node: "n1" },
    { atMs: 700, kind: "partition", groups: [["n2", "n3"], ["n4"]] },
    { atMs: 900, kind: "pause", node: "n5", ms: 400 },
    { atMs: 1500, kind: "heal" },
    { atMs: 1600, kind: "restart", node: "n1" },
  ]);
  flooders[0]?.raise(1);
  simulation.run(800);
  flooders[0]?.raise(2);
  simulation.run(3000);
  return { hash: simulation.hash, events: simulation.totals.events };
}

Deno.test("Simulation gives the same run for the same seed, another for another", () => {
  const first = stormyRun(7);
  assert(first.events > 200);
  assertEquals(stormyRun(7), first);
  assertNotEquals(stormyRun(8).hash, first.hash);
  assertNotEquals(stormyRun(7 + 2 ** 32).hash, first.hash);
});

Deno.test("Simulation.hash tells one bit of one packet", () => {
  const hashes = [0, 1].map((bit) => {
    using simulation = new Simulation({ seed: 1 });
    const [a, b] = [spawnRecorder(simulation, "a"), spawnRecorder(simulation, "b")];
    a.host.send(Uint8Array.of(8, 8, 8, 8, bit), b.host.address);
    simulation.run(10);
    return simulation.hash;
  });
  assertNotEquals(hashes[0], hashes[1]);
});

Deno.test("Simulation.run takes slices of any size without changing what happens", () => {
  const runs = [[1000], [0.3, 999.7], Array.from({ length: 100 }, () => 10)].map((slices) => {
    using simulation = new Simulation({ seed: 3, link: { delayMs: [1, 20], loss: 0.2 } });
    spawnFlooders(simulation, 5)[0]?.raise(1);
    for (const ms of slices) simulation.run(ms);
    return [simulation.hash, simulation.nowMs];
  });
  assertEquals(runs[0]?.[1], 1000);
  assertEquals(runs[2], runs[0]);
  assertEquals(runs[1]?.[0], runs[0]?.[0]);
});

Deno.test("Simulation.runUntil stops when the predicate holds, or at its limit", () => {
  using simulation = new Simulation({ seed: 1 });
  const flooders = spawnFlooders(simulation, 4);
  simulation.run(10);
  flooders[0]?.raise(9);
  assert(simulation.runUntil(() => flooders.every(({ value }) => value === 9), 1000, 5));
  assertEquals(simulation.nowMs, 15);
  assert(!simulation.runUntil(() => false, 250));
  assertEquals(simulation.nowMs, 265);
});

Deno.test("Simulation.kill drops timers and packets, and nothing is sent any more", () => {
  using simulation = new Simulation({ seed: 1 });
  const other = spawnRecorder(simulation, "other");
  const fired: number[] = [];
  let closed = false;
  const victim = simulation.spawn("victim", (host) => {
    host.clock.after(5, () => fired.push(5));
    host.clock.after(20, () => fired.push(20));
    return {
      host,
      receive: () => fired.push(-1),
      close: () => void (closed = true),
    };
  });
  simulation.run(10);
  other.host.send(Uint8Array.of(1), victim.host.address);
  simulation.kill("victim");
  victim.host.send(Uint8Array.of(2), other.host.address);
  victim.host.clock.after(1, () => fired.push(1));
  victim.host.ask(Uint8Array.of(3), other.host.address, { timeoutMs: 5 }, () => fired.push(3));
  simulation.run(100);
  assertEquals([fired, other.got, closed], [[5], [], false]);
  assertEquals(simulation.stats("other").packetsLost, 1);
  assertEquals(simulation.running, ["other"]);
  simulation.kill("victim");
});

Deno.test("Simulation.stop lets a node say a last word", () => {
  using simulation = new Simulation({ seed: 1 });
  const other = spawnRecorder(simulation, "other");
  simulation.spawn("leaver", (host) => ({
    receive: () => {},
    close: () => host.send(Uint8Array.of(99), other.host.address),
  }));
  simulation.stop("leaver");
  simulation.run(10);
  assertEquals(other.got.map(({ byte }) => byte), [99]);
  assertEquals(simulation.running, ["other"]);
});

Deno.test("Simulation.restart makes a new life with a new clock and other random numbers", () => {
  using simulation = new Simulation({ seed: 1 });
  const lives: SimHost[] = [];
  const draws: number[] = [];
  const fired: string[] = [];
  simulation.spawn("phoenix", (host) => {
    lives.push(host);
    draws.push(host.clock.random());
    host.clock.after(50, () => fired.push(`life ${host.life}`));
    return new Recorder(host);
  });
  simulation.run(30);
  simulation.kill("phoenix");
  simulation.run(5);
  simulation.restart("phoenix");
  assertEquals(lives.map(({ life, clock }) => [life, clock.now()]), [[1, 35], [2, 0]]);
  assertEquals(lives[0]?.address, lives[1]?.address);
  assertNotEquals(draws[0], draws[1]);
  simulation.run(100);
  assertEquals(fired, ["life 2"]);
  simulation.restart("phoenix"); // while it runs
  assertEquals([lives.length, simulation.running], [3, ["phoenix"]]);
});

Deno.test("Simulation.pause holds everything back: due timers first, then packets, in order", () => {
  using simulation = new Simulation({ seed: 1 });
  const happened: string[] = [];
  const sleeper = simulation.spawn("sleeper", (host) => {
    const note = (what: string) => happened.push(`${what} at ${host.clock.now()}`);
    host.clock.after(45, () => note("timer 45"));
    host.clock.after(30, () => {
      note("timer 30");
      taken.cancel();
      host.clock.after(0, () => note("timer set by a timer"));
    });
    const taken = host.clock.after(46, () => note("timer that was taken back"));
    host.clock.after(200, () => note("timer 200"));
    return { host, receive: (packet: Uint8Array) => note(`packet ${packet[0]}`) };
  });
  const other = spawnRecorder(simulation, "other");
  simulation.run(10);
  simulation.pause("sleeper", 90);
  simulation.pause("sleeper", 20); // ends within the longer one
  for (const byte of [1, 2]) other.host.send(Uint8Array.of(byte), sleeper.host.address);
  simulation.run(85);
  assertEquals(happened, []);
  simulation.run(200);
  const expected = ["timer 30", "timer 45", "packet 1", "packet 2", "timer set by a timer"];
  assertEquals(happened, [...expected.map((what) => `${what} at 100`), "timer 200 at 200"]);
});

Deno.test("Simulation.pause keeps no more packets than the inbox holds", () => {
  using simulation = new Simulation({ seed: 1, inboxBytes: 25 });
  const [a, b] = [spawnRecorder(simulation, "a"), spawnRecorder(simulation, "b")];
  simulation.pause("b", 50);
  for (let byte = 0; byte < 4; byte++) {
    a.host.send(new Uint8Array(10).fill(byte), b.host.address);
  }
  simulation.run(100);
  assertEquals(b.got.map(({ byte }) => byte), [0, 1]);
  assertEquals(simulation.stats("a").packetsLost, 2);
  simulation.pause("b", 50);
  a.host.send(Uint8Array.of(7), b.host.address);
  simulation.run(20);
  simulation.restart("b"); // a new life is not paused, and has none of the old one's packets
  simulation.run(100);
  assertEquals([b.got.length, simulation.stats("a").packetsLost], [2, 3]);
});

Deno.test("Simulation wraps what a node throws with the seed, the node and the time", () => {
  using simulation = new Simulation({ seed: 4711 });
  const cause = new RangeError("Counter ran over");
  simulation.spawn("bad", (host) => {
    host.clock.after(12.5, () => {
      throw cause;
    });
    return DEAF;
  });
  const error = assertThrows(
    () => simulation.run(100),
    SimulationError,
    "Counter ran over (node bad at 12.5 ms, seed 4711)",
  );
  assertEquals([error.cause, error.node, error.seed], [cause, "bad", 4711]);
  simulation.run(100);
});

Deno.test("Simulation says so when time stands still", () => {
  using simulation = new Simulation({ seed: 1 });
  simulation.spawn("spinner", (host) => {
    const spin = () => void host.clock.after(0, spin);
    spin();
    return DEAF;
  });
  const error = assertThrows(() => simulation.run(1), SimulationError, "node spinner at 0 ms");
  assertInstanceOf(error.cause, LimitError);
});

Deno.test("Simulation.runAsync lets promises run before the next event", async () => {
  using simulation = new Simulation({ seed: 1 });
  const happened: string[] = [];
  const node = spawnRecorder(simulation, "a");
  const { clock } = node.host;
  const afterMs = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
  const task = (async () => {
    for (let turn = 0; turn < 3; turn++) {
      await afterMs(5);
      await Promise.resolve();
      happened.push(`promise ${clock.now()}`);
    }
  })();
  clock.after(10, () => happened.push("timer 10"));
  clock.after(12, () => happened.push("timer 12"));
  await simulation.runAsync(20);
  await task;
  assertEquals(happened, ["promise 5", "timer 10", "promise 10", "timer 12", "promise 15"]);
  assertEquals(simulation.nowMs, 20);
  await assertRejects(() => simulation.runAsync(-1), RangeError, "it is -1");
});

Deno.test("Simulation.close closes every node once, and nothing is sent any more", () => {
  const simulation = new Simulation({ seed: 1 });
  const closed: string[] = [];
  for (const name of ["a", "b", "dead"]) {
    simulation.spawn(name, (host) => ({
      receive: () => {},
      close() {
        closed.push(name);
        host.send(Uint8Array.of(1), host.address);
      },
    }));
  }
  simulation.kill("dead");
  simulation.close();
  simulation.close();
  assertEquals([closed.toSorted(), simulation.totals.packetsOut], [["a", "b"], 0]);
  assertThrows(() => simulation.spawn("late", () => DEAF), TypeError, "closed");
});

Deno.test("Simulation refuses what makes no sense", () => {
  using simulation = new Simulation({ seed: 1 });
  const node = spawnRecorder(simulation, "a");
  node.host.clock.after(1, () => simulation.run(1));
  assertThrows(() => simulation.run(2), SimulationError, "from inside");
  assertThrows(() => simulation.spawn("a", () => DEAF), RangeError, "spawned already");
  assertThrows(() => simulation.kill("x"), RangeError, "Node x was not spawned");
  assertThrows(() => simulation.spawn("b", () => DEAF, { drift: -1 }), RangeError, "drift");
  assertThrows(() => simulation.spawn("b", () => DEAF, { skewMs: NaN }), RangeError, "Skew");
  assertThrows(() => simulation.run(NaN), RangeError, "Time to run");
  assertThrows(() => simulation.pause("a", -1), RangeError, "Pause");
  assertThrows(() => simulation.partition([["a"], ["a"]]), RangeError, "two groups");
  assertThrows(() => simulation.setLink({ loss: 2 }), RangeError, "Link loss must be 0..1");
  assertThrows(() => simulation.setLink({ delayMs: [5, 1] }), RangeError, "Link times");
  assertThrows(() => simulation.setLink({ delayMs: Infinity }), RangeError, "Link times");
  assertThrows(() => new Simulation({ seed: 1, uplinkBytesPerSecond: 0 }), RangeError, "Uplink");
  const failing = () =>
    simulation.spawn("c", () => {
      throw new TypeError("No such option");
    });
  assertThrows(failing, TypeError, "No such option");
  assertEquals(simulation.running, ["a"]);
});
