import { assert, assertEquals, assertThrows } from "@std/assert";
import { NEWCOMERS } from "../../src/gossip/author_rates.ts";
import { topicKeyOf } from "../../src/gossip/envelope.ts";
import type { RangeList } from "../../src/gossip/range_list.ts";
import type { Topic, TopicSettings } from "../../src/gossip/topic.ts";
import type { Verdict } from "../../src/gossip/topic_message.ts";
import { GossipSwarm } from "../../src/testing/gossip_swarm.ts";
import { Simulation } from "../../src/testing/mod.ts";
import { at, Author, FIRST, idOf, OverlayGlass, TOPIC } from "./fixture.ts";

const HALF_HOUR_MS = 1_800_000;

interface Scene {
  readonly glass: OverlayGlass;
  readonly topic: Topic;
  readonly ann: Author;
}

/** A topic with three neighbours, and ann, who writes. */
function scene(settings: TopicSettings = {}, neighbors = ["bob", "carl", "dora"]): Scene {
  const glass = new OverlayGlass();
  const topic = glass.overlay.join(TOPIC, settings);
  glass.join(...neighbors);
  return { glass, topic, ann: new Author("ann") };
}

Deno.test("Topic delivers a message once, keeps it and passes it on as it is", () => {
  const { glass, topic, ann } = scene();
  const envelope = ann.write(glass.time.wallMs(), new Uint8Array([1, 2, 3]));
  glass.push("bob", envelope, 3);
  glass.push("carl", envelope, 2);
  const [message] = glass.messages;
  assert(message !== undefined && glass.messages.length === 1);
  assertEquals({ ...message, bytes: [...message.bytes] }, {
    topic: TOPIC,
    from: ann.peerId,
    seq: FIRST,
    createdMs: glass.time.wallMs(),
    bytes: [1, 2, 3],
    hops: 3,
  });
  const pushes = glass.mail.of("push");
  assertEquals(pushes.map(({ to, hops }) => [to, hops]), [["carl", 4], ["dora", 4]]);
  assert(pushes.every((push) => push.envelope.toHex() === envelope.toHex()));
  assertEquals(topic.history.get(ann.peerId, FIRST)?.bytes.toHex(), envelope.toHex());
  glass.overlay.stop();
});

Deno.test("Topic counts what it has already, and tells its sender to send ids", () => {
  const { glass, ann } = scene();
  const envelope = ann.write(glass.time.wallMs());
  for (const name of ["bob", "carl", "carl"]) glass.push(name, envelope);
  assertEquals([glass.count("duplicates"), glass.count("accepted")], [2, 1]);
  assert(glass.mail.of("prune").length > 0);
  assert(glass.mail.of("prune").every(({ to }) => to === "carl"));
  glass.overlay.stop();
});

Deno.test("Topic tells who takes it for a neighbour by mistake, also when it brings nothing new", () => {
  const { glass, ann } = scene();
  const envelope = ann.write(glass.time.wallMs());
  glass.push("bob", envelope);
  glass.mail.clear();
  glass.push("stranger", envelope);
  assertEquals(glass.mail.take(), ["leave stranger"]);
  glass.overlay.stop();
});

Deno.test("Topic holds what nobody signed against who sent it, and delivers nothing of it", () => {
  const { glass, topic, ann } = scene();
  const envelope = ann.write(glass.time.wallMs());
  const elsewhere = ann.write(glass.time.wallMs(), undefined, topicKeyOf("another"));
  const forged = envelope.with(-1, (envelope.at(-1) ?? 0) ^ 1);
  for (const bytes of [forged, elsewhere, envelope.subarray(0, 40)]) {
    const before = glass.overlay.scores.score(idOf("bob"), glass.time.now());
    glass.push("bob", bytes);
    assert(glass.overlay.scores.score(idOf("bob"), glass.time.now()) < before);
  }
  assertEquals([glass.count("invalid"), glass.warnings.length, glass.messages], [3, 3, []]);
  assertEquals(glass.overlay.scores.score(ann.peerId, glass.time.now()), 0);
  glass.push("carl", envelope);
  assertEquals(
    [glass.messages.length, topic.history.size],
    [1, 1],
    "what is true comes all the same",
  );
  glass.overlay.stop();
});

