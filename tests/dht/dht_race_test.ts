import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { HEARD, type Question } from "../../src/dht/questions.ts";
import { signedKey } from "../../src/dht/record.ts";
import { AuthError, RemoteError } from "../../src/errors.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { nodeOf, plant, three, versionsAt, Village } from "./dht_fixture.ts";
import { NOW_S, signed } from "./record_fixture.ts";

const NOW_MS = 1_000 * NOW_S;
const DAY_MS = 86_400_000;

Deno.test("Dht.put with cas replaces that version only", async () => {
  await using village = new Village();
  const [ann, bob] = await three(village);
  const first = await village.run(ann.dht.put("count", 1, { cas: 0 }));
  const second = await village.run(ann.dht.put("count", 2, { cas: first.seq ?? 0 }));
  assert((second.seq ?? 0) > (first.seq ?? 0));
  for (const cas of [0, first.seq ?? 0, (second.seq ?? 0) + 1]) {
    const error = await village.failure(ann.dht.put("count", 3, { cas }));
    assertInstanceOf(error, RemoteError);
    assertEquals([error.code, error.details.seq], ["not-allowed", second.seq]);
  }
  assertEquals((await village.run(bob.dht.get("count", { fresh: true })))?.value, 2);
});

Deno.test("Dht.put with cas: a race that most have us win is settled by a newer version, for all", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await three(village);
  const dave = await village.open("dave", { seeds: ["ann"] });
  await village.run(dave.dht.join());
  await village.clock.advance(1_000);
  const { seq = 0 } = await village.run(ann.dht.put("count", 1));
  // Another run of ann was faster, but at one node only.
  const rival = {
    scope: "shared",
    name: "count",
    seq: seq + 90_000,
    value: encode("rival"),
  } as const;
  plant(dave, signed({ ...rival, expiresS: NOW_S + 7_200 }, ann.identity), NOW_MS + 7_200_000);
  const won = await village.run(ann.dht.put("count", 2, { cas: seq }));
  assertEquals([won.seq, won.holders, won.refused], [seq + 90_001, 3, 0]);
  for (const one of [bob, carol, dave]) {
    assertEquals(versionsAt(one, "count"), { [ann.peerId]: seq + 90_001 }, one.host);
  }
  assertEquals((await village.run(carol.dht.get("count", { fresh: true })))?.value, 2);
});

Deno.test("Dht.put with cas: who has not most of the nodes has lost, and keeps nothing to put again", async () => {
  await using village = new Village();
  const [ann, bob, carol] = await three(village);
  const { seq = 0 } = await village.run(ann.dht.put("count", 1, { ttlS: 3_600 }));
  const rival = {
    scope: "shared",
    name: "count",
    seq: seq + 90_000,
    value: encode("rival"),
  } as const;
  plant(carol, signed({ ...rival, expiresS: NOW_S + 7_200 }, ann.identity), NOW_MS + 7_200_000);
  const error = await village.failure(ann.dht.put("count", 2, { cas: seq }));
  assertInstanceOf(error, RemoteError);
  assertEquals(error.code, "not-allowed");
  assertEquals(error.details, { key: signedKey("shared", "count", "").toHex(), seq: seq + 90_000 });
  assertEquals(ann.dht.stat().records, 0);
  // The loser learns by asking, and goes on from there.
  const found = await village.run(ann.dht.get("count", { fresh: true }));
  assertEquals([found?.value, found?.seq], ["rival", seq + 90_000]);
  await village.clock.advance(100); // bob, who had another, is given it
  const next = await village.run(ann.dht.put("count", 3, { cas: seq + 90_000 }));
  assertEquals([next.holders, next.refused], [2, 0]);
  assertEquals(versionsAt(bob, "count"), versionsAt(carol, "count"));
});

Deno.test("Dht.put with cas: what a node says is there does not spoil the versions to come", async () => {
  await using village = new Village();
  const seqs = [2 ** 53 - 1, 2 ** 53 - 3, NOW_MS * 2, "9".repeat(300), -5, null];
  let said: unknown;
  const refuse = (question: Question) => {
    if (question.type !== "store" || said === undefined) return HEARD;
    throw new AuthError("not-allowed", "No", { details: { seq: said } });
  };
  const [ann] = await three(village);
  await village.stranger("mallory", refuse);
  await village.run(ann.dht.join({ nodes: [nodeOf("mallory")] }));
  assertEquals(ann.dht.stat().nodes, 3);
  for (said of seqs) {
    const { seq = 0 } = await village.run(ann.dht.put("count", 1));
    const next = await village.run(ann.dht.put("count", 2, { cas: seq }));
    assertEquals([next.holders, next.refused], [2, 1]);
    assert((next.seq ?? 0) <= village.clock.wallMs() + 1_000, `${said} makes it ${next.seq}`);
  }
});

Deno.test("Dht.put overtakes versions of ours of when our clock was ahead, and fails with why where that is no clock's", async () => {
  await using village = new Village();
  const [ann] = await three(village);
  await village.run(ann.dht.put("tea", 1));
  const [, bob, carol] = village.villagers;
  assert(bob && carol);
  const plantAhead = (aheadMs: number, where: readonly (typeof bob)[]) => {
    const seq = NOW_MS + aheadMs;
    const draft = { scope: "shared", name: "tea", seq, value: encode(0) } as const;
    const record = signed({ ...draft, expiresS: NOW_S + 7_200 }, ann.identity);
    for (const one of where) plant(one, record, NOW_MS + 7_200_000);
  };
  plantAhead(DAY_MS / 2, [bob]);
  const { holders, refused } = await village.run(ann.dht.put("tea", 2));
  assertEquals([holders, refused], [2, 0]);
  plantAhead(DAY_MS - 60_000, [bob, carol]);
  const { seq } = await village.run(ann.dht.put("tea", 3));
  assert(seq !== undefined && seq > NOW_MS + DAY_MS - 60_000);
  plantAhead(3 * DAY_MS, [bob, carol]);
  const error = await village.failure(ann.dht.put("tea", 4));
  assertInstanceOf(error, RemoteError);
  assertEquals([error.code, error.details.seq], ["not-allowed", NOW_MS + 3 * DAY_MS]);
});
