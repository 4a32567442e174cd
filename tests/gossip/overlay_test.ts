import { assert, assertEquals, assertThrows } from "@std/assert";
import { topicKeyOf } from "../../src/gossip/envelope.ts";
import { encodePacket } from "../../src/gossip/packets.ts";
import { GossipSwarm } from "../../src/testing/gossip_swarm.ts";
import { Simulation } from "../../src/testing/mod.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { at, Author, FIRST, idOf, names, OverlayGlass, TOPIC, TOPIC_KEY } from "./fixture.ts";

const DAY_MS = 86_400_000;
const FIVE = ["a", "b", "c", "d", "e"];
const OTHER_KEY = topicKeyOf("other");

/** An overlay with a topic and neighbours in it. */
function overlay(...neighbors: string[]): OverlayGlass {
  const glass = new OverlayGlass();
  glass.overlay.join(TOPIC);
  glass.join(...neighbors);
  return glass;
}

/** Time goes by, while some are heard from. */
async function pass(glass: OverlayGlass, ms: number, ...heard: string[]): Promise<void> {
  for (let at = 0; at < ms; at += 250) {
    for (const name of heard) glass.from(name, { kind: "ping", wallMs: 0 });
    await glass.time.advance(250);
  }
}

Deno.test("Overlay takes part in topics by name, each once, and finds them", () => {
  const glass = new OverlayGlass();
  const topic = glass.overlay.join(TOPIC, { maxBytes: 7 });
  assert(glass.overlay.join(TOPIC) === topic && glass.overlay.topic(TOPIC) === topic);
  const other = glass.overlay.join("other");
  assertEquals(glass.overlay.topics, [topic, other]);
  assertEquals([topic.name, topic.key, topic.maxBytes], [TOPIC, TOPIC_KEY, 7]);
  assertEquals(glass.overlay.topic("none"), undefined);
  assertThrows(() => glass.overlay.join(""), TypeError);
  glass.overlay.stop();
});

Deno.test("Overlay asks a silent neighbour whether it is there, and keeps one that answers", async () => {
  const glass = overlay("a", "b");
  await pass(glass, 750, "b");
  assertEquals(glass.mail.of("ping"), []);
  await pass(glass, 500, "b");
  assertEquals(glass.mail.of("ping").map(({ to }) => to), ["a"]);
  for (let second = 0; second < 20; second++) {
    await pass(glass, 1_000, "b");
    const [wallMs, pings] = [glass.time.wallMs(), glass.mail.of("ping").splice(0)];
    glass.mail.clear();
    for (const ping of pings) glass.from("a", { kind: "pong", wallMs, echoMs: ping.wallMs });
  }
  assertEquals([glass.has("a"), glass.has("b"), glass.count("silent")], [true, true, 0]);
  glass.overlay.stop();
});

Deno.test("Overlay asks a silent neighbour twice a second, and gives it up after five seconds", async () => {
  const glass = overlay("a", "b");
  await pass(glass, 4_750, "b");
  assertEquals([glass.has("a"), glass.mail.of("ping").length], [true, 8]);
  await pass(glass, 250, "b");
  assertEquals([glass.has("a"), glass.has("b")], [false, true]);
  assertEquals([glass.count("silent"), glass.released], [1, ["a"]]);
  glass.overlay.stop();
});

Deno.test("Overlay answers the pings of neighbours, and of nobody else", () => {
  const glass = overlay("a");
  glass.from("a", { kind: "ping", wallMs: 123 });
  glass.from("stranger", { kind: "ping", wallMs: 124 });
  const { to, wallMs, echoMs } = glass.mail.one("pong");
  assertEquals([to, wallMs, echoMs], ["a", glass.time.wallMs(), 123]);
  glass.overlay.stop();
});

