import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ClosedError, InvalidPacketError, NotFoundError } from "../../src/errors.ts";
import { Cursor } from "../../src/gossip/cursor.ts";
import { topicKeyOf } from "../../src/gossip/envelope.ts";
import type { GossipMessage } from "../../src/gossip/gossip_options.ts";
import { writeIds } from "../../src/gossip/id_list.ts";
import type { Verdict } from "../../src/gossip/topic_message.ts";
import {
  assertGiven,
  countOf,
  NEWS,
  readAll,
  Reading,
  statusOf,
  Village,
} from "./gossip_fixture.ts";

Deno.test("Gossip gives what one publishes to all others once, both ways and with who wrote it", async () => {
  await using village = new Village();
  const peers = await village.openMany(3);
  const readings = readAll(peers);
  await village.meet(peers);
  const published = await Promise.all(peers.map((peer, n) => peer.gossip.publish(NEWS, { n })));
  await village.until("messages", () => readings.every(({ messages }) => messages.length === 2));
  await village.clock.advance(10_000); // long enough for any to come twice
  for (const [at, { messages }] of readings.entries()) {
    const others = peers.flatMap(({ peerId }, n) => n === at ? [] : [[peerId, { n }] as const]);
    const given = messages.map(({ from, data }) => [from, data] as const);
    assertEquals(given.toSorted(), others.toSorted());
    for (const { topic, from, seq, createdMs, hops } of messages) {
      assertEquals(topic, NEWS);
      assertEquals(seq, published.find((one) => one.from === from)?.seq);
      assert(Math.abs(createdMs - village.clock.wallMs()) < 20_000 && hops >= 1);
    }
  }
});

Deno.test("Gossip gives two topics over one connection, each to who reads it", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [news, other] = ["news", "weather"].map((topic) => readAll([ann, bob], topic));
  await village.meet([ann, bob], "news");
  await village.meet([ann, bob], "weather");
  await ann.gossip.publish("news", "n");
  await ann.gossip.publish("weather", "w");
  await village.until("both", () => news?.[1]?.data[0] === "n" && other?.[1]?.data[0] === "w");
  assertEquals([news?.[1]?.data, other?.[1]?.data], [["n"], ["w"]]);
  await village.clock.advance(5_000);
  assertEquals([ann, bob].map(({ endpoint }) => endpoint.links.size), [1, 1]);
});

Deno.test("Gossip gives who comes late what was published before, once: everything, from a time on, or from a cursor on", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await village.openMany(3);
  assert(ann && bob && carol);
  const [, ofBob] = readAll([ann, bob]);
  await village.meet([ann, bob]);
  for (const data of ["one", "two"]) await ann.gossip.publish(NEWS, data);
  await village.until("two", () => ofBob?.data.length === 2);
  const text = ofBob?.subscription.cursor.toString() ?? "";
  await village.clock.advance(10_000);
  const sinceMs = village.clock.wallMs();
  await village.clock.advance(1_000);
  for (const data of ["three", "four"]) await ann.gossip.publish(NEWS, data);

  const all = new Reading(carol.gossip.subscribe(NEWS, { since: "all" }));
  const timed = new Reading(carol.gossip.subscribe(NEWS, { since: sinceMs }));
  const resumed = new Reading(carol.gossip.subscribe(NEWS, { since: Cursor.parse(text) }));
  const fresh = new Reading(carol.gossip.subscribe(NEWS));
  await village.settled(all.subscription.ready);
  await ann.gossip.publish(NEWS, "five");
  await village.until("five", () => all.data.includes("five"));
  await village.clock.advance(15_000);
  assertGiven(all, ["one", "two", "three", "four", "five"]);
  assertGiven(timed, ["three", "four", "five"]);
  assertGiven(resumed, ["three", "four", "five"]);
  // What has just been published may be new to who subscribes at that moment; what is older is not.
  assert(fresh.data.includes("five") && !fresh.data.includes("one"));
  // What is kept here already is given at once.
  const again = new Reading(carol.gossip.subscribe(NEWS, { since: "all" }));
  await village.until("what is kept", () => again.data.length === 5);
});

Deno.test("Gossip gives who begins again with its cursor what it missed, and nothing twice", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const first = new Reading(bob.gossip.subscribe(NEWS));
  const keeping = new Reading(ann.gossip.subscribe(NEWS));
  await village.meet([ann, bob]);
  await ann.gossip.publish(NEWS, 1);
  await bob.gossip.publish(NEWS, "my own");
  await village.until("both", () => first.data.length === 1 && keeping.data.length === 1);
  const cursor = first.subscription.cursor;
  await village.settled(bob.close());
  for (const n of [2, 3]) await ann.gossip.publish(NEWS, n);

  const again = await village.open({ identity: bob.identity });
  const second = new Reading(again.gossip.subscribe(NEWS, { since: cursor }));
  await village.until("what it missed", () => second.data.length === 2);
  await ann.gossip.publish(NEWS, 4);
  await village.until("the next", () => second.data.length === 3);
  await village.clock.advance(15_000);
  assertGiven(second, [2, 3, 4]);
  assertEquals(keeping.data, ["my own"]); // which bob is not given in its next life
});

