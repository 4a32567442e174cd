import { assertEquals } from "@std/assert";
import type { Found } from "../../src/dht/reading.ts";
import { type DhtRecord, immutableRecord, plainKey, plainRecord } from "../../src/dht/record.ts";
import { valueOf } from "../../src/dht/value.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Identity } from "../../src/secure/identity.ts";
import { ann, bob, signed } from "./record_fixture.ts";

const STRANGER = "ff".repeat(20);
const NONSENSE = new Uint8Array([0xc1]);

/** Three authors in the order of their ids. */
const carol = Identity.fromSeed(new Uint8Array(32).fill(3));
const [first, second, third] = [ann, bob, carol].toSorted((a, b) =>
  a.peerId < b.peerId ? -1 : 1
) as [Identity, Identity, Identity];

function by(author: Identity, value: unknown, seq = 1): DhtRecord {
  return signed({ scope: "shared", name: "tea", seq, value: encode(value) }, author);
}

function nonsenseBy(author: Identity): DhtRecord {
  return signed({ scope: "shared", name: "tea", value: NONSENSE }, author);
}

function found(...records: DhtRecord[]): Found {
  return { records, from: undefined, hops: 2, asked: 5, rttMs: 7 };
}

Deno.test("valueOf has nothing where nothing was found", () => {
  assertEquals(valueOf(found(), ann.peerId), undefined);
});

Deno.test("valueOf has the value, who put it, and how it was found", () => {
  assertEquals(valueOf(found(by(ann, { hot: true }, 9)), STRANGER), {
    value: { hot: true },
    author: ann.peerId,
    seq: 9,
    others: [],
    hops: 2,
    rttMs: 7,
    asked: 5,
  });
});

Deno.test("valueOf has the preferred author's first, else the first by id; the others follow by id", () => {
  const all = [by(third, "c", 3), by(first, "a", 1), by(second, "b", 2)];
  const told = (preferred: string) => {
    const { value, others = [] } = valueOf(found(...all), preferred) ?? {};
    return [value, ...others.map(({ value }) => value)];
  };
  assertEquals(told(STRANGER), ["a", "b", "c"]);
  assertEquals(told(second.peerId), ["b", "a", "c"]);
  assertEquals(told(third.peerId), ["c", "a", "b"]);
  assertEquals(valueOf(found(...all), second.peerId)?.others, [
    { value: "a", author: first.peerId, seq: 1 },
    { value: "c", author: third.peerId, seq: 3 },
  ]);
});

Deno.test("valueOf: nonsense that one author signs hides nobody else's", () => {
  const records = [nonsenseBy(first), by(second, "b"), by(third, "c")];
  for (const preferred of [first.peerId, STRANGER]) {
    const value = valueOf(found(...records), preferred);
    assertEquals([value?.value, value?.author], ["b", second.peerId]);
    assertEquals(value?.others.map(({ author }) => author), [third.peerId]);
  }
  assertEquals(valueOf(found(nonsenseBy(first), nonsenseBy(second)), STRANGER), undefined);
});

Deno.test("valueOf: what is nobody's has no author and no version, and is none of the others", () => {
  const plain = plainRecord(plainKey("tea"), encode("free"));
  const fixed = immutableRecord(encode(null));
  for (const [record, value] of [[plain, "free"], [fixed, null]] as const) {
    const told = valueOf(found(record), ann.peerId);
    assertEquals([told?.value, told?.author, told?.seq, told?.others], [
      value,
      undefined,
      undefined,
      [],
    ]);
  }
  assertEquals(valueOf(found(plainRecord(plainKey("tea"), NONSENSE)), ann.peerId), undefined);
  const mixed = valueOf(found(plain, by(ann, "mine")), ann.peerId);
  assertEquals([mixed?.value, mixed?.others], ["mine", []]);
});
