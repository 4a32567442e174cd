import { assert, assertEquals } from "@std/assert";
import { DHT_CAPABILITY } from "../../src/dht/native_wire.ts";
import { ClosedError } from "../../src/errors.ts";
import { formatAddress } from "../../src/transport/mod.ts";
import { isSettled, settle } from "../endpoint/fixture.ts";
import { passing } from "./lookup_fixture.ts";
import { contactAt, Quest, TCP_PORT, UDP_PORT } from "./seeker_fixture.ts";

Deno.test("DhtSeeker asks the nodes of former times first, and nobody else until they have answered", async () => {
  const answered = Promise.withResolvers<void>();
  await using quest = await Quest.begin({
    former: ["old one", "old two"],
    known: ["member"],
    seeds: ["seed"],
    slow: answered.promise,
  });
  await quest.peer("seed");
  quest.nodes.add("old two");
  const looking = quest.seeker.look();
  await settle();
  assertEquals(quest.done, ["ping old one", "ping old two"]);
  answered.resolve();
  await passing(quest.clock, looking);
  assertEquals(new Set(quest.met), new Set(["member", "seed"]));
  assertEquals(quest.node.table.size, 2);
});

Deno.test("DhtSeeker asks members where they take packets, eight of them, and seeds where their node is", async () => {
  const known = Array.from({ length: 12 }, (_, n) => `member ${n}`);
  await using quest = await Quest.begin({ known, seeds: ["seed", "nobody"] });
  await quest.peer("seed");
  for (const member of known) quest.nodes.add(member);
  await quest.look();
  assertEquals(quest.met.filter((host) => host.startsWith("member")), known.slice(0, 8));
  assertEquals(quest.done.filter((one) => one.endsWith("seed")), ["where seed", "meet seed"]);
  assertEquals(quest.node.table.size, 9);
  assertEquals(quest.endpoint.links.size, 0, "a link to a seed is left");
  assertEquals(quest.warnings, []);
});

Deno.test("DhtSeeker asks discovery only while it is alone, and no longer than until it is not", async () => {
  await using alone = await Quest.begin({ around: [["stranger", "friend"]] });
  await alone.peer("friend");
  await alone.seeker.look(); // nobody moves the clock
  assertEquals(alone.done, ["look", "where friend", "meet friend"]);
  assertEquals([alone.node.table.size, alone.open], [1, 0]);

  await using group = await Quest.begin({ known: ["member"], around: [["friend"]] });
  group.nodes.add("member");
  await group.look();
  assertEquals(group.looks, []);
});

Deno.test("DhtSeeker looks around for a second and a half where nobody is", async () => {
  for (const around of [[], [["nobody"]]]) {
    await using quest = await Quest.begin({ around });
    const looking = quest.seeker.look();
    await quest.clock.advance(1_400);
    assertEquals([quest.open, await isSettled(looking)], [1, false]);
    await quest.clock.advance(100);
    assertEquals([quest.open, await isSettled(looking)], [0, true]);
  }
});

Deno.test("DhtSeeker tries four addresses of whom discovery finds, and meets eight at the same time", async () => {
  const hosts = ["a", "b", "c", "d", "e", "f"];
  {
    await using quest = await Quest.begin({ around: [hosts] });
    await quest.look();
    assertEquals(quest.tap.dialled.map(({ hostname }) => hostname), hosts.slice(0, 4));
  }
  const crowd = Array.from({ length: 20 }, (_, n) => `host ${n}`);
  await using quest = await Quest.begin({ around: crowd.map((host) => [host]) });
  for (const host of crowd) await quest.peer(host);
  quest.network.partition([["seeker"]]); // who is connected to does not answer
  const looking = quest.seeker.look();
  await quest.clock.advance(1_000);
  assertEquals(quest.tap.dialled.length, 8);
  await passing(quest.clock, looking);
});

Deno.test("DhtSeeker looks again while it is alone, after 5 seconds and twice as long each time up to a minute", async () => {
  await using quest = await Quest.begin({ around: [] });
  await quest.look();
  for (let n = 0; n < 400; n++) await quest.clock.advance(1_000);
  // What discovery itself took is not waiting.
  const waits = quest.looks.slice(1).map((atMs, n) => atMs - (quest.looks[n] ?? 0) - 1_500);
  const expected = [5, 10, 20, 40, 60, 60, 60].map((seconds) => 1_000 * seconds);
  assert(waits.length >= 7, `${waits}`);
  for (const [n, waitMs] of expected.entries()) {
    const ratio = (waits[n] ?? 0) / waitMs;
    assert(ratio >= 0.75 && ratio <= 1.25, `wait ${n}: ${waits[n]} ms`);
  }
  assert(new Set(waits.map((waitMs, n) => waitMs / (expected[n] ?? 1))).size > 3, "all in step");
});

