import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { type Claim, readClaim } from "../../src/membership/claims.ts";
import { bucketOf, DIGEST_BYTES } from "../../src/membership/roster.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { Generator } from "../fuzz/generate.ts";
import { comparison, Glass, type Other, PROJECT, single } from "./fixture.ts";

async function group(): Promise<{ glass: Glass; ann: Other; bob: Other }> {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  glass.events.length = glass.sent.length = 0;
  return { glass, ann, bob };
}

function claimsOf(answer: MessageBody): Claim[] {
  assert(Array.isArray(answer.c));
  return answer.c.map(readClaim);
}

Deno.test("Syncer answers with itself, its digest and the buckets that differ, and no others", async () => {
  const { glass, ann, bob } = await group();
  const first = glass.swim.answer(comparison(ann), ann.peerId);
  assertEquals((first.from as Uint8Array).toHex(), glass.me.peerId);
  const subjects = claimsOf(first).map(({ subject }) => subject);
  assertEquals(new Set(subjects), new Set([glass.me, ann, bob].map(({ peerId }) => peerId)));

  const same = { ...comparison(ann), d: first.d };
  assertEquals(claimsOf(glass.swim.answer(same, ann.peerId)), []);

  assert(first.d instanceof Uint8Array && first.d.length === DIGEST_BYTES);
  const other = first.d.slice();
  const at = 4 * bucketOf(bob.peerId);
  other[at] = (other[at] ?? 0) ^ 1;
  const told = claimsOf(glass.swim.answer({ ...same, d: other }, ann.peerId));
  const bucket = bucketOf(bob.peerId);
  assert(told.length > 0 && told.every(({ subject }) => bucketOf(subject) === bucket));
});

Deno.test("Syncer tells what somebody has to refute, and who has gone, but not that the dead were alive", async () => {
  const { glass, ann, bob } = await group();
  const dan = (await glass.join("dan"))[0];
  assert(dan !== undefined);
  glass.news(ann, bob.suspects(ann.peerId));
  glass.news(dan, dan.left());
  const all = { ...comparison(ann), d: new Uint8Array(DIGEST_BYTES).fill(0xff) };
  const told = claimsOf(glass.swim.answer(all, ann.peerId));
  const of = ({ peerId }: Other) => {
    return told.filter(({ subject }) => subject === peerId).map(({ kind }) => kind);
  };
  assertEquals([of(ann), of(bob), of(dan)], [["alive", "suspect"], ["alive"], ["left"]]);
  glass.news(ann, ann.alive({ incarnation: ann.incarnation + 1 }));
  bob.answers = false;
  glass.news(ann, ann.suspects(bob.peerId));
  await glass.time.advance(20_000);
  const later = claimsOf(glass.swim.answer(all, ann.peerId));
  const ofBob = later.filter(({ subject }) => subject === bob.peerId);
  assertEquals(ofBob.map(({ kind }) => kind), ["suspect"]);
});

Deno.test("Syncer asks whoever compares before it believes it", async () => {
  const { glass } = await group();
  const dan = glass.add("dan");
  glass.swim.answer(comparison(dan), dan.peerId);
  assertEquals(glass.member(dan), undefined);
  await glass.time.advance(5);
  assertEquals(glass.member(dan)?.path, "direct");
});

Deno.test("Syncer takes what is pushed, and answers a ping that is for it", async () => {
  const { glass, ann, bob } = await group();
  const question = { ...comparison(ann), t: "push", c: [bob.left()] };
  const answer = glass.swim.answer(question, ann.peerId);
  assertEquals([answer, glass.happened], [{ from: Uint8Array.fromHex(glass.me.peerId) }, ["left"]]);
  const to = Uint8Array.fromHex(glass.me.peerId);
  const ping = { ...comparison(ann), t: "ping", to, c: [] };
  assertEquals(glass.swim.answer(ping, ann.peerId), { ...answer, c: [] });
});