Deno.test("Overlay takes whatever a neighbour says as a sign that it is there", async () => {
  const glass = overlay("a");
  for (let nth = 0; nth < 10; nth++) {
    glass.from("a", { kind: "have", ids: [] });
    await glass.time.advance(900);
  }
  assertEquals([glass.has("a"), glass.mail.of("ping")], [true, []]);
  glass.overlay.stop();
});

Deno.test("Overlay asks others when all neighbours of a topic are silent, and not when one is heard", async () => {
  for (const [heard, expected] of [[[], 3], [["a"], 0]] as const) {
    const glass = overlay(...FIVE);
    glass.overlay.topic(TOPIC)?.view.introduce(names("p", 10).map(at));
    await pass(glass, 1_250, ...heard);
    assertEquals(glass.mail.of("neighbor"), []);
    await pass(glass, 500, ...heard);
    const asked = glass.mail.of("neighbor").map(({ priority }) => priority);
    assertEquals(asked, Array(expected).fill("high"));
    assertEquals(glass.overlay.neighbors.length, 5);
    glass.overlay.stop();
  }
});

Deno.test("Overlay blames nobody for its own sleep, and notices after it who is gone", async () => {
  const glass = overlay("a", "b");
  await pass(glass, 1_000, "a", "b");
  glass.clock.sleep(8 * 3_600_000);
  glass.from("b", { kind: "ping", wallMs: 0 }); // what waited for us is read first
  await glass.time.advance(250);
  assertEquals([glass.has("a"), glass.has("b"), glass.count("silent")], [true, true, 0]);
  await pass(glass, 5_500);
  assertEquals([glass.has("a"), glass.has("b"), glass.count("silent")], [false, false, 2]);
  glass.overlay.stop();
});

Deno.test("Overlay notices who is gone also when it has been in no topic for long", async () => {
  const glass = new OverlayGlass();
  await glass.time.advance(3_600_000);
  for (let round = 0; round < 2; round++) {
    glass.overlay.join(TOPIC);
    glass.join("a");
    await pass(glass, 5_500);
    assertEquals([glass.has("a"), glass.count("silent")], [false, round + 1]);
    glass.overlay.leave(TOPIC);
    assertEquals(glass.clock.waiting, 0);
    await glass.time.advance(3_600_000);
  }
});

Deno.test("Overlay forgets who cannot be reached, in all topics", () => {
  const glass = overlay("a", "b");
  glass.overlay.join("other");
  glass.neighbor("a", OTHER_KEY);
  glass.mail.clear();
  glass.overlay.unreachable(idOf("a"));
  assertEquals(glass.overlay.topics.map(({ view }) => view.size), [1, 0]);
  assertEquals([glass.released, glass.mail.all], [["a"], []]);
  glass.overlay.stop();
});

Deno.test("Overlay has a neighbour of several topics once, until it is in none", () => {
  const glass = overlay("a");
  const other = glass.overlay.join("other");
  glass.neighbor("a", OTHER_KEY);
  assertEquals([glass.overlay.neighbors, other.view.size], [[idOf("a")], 1]);
  glass.from("a", { kind: "leave", isGone: true });
  assertEquals([glass.has("a"), glass.released], [true, []]);
  glass.overlay.leave("other");
  assertEquals([glass.has("a"), glass.released], [false, ["a"]]);
  assertEquals(glass.mail.one("leave", "a").isGone, true);
  glass.overlay.stop();
});

Deno.test("Overlay keeps topics apart: neighbours, messages and who may take part", () => {
  const glass = overlay("a");
  const other = glass.overlay.join("other");
  const ann = new Author("ann");
  glass.push("a", ann.write(glass.time.wallMs()));
  assertEquals([glass.messages.map(({ topic }) => topic), other.history.size], [[TOPIC], 0]);
  glass.barred.add("other a");
  glass.neighbor("a", OTHER_KEY);
  assertEquals([other.view.size, glass.has("a"), glass.count("not-allowed")], [0, true, 1]);
  glass.overlay.stop();
});