Deno.test("DhtSeeker looks every ten minutes once it knows somebody, and begins anew when it is alone again", async () => {
  await using quest = await Quest.begin({ known: ["member"], around: [] });
  await quest.look();
  await quest.clock.advance(120_000);
  quest.nodes.add("member");
  await quest.look();
  const looks = () => quest.met.length;
  const before = looks();
  await quest.clock.advance(449_000);
  assertEquals(looks(), before);
  await quest.clock.advance(302_000);
  assertEquals(looks(), before + 1);
  quest.nodes.clear();
  quest.node.table.remove(contactAt("member").key);
  quest.looks.length = 0;
  await quest.clock.advance(750_000);
  const [first = 0, second = Infinity, third = Infinity] = quest.looks;
  assert(second - first <= 1_500 + 1.25 * 5_000, `${second - first} ms`);
  assert(third - second <= 1_500 + 1.25 * 10_000, `${third - second} ms`);
});

Deno.test("DhtSeeker.look is one look, however often it is asked for at the same time", async () => {
  await using quest = await Quest.begin({ around: [] });
  const looking = [quest.seeker.look(), quest.seeker.look()];
  await passing(quest.clock, Promise.all(looking));
  assertEquals([quest.looks.length, quest.clock.timers], [1, 1]);
  await quest.look();
  assertEquals([quest.looks.length, quest.clock.timers], [2, 1]);
});

Deno.test("DhtSeeker: a peer that connects and has a node introduces it, also before anybody looks", async () => {
  await using quest = await Quest.begin();
  const friend = await quest.peer("friend");
  await using _link = await friend.connect({ hostname: "seeker", port: TCP_PORT });
  await settle();
  assertEquals(quest.done, ["where friend", "meet friend"]);
  assertEquals(quest.node.table.contacts().map(({ key }) => key), [friend.self.peerId]);
  // Whoever is known need not say it again.
  await using _again = await friend.connect({ hostname: "seeker", port: TCP_PORT });
  await settle();
  assertEquals(quest.done.length, 2);
});

Deno.test("DhtSeeker: a peer whose node is not known yet is asked again when nodes are looked for", async () => {
  await using quest = await Quest.begin();
  const friend = await quest.peer("friend");
  quest.nodes.clear();
  await using _link = await friend.connect({ hostname: "seeker", port: TCP_PORT });
  await settle();
  assertEquals([quest.met.length, quest.node.table.size], [1, 0]);
  quest.nodes.add("friend");
  await quest.look();
  assertEquals([quest.met.length, quest.node.table.size], [2, 1]);
});

Deno.test("DhtSeeker asks nobody who connects where its node is that has none", async () => {
  await using quest = await Quest.begin();
  const other = await quest.peer("other", () => ({ udp: UDP_PORT }), ["dht/2", "DHT/1", "dht/10"]);
  await using _link = await other.connect({ hostname: "seeker", port: TCP_PORT });
  await settle();
  await quest.look();
  assertEquals([quest.endpoint.links.size, quest.done], [1, []]);
});

Deno.test("DhtSeeker leaves whom discovery finds alone for minutes when it has no node, until it connects with one", async () => {
  await using quest = await Quest.begin({ around: [["other"]] });
  const other = await quest.peer("other", undefined, []);
  const connections = () => quest.tap.dialled.length;
  await quest.look();
  assertEquals([connections(), quest.done.includes("where other")], [1, false]);
  for (let n = 0; n < 55; n++) await quest.clock.advance(1_000);
  assert(quest.looks.length > 2);
  assertEquals(connections(), 1);
  for (let n = 0; n < 545; n++) await quest.clock.advance(1_000);
  assert(connections() > 1 && connections() <= 4, `${connections()} connections`);

  other.offer(DHT_CAPABILITY);
  await using _link = await other.connect({ hostname: "seeker", port: TCP_PORT });
  await settle();
  assertEquals(quest.node.table.size, 1);
});

Deno.test("DhtSeeker waits three seconds for a connection", async () => {
  await using quest = await Quest.begin({ seeds: ["away"] });
  await quest.peer("away");
  quest.network.partition([["seeker"]]);
  const looking = quest.seeker.look();
  await quest.clock.advance(2_900);
  assertEquals(await isSettled(looking), false);
  await quest.clock.advance(200);
  assertEquals(await isSettled(looking), true);
});