Deno.test("Syncer refuses another project, another's ping, and what is malformed", async () => {
  const { glass, ann } = await group();
  const whole = comparison(ann);
  const claims = Array.from({ length: 3 * 4_096 + 1 }, () => new Uint8Array(1));
  const cases: readonly [text: string, question: MessageBody][] = [
    ["project", { ...whole, p: new Uint8Array(8) }],
    ["bad p", { ...whole, p: PROJECT }],
    ["bad p", { t: "sync" }],
    ["question", { ...whole, t: "pull" }],
    ["question", { ...whole, t: 7 }],
    ["digest", { ...whole, d: new Uint8Array(DIGEST_BYTES - 1) }],
    ["digest", { ...whole, d: "x".repeat(DIGEST_BYTES) }],
    ["claims", { ...whole, c: null }],
    ["claims", { ...whole, c: [1] }],
    ["claims", { ...whole, c: [new Uint8Array(513)] }],
    ["claims", { ...whole, t: "push", c: claims }],
    ["member", { ...whole, t: "ping", to: Uint8Array.fromHex(ann.peerId) }],
    ["bad to", { ...whole, t: "ping" }],
  ];
  for (const [text, question] of cases) {
    assertThrows(() => glass.swim.answer(question, ann.peerId), InvalidPacketError, text);
  }
  assertEquals(glass.events, []);
});

Deno.test("Syncer: values of every type in every field are refused as InvalidPacketError, or taken", async () => {
  const { glass, ann } = await group();
  const generator = new Generator(7);
  for (let round = 0; round < 800; round++) {
    const question = comparison(ann, []);
    question[generator.pick(["t", "p", "d", "c", "to"])] = generator.value();
    try {
      glass.swim.answer(question, ann.peerId);
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${Deno.inspect(question)}: ${error}`);
    }
  }
});

Deno.test("join exchanges what both know: it learns, and pushes what the other lacks", async () => {
  const { glass, ann, bob } = await group();
  const dan = glass.add("dan");
  dan.stream = ({ t }) => t === "sync" ? comparison(dan) : {};
  const outcomes: boolean[] = [];
  glass.swim.join(dan.address, (ok) => void outcomes.push(ok));
  const [sync] = glass.asked;
  assertEquals([sync?.question.t, sync?.options.peerId], ["sync", undefined]);
  assertEquals(claimsOf(sync?.question ?? {}).map(({ subject }) => subject), [glass.me.peerId]);
  await glass.time.advance(5);
  assertEquals([outcomes, glass.member(dan)?.state], [[true], "alive"]);
  const push = single(glass.asked.filter(({ question }) => question.t === "push"));
  const pushed = new Set(claimsOf(push.question).map(({ subject }) => subject));
  assert([glass.me, ann, bob].every(({ peerId }) => pushed.has(peerId)));
});

Deno.test("join fails where nobody answers, or nothing that can be read, which is named once", async () => {
  const { glass, ann } = await group();
  const whole = comparison(ann);
  const answers: (MessageBody | undefined)[] = [
    undefined,
    {},
    { ...whole, d: undefined },
    { ...whole, from: 7 },
    { ...whole, c: [new Uint8Array(513)] },
    { ...whole, c: 1 },
  ];
  const dan = glass.add("dan");
  for (const answer of answers) {
    dan.stream = () => answer;
    const outcomes: boolean[] = [];
    glass.swim.join(dan.address, (ok) => void outcomes.push(ok));
    await glass.time.advance(5_000);
    assertEquals(outcomes, [false]);
  }
  const { from } = single(glass.warnings);
  assertEquals([glass.count("refused-claims"), from], [5, "somebody at 10.0.1.3"]);
});

Deno.test("Syncer compares less often the larger the group, so that each is asked as often", async () => {
  const counts: number[] = [];
  for (const size of [4, 40]) {
    const glass = new Glass({ repairMs: 1e9, syncMs: 10_000 });
    await glass.join(...Array.from({ length: size }, (_, at) => `n${at}`));
    glass.swim.start();
    await glass.time.advance(200_000);
    counts.push(glass.asked.filter(({ question }) => question.t === "sync").length);
    glass.swim.stop();
  }
  const [few = 0, many = 0] = counts;
  assert(few >= 15 && few <= 27 && many < 0.7 * few, `${few} and ${many}`);
});
