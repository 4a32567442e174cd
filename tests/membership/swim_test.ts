import { assert, assertEquals } from "@std/assert";
import type { MemberEvent } from "../../src/membership/member.ts";
import { incarnationAt } from "../../src/membership/swim.ts";
import { Simulation } from "../../src/testing/mod.ts";
import type { SwimNode } from "../../src/testing/swim_node.ts";
import { FIRST, Glass, spawnGroup } from "./fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"];

/** What one believes of another. */
function stateOf(by: SwimNode, of: SwimNode | undefined): string | undefined {
  return by.swim.members().find(({ peerId }) => peerId === of?.peerId)?.state;
}

/** Whether each of them sees just so many. */
function allSee(nodes: readonly SwimNode[], present: number): boolean {
  return nodes.every(({ swim }) => swim.present === present);
}

class Scene implements Disposable {
  readonly simulation: Simulation;
  readonly events: (MemberEvent & { readonly by: string; readonly atMs: number })[] = [];
  readonly nodes: SwimNode[];

  constructor(seed: number, loss = 0.01) {
    this.simulation = new Simulation({ seed, link: { delayMs: [1, 20], loss } });
    this.nodes = spawnGroup(this.simulation, NAMES, (event, { name }) => {
      this.events.push({ ...event, by: name, atMs: this.simulation.nowMs });
    });
    assert(this.simulation.runUntil(() => allSee(this.nodes, NAMES.length), 60_000), "not joined");
  }

  [Symbol.dispose](): void {
    this.simulation.close();
  }
}

Deno.test("members that join one of them all see each other, and go on doing so", () => {
  using scene = new Scene(1);
  scene.simulation.run(60_000);
  assert(allSee(scene.nodes, NAMES.length));
  assertEquals(scene.events.filter(({ type }) => type !== "joined"), []);
});

Deno.test("a member that is killed is suspected, and then dead everywhere", () => {
  using scene = new Scene(2);
  const [killed, ...others] = scene.nodes;
  scene.simulation.kill("a");
  const isDead = () => others.every((node) => stateOf(node, killed) === "dead");
  assert(scene.simulation.runUntil(isDead, 12_000), "not dead");
  assertEquals(scene.events.filter(({ type }) => type === "dead").length, others.length);
});

Deno.test("a member that says goodbye is gone at once, and nobody takes it for dead", () => {
  using scene = new Scene(3);
  const [left, ...others] = scene.nodes;
  scene.simulation.stop("a");
  assert(
    scene.simulation.runUntil(() => others.every((node) => stateOf(node, left) === "gone"), 3_000),
  );
  scene.simulation.run(30_000);
  assertEquals(scene.events.filter(({ type }) => type === "dead" || type === "suspect"), []);
});

Deno.test("a member that is back in a new life is alive, whatever was said of the one before", () => {
  using scene = new Scene(4);
  const [back, ...others] = scene.nodes;
  const { simulation } = scene;
  simulation.kill("a");
  simulation.run(15_000);
  const again = simulation.restart("a") as SwimNode;
  again.swim.join({ hostname: "10.0.0.2", port: 3_486 });
  assert(simulation.runUntil(() => allSee([again, ...others], NAMES.length), 10_000), "not back");
  simulation.run(20_000);
  assert(others.every((node) => stateOf(node, back) === "alive"));
});

Deno.test("two halves that were apart become one membership within half a minute", () => {
  using scene = new Scene(5);
  const { simulation, nodes } = scene;
  simulation.partition([NAMES.slice(0, 4)]);
  simulation.run(60_000);
  assert(allSee(nodes, 4));
  simulation.heal();
  assert(simulation.runUntil(() => allSee(nodes, NAMES.length), 30_000), "still apart");
});

Deno.test("members find each other and keep in touch where packets are blocked, and say so", () => {
  using scene = new Scene(6);
  const { simulation, nodes, events } = scene;
  simulation.blockDatagrams(true);
  simulation.run(60_000);
  assert(allSee(nodes, NAMES.length));
  assert(nodes.every(({ swim }) => swim.degraded));
  assertEquals(events.filter(({ type }) => type === "dead"), []);
  simulation.blockDatagrams(false);
  simulation.run(20_000);
  assert(nodes.every(({ swim }) => !swim.degraded));
});

Deno.test("the same seed gives the same group, event for event", () => {
  const hashes = [7, 7, 8].map((seed) => {
    using scene = new Scene(seed);
    scene.simulation.run(5_000);
    return scene.simulation.hash;
  });
  assertEquals([hashes[0] === hashes[1], hashes[0] === hashes[2]], [true, false]);
});

Deno.test("no packet is longer than what every path takes, however much there is to tell", async () => {
  const glass = new Glass();
  const others = await glass.join(...Array.from({ length: 60 }, (_, at) => `n${at}`));
  glass.swim.start();
  const tags = Object.fromEntries(["a", "b", "c"].map((key) => [key, "v".repeat(24)]));
  for (const other of others) glass.news(other, other.alive({ incarnation: FIRST + 1, tags }));
  await glass.time.advance(20_000);
  glass.swim.stop();
  const longest = Math.max(...glass.sent.map(({ bytes }) => bytes));
  assert(longest > 900 && longest <= 1_200 - 64, `${longest} bytes`);
});

Deno.test("packets of another project, for somebody else or that nobody asked for are counted, no more", async () => {
  const glass = new Glass();
  const [ann] = await glass.join("ann");
  assert(ann !== undefined);
  await glass.time.advance(5_000);
  glass.sent.length = glass.events.length = 0;
  const to = glass.me.peerId;
  glass.packet(ann, { kind: ":ping", nonce: 1, to, project: "00".repeat(8) });
  glass.packet(ann, { kind: ":news", project: "00".repeat(8), claims: [ann.left()] });
  glass.packet(ann, { kind: ":ping", nonce: 1, to: ann.peerId });
  glass.packet(ann, { kind: ":ack", nonce: 99, project: "" });
  glass.packet(ann, { kind: ":nack", nonce: 99, project: "" });
  assertEquals([glass.sent, glass.events], [[], []]);
  const counts = ["other-projects", "not-for-us", "unasked"].map((what) => glass.count(what));
  assertEquals(counts, [2, 1, 2]);
});

Deno.test("a host that asks without end is answered a bounded number of times", async () => {
  const glass = new Glass();
  const stranger = glass.add("stranger");
  for (let nonce = 1; nonce <= 2_000; nonce++) {
    glass.packet(stranger, { kind: ":ping", nonce, to: glass.me.peerId });
  }
  assertEquals([glass.sent.length, glass.count("rate")], [256, 1_744]);
  await glass.time.advance(1_000);
  for (let nonce = 1; nonce <= 2_000; nonce++) {
    glass.packet(stranger, { kind: ":ping", nonce, to: glass.me.peerId });
  }
  assertEquals(glass.sent.length, 256 + 64);
});

Deno.test("incarnationAt grows from one life to the next, also when the clock was set back", () => {
  const nowMs = Date.UTC(2026, 10, 21);
  assert(incarnationAt(nowMs + 1_000) > incarnationAt(nowMs) + 1_000_000);
  assertEquals(incarnationAt(nowMs, incarnationAt(nowMs + 1e9)), incarnationAt(nowMs + 1e9) + 1);
});