Deno.test("Gossip passes on what its validator accepts, drops what it ignores, and holds against its author what it rejects", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await village.openMany(3);
  assert(ann && bob && carol);
  const seen: GossipMessage[] = [];
  const validate = (message: GossipMessage): Verdict => {
    seen.push(message);
    if (message.data === "throw") throw new Error("not so");
    return message.data === "good" ? "accept" : message.data === "bad" ? "reject" : "ignore";
  };
  bob.gossip.configure(NEWS, { validate });
  carol.gossip.configure(NEWS, { validate });
  const [, ofBob, ofCarol] = readAll([ann, bob, carol]);
  await village.meet([ann, bob, carol], NEWS, 2);
  for (const data of ["dull", "throw", "good"]) await ann.gossip.publish(NEWS, data);
  await village.until("the good", () => !!ofBob?.data.length && !!ofCarol?.data.length);
  assertEquals([ofBob?.data, ofCarol?.data], [["good"], ["good"]]);
  assert(seen.every(({ from, topic }) => from === ann.peerId && topic === NEWS));
  assertEquals(countOf(bob, "validator-failed"), 1);
  assertStringIncludes(JSON.stringify(village.log.lines), "not so");
  assert(statusOf(bob)?.neighbors.includes(ann.peerId));

  await ann.gossip.publish(NEWS, "bad");
  await village.until("ann to go", () => !statusOf(bob)?.neighbors.includes(ann.peerId));
  assertEquals([countOf(bob, "rejects"), countOf(bob, "authored")], [1, 1]);
  assertEquals(ofBob?.data, ["good"]);
});

Deno.test("Gossip sends what is large over the link, and refuses to publish what is larger than the topic's limit", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [, reading] = readAll([ann, bob]);
  await village.meet([ann, bob]);
  const large = new Uint8Array(512 * 1024).map((_, at) => at % 251);
  await village.settled(ann.gossip.publish(NEWS, large));
  await village.until("it", () => reading?.data.length === 1);
  assertEquals(reading?.data, [large]);

  const error = await assertRejects(
    () => ann.gossip.publish(NEWS, new Uint8Array(2 ** 20)),
    InvalidPacketError,
    'Cannot publish to "news": 1048581 bytes exceed maxBytes 1048576 of the topic',
  );
  assertEquals(error.code, "too-large");
  assertEquals(error.details, { limit: "maxBytes", max: 1_048_576, got: 1_048_581 });
  ann.gossip.configure("small", { maxBytes: 10 });
  await ann.gossip.publish("small", "123456789");
  await assertRejects(() => ann.gossip.publish("small", "1234567890"), InvalidPacketError);
  await assertRejects(() => ann.gossip.publish(NEWS, () => {}), TypeError);
});

Deno.test("Gossip confirms what neighbours have, and says in what way too few have it", async () => {
  await using village = new Village();
  const peers = await village.openMany(3);
  const [ann, bob, carol] = peers;
  assert(ann && bob && carol);
  const alone = assertRejects(
    () => village.settled(ann.gossip.publish(NEWS, 0, { confirm: 1, timeoutMs: 3_000 })),
    NotFoundError,
    'Nobody may have got it: 0 of 1 neighbours in topic "news" confirmed it in time',
  );
  const { code, details } = await alone;
  assertEquals([code, details], ["no-peer", { topic: NEWS, wanted: 1, got: 0, refusals: 0 }]);

  readAll([bob, carol]);
  await village.meet(peers, NEWS, 2);
  const { confirmedBy } = await village.settled(ann.gossip.publish(NEWS, 1, { confirm: 2 }));
  assertEquals(confirmedBy.toSorted(), [bob.peerId, carol.peerId].toSorted());
  const few = village.settled(ann.gossip.publish(NEWS, 2, { confirm: 3, timeoutMs: 1_000 }));
  await assertRejects(() => few, NotFoundError, "2 of 3 neighbours");

  const giving = new AbortController();
  const waiting = ann.gossip.publish(NEWS, 3, { confirm: 3, signal: giving.signal });
  giving.abort(new Error("enough"));
  await assertRejects(() => village.settled(waiting), Error, "enough");
  const closing = assertRejects(() => ann.gossip.publish(NEWS, 4, { confirm: 3 }), ClosedError);
  await village.settled(Promise.all([ann.gossip.close(), closing]));
});

