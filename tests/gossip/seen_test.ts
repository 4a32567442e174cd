import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { type Range, Ranges } from "../../src/gossip/ranges.ts";
import { Seen, type SeenOptions } from "../../src/gossip/seen.ts";

/** Where the numbers of a life begin that started in 2026. */
const LIFE = 1.77e12 * 2_048;

const ANN = "a".repeat(40);
const BOB = "b".repeat(40);
const CID = "c".repeat(40);

function below(random: () => number): (bound: number) => number {
  return (bound) => Math.floor(random() * bound);
}

function rangesOf(seen: Seen, author: string): readonly Range[] {
  return new Map(seen.entries()).get(author) ?? [];
}

/** The ranges of some numbers, the plain way. */
function plainRanges(numbers: Iterable<number>): Range[] {
  const ranges: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

Deno.test("Seen takes each number once, whatever the order, as a plain set would", () => {
  const draw = below(seededRandom(7));
  let [added, refused] = [0, 0];
  for (let round = 0; round < 60; round++) {
    const seen = new Seen();
    const plain = new Map([ANN, BOB].map((author) => [author, new Set<number>()]));
    const lives = [0, LIFE, LIFE + 1e9];
    const spread = 1 + draw(round % 2 === 0 ? 20 : 200);
    for (let i = 0; i < 400; i++) {
      const author = draw(3) > 0 ? ANN : BOB;
      const seq = (lives[draw(3)] ?? 0) + Math.max(0, (i >> 2) + draw(spread) - spread);
      const isNew = plain.get(author)?.has(seq) === false;
      plain.get(author)?.add(seq);
      assertEquals(seen.has(author, seq), !isNew);
      assertEquals(seen.add(author, seq, i), isNew, `round ${round}, ${seq}`);
      assert(seen.has(author, seq));
      if (isNew) added++;
      else refused++;
    }
    let count = 0;
    for (const [author, numbers] of plain) {
      const ranges = plainRanges(numbers);
      assertEquals(rangesOf(seen, author), ranges);
      count += ranges.length;
    }
    assertEquals(seen.ranges, count);
    assertEquals(seen.merged, 0);
  }
  assert(added > 5_000 && refused > 5_000, `${added} added, ${refused} refused`);
});

Deno.test("Seen has a hole for each message that has not come, and none when all have", () => {
  const seen = new Seen();
  for (const seq of [5, 9, 7, 6]) assert(seen.add(ANN, LIFE + seq, 0));
  assertEquals(rangesOf(seen, ANN), [[LIFE + 5, LIFE + 7], [LIFE + 9, LIFE + 9]]);
  assert(!seen.has(ANN, LIFE + 8));
  assert(!seen.has(ANN, LIFE + 4) && !seen.has(ANN, LIFE + 10) && !seen.has(BOB, LIFE + 5));
  assert(seen.add(ANN, LIFE + 8, 0));
  assert(!seen.add(ANN, LIFE + 8, 0));
  assertEquals(rangesOf(seen, ANN), [[LIFE + 5, LIFE + 9]]);
  assertEquals([seen.authors, seen.ranges], [1, 1]);
});

Deno.test("Seen takes the smallest and the largest numbers, and no others", () => {
  const seen = new Seen();
  const most = Number.MAX_SAFE_INTEGER;
  for (const seq of [0, most, most - 1, 1]) assert(seen.add(ANN, seq, 0));
  assertEquals(rangesOf(seen, ANN), [[0, 1], [most - 1, most]]);
  for (const seq of [-1, most + 1, 0.5, NaN, Infinity, -Infinity]) {
    assertThrows(() => seen.add(ANN, seq, 0), RangeError, "sequence number");
    assertThrows(() => seen.add(BOB, seq, 0), RangeError, `current value is ${seq}`);
    assert(!seen.has(ANN, seq));
  }
  assertEquals([seen.authors, seen.ranges], [1, 2]);
});

Deno.test("Seen closes the smallest of the older holes when there are too many, and counts it", () => {
  const seen = new Seen({ maxRanges: 4 });
  for (const seq of [10, 20, 28, 100]) seen.add(ANN, seq, 0);
  assertEquals(seen.merged, 0);
  seen.add(ANN, 102, 0); // the nearest of all, but not of the older half
  assertEquals(rangesOf(seen, ANN), [[10, 10], [20, 28], [100, 100], [102, 102]]);
  assertEquals([seen.merged, seen.ranges], [1, 4]);
  assert(seen.has(ANN, 25), "counts as seen");
  assert(!seen.add(ANN, 25, 0));
  assert(!seen.has(ANN, 15) && !seen.has(ANN, 101));
});

Deno.test("Seen never forgets a number, however many holes are closed", () => {
  const draw = below(seededRandom(3));
  for (const maxRanges of [2, 3, 8]) {
    const seen = new Seen({ maxRanges });
    const added = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const seq = draw(100_000);
      seen.add(ANN, seq, 0);
      added.add(seq);
      const ranges = rangesOf(seen, ANN);
      assertEquals(seen.ranges, ranges.length);
      assert(ranges.length <= maxRanges);
    }
    for (const seq of added) assert(seen.has(ANN, seq));
    rangesOf(seen, ANN).reduce((before, range) => {
      assert(before[1] + 1 < range[0] && range[0] <= range[1], `${before} ${range}`);
      return range;
    });
    assert(seen.merged > 10);
  }
});