Deno.test("Topic refuses what is older than half an hour, or more than a minute ahead", async () => {
  for (
    const [offsetMs, what] of [
      [-HALF_HOUR_MS - 1, "stale"],
      [-HALF_HOUR_MS, "accepted"],
      [60_000, "accepted"],
      [60_001, "ahead"],
    ] as const
  ) {
    const { glass, topic, ann } = scene();
    glass.push("bob", ann.write(glass.time.wallMs() + offsetMs));
    assertEquals([glass.count(what), topic.history.size], [1, what === "accepted" ? 1 : 0], what);
    assertEquals(glass.overlay.scores.score(idOf("bob"), glass.time.now()) >= 0, true);
    glass.overlay.stop();
  }
  const { glass, ann } = scene();
  const envelope = ann.write(glass.time.wallMs() - HALF_HOUR_MS + 5_000);
  await glass.time.advance(5_001);
  glass.push("bob", envelope);
  glass.push("carl", envelope);
  assertEquals([glass.count("stale"), glass.messages], [2, []], "however often it comes again");
  glass.overlay.stop();
});

Deno.test("Topic refuses a message again when it was delivered and forgotten", async () => {
  const { glass, topic, ann } = scene();
  const envelope = ann.write(glass.time.wallMs() + 60_000); // its clock is ahead: it is young for longest
  glass.push("bob", envelope);
  for (let minute = 0; minute < 45; minute++) {
    await glass.time.advance(60_000);
    glass.push("carl", envelope);
  }
  assertEquals([glass.messages.length, topic.seen.authors, topic.history.size], [1, 0, 0]);
  assert(glass.count("stale") > 0 && glass.count("duplicates") > 30);
  glass.overlay.stop();
});

Deno.test("Topic takes so many new authors of one neighbour at once, and the others later", async () => {
  const { glass, topic } = scene({}, ["bob"]);
  const nowMs = glass.time.wallMs();
  const { burst } = NEWCOMERS;
  for (let nth = 0; nth < burst; nth++) glass.push("bob", new Author(`n${nth}`).write(nowMs));
  const [zoe, zed] = [new Author("zoe"), new Author("zed")];
  const [early, other] = [zoe.write(nowMs), zed.write(nowMs)];
  glass.push("bob", early);
  assertEquals([glass.count("accepted"), glass.count("author-rate")], [burst, 1]);
  assert(!topic.seen.has(zoe.peerId, FIRST), "it can be had later");
  glass.push("carl", other);
  assertEquals(glass.messages.at(-1)?.from, zed.peerId, "whom others bring is not affected");
  glass.push("bob", zed.write(nowMs));
  assertEquals(glass.count("accepted"), burst + 2, "nor is who is known");
  await glass.time.advance(100);
  glass.push("bob", early);
  assertEquals([glass.count("accepted"), glass.count("author-rate")], [burst + 3, 1]);
  glass.overlay.stop();
});

/** What became of a message: delivered, kept, passed on; and what its author and its bringer are worth. */
function judged(verdict: Verdict, by: string): Record<string, unknown> {
  const { glass, topic, ann } = scene({ validate: () => verdict });
  const envelope = ann.write(glass.time.wallMs());
  if (by === "ann") glass.join("ann");
  const scoreOf = (name: string) => Math.sign(glass.overlay.scores.score(idOf(name), 0));
  glass.push(by, envelope);
  glass.push("dora", envelope);
  const fate = {
    delivered: glass.messages.length,
    kept: topic.history.size,
    passedOn: glass.mail.of("push").length > 0,
    seen: topic.seen.has(ann.peerId, FIRST),
    author: scoreOf("ann"),
    bringer: scoreOf(by),
    second: scoreOf("dora"),
  };
  glass.overlay.stop();
  return fate;
}

