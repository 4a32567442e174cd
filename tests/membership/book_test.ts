import { assert, assertEquals, assertThrows } from "@std/assert";
import { ClosedError } from "../../src/errors.ts";
import { readClaim } from "../../src/membership/claims.ts";
import { comparison, FIRST, forged, Glass, type Other, single } from "./fixture.ts";

/** A group of three that are members, besides the one under glass. */
async function group(): Promise<{ glass: Glass; ann: Other; bob: Other; eve: Other }> {
  const glass = new Glass();
  const [ann, bob, eve] = await glass.join("ann", "bob", "eve");
  assert(ann !== undefined && bob !== undefined && eve !== undefined);
  glass.events.length = glass.sent.length = 0;
  return { glass, ann, bob, eve };
}

/** What the member has passed on since, as far as it is about somebody. */
function passedOn(glass: Glass, about: string): string[] {
  const claims = glass.sent.flatMap(({ claims }) => claims.map(readClaim));
  return claims.filter(({ subject }) => subject === about).map(({ kind }) => kind);
}

Deno.test("Book takes in who answers, and tells the others", async () => {
  const { glass, ann } = await group();
  const dan = glass.add("dan");
  glass.news(ann, dan.alive({ name: "dan", tags: { role: "nas" } }));
  assertEquals(glass.member(dan), undefined);
  await glass.time.advance(1_000);
  const { state, path, tags, name, incarnation } = glass.member(dan) ?? {};
  assertEquals([state, path, tags, name], ["alive", "direct", { role: "nas" }, "dan"]);
  assertEquals([incarnation, glass.happened], [FIRST, ["joined"]]);
  assert(passedOn(glass, dan.peerId).includes("alive"));
});

Deno.test("Book neither asks nor passes on whom nobody has signed for", async () => {
  const { glass, ann } = await group();
  const dan = glass.add("dan");
  glass.news(ann, forged(dan.alive()));
  glass.news(ann, dan.alive({ project: "00".repeat(8) }));
  await glass.time.advance(1_000);
  assertEquals([glass.sentTo(dan), glass.member(dan)], [[], undefined]);
  assertEquals([passedOn(glass, dan.peerId), glass.count("refused-claims")], [[], 2]);
});

Deno.test("Book believes a member that says something new at the same place", async () => {
  const { glass, ann, bob } = await group();
  glass.news(bob, ann.alive({ incarnation: FIRST + 1, tags: { a: "b" } }));
  assertEquals([glass.member(ann)?.tags, glass.happened], [{ a: "b" }, ["updated"]]);
  glass.news(bob, ann.alive({ incarnation: FIRST + 2, tags: { a: "b" } }));
  assertEquals([glass.member(ann)?.incarnation, glass.happened], [FIRST + 2, ["updated"]]);
  glass.news(bob, ann.alive({ incarnation: FIRST + 1, tags: { c: "d" } }));
  assertEquals(glass.member(ann)?.tags, { a: "b" });
});

Deno.test("Book believes that a member has moved when it answers there", async () => {
  const { glass, ann } = await group();
  const moved = ann.alive({ incarnation: FIRST + 1, hosts: ["10.0.9.9"] });
  glass.news(ann, moved);
  assertEquals(glass.member(ann)?.addresses[0]?.hostname, ann.address.hostname);
  const there = { hostname: "10.0.9.9", port: ann.address.port };
  const { nonce } = single(glass.sent.filter(({ address }) => address.hostname === "10.0.9.9"));
  glass.packet(ann, { kind: ":ack", nonce, project: "" }, there);
  assertEquals(glass.member(ann)?.addresses[0], there);
});

Deno.test("Book believes a goodbye of its subject, and only of the life it is of", async () => {
  const { glass, ann, bob } = await group();
  glass.news(bob, forged(ann.left()), ann.left({ incarnation: FIRST - 1 }));
  assertEquals(glass.member(ann)?.state, "alive");
  const goodbye = ann.left();
  glass.news(bob, goodbye);
  assertEquals([glass.member(ann)?.state, glass.happened], ["gone", ["left"]]);

  glass.news(ann, ann.alive({ incarnation: FIRST + 1 }));
  await glass.time.advance(5);
  assertEquals([glass.member(ann)?.state, glass.happened], ["alive", ["left", "joined"]]);
  glass.news(bob, goodbye);
  assertEquals(glass.member(ann)?.state, "alive");
});

Deno.test("Book suspects on the word of a present member, and nobody's else", async () => {
  const { glass, ann, bob, eve } = await group();
  const stranger = glass.add("stranger");
  glass.news(bob, stranger.suspects(ann.peerId));
  glass.news(bob, forged(eve.suspects(ann.peerId)));
  glass.news(bob, eve.suspects(ann.peerId, { incarnation: FIRST - 1 }));
  glass.news(bob, eve.suspects(ann.peerId, { project: "00".repeat(8) }));
  glass.news(eve, eve.left());
  glass.news(eve, eve.suspects(ann.peerId));
  assertEquals([glass.member(ann)?.state, glass.happened], ["alive", ["left"]]);

  glass.news(eve, bob.suspects(ann.peerId));
  assertEquals(glass.member(ann)?.state, "suspect");
  assertEquals(glass.member(ann)?.confirmedBy, [bob.peerId]);
});

