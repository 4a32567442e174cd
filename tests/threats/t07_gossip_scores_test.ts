import { assert, assertEquals } from "@std/assert";
import { signEnvelopes, topicKeyOf } from "../../src/gossip/envelope.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { countOf, NEWS, readAll, Reading, statusOf, Village } from "../gossip/gossip_fixture.ts";

Deno.test("T7 nobody is held to account for what others wrote in its name", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await village.openMany(3);
  assert(ann && bob && carol);
  const [ofAnn] = readAll([ann, bob, carol]);
  await village.meet([ann, bob, carol], NEWS, 2);
  for (let n = 0; n < 5; n++) {
    const eve = await village.stranger(ann);
    await eve.join(village);
    const key = {
      publicKey: carol.identity.publicKey,
      sign: (b: Uint8Array) => eve.identity.sign(b),
    };
    const createdMs = village.clock.wallMs();
    const drafts = [1, 2, 3, 4].map((seq) => ({ seq, createdMs, data: encode("a lie") }));
    eve.push(...signEnvelopes(key, topicKeyOf(NEWS), drafts));
    await village.until("deafness", () => countOf(ann, "unread") > n);
    await eve.link.close();
  }
  assert(statusOf(ann)?.neighbors.includes(carol.peerId));
  await carol.gossip.publish(NEWS, "true");
  await village.until("it", () => ofAnn?.data.length === 1);
  assertEquals(ofAnn?.data, ["true"]);
});

Deno.test("T7 whoever passes on what only another refuses loses its place at the most, and is listened to", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  bob.gossip.configure(NEWS, { validate: ({ data }) => data === "bad" ? "reject" : "accept" });
  const [, ofBob] = readAll([ann, bob]);
  await village.meet([ann, bob]);
  // Nobody listens to an author after three, so there are many, who speak to ann alone.
  for (let n = 0; n < 20; n++) {
    const eve = await village.stranger(ann);
    const wallMs = village.clock.wallMs();
    eve.push(...[1, 2].map(() => eve.write("bad", wallMs)));
    await village.until("them", () => countOf(ann, "accepted") >= 2 * (n + 1));
    await eve.link.close();
  }
  await village.until("rejections", () => countOf(bob, "rejects") >= 10);
  await village.clock.advance(1_000);
  assertEquals(countOf(bob, "unread"), 0);
  await ann.gossip.publish(NEWS, "good");
  // By comparing what both keep, or as neighbours again.
  await village.until("the good", () => ofBob?.data.includes("good") === true);
  assertEquals([ofBob?.data, countOf(bob, "unread")], [["good"], 0]);
});

Deno.test("T7 an author of what is rejected is not listened to any more, whoever brings it", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  bob.gossip.configure(NEWS, { validate: ({ data }) => data === "bad" ? "reject" : "accept" });
  const [ofAnn, ofBob] = [ann, bob].map((peer) => new Reading(peer.gossip.subscribe(NEWS)));
  await village.meet([ann, bob]);
  const eve = await village.stranger(ann);
  const wallMs = village.clock.wallMs();
  for (let n = 0; n < 3; n++) eve.push(eve.write("bad", wallMs));
  await village.until("rejections", () => countOf(bob, "rejects") === 3);
  eve.push(eve.write("good", wallMs));
  await village.until("it", () => ofAnn?.data.includes("good") === true);
  await village.until("a refusal", () => countOf(bob, "graylisted") > 0);
  assertEquals(ofBob?.data, []);
  assert(countOf(bob, "unread") === 0);
});
