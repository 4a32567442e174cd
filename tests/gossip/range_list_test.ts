import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { idsOf, rangesOf, readRanges, writeRanges } from "../../src/gossip/range_list.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Generator } from "../fuzz/generate.ts";

const ANN = "0a".repeat(20);
const BOB = "0b".repeat(20);
const ANN_BYTES = Uint8Array.fromHex(ANN);
const LARGEST = Number.MAX_SAFE_INTEGER;

/** Most ranges of a packet, and most ids that are looked at. */
const [MOST, LOOKED_AT] = [4_096, 16_384];

function every(count: number, from = 0, step = 1): number[] {
  return Array.from({ length: count }, (_, nth) => from + step * nth);
}

function assertRefused(value: unknown, why: RegExp): void {
  const error = assertThrows(() => readRanges(value), InvalidPacketError);
  assertEquals(error.code, "bad-message");
  assert(why.test(error.message), error.message);
}

function idsIn(ranges: Parameters<typeof idsOf>[0]): string[] {
  return Array.from(idsOf(ranges), ({ author, seq }) => `${author}${seq}`);
}

Deno.test("rangesOf joins numbers that follow each other, in whatever order they come", () => {
  const { ranges, isWhole } = rangesOf([[ANN, [3, 1, 2, 9, 2]], [BOB, [LARGEST, LARGEST - 1]]]);
  assertEquals(ranges, [[ANN, [1, 3, 9, 9]], [BOB, [LARGEST - 1, LARGEST]]]);
  assert(isWhole);
});

Deno.test("rangesOf leaves out an author without numbers", () => {
  const { ranges, count, isWhole } = rangesOf([[ANN, []], [BOB, [1]]]);
  assertEquals([ranges, count, isWhole], [[[BOB, [1, 1]]], 1, true]);
  assertEquals(rangesOf([]), { ranges: [], count: 0, isWhole: true });
});

Deno.test("rangesOf says whether all ranges fitted", () => {
  const full = every(MOST, 0, 2);
  assert(rangesOf([[ANN, full]]).isWhole);
  const { ranges, isWhole } = rangesOf([[ANN, [...full, 2 * MOST]]]);
  assertEquals([ranges[0]?.[1].length, isWhole], [2 * MOST, false]);
  assertEquals(rangesOf([[ANN, [1, 2, 4, 6]]], 2), {
    ranges: [[ANN, [1, 2, 4, 4]]],
    count: 2,
    isWhole: false,
  });
  assertEquals(rangesOf([[ANN, [1]]], 0), { ranges: [], count: 0, isWhole: false });
});

Deno.test("rangesOf makes what can be read where it is cut off between two authors", () => {
  const { ranges, isWhole } = rangesOf([[ANN, every(MOST, 0, 2)], [BOB, [1]]]);
  assert(!isWhole);
  assertEquals(readRanges(writeRanges(ranges)).map(([author]) => author), [ANN]);
});

Deno.test("writeRanges writes ranges in known bytes", () => {
  const hex = `9192c414${ANN}9401030707`;
  assertEquals(encode(writeRanges([[ANN, [1, 3, 7, 7]]])).toHex(), hex);
  assertEquals(readRanges(decode(Uint8Array.fromHex(hex))), [[ANN, [1, 3, 7, 7]]]);
});

Deno.test("idsOf of what was written and read are the ids that rangesOf was given", () => {
  const generator = new Generator(13);
  for (let round = 0; round < 200; round++) {
    const authors = new Set(every(generator.below(4)).map(() => generator.bytes(20).toHex()));
    const ids = [...authors].map((author) => {
      const base = generator.pick([0, 2 ** 51, LARGEST - 99]);
      return [
        author,
        every(1 + generator.below(60)).map(() => base + generator.below(99)),
      ] as const;
    });
    const { ranges } = rangesOf(ids);
    const meant = ids.flatMap(([author, seqs]) => {
      return [...new Set(seqs)].sort((a, b) => a - b).map((seq) => `${author}${seq}`);
    });
    assertEquals(idsIn(readRanges(decode(encode(writeRanges(ranges))))), meant);
  }
});

Deno.test("idsOf looks at so many ids and no more, whatever ranges say", () => {
  const huge = readRanges([[ANN_BYTES, [0, 1e15]], [ANN_BYTES, [0, LARGEST]]]);
  assertEquals(idsIn(huge).length, LOOKED_AT);
  const wide = readRanges([[ANN_BYTES, every(2 * MOST, 0, 1e9)]]);
  assertEquals(idsIn(wide).length, LOOKED_AT);
});

Deno.test("idsOf ends at the largest number that there is", () => {
  assertEquals(idsIn([[ANN, [LARGEST, LARGEST]]]), [`${ANN}${LARGEST}`]);
});

Deno.test("readRanges takes as many ranges as it may and no more, of one author or of many", () => {
  const one = [[ANN_BYTES, every(2 * MOST)]];
  // Each number twice is a range of one.
  const many = every(MOST).map((nth) => [new Generator(nth).bytes(20), [nth, nth]]);
  for (const full of [many, [[ANN_BYTES, every(2 * MOST, 0, 2)]]]) {
    assertEquals(readRanges(full).length, full.length);
    assertRefused([...full, [ANN_BYTES, [1, 1]]], /there are not 1 to 4096 of them$/);
  }
  assertEquals(readRanges(one)[0]?.[1].length, 2 * MOST);
  assertRefused([[ANN_BYTES, every(2 * MOST + 2)]], /there are not 1 to 4096 of them$/);
});

Deno.test("readRanges takes no ranges, but no author without any", () => {
  assertEquals(readRanges([]), []);
  assertRefused([[ANN_BYTES, []]], /there are not 1 to 4096 of them$/);
});

Deno.test("readRanges refuses what is no array, and authors that are none", () => {
  for (const value of [undefined, null, 1, "x", {}, ANN_BYTES]) {
    assertRefused(value, /they are no array$/);
  }
  const authors = [null, ANN, [], 7, new Uint8Array(19), new Uint8Array(21)];
  for (const group of [...authors.map((author) => [author, [1, 1]]), [], null, {}, "x"]) {
    assertRefused([group], /an author is not 20 bytes/);
  }
  assertRefused([[ANN_BYTES, [1, 1], 0]], /more follows than belongs to it$/);
});

Deno.test("readRanges refuses ranges that do not rise, touch backwards, or have no end", () => {
  const bad: unknown[] = [
    [1],
    [1, 2, 3],
    [2, 1],
    [1, 3, 3, 4],
    [1, 3, 2, 4],
    [5, 6, 1, 2],
    [-1, 1],
    [0.5, 1],
    [0, 2 ** 53],
    [LARGEST, LARGEST, LARGEST, LARGEST],
    [LARGEST, LARGEST, 2 ** 53, 2 ** 53],
    [NaN, 1],
    [0, Infinity],
    [0, 2n ** 60n],
    ["1", "2"],
    [null, 1],
    [1, null],
    null,
    undefined,
    7,
    { length: 2 },
    new Uint8Array(2),
  ];
  for (const bounds of bad) {
    assertRefused([[ANN_BYTES, bounds]], /they do not rise, or one has no end$/);
  }
});