Deno.test("Book lets a member refute, and forgets the accusation", async () => {
  const { glass, ann, bob } = await group();
  const accusation = bob.suspects(ann.peerId);
  glass.news(bob, accusation);
  glass.news(ann, ann.alive({ incarnation: FIRST + 1 }));
  assertEquals(glass.happened, ["suspect", "alive"]);
  assertEquals(glass.member(ann)?.why, "it refuted the suspicion");
  glass.news(bob, accusation);
  await glass.time.advance(30_000);
  assertEquals(glass.happened, ["suspect", "alive"]);
});

Deno.test("Book gives up whom it suspected long enough and could not reach, says who, and takes it back", async () => {
  const { glass, ann, bob, eve } = await group();
  ann.answers = false;
  glass.news(bob, bob.suspects(ann.peerId), eve.suspects(ann.peerId));
  // 2.5 probes for each power of ten of members, and of those 1.2 at the least.
  await glass.time.advance(2_990);
  assertEquals(glass.member(ann)?.state, "suspect");
  await glass.time.advance(20_000);
  const { state, confirmedBy } = glass.member(ann) ?? {};
  assertEquals([state, glass.happened], ["dead", ["suspect", "dead"]]);
  assert(confirmedBy?.includes(bob.peerId));

  // What it said before is no news, and it has to answer.
  glass.news(bob, ann.alive());
  glass.news(bob, ann.alive({ incarnation: FIRST + 1 }));
  assertEquals(glass.member(ann)?.state, "dead");
  ann.answers = true;
  await glass.time.advance(600);
  assertEquals(glass.happened, ["suspect", "dead", "alive"]);
});

Deno.test("Book does not give up a member that answers it, whoever accuses", async () => {
  const { glass, ann, bob, eve } = await group();
  glass.news(bob, bob.suspects(ann.peerId), eve.suspects(ann.peerId));
  await glass.time.advance(10_000);
  assertEquals([glass.member(ann)?.state, glass.happened], ["suspect", ["suspect"]]);
});

Deno.test("Book gives up a member that answered once since it is accused, and then no more", async () => {
  const { glass, ann, bob } = await group();
  glass.swim.start();
  glass.news(bob, bob.suspects(ann.peerId));
  await glass.time.advance(2_500);
  ann.answers = false;
  await glass.time.advance(60_000);
  glass.swim.stop();
  assertEquals(glass.member(ann)?.state, "dead");
});

Deno.test("Book says why in printable words", async () => {
  const { glass, ann, bob } = await group();
  glass.news(bob, bob.alive({ incarnation: FIRST + 1, name: "x\u001b[2J\n" }));
  glass.news(bob, bob.suspects(ann.peerId));
  const why = glass.member(ann)?.why ?? "";
  assert(/^it does not answer \P{Cc}+$/u.test(why), why);
});

Deno.test("Book refutes what members say of it, once for each incarnation, and spreads it", async () => {
  const { glass, ann, bob } = await group();
  glass.news(ann, ann.suspects(glass.me.peerId));
  assertEquals(glass.swim.incarnation, FIRST + 1);
  glass.news(ann, ann.suspects(glass.me.peerId), bob.suspects(glass.me.peerId));
  assertEquals([glass.swim.incarnation, glass.count("refutations")], [FIRST + 1, 1]);
  await glass.time.advance(1_000);
  const own = glass.sent.flatMap(({ claims }) => claims.map(readClaim))
    .filter(({ subject, kind }) => subject === glass.me.peerId && kind === "alive");
  assert(own.length > 0 && own.every(({ incarnation }) => incarnation === FIRST + 1));
});

Deno.test("Book takes no incarnation of itself from others, and names who invents one", async () => {
  const { glass, ann } = await group();
  for (const incarnation of [FIRST + 1, FIRST + 2 ** 21, 2 ** 52]) {
    glass.news(ann, ann.suspects(glass.me.peerId, { incarnation }));
  }
  assertEquals([glass.swim.incarnation, glass.count("unproven-incarnations")], [FIRST, 3]);
  const { from } = single(glass.warnings);
  assertEquals(from, ann.peerId);
});

Deno.test("Book overtakes what it said itself in a life that it forgot, and only that", async () => {
  const { glass, ann, bob } = await group();
  const { me } = glass;
  glass.news(ann, forged(me.alive({ incarnation: FIRST + 9 })));
  glass.news(ann, bob.alive({ incarnation: FIRST + 9 }));
  assertEquals(glass.swim.incarnation, FIRST);
  glass.news(ann, me.alive({ incarnation: FIRST + 5 }));
  assertEquals(glass.swim.incarnation, FIRST + 6);
  glass.news(ann, me.left({ incarnation: FIRST + 6 }));
  assertEquals(glass.swim.incarnation, FIRST + 7);
  glass.news(ann, me.alive({ incarnation: FIRST + 7 }), me.left({ incarnation: FIRST + 6 }));
  assertEquals(glass.swim.incarnation, FIRST + 7);
});