Deno.test("Topic delivers and passes on what its validator accepts", () => {
  const fate = { delivered: 1, kept: 1, passedOn: true, seen: true, author: 0, second: 0 };
  assertEquals(judged("accept", "bob"), { ...fate, bringer: 1 });
  assertEquals(
    judged("accept", "ann"),
    { ...fate, bringer: 0 },
    "nobody is useful by its own words",
  );
});

Deno.test("Topic drops what its validator ignores, and holds it against nobody", () => {
  const fate = { delivered: 0, kept: 0, passedOn: false, seen: true, author: 0, second: 0 };
  assertEquals(judged("ignore", "bob"), { ...fate, bringer: 0 });
});

Deno.test("Topic drops what its validator rejects, and holds it once against its author and its bringer", () => {
  const fate = { delivered: 0, kept: 0, passedOn: false, seen: true, author: -1, second: 0 };
  assertEquals(judged("reject", "bob"), { ...fate, bringer: -1 });
  assertEquals(judged("reject", "ann"), { ...fate, bringer: -1 });
  const costs = ["bob", "ann"].map((by) => {
    const { glass, ann } = scene({ validate: () => "reject" });
    glass.push(by, ann.write(glass.time.wallMs()));
    const { rejected = 0, authored = 0 } = {
      rejected: glass.count("rejected"),
      authored: glass.count("authored"),
    };
    glass.overlay.stop();
    return [rejected, authored, glass.count("rejects")];
  });
  assertEquals(costs, [[1, 1, 1], [0, 1, 1]], "an author pays once for what it sends itself");
});

Deno.test("Topic asks its validator with the message as it is delivered", () => {
  const asked: unknown[] = [];
  const { glass, ann } = scene({
    validate: (message) => {
      asked.push(message);
      return "accept";
    },
  });
  glass.push("bob", ann.write(glass.time.wallMs()));
  assertEquals(asked, glass.messages);
  glass.overlay.stop();
});

Deno.test("Topic blames nobody for what a graylisted author wrote, and does not deliver it", () => {
  const { glass, topic, ann } = scene();
  glass.overlay.scores.note(ann.peerId, "authored", 0, 3);
  glass.push("bob", ann.write(glass.time.wallMs()));
  assertEquals([glass.count("graylisted"), glass.messages, topic.history.size], [1, [], 0]);
  assertEquals(glass.overlay.scores.score(idOf("bob"), 0), 0);
  glass.overlay.stop();
});

Deno.test("Topic waits no more for what came and was refused, and blames nobody who gave it", async () => {
  const { glass, topic, ann } = scene({ validate: () => "ignore" });
  const envelopes = [ann.write(glass.time.wallMs()), ann.write(0)];
  const ids = envelopes.map((_, nth) => ({ author: ann.peerId, seq: FIRST + nth }));
  for (const name of ["bob", "carl"]) glass.from(name, { kind: "have", ids });
  await glass.time.advance(500);
  assertEquals(glass.mail.one("want").ids.length, 2);
  for (const envelope of envelopes) glass.push("bob", envelope);
  assertEquals(topic.tree.missing, 0);
  await glass.time.advance(4_500);
  assertEquals(glass.mail.of("want", "carl"), []);
  assertEquals([glass.count("broken"), glass.count("ignored"), glass.count("stale")], [0, 1, 1]);
  glass.overlay.stop();
});

Deno.test("Topic holds against a neighbour what it promised and did not give, and what it repeats", async () => {
  const { glass, ann } = scene();
  glass.from("bob", { kind: "have", ids: [{ author: ann.peerId, seq: FIRST + 9 }] });
  const envelope = ann.write(glass.time.wallMs());
  glass.push("dora", envelope);
  for (let nth = 0; nth < 4; nth++) glass.push("carl", envelope);
  assertEquals([glass.count("flooding"), glass.count("broken")], [2, 0]);
  for (let second = 0; second < 7; second++) {
    await glass.time.advance(1_000);
    for (const name of ["bob", "carl", "dora"]) glass.from(name, { kind: "ping", wallMs: 0 });
  }
  assertEquals([glass.count("flooding"), glass.count("broken")], [2, 1]);
  const signs = ["bob", "carl", "dora"].map((name) => {
    return Math.sign(glass.overlay.scores.score(idOf(name), glass.time.now()));
  });
  assertEquals(signs, [-1, -1, 1]);
  glass.overlay.stop();
});