Deno.test("DhtSeeker: whatever somebody says about where its node is, nothing happens but where that can be", async () => {
  const odd = [
    ...[0, -1, 1.5, 65_536, 70_000, 2 ** 53, 2n ** 64n - 1n, true, null],
    ...["3486", "", "x".repeat(100_000), [UDP_PORT], { port: UDP_PORT }, new Uint8Array(8)],
  ].map((udp) => ({ udp }));
  const answers = [...odd, {}, [], null, UDP_PORT, "3486", { udp: UDP_PORT + 1 }, { UDP: 1 }];
  await using quest = await Quest.begin({ seeds: answers.map((_, n) => `odd ${n}`) });
  for (const [n, answer] of answers.entries()) await quest.peer(`odd ${n}`, () => answer);
  const thrower = await quest.peer("thrower", () => {
    throw new Error("no");
  });
  await using _link = await thrower.connect({ hostname: "seeker", port: TCP_PORT });
  await quest.look();
  const asked = quest.done.filter((one) => one.startsWith("where"));
  assertEquals(asked.length, answers.length + 2); // one when it connects, and again by the look
  // Only one of them is a port, and nobody is there.
  assertEquals(quest.met, [`odd ${answers.length - 2}`]);
  assertEquals([quest.node.table.size, quest.endpoint.links.size], [0, 1]);
  assertEquals(quest.warnings.filter((text) => !text.includes("handler")), []);
});

Deno.test("DhtSeeker waits three seconds for somebody who says nothing, however it is connected", async () => {
  await using quest = await Quest.begin({ seeds: ["mute"] });
  const never = Promise.withResolvers<void>();
  const mute = await quest.peer("mute", () => never.promise);
  const deaf = await quest.peer("deaf", () => never.promise);
  await using _link = await deaf.connect({ hostname: "seeker", port: TCP_PORT });
  await settle();
  const looking = quest.seeker.look();
  await quest.clock.advance(2_900);
  assertEquals(await isSettled(looking), false);
  await quest.clock.advance(200);
  assertEquals(await isSettled(looking), true);
  never.resolve();
  assertEquals([quest.node.table.size, mute.links.size], [0, 0]);
});

Deno.test("DhtSeeker asks at the host of the connection, whatever the peer says", async () => {
  await using quest = await Quest.begin({ seeds: ["liar"] });
  await quest.peer("liar", () => ({ udp: UDP_PORT, hostname: "victim", ip: "victim" }));
  await quest.look();
  assertEquals(quest.met, ["liar"]);
});

Deno.test("DhtSeeker.meet asks peers at addresses, and only says in the log that some are not there", async () => {
  await using quest = await Quest.begin();
  await quest.peer("friend");
  const addresses = ["friend", "nobody"].map((hostname) => ({ hostname, port: TCP_PORT }));
  await passing(quest.clock, quest.seeker.meet(addresses));
  assertEquals([quest.met, quest.node.table.size, quest.warnings], [["friend"], 1, []]);
  assertEquals(quest.tap.dialled.map(formatAddress), ["friend:3485", "nobody:3485"]);
});

Deno.test("DhtSeeker warns of what is no fault of others, and goes on", async () => {
  await using quest = await Quest.begin({ around: new TypeError("a mistake\n") });
  await quest.look();
  assertEquals(quest.warnings, ["looking for nodes of the DHT TypeError: a mistake\\u{a}"]);
  await quest.clock.advance(10_000);
  assert(quest.looks.length > 1);
});

Deno.test("DhtSeeker does not wait longer for discovery that fails", async () => {
  await using quest = await Quest.begin({ around: new ClosedError("The discovery is closed") });
  await quest.seeker.look();
  assertEquals([quest.warnings, quest.looks.length], [[], 1]);
});

Deno.test("DhtSeeker.close ends a look, takes its timer back, and nobody is looked for any more", async () => {
  const never = new Promise<void>(() => {});
  for (const busy of [true, false]) {
    await using quest = await Quest.begin({ around: [["friend"]], seeds: ["mute"] });
    await quest.peer("friend", () => never);
    await quest.peer("mute", () => never);
    const looking = quest.seeker.look();
    if (busy) await quest.clock.advance(10);
    else await quest.clock.advance(4_600);
    await quest.seeker.close();
    assertEquals([quest.open, quest.endpoint.links.size], [0, 0]);
    await looking;
    const { length } = quest.done;
    await quest.seeker.look();
    const late = await quest.peer("late");
    await using _link = await late.connect({ hostname: "seeker", port: TCP_PORT });
    await quest.clock.advance(1_000_000);
    assertEquals(quest.done.slice(length), []);
    await quest.seeker.close();
    assertEquals(quest.warnings, []);
  }
});

Deno.test("DhtSeeker.close leaves no timer, neither of a look nor of the next", async () => {
  for (const elapsedMs of [500, 2_000]) {
    await using quest = await Quest.begin({ around: [] });
    const looking = quest.seeker.look();
    await quest.clock.advance(elapsedMs);
    assertEquals(quest.clock.timers, 1);
    await quest.seeker.close();
    await looking;
    assertEquals(quest.clock.timers, 0);
  }
});
