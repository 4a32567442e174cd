import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { keyOf, MAX_IDS, type MessageId, readIds, writeIds } from "../../src/gossip/id_list.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Generator } from "../fuzz/generate.ts";

const ANN = "0a".repeat(20);
const BOB = "0b".repeat(20);
const ANN_BYTES = Uint8Array.fromHex(ANN);

function assertRefused(value: unknown, why: RegExp, most = MAX_IDS, withHops = false): void {
  const error = assertThrows(() => readIds(value, most, withHops), InvalidPacketError);
  assertEquals(error.code, "bad-message");
  assert(why.test(error.message), error.message);
}

function sorted(ids: readonly MessageId[]): MessageId[] {
  const key = ({ author, seq, hops }: MessageId) => `${author} ${seq} ${hops}`;
  return ids.toSorted((a, b) => key(a) < key(b) ? -1 : 1);
}

Deno.test("writeIds groups ids by author, in known bytes", () => {
  const ids = [{ author: ANN, seq: 1 }, { author: BOB, seq: 300 }, {
    author: ANN,
    seq: 2 ** 53 - 1,
  }];
  const hex = `9292c414${ANN}9201cf001fffffffffffff92c414${BOB}91cd012c`;
  assertEquals(encode(writeIds(ids)).toHex(), hex);
  assertEquals(readIds(decode(Uint8Array.fromHex(hex)), MAX_IDS), [
    { author: ANN, seq: 1, hops: 0 },
    { author: ANN, seq: 2 ** 53 - 1, hops: 0 },
    { author: BOB, seq: 300, hops: 0 },
  ]);
});

Deno.test("writeIds tells hops where that is asked for, none above 255", () => {
  const ids = [{ author: ANN, seq: 1, hops: 3 }, { author: ANN, seq: 2, hops: 999 }, {
    author: BOB,
    seq: 3,
  }];
  const hex = `9293c414${ANN}9201029203ccff93c414${BOB}91039100`;
  assertEquals(encode(writeIds(ids, true)).toHex(), hex);
  const read = readIds(decode(Uint8Array.fromHex(hex)), MAX_IDS, true);
  assertEquals(read.map(({ hops }) => hops), [3, 255, 0]);
});

Deno.test("readIds gives back any ids that were written, doubled ones too", () => {
  const generator = new Generator(11);
  for (let round = 0; round < 200; round++) {
    const authors = Array.from(
      { length: 1 + generator.below(4) },
      () => generator.bytes(20).toHex(),
    );
    const ids = Array.from({ length: generator.below(40) }, () => ({
      author: generator.pick(authors),
      seq: generator.pick([0, generator.below(9), 2 ** 51 + generator.below(9), 2 ** 53 - 1]),
      hops: generator.below(256),
    }));
    assertEquals(sorted(readIds(decode(encode(writeIds(ids, true))), MAX_IDS, true)), sorted(ids));
  }
});

Deno.test("readIds takes as many as it may and no more, of one author or of many", () => {
  const one = [[ANN_BYTES, Array.from({ length: MAX_IDS }, (_, seq) => seq)]];
  const many = Array.from({ length: MAX_IDS }, (_, nth) => [new Generator(nth).bytes(20), [nth]]);
  for (const full of [one, many]) {
    assertEquals(readIds(full, MAX_IDS).length, MAX_IDS);
    assertRefused([...full, [ANN_BYTES, [1]]], /there are not 1 to 1024 of them$/);
    assertRefused(full, /there are not 1 to 1023 of them$/, MAX_IDS - 1);
  }
});

Deno.test("readIds takes no ids, but no author without any", () => {
  assertEquals(readIds([], MAX_IDS), []);
  assertRefused([[ANN_BYTES, []]], /there are not 1 to 1024 of them$/);
  assertRefused(Array.from({ length: 1e5 }, () => [ANN_BYTES, []]), /there are not 1 to 1024/);
});

Deno.test("readIds refuses what is no array", () => {
  for (const value of [undefined, null, 1, "ids", {}, ANN_BYTES]) {
    assertRefused(value, /they are no array$/);
  }
});

Deno.test("readIds refuses an author that is none, and what belongs to no author", () => {
  const authors = [null, ANN, [], 7, new Uint8Array(19), new Uint8Array(21)];
  for (
    const group of [...authors.map((author) => [author, [1]]), [], null, "x", { 0: ANN_BYTES }]
  ) {
    assertRefused([group], /an author is not 20 bytes/);
  }
  assertRefused([[ANN_BYTES, [1], [0], [0]]], /more follows than belongs to it$/, MAX_IDS, true);
});

Deno.test("readIds refuses a sequence number that is none", () => {
  const bad = [-1, 1.5, NaN, Infinity, 2 ** 53, 2n ** 53n, "1", null, undefined, [1]];
  for (const seqs of [...bad.map((seq) => [1, seq]), undefined, null, 7, { length: 1 }]) {
    assertRefused([[ANN_BYTES, seqs]], /a sequence number is none$/);
  }
});

Deno.test("readIds refuses hops that do not fit", () => {
  const bad = [[], [1], [1, 2, 3], [1, -1], [1, 256], [1, 0.5], [1, "2"], [1, null], null, 7, {}];
  for (const hops of bad) {
    const why = /the hops do not fit the sequence numbers$/;
    assertRefused([[ANN_BYTES, [1, 2], hops]], why, MAX_IDS, true);
  }
  assertRefused([[ANN_BYTES, [1, 2]]], /the hops do not fit/, MAX_IDS, true);
});

Deno.test("readIds refuses hops where none are told", () => {
  assertRefused([[ANN_BYTES, [1, 2], [1, 2]]], /the hops do not fit/);
});

Deno.test("keyOf tells messages apart", () => {
  const keys = [keyOf(ANN, 1), keyOf(ANN, 11), keyOf(BOB, 1), keyOf(ANN, 0)];
  assertEquals(new Set(keys).size, 4);
  assertNotEquals(keyOf(ANN, 2 ** 53 - 1), keyOf(ANN, 2 ** 53 - 2));
});
