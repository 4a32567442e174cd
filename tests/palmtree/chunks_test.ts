import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError, LimitError } from "../../src/errors.ts";
import { ChunkList, MAX_CHUNKS } from "../../src/palmtree/chunk_list.ts";
import { ChunkSet } from "../../src/palmtree/chunk_set.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { feedGarbage } from "../testdata/vectors.ts";

/** A set of chunks, and the same as a `Set`. */
function randomSet(size: number, random: () => number): [ChunkSet, Set<number>] {
  const set = new ChunkSet(size);
  const plain = new Set<number>();
  for (let index = 0; index < size; index++) {
    if (random() < 0.5) continue;
    set.add(index);
    plain.add(index);
  }
  return [set, plain];
}

Deno.test("ChunkSet does what a set of numbers does", () => {
  const random = seededRandom(5);
  for (const size of [0, 1, 7, 8, 9, 31, 32, 33, 64, 100, 1_000]) {
    const [a, plainA] = randomSet(size, random);
    const [b, plainB] = randomSet(size, random);
    const difference = plainA.difference(plainB);
    assertEquals([a.count, a.isFull], [plainA.size, plainA.size === size]);
    assertEquals(a.countWithout(b), difference.size);
    for (let from = 0; from <= size; from += 1 + (size >> 4)) {
      const first = [...difference].find((index) => index >= from) ?? -1;
      assertEquals(a.firstWithout(b, from), first);
    }
    const copy = ChunkSet.fromBytes(a.toBytes(), size);
    for (let index = -1; index <= size; index++) assertEquals(copy.has(index), plainA.has(index));
    assertEquals([copy.count, a.toBytes().length], [a.count, Math.ceil(size / 8)]);
    assert(ChunkSet.full(size).isFull);
  }
});

Deno.test("ChunkSet writes the first chunk into the lowest bit of the first byte", () => {
  const set = new ChunkSet(18);
  for (const index of [0, 3, 8, 17]) set.add(index);
  assertEquals(set.toBytes(), Uint8Array.of(0b1001, 1, 0b10));
  const copy = set.clone();
  copy.add(1);
  copy.add(1);
  assertEquals([set.count, copy.count], [4, 5]);
});

Deno.test("ChunkSet refuses chunks beyond its size, and bytes that do not fit it", () => {
  for (const index of [-1, 18, 1.5]) assertThrows(() => new ChunkSet(18).add(index), RangeError);
  for (const bytes of [[1, 1], [1, 1, 1, 0], [1, 1, 4]]) {
    assertThrows(() => ChunkSet.fromBytes(Uint8Array.from(bytes), 18), InvalidPacketError);
  }
});

const CONTENT = Uint8Array.from({ length: 2_500 }, (_, at) => at * 7);
const list = ChunkList.of(2_500, 1_000, {
  read: (index) => CONTENT.subarray(1_000 * index, 1_000 * index + 1_000),
});

Deno.test("ChunkList knows its chunks by size and hash", () => {
  assertEquals([list.count, list.sizeOf(0), list.sizeOf(2), list.sizeOf(3)], [3, 1_000, 500, 0]);
  assert(list.isVerifiable && list.verify(0, CONTENT.subarray(0, 1_000)));
  assert(list.verify(2, CONTENT.subarray(2_000)));
  assert(!list.verify(0, CONTENT.subarray(1_000, 2_000)), "another chunk");
  assert(!list.verify(2, CONTENT.subarray(1_500)), "too long");
  for (const index of [-1, 3, 0.5, 2 ** 40]) assert(!list.verify(index, new Uint8Array(0)));
  const changed = CONTENT.slice(0, 1_000);
  for (let bit = 0; bit < 8_000; bit += 13) {
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert(!list.verify(0, changed));
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
});

Deno.test("ChunkList without hashes only measures", () => {
  const plain = new ChunkList(2_500, 1_000);
  assert(!plain.isVerifiable && plain.verify(0, new Uint8Array(1_000)));
  assert(!plain.verify(0, new Uint8Array(999)));
  assertThrows(() => plain.toValue(), TypeError);
});

Deno.test("ChunkList travels, and its root tells contents apart", () => {
  const copy = ChunkList.parse(decode(encode(list.toValue())));
  assertEquals([copy.root, copy.count], [list.root, 3]);
  assert(copy.verify(2, CONTENT.subarray(2_000)));
  const [, , hashes] = list.toValue();
  assertNotEquals(new ChunkList(2_501, 1_000, hashes).root, list.root);
  const others = hashes.slice();
  others[40] = (others[40] ?? 0) ^ 1;
  assertNotEquals(new ChunkList(2_500, 1_000, others).root, list.root);
  assertEquals(new ChunkList(0, 1, new Uint8Array(0)).count, 0);
});

Deno.test("ChunkList refuses sizes and hashes that do not fit, before it takes memory", () => {
  const hashes = new Uint8Array(96);
  const wrong: unknown[] = [
    ...["x", [], [2_500, 1_000], [-1, 1_000, hashes], [2_500, 0, hashes]],
    ...[[2_500, 2 ** 24, hashes], [1.5, 1, hashes], [2_500, 1_000, "x"], [
      2_500,
      999,
      hashes.subarray(1),
    ]],
  ];
  for (const value of wrong) assertThrows(() => ChunkList.parse(value), InvalidPacketError);
  const error = assertThrows(() => ChunkList.parse([MAX_CHUNKS + 1, 1, hashes]), LimitError);
  assertEquals(error.details, { limit: "maxChunks", max: MAX_CHUNKS });
  for (const [total, chunk] of [[-1, 1], [1, 0], [1, 2 ** 24], [MAX_CHUNKS + 1, 1], [0.5, 1]]) {
    assertThrows(() => new ChunkList(total ?? 0, chunk ?? 0), RangeError);
  }
  assertThrows(() => new ChunkList(1, 1, hashes), RangeError);
  const { decoded, refused } = feedGarbage(
    (bytes) => ChunkList.parse(decode(bytes)),
    [encode(list.toValue())],
    { seed: 74, cases: 1_000 },
  );
  assert(decoded > 20 && refused > 100, `${decoded} decoded, ${refused} refused`);
});
