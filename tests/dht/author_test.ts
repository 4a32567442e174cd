import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import {
  assertCas,
  assertTtl,
  assertWon,
  Author,
  PROVIDER_TTL_S,
  type SignOptions,
  versionAfter,
} from "../../src/dht/author.ts";
import type { Placed } from "../../src/dht/placing.ts";
import { immutableRecord, type Scope, type SignedRecord } from "../../src/dht/record.ts";
import { decodeRecord, encodeRecord } from "../../src/dht/record_codec.ts";
import { RemoteError } from "../../src/errors.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { nodeAt } from "./lookup_fixture.ts";
import { ann, bob, NOW_S, signed } from "./record_fixture.ts";

const VALUE = encode("hello");
const DAY_MS = 86_400_000;
const NOW_MS = NOW_S * 1_000;

/** Ann, who signs what lasts an hour when it is renewed. */
function annAt(clock: ManualClock) {
  const author = new Author(ann, clock, 3_600);
  const sign = (options: Partial<SignOptions> = {}, scope: Scope = "shared") => {
    return author.sign(scope, "tea", VALUE, { ttlS: 60, ...options }) as SignedRecord;
  };
  return { author, sign, seq: (options?: Partial<SignOptions>) => sign(options).seq };
}

function refusal(details: Record<string, unknown> = {}): RemoteError {
  return new RemoteError("not-allowed", "No", { details });
}

function placed(holders: number, refusals: RemoteError[]): Placed {
  const nodes = Array.from({ length: holders }, (_, at) => nodeAt([at, 1]));
  return { holders: nodes, unconfirmed: 0, refusals, silent: 0, hops: 1 };
}

Deno.test("Author signs what everybody can check, with the time as version", () => {
  const clock = new ManualClock();
  const { sign } = annAt(clock);
  for (const scope of ["own", "shared", "provider"] as const) {
    const record = sign({}, scope);
    assertEquals([record.scope, record.slot, record.expiresS], [scope, ann.peerId, NOW_S + 60]);
    assertEquals(decodeRecord(encodeRecord(record), { nowS: NOW_S }), record);
  }
  assertEquals(sign().seq, NOW_MS + 3);
});

Deno.test("Author makes each version newer than the one before, also when the clock goes back", async () => {
  const clock = new ManualClock();
  const { seq } = annAt(clock);
  assertEquals([seq(), seq(), seq()], [NOW_MS, NOW_MS + 1, NOW_MS + 2]);
  await clock.advance(1_000.75);
  assertEquals(seq(), NOW_MS + 1_000);
  Object.defineProperty(clock, "wallMs", { value: () => NOW_MS - DAY_MS });
  assertEquals(seq(), NOW_MS + 1_001);
});

Deno.test("Author makes a version at least as new as it is told to", () => {
  const { seq } = annAt(new ManualClock());
  assertEquals(seq({ atLeast: 5 }), NOW_MS);
  assertEquals(seq({ atLeast: NOW_MS + 500 }), NOW_MS + 500);
  assertEquals(seq(), NOW_MS + 501);
});

Deno.test("Author: a version far ahead, or none at all, does not spoil those of other names", () => {
  const { seq, sign } = annAt(new ManualClock());
  const most = Number.MAX_SAFE_INTEGER;
  assertEquals(seq({ atLeast: most }), most);
  assertEquals(seq(), NOW_MS + 1);
  for (const atLeast of [most + 1, Infinity, NaN, 2 ** 50 + 0.5]) {
    assertThrows(() => sign({ atLeast }), RangeError, "seq", `${atLeast}`);
  }
  assertEquals(seq(), NOW_MS + 2);
});

Deno.test("Author.renew signs the same anew, for longer", async () => {
  const clock = new ManualClock();
  const { author, sign } = annAt(clock);
  for (
    const [scope, ttlS] of [["own", 3_600], ["shared", 3_600], [
      "provider",
      PROVIDER_TTL_S,
    ]] as const
  ) {
    const record = sign({}, scope);
    await clock.advance(10_000);
    const again = author.renew(record) as SignedRecord;
    const { seq, expiresS, signature, ...same } = again;
    const { seq: oldSeq, expiresS: _, signature: old, ...before } = record;
    assertEquals(same, before);
    assert(seq > oldSeq);
    assertEquals(expiresS, Math.ceil(clock.wallMs() / 1_000) + ttlS);
    assertNotEquals(signature, old);
  }
});

Deno.test("Author.renew makes a newer version of one that another run of us has put", () => {
  const { author } = annAt(new ManualClock());
  const ahead = signed({ scope: "shared", seq: NOW_MS + 5_000 });
  assertEquals((author.renew(ahead) as SignedRecord).seq, NOW_MS + 5_001);
});

Deno.test("Author.renew leaves what it has not signed as it is", () => {
  const { author } = annAt(new ManualClock());
  for (const record of [immutableRecord(VALUE), signed({}, bob)]) {
    assert(author.renew(record) === record);
  }
});

Deno.test("assertWon: who has more nodes than refused has won, and nobody else", () => {
  const record = signed();
  const refusals = (count: number) => Array.from({ length: count }, () => refusal());
  for (const [held, refused] of [[1, 0], [2, 1], [11, 10]] as const) {
    assertWon(record, placed(held, refusals(refused)), 1);
  }
  for (const [held, refused] of [[1, 1], [10, 11], [0, 1]] as const) {
    const error = assertThrows(
      () => assertWon(record, placed(held, refusals(refused)), 7),
      RemoteError,
      "version 7 is not there",
    );
    assertEquals([error.code, error.details], ["not-allowed", { key: record.key.toHex() }]);
  }
});

Deno.test("assertWon says which version is there, as far as that was said", () => {
  const refusals = [refusal({ seq: 9 }), refusal({ seq: 8 })];
  const error = assertThrows(() => assertWon(signed(), placed(0, refusals), 7), RemoteError);
  assertEquals(error.details.seq, 9);
});

Deno.test("versionAfter is newer than ours and than those that are said to be kept", () => {
  const said = (...seqs: unknown[]) => versionAfter(100, seqs.map((seq) => refusal({ seq })), 90);
  assertEquals(said(), 101);
  assertEquals(said(99, 120, 110), 121);
  assertEquals(said(90 + DAY_MS), 91 + DAY_MS);
});

Deno.test("versionAfter does not believe in versions that no clock has made", () => {
  const odd = [2 ** 53 - 1, 2 ** 53, Infinity, NaN, 100.5, -Infinity, "120", null, undefined, {}];
  for (const seq of [...odd, 91 + DAY_MS]) {
    assertEquals(versionAfter(100, [refusal({ seq }), refusal()], 90), 101, `${seq}`);
  }
});

Deno.test("assertTtl takes whole seconds, one to a week", () => {
  for (const ttlS of [1, 60, 604_800]) assertTtl(ttlS);
  for (const ttlS of [0, -1, 0.5, 604_801, Infinity, NaN]) {
    assertThrows(() => assertTtl(ttlS), RangeError, `1 to 604800: current value is ${ttlS}`);
  }
});

Deno.test("assertCas takes versions that there can be, with a newer one after them", () => {
  for (const cas of [0, 1, 2 ** 53 - 2]) assertCas(cas);
  for (const cas of [-1, 0.5, 2 ** 53 - 1, Infinity, NaN]) {
    assertThrows(() => assertCas(cas), RangeError, `current value is ${cas}`);
  }
});