Deno.test("Book no longer listens to a member whose suspicions are refuted again and again", async () => {
  const { glass, ann, bob, eve } = await group();
  for (let round = 0; round < 60; round++) {
    glass.news(bob, bob.suspects(ann.peerId, { incarnation: FIRST + round }));
    glass.news(ann, ann.alive({ incarnation: FIRST + round + 1 }));
  }
  glass.events.length = 0;
  glass.news(bob, bob.suspects(ann.peerId, { incarnation: FIRST + 60 }));
  assertEquals([glass.happened, glass.count("muted")], [[], 1]);
  assertEquals(single(glass.warnings).peerId, bob.peerId);
  glass.news(eve, eve.suspects(ann.peerId, { incarnation: FIRST + 60 }));
  glass.news(ann, ann.alive({ incarnation: FIRST + 61 }));
  assertEquals(glass.happened, ["suspect", "alive"]);
  // After a while its word counts again.
  await glass.time.advance(601_000);
  glass.news(bob, bob.suspects(ann.peerId, { incarnation: FIRST + 61 }));
  assertEquals(glass.happened, ["suspect", "alive", "suspect"]);
});

Deno.test("Book refutes a member it does not listen to, too, for others may: seldom, and at no cost to itself", async () => {
  const { glass, bob, eve } = await group();
  const accuse = () => {
    const { incarnation } = glass.swim;
    glass.news(bob, eve.suspects(glass.me.peerId, { incarnation }));
  };
  for (let round = 0; round < 60; round++) accuse();
  assertEquals([single(glass.warnings).peerId, glass.count("refutations")], [eve.peerId, 60]);
  glass.swim.start();
  await glass.time.advance(60_000);
  assertEquals(glass.swim.awareness, 0);
  for (let ms = 0; ms < 20_000; ms += 100) {
    accuse();
    await glass.time.advance(100);
  }
  glass.swim.stop();
  // Every second probe: sooner than a suspicion can be over.
  assertEquals([glass.count("refutations"), glass.swim.awareness], [60 + 10, 0]);
});

Deno.test("Book names whoever passes on what is forged, once a minute", async () => {
  const { glass, ann, bob } = await group();
  for (let round = 0; round < 20; round++) glass.news(ann, forged(bob.left()));
  assertEquals([glass.count("refused-claims"), glass.warnings.length], [20, 1]);
  assertEquals(single(glass.warnings).from, ann.peerId);
  await glass.time.advance(61_000);
  glass.news(ann, forged(bob.left()));
  assertEquals(glass.warnings.length, 2);
});

Deno.test("Book refuses more members than it may have", async () => {
  const glass = new Glass({ maxMembers: 2 });
  await glass.join("ann", "bob");
  const dan = glass.add("dan");
  glass.news(dan, dan.alive());
  await glass.time.advance(5);
  assertEquals([glass.member(dan), glass.count("full")], [undefined, 1]);
});

Deno.test("describe says something new, and refuses what is too long", async () => {
  const { glass, bob } = await group();
  const self = { name: "me", hosts: ["10.0.0.1"], tcpPort: 3_485, udpPort: 3_486 };
  const tags = Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8].map((at) => {
    return [`${at}`.repeat(24), "v".repeat(24)];
  }));
  assertThrows(() => glass.swim.describe({ ...self, tags }), RangeError, "512 bytes");
  assertThrows(() => glass.swim.describe({ ...self, hosts: ["nas.local"], tags: {} }), RangeError);
  assertEquals(glass.swim.incarnation, FIRST);
  glass.news(bob, bob.suspects(glass.me.peerId));
  assertEquals([glass.count("refutations"), glass.swim.incarnation], [1, FIRST + 1]);
  glass.swim.describe({ ...self, tags: { role: "nas" } });
  await glass.time.advance(1_000);
  const told = glass.sentTo(bob).flatMap(({ claims }) => claims.map(readClaim));
  assert(told.some((claim) => claim.kind === "alive" && claim.tags.role === "nas"));
});

Deno.test("stop leaves no timer, whatever was going on", async () => {
  const { glass, ann, bob } = await group();
  glass.swim.start();
  const dan = glass.add("dan");
  [ann.answers, dan.answers] = [false, false];
  glass.news(bob, bob.suspects(ann.peerId), dan.alive());
  await glass.time.advance(1_700);
  assert(glass.clock.waiting > 5);
  glass.swim.stop();
  assertEquals(glass.clock.waiting, 0);
  const [sent, asked] = [glass.sent.length, glass.asked.length];
  glass.news(bob, bob.left());
  const push = { ...comparison(bob), t: "push", c: [bob.suspects(ann.peerId)] };
  assertThrows(() => glass.swim.answer(push, bob.peerId), ClosedError);
  glass.swim.join(ann.address);
  await glass.time.advance(60_000);
  assertEquals([glass.sent.length, glass.asked.length, glass.clock.waiting], [sent, asked, 0]);
});