Deno.test("Overlay says no to who asks in a topic that it does not know", () => {
  const glass = overlay();
  glass.neighbor("a", OTHER_KEY, { wallMs: 42 });
  const { refusal, echoMs, contacts, contact } = glass.mail.one("welcome", "a");
  assertEquals([refusal, echoMs, contacts, contact], ["unknown", 42, [], at("me")]);
  glass.overlay.stop();
});

Deno.test("Overlay tells who takes it for a neighbour in a topic that it has left", () => {
  const glass = overlay("a");
  glass.from("a", { kind: "have", ids: [] }, OTHER_KEY);
  assertEquals([glass.mail.one("leave", "a").isGone, glass.has("a")], [true, true]);
  glass.mail.clear();
  for (const kind of ["leave", "shuffled", "compare"] as const) {
    if (kind === "leave") glass.from("a", { kind, isGone: true }, OTHER_KEY);
    else if (kind === "compare") glass.from("a", { kind, digest: [] }, OTHER_KEY);
    else glass.from("a", { kind, contacts: [], nonce: 1 }, OTHER_KEY);
  }
  assertEquals(glass.mail.all, [], "two that do not know it do not go on for ever");
  glass.overlay.stop();
});

Deno.test("Overlay tells who takes it for a neighbour by mistake", () => {
  const glass = overlay();
  const ann = new Author("ann");
  glass.push("stranger", ann.write(glass.time.wallMs()));
  glass.from("other", { kind: "have", ids: [{ author: ann.peerId, seq: FIRST }] });
  const told = glass.mail.of("leave").map(({ to, isGone }) => [to, isGone]);
  assertEquals(told, [["stranger", false], ["other", false]]);
  assertEquals(glass.messages.length, 1, "what is true is true whoever brings it");
  glass.overlay.stop();
});

Deno.test("Overlay lets nobody in who is not admitted, and drops who is not any more", () => {
  const glass = overlay("a", "b");
  const ann = new Author("ann");
  for (const name of ["a", "eve"]) glass.barred.add(`${TOPIC} ${name}`);
  glass.neighbor("eve");
  assertEquals(glass.mail.one("welcome", "eve").refusal, "not-allowed");
  glass.push("eve", ann.write(glass.time.wallMs()));
  glass.push("a", ann.write(glass.time.wallMs()));
  assertEquals([glass.messages, glass.count("not-allowed")], [[], 3]);
  assertEquals([glass.has("a"), glass.has("b"), glass.has("eve")], [false, true, false]);
  assertEquals(glass.mail.of("welcome").length, 1);
  glass.overlay.stop();
});

Deno.test("Overlay holds bad packets against who sent them: one costs the place, three that it is read", () => {
  const glass = overlay("a", "b");
  glass.bad("a");
  assertEquals([glass.has("a"), glass.has("b"), glass.warnings.length], [false, true, 1]);
  glass.neighbor("a");
  assertEquals(glass.mail.one("welcome", "a").refusal, "full");
  glass.bad("a");
  glass.bad("a");
  assertEquals([glass.count("invalid"), glass.count("unread")], [3, 0]);
  const ann = new Author("ann");
  glass.mail.clear();
  glass.push("a", ann.write(glass.time.wallMs()));
  glass.neighbor("a");
  glass.bad("a");
  assertEquals([glass.messages, glass.mail.all], [[], []]);
  assertEquals([glass.count("invalid"), glass.count("unread")], [3, 3]);
  glass.push("b", ann.write(glass.time.wallMs()));
  assertEquals(glass.messages.length, 1);
  glass.overlay.stop();
});