Deno.test("Gossip lets nobody without an invite into an invited topic, and an invite for one topic is none for another", async () => {
  await using village = new Village();
  const ann = await village.open();
  const { token } = ann.access.createInvite({ scopes: ["topic:news"], expiresMs: 3_600_000 });
  const bob = await village.open({ tokens: [token] });
  const carol = await village.open();
  for (const topic of ["news", "board"]) ann.gossip.configure(topic, { access: "invited" });
  // Each lets in whom it is with; ann alone decides here.
  const [news] = readAll([ann, bob, carol], "news");
  const [board] = readAll([ann, bob, carol], "board");
  await village.until("bob", () => statusOf(ann, "news")?.neighbors.length === 1);
  await village.clock.advance(20_000);
  assertEquals(statusOf(ann, "news")?.neighbors, [bob.peerId]);
  assertEquals(statusOf(ann, "board")?.neighbors, []);
  const { seq } = await bob.gossip.publish("news", "from bob");
  await bob.gossip.publish("board", "from bob");
  await village.until("it", () => news?.data.length === 1);
  const refused = village.settled(
    carol.gossip.publish("board", "from carol", { confirm: 2, timeoutMs: 5_000 }),
  );
  await assertRejects(() => refused, NotFoundError, "did not let us in");
  await village.clock.advance(10_000);
  assertEquals([news?.data, board?.data], [["from bob"], []]);
  assert(countOf(ann, "not-allowed") > 0);
  // Who is not let in cannot push, nor ask what is there.
  const stranger = await village.stranger(ann);
  stranger.push(stranger.write("forced", village.clock.wallMs()));
  const asked = { t: topicKeyOf("news"), i: writeIds([{ author: bob.peerId, seq }]) };
  assertEquals(await stranger.ask("gossip.has", asked), { has: [false] });
  assertEquals(news?.data, ["from bob"]);
});

Deno.test("Gossip takes part for a while after the last subscription, and then leaves", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [ofAnn, ofBob] = readAll([ann, bob]);
  await village.meet([ann, bob]);
  ofBob?.subscription.close();
  await ofBob?.ended;
  assertEquals(statusOf(bob)?.subscriptions, 0);
  await village.clock.advance(25_000);
  assertEquals(bob.gossip.topics().length, 1);
  await village.clock.advance(6_000);
  assertEquals(bob.gossip.topics(), []);
  assertEquals(statusOf(ann)?.neighbors, []);
  // Whoever publishes takes part again.
  const published = ann.gossip.publish(NEWS, 1);
  await bob.gossip.publish(NEWS, 2);
  await published;
  await village.until("it", () => ofAnn?.data.includes(2) === true);
});

Deno.test("Gossip finds a neighbour instead of one that was killed, and goes on", async () => {
  await using village = new Village();
  const peers = await village.openMany(4);
  const [ann, bob, carol, dave] = peers;
  assert(ann && bob && carol && dave);
  const readings = readAll(peers);
  await village.meet(peers);
  village.kill(dave);
  await village.until("dave to be missed", () => {
    return [ann, bob, carol].every((peer) => !statusOf(peer)?.neighbors.includes(dave.peerId));
  });
  await village.meet([ann, bob, carol]);
  await bob.gossip.publish(NEWS, "still here");
  await village.until("it", () => readings[0]?.data.length === 1 && readings[2]?.data.length === 1);
});

Deno.test("Gossip ends its subscriptions when it closes, after what waits, and takes nothing from then on", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const subscription = bob.gossip.subscribe(NEWS);
  ann.gossip.subscribe(NEWS);
  await village.meet([ann, bob]);
  for (const n of [1, 2, 3]) await ann.gossip.publish(NEWS, n);
  await village.until("them", () => countOf(bob, "accepted") === 3);
  await village.settled(bob.gossip.close());
  await village.settled(bob.gossip.close()); // harmless
  const given: unknown[] = [];
  for await (const { data } of subscription) given.push(data);
  assertEquals(given, [1, 2, 3]);
  assertThrows(() => bob.gossip.subscribe(NEWS), ClosedError);
  await assertRejects(() => bob.gossip.publish(NEWS, 4), ClosedError);
  assertEquals(bob.gossip.topics(), []);
});

Deno.test("Gossip says what is wrong with a topic, and with when it is configured", async () => {
  await using village = new Village();
  const ann = await village.open();
  for (
    const [name, error] of [["", TypeError], ["a\nb", TypeError], [
      "x".repeat(129),
      RangeError,
    ]] as const
  ) {
    assertThrows(() => ann.gossip.subscribe(name), error);
    await assertRejects(() => ann.gossip.publish(name, 1), error);
    assertThrows(() => ann.gossip.configure(name, {}), error);
  }
  ann.gossip.subscribe(NEWS);
  assertThrows(
    () => ann.gossip.configure(NEWS, {}),
    TypeError,
    'Cannot configure topic "news": it is in use',
  );
  assertThrows(() => ann.gossip.subscribe(NEWS, { maxWaiting: 0 }), RangeError);
  assertThrows(() => ann.gossip.subscribe(NEWS, { since: -1 }), RangeError);
});