Deno.test("Seen forgets whom nothing new was added of for longest when there are too many authors", () => {
  const seen = new Seen({ maxAuthors: 2 });
  seen.add(ANN, 1, 0);
  seen.add(BOB, 1, 1);
  seen.add(ANN, 2, 2);
  seen.add(BOB, 1, 3); // nothing new
  seen.add(CID, 1, 4);
  assertEquals([...seen.entries()].map(([author]) => author), [ANN, CID]);
  assertEquals([seen.authors, seen.ranges, seen.forgotten], [2, 2, 1]);
  assert(!seen.has(BOB, 1));
  assert(seen.add(BOB, 1, 5));
  assertEquals([...seen.entries()].map(([author]) => author), [CID, BOB]);
});

Deno.test("Seen forgets the right author, as a plain list would, also where some were forgotten by time", () => {
  const draw = below(seededRandom(5));
  const seen = new Seen({ maxAuthors: 10 });
  let plain: { author: string; atMs: number }[] = [];
  for (let i = 0; i < 5_000; i++) {
    const author = `${draw(30)}`;
    assert(seen.add(author, i, i));
    plain = [...plain.filter((one) => one.author !== author), { author, atMs: i }].slice(-10);
    if (draw(200) === 0) {
      const beforeMs = i - draw(12);
      seen.forgetBefore(beforeMs);
      plain = plain.filter(({ atMs }) => atMs >= beforeMs);
    }
    assertEquals(
      [...seen.entries()].map(([one]) => one),
      plain.map((one) => one.author),
    );
  }
});

Deno.test("Seen forgets authors of whom nothing was added since", () => {
  const seen = new Seen();
  seen.add(ANN, 1, 10);
  seen.add(BOB, 1, 20);
  seen.add(BOB, 3, 30);
  seen.add(ANN, 1, 40); // nothing new
  seen.forgetBefore(30);
  assertEquals([...seen.entries()], [[BOB, [[1, 1], [3, 3]]]]);
  seen.forgetBefore(31);
  assertEquals([seen.authors, seen.ranges, seen.forgotten], [0, 0, 0]);
  assert(seen.add(BOB, 1, 50), "forgotten, and new again");
  assertEquals([seen.authors, seen.ranges], [1, 1]);
});

Deno.test("Seen refuses bounds that make no sense", () => {
  const cases: SeenOptions[] = [
    { maxAuthors: 0 },
    { maxAuthors: 1.5 },
    { maxAuthors: NaN },
    { maxRanges: 1 },
    { maxRanges: Infinity },
  ];
  for (const options of cases) assertThrows(() => new Seen(options), RangeError, "or more");
});

Deno.test("Seen stays as small as it is over a million ids in order", () => {
  const seen = new Seen();
  for (let i = 0; i < 1_000_000; i++) assert(seen.add(ANN, LIFE + i, i));
  assertEquals([...seen.entries()], [[ANN, [[LIFE, LIFE + 999_999]]]]);
});

Deno.test("Seen stays small over a million ids that overtake up to 1,000 others, and loses none", () => {
  const draw = below(seededRandom(11));
  const seen = new Seen({ maxRanges: 512 });
  let most = 0;
  const block = new Float64Array(1_000);
  for (let start = 0; start < 1_000_000; start += block.length) {
    for (let at = 0; at < block.length; at++) {
      const other = draw(at + 1);
      block[at] = block[other] ?? 0;
      block[other] = LIFE + start + at;
    }
    for (const seq of block) {
      assert(seen.add(ANN, seq, start));
      most = Math.max(most, seen.ranges);
    }
  }
  assertEquals([...seen.entries()], [[ANN, [[LIFE, LIFE + 999_999]]]]);
  assertEquals(seen.merged, 0);
  assert(most > 200 && most < 320, `${most} ranges`); // a quarter of what is shuffled, half way through
});

Deno.test("Seen stays within its bounds over a million ids of 100,000 authors", () => {
  const draw = below(seededRandom(13));
  const seen = new Seen();
  const authors = Array.from({ length: 100_000 }, (_, at) => at.toString(16).padStart(40, "0"));
  for (let i = 0; i < 1_000_000; i += 5) {
    const author = authors[draw(authors.length)] ?? "";
    for (let k = 0; k < 5; k++) seen.add(author, LIFE + 2 * i + k * draw(3), i);
    assert(seen.authors <= 4_096);
  }
  assertEquals(seen.authors, 4_096);
  assert(seen.ranges <= 5 * 4_096, `${seen.ranges}`);
  const counted = [...seen.entries()].reduce((sum, [, ranges]) => sum + ranges.length, 0);
  assertEquals(seen.ranges, counted);
});

Deno.test("Ranges appends only what lies above and does not touch, as far as there is room", () => {
  const ranges = new Ranges(3);
  assert(ranges.append(5, 7));
  for (const [from, to] of [[5, 7], [7, 9], [8, 9], [1, 2], [12, 11]] as const) {
    assert(!ranges.append(from, to), `${from}-${to}`);
  }
  assert(ranges.append(9, 9));
  assert(ranges.append(11, Number.MAX_SAFE_INTEGER));
  assertEquals([...ranges], [[5, 7], [9, 9], [11, Number.MAX_SAFE_INTEGER]]);
  assertThrows(() => ranges.append(0.5, 1), RangeError);
  const full = new Ranges(2);
  assert(full.append(1, 1) && full.append(3, 3) && !full.append(5, 5));
  assertEquals(full.size, 2);
});