Deno.test("Topic publishes to its neighbours, keeps it, and does not deliver it here", () => {
  const { glass, topic } = scene();
  const createdMs = glass.time.wallMs();
  const drafts = [7, 8].map((seq) => ({ seq, createdMs, data: new Uint8Array([seq]) }));
  topic.publish(drafts);
  assertEquals(glass.mail.of("push").map(({ to, hops }) => [to, hops]), [
    ["bob", 1],
    ["carl", 1],
    ["dora", 1],
    ["bob", 1],
    ["carl", 1],
    ["dora", 1],
  ]);
  assertEquals([glass.messages, topic.history.size], [[], 2]);
  const [push] = glass.mail.of("push");
  glass.push("bob", push?.envelope ?? new Uint8Array());
  assertEquals([glass.count("duplicates"), glass.messages], [1, []], "it comes back");
  glass.overlay.stop();
});

Deno.test("Topic neither publishes nor takes a message above its limit", () => {
  const { glass, topic, ann } = scene({ maxBytes: 100 });
  const createdMs = glass.time.wallMs();
  const data = new Uint8Array(101);
  assertThrows(() => topic.publish([{ seq: 1, createdMs, data }]));
  assertEquals([topic.maxBytes, topic.history.size, glass.mail.of("push")], [100, 0, []]);
  glass.push("bob", ann.write(createdMs, data.subarray(1)));
  glass.push("bob", ann.write(createdMs, data));
  assertEquals([glass.messages.length, glass.count("too-large"), glass.count("invalid")], [
    1,
    1,
    0,
  ]);
  assertEquals(Math.sign(glass.overlay.scores.score(idOf("bob"), 0)), 1, "others may want it");
  assertEquals(scene().topic.maxBytes, 1_048_576);
  glass.overlay.stop();
});

Deno.test("Topic compares with who agrees to be a neighbour, and not with who asks to be one", () => {
  const { glass, topic } = scene();
  glass.neighbor("emma");
  assertEquals(glass.mail.of("compare"), []);
  topic.view.introduce([at("zoe")]);
  glass.overlay.topics.forEach((one) => one.tick());
  if (glass.mail.of("neighbor", "zoe").length === 0) topic.tick();
  const welcome = { kind: "welcome", refusal: undefined, contacts: [] } as const;
  glass.from("zoe", { ...welcome, contact: at("zoe"), wallMs: glass.time.wallMs(), echoMs: 0 });
  assertEquals(
    glass.mail.of("compare").map(({ to }) => to),
    [idOf("zoe")].map((id) => glass.nameOf(id)),
  );
  glass.overlay.stop();
});

/** Somebody compares, and offers an author's messages. */
function offer(glass: OverlayGlass, name: string, ranges: RangeList): void {
  glass.from(name, { kind: "compare", digest: [] });
  glass.mail.clear();
  glass.from(name, { kind: "offer", ranges, buckets: undefined, isAll: true });
}

Deno.test("Topic delivers what a comparison brings, and only tells neighbours of it", async () => {
  const { glass, ann } = scene();
  const envelope = ann.write(glass.time.wallMs());
  offer(glass, "bob", [[ann.peerId, [FIRST, FIRST]]]);
  assertEquals(glass.mail.one("want", "bob").ids.map(({ seq }) => seq), [FIRST]);
  glass.push("bob", envelope);
  assertEquals([glass.messages.length, glass.mail.of("push")], [1, []]);
  await glass.time.advance(100);
  assertEquals(glass.mail.of("have").map(({ to }) => to), ["carl", "dora"]);
  glass.overlay.stop();
});