Deno.test("Overlay says what was wrong, and of whom", () => {
  const glass = overlay("a");
  glass.overlay.receive("gossip.walk", { t: TOPIC_KEY, c: 1, l: 2 }, at("a"));
  glass.overlay.receive("gossip.prune", { t: TOPIC_KEY.subarray(1) }, at("a"));
  const [first, second] = glass.warnings;
  assertEquals([first?.peerId, second?.peerId], [idOf("a"), idOf("a")]);
  assert(String(first?.why).includes("contact") && String(second?.why).includes("16 bytes"));
  glass.overlay.stop();
});

Deno.test("Overlay drops a neighbour that is not welcome any more at the next look", async () => {
  const glass = overlay("a", "b");
  glass.overlay.scores.note(idOf("a"), "rejected", glass.time.now(), 10);
  await pass(glass, 250, "b");
  assertEquals([glass.has("a"), glass.has("b"), glass.mail.of("leave").length], [false, true, 1]);
  glass.overlay.stop();
});

Deno.test("Overlay has the time of its neighbours, who tell it when they come and when they are asked", async () => {
  const glass = new OverlayGlass();
  glass.overlay.join(TOPIC);
  const aheadMs = () => glass.overlay.nowMs - glass.time.wallMs();
  for (const name of ["a", "b", "c"]) {
    glass.neighbor(name, undefined, { wallMs: glass.time.wallMs() + 60_000 });
  }
  assertEquals(aheadMs(), 60_000);
  await pass(glass, 1_250);
  for (const { to, wallMs } of glass.mail.of("ping")) {
    glass.from(to, { kind: "pong", wallMs: glass.time.wallMs() + 90_000, echoMs: wallMs });
  }
  assert(aheadMs() >= 90_000 && aheadMs() < 90_500, `${aheadMs()} ms`);
  await pass(glass, 6_000);
  assertEquals(
    [aheadMs(), glass.overlay.neighbors],
    [0, []],
    "it counts as long as they are there",
  );
  glass.overlay.stop();
});

Deno.test("Overlay takes the time of nobody else, nor that of a neighbour that it did not ask", () => {
  const glass = overlay("a", "b", "c", "d", "e");
  glass.overlay.join("other");
  const wallMs = glass.time.wallMs() + DAY_MS;
  for (const name of [...FIVE, ...names("s", 16)]) {
    glass.from(name, { kind: "pong", wallMs, echoMs: glass.time.wallMs() });
    glass.neighbor(name, undefined, { wallMs }); // full
    glass.neighbor(name, topicKeyOf("unknown"), { wallMs });
    const welcome = { kind: "welcome", refusal: undefined, contacts: [] } as const;
    glass.from(name, { ...welcome, contact: at(name), wallMs, echoMs: 0 });
  }
  assertEquals(glass.overlay.nowMs, glass.time.wallMs());
  glass.overlay.stop();
});

Deno.test("Overlay answers who asks where it says that it is, besides where it comes from", () => {
  const glass = overlay();
  const told = { peerId: idOf("a"), hosts: ["192.0.2.1", "192.0.2.2"], port: 9 };
  const bytes = encodePacket(
    { kind: "neighbor", priority: "low", contact: told, wallMs: 0 },
    TOPIC_KEY,
  );
  const { header, body } = decodeWireData(bytes);
  glass.overlay.receive(header, body, { peerId: idOf("a"), hosts: ["198.51.100.1"], port: 50_000 });
  assertEquals(glass.overlay.topic(TOPIC)?.view.neighbors, [
    { peerId: idOf("a"), hosts: ["198.51.100.1", "192.0.2.1", "192.0.2.2"], port: 9 },
  ]);
  const other = { ...told, peerId: idOf("b") };
  glass.neighbor("c", undefined, { contact: { ...at("c"), hosts: ["127.0.0.1"] } });
  glass.from("d", { kind: "neighbor", priority: "low", contact: other, wallMs: 0 });
  const contacts = glass.overlay.topic(TOPIC)?.view.neighbors ?? [];
  assertEquals(contacts.at(-1), at("d"), "nobody says where another is");
  glass.overlay.stop();
});

