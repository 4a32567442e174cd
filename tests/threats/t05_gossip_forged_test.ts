import { assert, assertEquals } from "@std/assert";
import {
  type AuthorKey,
  type Draft,
  signEnvelopes,
  topicKeyOf,
} from "../../src/gossip/envelope.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { countOf, NEWS, readAll, statusOf, Village } from "../gossip/gossip_fixture.ts";

Deno.test("T5 a message that somebody changed, or wrote in the name of another or for another topic, is given to nobody and passed on by nobody", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await village.openMany(3);
  assert(ann && bob && carol);
  const readings = readAll([ann, bob, carol]);
  await village.meet([ann, bob, carol], NEWS, 2);
  const draft = { seq: 2 ** 51, createdMs: village.clock.wallMs(), data: encode("forged") };
  const nothing = new Uint8Array(64);
  const changed = [draft.seq, draft.createdMs, "forged"].map((field) => (eve: AuthorKey) => {
    return flipped(signed(eve, NEWS, draft), encode(field));
  });
  const forgeries: readonly ((eve: AuthorKey) => Uint8Array)[] = [
    (eve) => signed(nameOf(carol.identity, eve), NEWS, draft),
    (eve) => signed(eve, "weather", draft),
    (eve) => signed({ publicKey: eve.publicKey, sign: () => nothing }, NEWS, draft),
    ...changed,
  ];
  for (const [at, forge] of forgeries.entries()) {
    const eve = await village.stranger(ann);
    await eve.join(village);
    const invalid = countOf(ann, "invalid");
    eve.push(forge(eve.identity));
    await village.until(`refusal ${at}`, () => countOf(ann, "invalid") === invalid + 1);
    // One is enough to be no neighbour any more, three not to be listened to.
    await village.until("its leave", () => !statusOf(ann)?.neighbors.includes(eve.peerId));
    const unread = countOf(ann, "unread");
    for (let n = 0; n < 4; n++) eve.push(forge(eve.identity));
    await village.until("deafness", () => countOf(ann, "unread") >= unread + 2);
    await eve.link.close();
  }
  await village.clock.advance(1_000);
  assertEquals(readings.map(({ data }) => data), [[], [], []]);
  assertEquals([bob, carol].map((peer) => countOf(peer, "invalid")), [0, 0]);
  // Whose name was used is listened to as ever.
  await carol.gossip.publish(NEWS, "true");
  await village.until("it", () => readings[0]?.data.length === 1 && readings[1]?.data.length === 1);
});

function signed(key: AuthorKey, topic: string, draft: Draft): Uint8Array {
  const [envelope] = signEnvelopes(key, topicKeyOf(topic), [draft]);
  assert(envelope);
  return envelope;
}

/** Somebody who says that it is another. */
function nameOf({ publicKey }: AuthorKey, signer: AuthorKey): AuthorKey {
  return { publicKey, sign: (bytes) => signer.sign(bytes) };
}

/** With one bit changed of what a field says. */
function flipped(envelope: Uint8Array, field: Uint8Array): Uint8Array {
  const at = envelope.findIndex((_, at) => field.every((byte, n) => envelope[at + n] === byte));
  assert(at >= 0);
  const changed = envelope.slice();
  const last = at + field.length - 1;
  changed[last] = (changed[last] ?? 0) ^ 1;
  return changed;
}