Deno.test("Topic pushes on what comes by the trees, also while it is wanted of somebody else", () => {
  const { glass, ann } = scene();
  const envelope = ann.write(glass.time.wallMs());
  offer(glass, "bob", [[ann.peerId, [FIRST, FIRST]]]);
  glass.push("carl", envelope.with(-1, (envelope.at(-1) ?? 0) ^ 1)); // forged: changes nothing
  glass.push("carl", envelope);
  assertEquals(glass.mail.of("push").map(({ to }) => to), ["bob", "dora"]);
  glass.overlay.stop();
});

Deno.test("Topic gives what it keeps to who wants it, each message once, neighbour or not", () => {
  const { glass, ann } = scene();
  const envelope = ann.write(glass.time.wallMs());
  glass.push("bob", envelope, 4);
  glass.mail.clear();
  const ids = [7, 0, 0, 0].map((nth) => ({ author: ann.peerId, seq: FIRST + nth }));
  glass.from("stranger", { kind: "want", ids });
  const push = glass.mail.one("push", "stranger");
  assertEquals([push.envelope.toHex(), push.hops, push.lane], [envelope.toHex(), 5, "body"]);
  glass.full.add("stranger");
  glass.from("stranger", { kind: "want", ids });
  assertEquals(glass.mail.of("push").length, 1, "there is no room");
  glass.overlay.stop();
});

Deno.test("Topic gives nobody more than its share", async () => {
  const { glass, topic, ann } = scene({}, ["bob"]);
  const data = new Uint8Array(1_000_000);
  glass.push("bob", ann.write(glass.time.wallMs(), data));
  const ids = [{ author: ann.peerId, seq: FIRST }];
  const given = (name: string, questions: number) => {
    glass.mail.clear();
    for (let nth = 0; nth < questions; nth++) glass.from(name, { kind: "want", ids });
    return glass.mail.of("push", name).length;
  };
  assertEquals([given("eve", 70), given("carl", 1)], [67, 1], "64 MiB at once");
  await glass.time.advance(1_000);
  assertEquals(given("eve", 10), 4);
  const unknown = Array.from({ length: 1_024 }, (_, seq) => ({ author: ann.peerId, seq }));
  for (let nth = 0; nth < 97; nth++) topic.receive({ kind: "want", ids: unknown }, at("dan"));
  assertEquals(given("dan", 1), 1);
  topic.receive({ kind: "want", ids: [...ids, ...unknown.slice(1)] }, at("dan"));
  assertEquals(glass.mail.of("push", "dan").length, 1, "asking for more than 100,000 is too much");
  glass.overlay.stop();
});

Deno.test("Topic says what became of a comparison that it began", async () => {
  const { glass, topic, ann } = scene({}, ["bob"]);
  const offers = { carl: [], dora: [[ann.peerId, [1, 2]]] } as const;
  for (const [name, ranges] of Object.entries(offers)) {
    topic.view.introduce([at(name)]);
    const welcome = { kind: "welcome", refusal: undefined, contacts: [] } as const;
    glass.from(name, { ...welcome, contact: at(name), wallMs: glass.time.wallMs(), echoMs: 0 });
    glass.from(name, { kind: "offer", ranges, buckets: [], isAll: true });
  }
  offer(glass, "bob", []); // he began
  await glass.time.advance(6_000); // dora gives nothing
  const compared = glass.events.flatMap(({ event }) => {
    return event.type === "compared" ? [[glass.nameOf(event.peerId), event.isEqual]] : [];
  });
  assertEquals(compared, [["carl", true], ["dora", false]]);
  glass.overlay.stop();
});