Deno.test("Overlay believes addresses of this machine only when they were told on it", () => {
  const local = { peerId: idOf("x"), hosts: ["127.0.0.1"], port: 22 };
  const known = (host: string) => {
    const glass = new OverlayGlass();
    const { view } = glass.overlay.join(TOPIC);
    const near = { ...at("a"), hosts: [host] };
    glass.neighbor("a", undefined, { contact: near });
    glass.from("a", { kind: "walk", contact: local, left: 0 }, undefined, near);
    glass.overlay.stop();
    return [view.contactOf(local.peerId) !== undefined, glass.mail.of("neighbor").length];
  };
  assertEquals([known("127.0.0.1"), known("198.51.100.1")], [[true, 1], [false, 0]]);
});

Deno.test("Overlay remembers where so many are who were heard from lately, and all neighbours", () => {
  const glass = overlay("a");
  glass.overlay.join("other", { delivery: "eventual" });
  const crowd = names("s", 400);
  for (const name of crowd) glass.from(name, { kind: "compare", digest: [] });
  glass.mail.clear();
  const reached = (name: string) => {
    // What is sent by name alone goes to whom we know.
    glass.overlay.topic(TOPIC)?.receive({ kind: "compare", digest: [] }, at(name));
    return glass.mail.of("offer").length > 0 && glass.mail.take().length > 0;
  };
  assertEquals([...crowd, "a"].filter(reached).length, 257);
  assertEquals(["a", "s399", "s200", "s100"].map(reached), [true, true, true, false]);
  glass.overlay.stop();
});

Deno.test("Overlay ignores what it said itself", () => {
  const glass = overlay();
  glass.neighbor("me");
  glass.overlay.receive("gossip.nonsense", {}, at("me"));
  assertEquals([glass.mail.all, glass.count("invalid"), glass.overlay.neighbors], [[], 0, []]);
  glass.overlay.stop();
});

Deno.test("Overlay says goodbye in all topics and stops all timers, once", async () => {
  const glass = overlay("a", "b");
  glass.overlay.join("other");
  glass.neighbor("a", OTHER_KEY);
  glass.push("a", new Author("ann").write(glass.time.wallMs()));
  glass.mail.clear();
  glass.overlay.stop();
  glass.overlay.stop();
  assertEquals(glass.mail.of("leave").map(({ to, isGone }) => [to, isGone]), [
    ["a", true],
    ["b", true],
    ["a", true],
  ]);
  assertEquals([glass.overlay.topics, glass.overlay.neighbors, glass.clock.waiting], [[], [], 0]);
  assertEquals(glass.released, ["b", "a"]);
  glass.mail.clear();
  glass.neighbor("c");
  await glass.time.advance(10_000);
  assertEquals(glass.mail.all, []);
});

Deno.test("Overlay leaves a topic harmlessly when it is in none of that name", () => {
  const glass = overlay("a");
  glass.overlay.leave("other");
  assertEquals([glass.overlay.topics.length, glass.has("a")], [1, true]);
  glass.overlay.stop();
});

Deno.test("Overlay brings a swarm together again that was in two pieces", () => {
  for (const seed of [1, 2]) {
    const simulation = new Simulation({ seed, link: { delayMs: [1, 20], loss: 0.01 } });
    const swarm = new GossipSwarm(simulation, { nodes: 12, tuning: { swapMs: 5_000 } });
    simulation.run(5_000);
    const [left, right] = [swarm.names.slice(0, 6), swarm.names.slice(6)];
    simulation.partition([left, right]);
    simulation.run(15_000);
    const apart = swarm.publish("n0");
    simulation.run(2_000);
    assert(swarm.missed(apart).length >= 6, "it is in two pieces");
    simulation.heal();
    const together = () => swarm.missed(apart).length === 0;
    assert(simulation.runUntil(together, 60_000), `seed ${seed}: ${swarm.missed(apart)}`);
    simulation.close();
  }
});
