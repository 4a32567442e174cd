import { assert, assertEquals } from "@std/assert";
import { readClaim } from "../../src/membership/claims.ts";
import type { MemberEvent } from "../../src/membership/member.ts";
import { incarnationAt } from "../../src/membership/swim.ts";
import { type SimHost, Simulation } from "../../src/testing/mod.ts";
import { simSigner, SwimNode } from "../../src/testing/swim_node.ts";
import { concat } from "../../src/wire/concat.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { comparison, FIRST, forged, Glass, single, spawnGroup } from "./fixture.ts";

const UDP_PORT = 3_486;
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
  again.swim.join({ hostname: "10.0.0.2", port: UDP_PORT });
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

Deno.test("of two programs with one key one gives way, says so, and the others keep the other", () => {
  const events: string[] = [];
  using simulation = new Simulation({ seed: 8, link: { delayMs: [1, 20], loss: 0.01 } });
  const onEvent = ({ type }: MemberEvent, { name }: SimHost) => void events.push(`${name} ${type}`);
  const nodes = ["a", "b", "twin"].map((name) => {
    simulation.run(2_000);
    return simulation.spawn(name, (host) => {
      const signer = simSigner(name === "twin" ? "a" : name);
      return new SwimNode(host, { onEvent, signer });
    });
  });
  for (const { swim } of nodes) swim.join({ hostname: "10.0.0.2", port: UDP_PORT });
  simulation.run(60_000);
  const usurped = single(events.filter((event) => event.endsWith("usurped")));
  const [a, b, twin] = nodes;
  assert(a !== undefined && b !== undefined && twin !== undefined);
  const left = usurped.startsWith("a ") ? twin : a;
  const [told] = b.swim.members();
  assertEquals([b.swim.present, told?.peerId, told?.state], [2, left.peerId, "alive"]);
  assertEquals(told?.addresses[0]?.hostname, left.address.hostname);
  assertEquals(told?.incarnation, left.swim.incarnation);
});

Deno.test("what we said in lives before is outdone, and only who answers back again and again is a rival", async () => {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  glass.events.length = 0;
  const rival = (above: number) => {
    return glass.me.alive({ incarnation: glass.swim.incarnation + above });
  };
  for (let life = 0; life < 10; life++) {
    glass.news(ann, rival(1));
    await glass.time.advance(300_000);
  }
  for (let round = 0; round < 9; round++) glass.news(ann, forged(rival(1)));
  assertEquals([glass.happened, glass.swim.incarnation], [[], FIRST + 20]);
  // Nothing that comes behind it is looked at.
  const rivals = [10, 20, 30, 40, 50].map(rival);
  const behind = [ann.suspects(bob.peerId), glass.add("dan").alive()];
  const packet = { kind: ":relay", nonce: 5, to: bob.peerId } as const;
  glass.packet(ann, { ...packet, claims: [...rivals, ...behind] });
  assertEquals([glass.happened, glass.clock.waiting], [["usurped"], 0]);
});

Deno.test("a member that has said goodbye does not take it back when it hears that, or is accused", async () => {
  const glass = new Glass();
  const [ann] = await glass.join("ann");
  assert(ann !== undefined);
  glass.swim.leave();
  for (let round = 0; round < 5; round++) {
    glass.news(ann, glass.me.left(), ann.suspects(glass.me.peerId));
  }
  await glass.time.advance(5_000);
  assertEquals([glass.swim.incarnation, glass.happened], [FIRST, ["joined"]]);
  const told = glass.sentTo(ann).flatMap(({ claims }) => claims.map(readClaim));
  assert(told.some(({ kind, subject }) => kind === "left" && subject === glass.me.peerId));
  glass.swim.stop();
});

Deno.test("a node compares again soon after it has joined, each time later, and not so after the next", async () => {
  const glass = new Glass({ repairMs: 1e9, syncMs: 1e9 });
  const ann = glass.add("ann");
  ann.stream = ({ t }) => t === "sync" ? comparison(ann) : {};
  glass.swim.start();
  const syncs: number[] = [];
  for (let second = 0; second < 120; second++) {
    if (second === 0 || second === 60) glass.swim.join(ann.address);
    for (const { question: { t } } of glass.asked.splice(0)) if (t === "sync") syncs.push(second);
    await glass.time.advance(1_000);
  }
  glass.swim.stop();
  // At 0.5, 1, 2, 4, 8 and 16 s, each up to half of that sooner or later.
  const [first, ...early] = syncs.filter((second) => second < 30);
  assertEquals([first, early.length, syncs.filter((second) => second >= 30)], [0, 6, [60]]);
  assert((early[0] ?? Infinity) <= 1 && (early[5] ?? 0) >= 8, `${syncs}`);
});

Deno.test("what cannot be read in a packet is dropped, and nothing is thrown", async () => {
  const glass = new Glass();
  const [eve] = await glass.join("eve");
  assert(eve !== undefined);
  const fields: unknown[] = [
    { toString: 1 },
    new Uint8Array(20),
    FIRST,
    new Uint8Array(32),
    "",
    [],
    1,
    2,
    {},
  ];
  for (const claim of [concat(encode(fields), new Uint8Array(64)), new Uint8Array()]) {
    glass.news(eve, claim);
  }
  assertEquals(glass.count("refused-claims"), 2);
  const message = { header: ":ping", msgId: 1, body: { r: -1 } };
  glass.swim.receive(message, eve.address, 100);
  assertEquals(glass.count("malformed"), 1);
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