Deno.test("Topic of best effort compares nothing, and keeps messages for a minute", async () => {
  const { glass, topic, ann } = scene({ delivery: "best-effort" });
  assertEquals(topic.delivery, "best-effort");
  glass.push("bob", ann.write(glass.time.wallMs()));
  glass.mail.clear();
  glass.from("carl", { kind: "compare", digest: [] });
  glass.from("carl", {
    kind: "offer",
    ranges: [[ann.peerId, [1, 2]]],
    buckets: undefined,
    isAll: true,
  });
  assertEquals(glass.mail.all, []);
  glass.from("carl", { kind: "want", ids: [{ author: ann.peerId, seq: FIRST }] });
  assertEquals(glass.mail.of("push", "carl").length, 1, "for who asks at once");
  await glass.time.advance(61_000);
  glass.push("dora", ann.write(glass.time.wallMs()));
  assertEquals(topic.history.size, 1);
  assertEquals(glass.mail.of("compare"), []);
  glass.overlay.stop();
});

Deno.test("Topic is of eventual delivery unless told otherwise, and keeps as much as it is told", () => {
  const { glass, topic, ann } = scene({ history: { maxMessages: 3 } });
  for (let nth = 0; nth < 5; nth++) glass.push("bob", ann.write(glass.time.wallMs()));
  assertEquals([topic.delivery, topic.history.size, glass.messages.length], ["eventual", 3, 5]);
  glass.overlay.stop();
});

Deno.test("Topic gives up for others who did wrong, else the newest by whom no messages come", () => {
  const neighbors = ["a", "b", "c", "d", "e"];
  const { glass, topic, ann } = scene({}, neighbors);
  for (const name of ["d", "e"]) glass.from(name, { kind: "prune" });
  for (const name of ["a", "b", "c"]) glass.push(name, ann.write(glass.time.wallMs()));
  /** Who goes for somebody. */
  const swap = (name: string) => {
    const before = glass.overlay.neighbors.map((peerId) => glass.nameOf(peerId));
    glass.from(name, { kind: "neighbor", priority: "swap", contact: at(name), wallMs: 0 });
    return before.filter((one) => !glass.has(one));
  };
  for (const [name, gone] of [["x", "e"], ["y", "d"]] as const) {
    assertEquals(swap(name), [gone]);
    glass.push(name, ann.write(glass.time.wallMs()));
  }
  assertEquals(swap("z"), [], "messages come by all of them");
  glass.overlay.scores.note(idOf("c"), "rejected", glass.time.now(), 4);
  assertEquals([swap("z"), topic.view.size], [["c"], 5]);
  glass.overlay.stop();
});

Deno.test("Topic tells who came, who went, and who does not let it in", () => {
  const { glass, topic } = scene();
  glass.from("bob", { kind: "leave", isGone: true });
  topic.view.introduce([at("zoe")]);
  topic.tick();
  const welcome = { kind: "welcome", refusal: "not-allowed", contacts: [] } as const;
  glass.from("zoe", { ...welcome, contact: at("zoe"), wallMs: glass.time.wallMs(), echoMs: 0 });
  const told = glass.events.map(({ topic, event }) => {
    assertEquals(topic, TOPIC);
    if (event.type !== "up" && event.type !== "down") return event.type;
    return `${event.type} ${glass.nameOf(event.peerId)} ${event.neighbors}`;
  });
  assertEquals(told, ["up bob 1", "up carl 2", "up dora 3", "down bob 2", "refused"]);
  glass.overlay.stop();
});

Deno.test("Topic stops a message at the first hop where the others reject it", () => {
  const simulation = new Simulation({ seed: 4, link: { delayMs: [1, 20] } });
  const validate = ({ bytes }: { readonly bytes: Uint8Array }): Verdict => {
    return bytes.length > 200 ? "reject" : "accept";
  };
  const swarm = new GossipSwarm(simulation, { nodes: 15, settings: { validate } });
  simulation.run(3_000);
  const good = swarm.publish("n0");
  const bad = swarm.publish("n0", "x".repeat(300));
  simulation.run(2_000);
  assertEquals([swarm.missed(good), bad.arrivals.size], [[], 0]);
  assert(swarm.counted("rejects") > 0);
  assertEquals(swarm.counted("rejected"), 0, "nobody but its author sends it");
  simulation.close();
});
