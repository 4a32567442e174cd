import { assert, assertEquals } from "@std/assert";
import { signEnvelopes } from "../../src/gossip/envelope.ts";
import { MAX_IDS } from "../../src/gossip/id_list.ts";
import { Identity } from "../../src/secure/identity.ts";
import { encode } from "../../src/wire/msgpack.ts";
import {
  countOf,
  NEWS,
  readAll,
  statusOf,
  type Stranger,
  Village,
} from "../gossip/gossip_fixture.ts";

/** Two peers that have each other, and somebody who is a neighbour of the first. */
async function attacked() {
  const village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [ofAnn, ofBob] = readAll([ann, bob]);
  assert(ofAnn && ofBob);
  await village.meet([ann, bob]);
  const eve = await village.stranger(ann);
  await eve.join(village);
  /** What is honest passes as ever. */
  const assertPasses = async () => {
    await bob.gossip.publish(NEWS, "honest");
    await village.until("what is honest", () => ofAnn.data.includes("honest"));
    assertEquals(ofAnn.data.filter((data) => data === "honest").length, 1);
  };
  return { village, ann, bob, ofAnn, ofBob, eve, assertPasses };
}

/** So many messages of one author. */
function written(
  eve: Stranger,
  identity: Identity,
  count: number,
  createdMs: number,
): Uint8Array[] {
  const envelopes: Uint8Array[] = [];
  for (let seq = 0; seq < count; seq += 64) {
    const drafts = Array.from({ length: Math.min(64, count - seq) }, (_, n) => {
      return { seq: seq + n, createdMs, data: encode(seq + n) };
    });
    envelopes.push(...signEnvelopes(identity, eve.topicKey, drafts));
  }
  return envelopes;
}

Deno.test("T10 of an author who floods no more than its share is passed on, and others are heard", async () => {
  const { village, ann, bob, ofBob, eve, assertPasses } = await attacked();
  await using _ = village;
  const count = 12_000;
  eve.push(...written(eve, eve.identity, count, village.clock.wallMs()));
  const taken = () => countOf(ann, "accepted") + countOf(ann, "author-rate");
  while (taken() < count) await village.clock.advance(0); // all in one moment
  assert(countOf(ann, "accepted") <= 10_001, `${countOf(ann, "accepted")}`);
  await village.until("what was taken", () => ofBob.data.length === countOf(ann, "accepted"));
  assertEquals(countOf(bob, "author-rate"), 0);
  await assertPasses();
});

Deno.test("T10 of authors whom somebody invents no more than 2,000 at once are passed on", async () => {
  const { village, ann, eve, assertPasses } = await attacked();
  await using _ = village;
  const wallMs = village.clock.wallMs();
  for (let n = 0; n < 2_100; n++) {
    eve.push(...written(eve, Identity.generate(), 1, wallMs));
    if (n % 500 === 0) await village.clock.advance(1);
  }
  await village.until(
    "all",
    () => countOf(ann, "accepted") + countOf(ann, "author-rate") === 2_100,
  );
  assert(countOf(ann, "accepted") <= 2_060, `${countOf(ann, "accepted")}`);
  await assertPasses();
});

Deno.test("T10 whoever sends the same again and again is not listened to any more", async () => {
  const { village, ann, bob, ofBob, eve, assertPasses } = await attacked();
  await using _ = village;
  const message = eve.write("again", village.clock.wallMs());
  for (let n = 0; n < 1_000; n++) eve.push(message);
  await village.until("deafness", () => countOf(ann, "unread") > 0);
  assert(countOf(ann, "duplicates") < 500 && countOf(ann, "flooding") > 0);
  await village.until("its leave", () => !statusOf(ann)?.neighbors.includes(eve.peerId));
  assertEquals([ofBob.data, countOf(bob, "duplicates")], [["again"], 0]);
  await assertPasses();
});

Deno.test("T10 whoever tells of messages that there are not is asked for few of them, and is no neighbour any more", async () => {
  const { village, ann, eve, assertPasses } = await attacked();
  await using _ = village;
  const author = Identity.generate().peerId;
  const invent = (round: number) => {
    return Array.from(
      { length: MAX_IDS },
      (_, at) => ({ author, seq: round * MAX_IDS + at, hops: 1 }),
    );
  };
  const asked = () => eve.of("want").reduce((sum, { ids }) => sum + ids.length, 0);
  for (let round = 0; round < 40; round++) eve.say({ kind: "have", ids: invent(round) });
  await village.clock.advance(1_000);
  assert(asked() > 0 && asked() <= 4_096, `${asked()}`);
  for (let round = 40; statusOf(ann)?.neighbors.includes(eve.peerId); round++) {
    assert(round < 100);
    eve.say({ kind: "have", ids: invent(round) });
    await village.clock.advance(2_000);
  }
  assert(countOf(ann, "broken") > 0);
  await assertPasses();
});

Deno.test("T10 whoever wants the same again and again is given no more than its share", async () => {
  const { village, ann, eve, assertPasses } = await attacked();
  await using _ = village;
  const bytes = 256 * 1_024;
  const { from: author, seq } = await ann.gossip.publish(NEWS, new Uint8Array(bytes));
  const beganMs = village.clock.now();
  for (let n = 0; n < 400; n++) {
    eve.say({ kind: "want", ids: Array.from({ length: 50 }, () => ({ author, seq })) });
  }
  await village.clock.advance(1_000);
  await assertPasses();
  const seconds = (village.clock.now() - beganMs) / 1_000;
  const given = eve.of("push").length * bytes;
  assert(
    given > 0 && given <= (64 + 4 * (seconds + 1)) * 2 ** 20,
    `${given} bytes in ${seconds} s`,
  );
});

Deno.test("T10 a storm of grafts, prunes and questions to be a neighbour costs nobody its place", async () => {
  const { village, ann, bob, eve, assertPasses } = await attacked();
  await using _ = village;
  const wallMs = village.clock.wallMs();
  for (let n = 0; n < 500; n++) {
    eve.say({ kind: n % 2 === 0 ? "graft" : "prune" });
    eve.say({ kind: "neighbor", priority: "join", contact: eve.contact, wallMs });
    eve.say({ kind: "walk", contact: eve.contact, left: 16 });
  }
  await village.clock.advance(2_000);
  // Nor do many who all want in at once.
  for (let n = 0; n < 20; n++) {
    const other = await village.stranger(ann);
    other.say({ kind: "neighbor", priority: "join", contact: other.contact, wallMs });
  }
  await village.clock.advance(10_000);
  assert((statusOf(ann)?.neighbors.length ?? 0) <= 6, `${statusOf(ann)?.neighbors.length}`);
  await assertPasses();
  await village.meet([bob]);
});
