import { assert, assertEquals, assertRejects } from "@std/assert";
import { Link } from "../../src/endpoint/link.ts";
import { ClosedError } from "../../src/errors.ts";
import type { GossipMessage } from "../../src/gossip/gossip_options.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { countOf, NEWS, readAll, Reading, statusOf, Village } from "./gossip_fixture.ts";

Deno.test("Room numbers messages upwards, from a beginning that no other life has", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [, reading] = readAll([ann, bob]);
  await village.meet([ann, bob]);
  const sent = await Promise.all(
    Array.from({ length: 200 }, (_, n) => ann.gossip.publish(NEWS, n)),
  );
  const [first] = sent;
  assert(first);
  const beginning = Math.floor((village.clock.wallMs() - village.clock.now()) * 2_048);
  assert(first.seq >= beginning && first.seq < beginning + 2_048 * (village.clock.now() + 1));
  assertEquals(sent.map(({ seq }) => seq - first.seq), sent.map((_, n) => n));
  await village.until("them", () => reading?.data.length === 200);
  const given = reading?.messages.map(({ seq, data }) => [seq - first.seq, data]).toSorted();
  assertEquals(given, sent.map((_, n) => [n, n]).toSorted());
});

Deno.test("Room signs together what is published in one turn, and encodes it once for all neighbours", async () => {
  await using village = new Village();
  const peers = await village.openMany(4);
  const [ann] = peers;
  assert(ann);
  const readings = readAll(peers);
  await village.meet(peers, NEWS, 3);
  const pushed: Uint8Array[] = [];
  const { forward } = Link.prototype;
  let signed = 0;
  const { sign } = ann.identity;
  ann.identity.sign = (bytes) => (signed++, sign.call(ann.identity, bytes));
  Link.prototype.forward = function (message) {
    const { header, body } = decodeWireData(message);
    if (header === "gossip.push" && body.h === 1) pushed.push(message);
    return forward.call(this, message);
  };
  try {
    await Promise.all(Array.from({ length: 64 }, (_, n) => ann.gossip.publish(NEWS, n)));
    assertEquals([pushed.length, new Set(pushed).size, signed], [3 * 64, 64, 1]);
    await village.until("them", () => readings.slice(1).every(({ data }) => data.length === 64));
  } finally {
    Link.prototype.forward = forward;
  }
});

Deno.test("Room gives each reader a value of its own, and none to who published it", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [one, two] = [1, 2].map(() => new Reading(bob.gossip.subscribe(NEWS)));
  const own = new Reading(ann.gossip.subscribe(NEWS));
  await village.meet([ann, bob]);
  await ann.gossip.publish(NEWS, { list: [1] });
  await village.until("both", () => one?.data.length === 1 && two?.data.length === 1);
  const [given, other] = [one?.data[0], two?.data[0]] as { list: number[] }[];
  given?.list.push(2);
  assertEquals([other, own.data], [{ list: [1] }, []]);
  const since = new Reading(ann.gossip.subscribe(NEWS, { since: "all" }));
  await village.clock.advance(100);
  assertEquals(since.data, []);
});

Deno.test("Room hands its validator what was published, and rejects what is no value at all", async () => {
  await using village = new Village();
  const ann = await village.open();
  const judged: GossipMessage[] = [];
  ann.gossip.configure(NEWS, { validate: (message) => (judged.push(message), "accept") });
  const [reading] = readAll([ann]);
  const eve = await village.stranger(ann);
  await eve.join(village);
  eve.push(eve.write({ fine: true }, village.clock.wallMs()));
  eve.push(eve.sign(Uint8Array.of(0xc1), village.clock.wallMs())); // no MessagePack
  await village.until("both", () => countOf(ann, "accepted") + countOf(ann, "rejects") === 2);
  assertEquals(judged.map(({ from, data }) => [from, data]), [[eve.peerId, { fine: true }]]);
  assertEquals([reading?.data, countOf(ann, "authored")], [[{ fine: true }], 1]);
});

Deno.test("Room takes part on while somebody reads, and rejects what waits to be published when it closes", async () => {
  await using village = new Village();
  const ann = await village.open();
  const [reading] = readAll([ann]);
  await village.clock.advance(60_000);
  assertEquals(statusOf(ann)?.subscriptions, 1);
  const waiting = assertRejects(() => ann.gossip.publish(NEWS, 1), ClosedError);
  void ann.gossip.close(); // in the same turn
  await village.settled(waiting).catch(() => {});
  await village.settled(reading?.ended ?? Promise.resolve());
});
