import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { type DigestRow, type IdsByAuthor, parseDigest } from "../../src/gossip/digest.ts";
import { History, type HistoryOptions, type Kept } from "../../src/gossip/history.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { concat, Generator } from "../fuzz/generate.ts";

const MARKS = 2 ** 48;

const ANN = "0a".repeat(20);
const BOB = "0b".repeat(20);

function message(author: string, seq: number, changes: Partial<Kept> = {}): Kept {
  return { author, seq, createdMs: 1_000, bytes: new Uint8Array(10), mark: seq, ...changes };
}

function many(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}

function idsOf(history: History): string[] {
  return [...history.all()].map(({ author, seq }) => `${author}${seq}`);
}

/** What a history is meant to do, without any cleverness: a list, in the order of arrival. */
class PlainHistory {
  list: { message: Kept; arrivedMs: number }[] = [];
  evicted = 0;
  readonly #options: Required<HistoryOptions>;

  constructor(options: Required<HistoryOptions>) {
    this.#options = options;
  }

  get bytes(): number {
    return this.list.reduce((sum, { message }) => sum + message.bytes.length, 0);
  }

  add(message: Kept, arrivedMs: number): void {
    const { maxMessages, maxBytes, maxAgeMs } = this.#options;
    this.list = this.list.filter((one) => one.arrivedMs >= arrivedMs - maxAgeMs);
    if (this.list.some((one) => isSame(one.message, message))) return;
    if (message.bytes.length > maxBytes) {
      this.evicted++;
      return;
    }
    this.list.push({ message, arrivedMs });
    while (this.list.length > maxMessages || this.bytes > maxBytes) {
      const authors = [...new Set(this.list.map((one) => one.message.author))];
      const most = Math.max(...authors.map((author) => this.#roomOf(author)));
      const at = this.list.findIndex((one) => this.#roomOf(one.message.author) === most);
      this.list.splice(at, 1);
      this.evicted++;
    }
  }

  #roomOf(author: string): number {
    const { maxMessages, maxBytes } = this.#options;
    const own = this.list.filter((one) => one.message.author === author);
    return own.reduce((sum, { message }) => {
      return sum + message.bytes.length + Math.ceil(maxBytes / maxMessages);
    }, 0);
  }

  expire(createdBeforeMs: number): void {
    this.list = this.list.filter((one) => one.message.createdMs >= createdBeforeMs);
  }

  arrivedBefore(timeMs: number): Kept[] {
    return this.list.filter((one) => one.arrivedMs < timeMs).map((one) => one.message);
  }

  bucketOf({ createdMs }: Kept): number {
    return Math.floor(createdMs / this.#options.bucketMs);
  }

  digest(arrivedBeforeMs: number): DigestRow[] {
    const rows = new Map<number, [number, bigint]>();
    for (const message of this.arrivedBefore(arrivedBeforeMs)) {
      const [count, sum] = rows.get(this.bucketOf(message)) ?? [0, 0n];
      rows.set(this.bucketOf(message), [count + 1, sum + BigInt(message.mark)]);
    }
    return [...rows].sort(([a], [b]) => a - b).map(([bucket, [count, sum]]) => {
      return [bucket, count, Number(sum % BigInt(MARKS))];
    });
  }
}

function isSame(a: Kept, b: Kept): boolean {
  return a.author === b.author && a.seq === b.seq;
}

function flat(ids: IdsByAuthor): string[] {
  return ids.flatMap(([author, seqs]) => seqs.map((seq) => `${author}${seq}`)).sort();
}

Deno.test("History keeps what a plain list would, whatever comes, and says the same of it", () => {
  let evicted = 0;
  for (let round = 0; round < 12; round++) {
    const random = seededRandom(round);
    const draw = (bound: number) => Math.floor(random() * bound);
    const options = {
      maxMessages: 1 + draw(40),
      maxBytes: 100 + draw(3_000),
      maxAgeMs: 2_000,
      bucketMs: 10 + draw(90),
    };
    const history = new History(options);
    const plain = new PlainHistory(options);
    const authors = [ANN, BOB, ...many(draw(6)).map(String)];
    for (let i = 0, nowMs = 0; i < 250; i++) {
      nowMs += draw(25);
      const one = message(authors[Math.min(draw(12), draw(authors.length))] ?? ANN, draw(200), {
        createdMs: 10_000 + nowMs - draw(400),
        bytes: new Uint8Array(draw(10) === 0 ? draw(3_500) : draw(60)),
        mark: MARKS - 1 - draw(2) * draw(MARKS),
      });
      history.add(one, nowMs);
      plain.add(one, nowMs);
      if (draw(15) === 0) {
        const createdBeforeMs = 10_000 + nowMs - draw(500);
        history.expire(createdBeforeMs);
        plain.expire(createdBeforeMs);
      }
      assertEquals([...history.all()], plain.list.map((kept) => kept.message), `round ${round}`);
      assertEquals(
        [history.size, history.bytes, history.evicted],
        [plain.list.length, plain.bytes, plain.evicted],
      );
      const kept = plain.list.find((other) => isSame(other.message, one))?.message;
      assertEquals(history.get(one.author, one.seq), kept);
      assertEquals(history.has(one.author, one.seq), kept !== undefined);
      const beforeMs = nowMs + 1 - draw(60);
      const digest = plain.digest(beforeMs);
      assertEquals(history.digest(beforeMs), digest);
      assertEquals(history.differing(digest, beforeMs), []);
      const buckets = digest.map(([bucket]) => bucket).filter(() => draw(2) === 0);
      const ids = plain.arrivedBefore(beforeMs).filter((other) => {
        return buckets.includes(plain.bucketOf(other));
      });
      const listed = flat(history.idsIn([...buckets, ...buckets, 1e9], beforeMs, 1_000));
      assertEquals(listed, ids.map(({ author, seq }) => `${author}${seq}`).sort());
      const some = flat(history.idsIn(buckets, beforeMs, 3));
      assertEquals(some.length, Math.min(3, ids.length));
      assert(some.every((id) => listed.includes(id)));
    }
    evicted += history.evicted;
  }
  assert(evicted > 500, `${evicted}`);
});

Deno.test("History evicts a flooding author's messages, and not another's ten", () => {
  const floods: readonly [string, number][] = [["many", 0], ["large", 60], ["larger", 990]];
  for (const [what, length] of floods) {
    const history = new History({ maxMessages: 100, maxBytes: 4_000 });
    for (const seq of many(10)) history.add(message(BOB, seq, { bytes: new Uint8Array(50) }), seq);
    for (const seq of many(5_000)) {
      history.add(message(ANN, seq, { bytes: new Uint8Array(length) }), 10 + seq);
    }
    assert(many(10).every((seq) => history.has(BOB, seq)), what);
    assert(history.has(ANN, 4_999), "its latest are kept");
    assert(!history.has(ANN, 0));
    assertEquals(history.evicted, 5_010 - history.size);
    assert(history.size <= 100 && history.bytes <= 4_000);
  }
});

Deno.test("History evicts the oldest of all where nobody takes more than others", () => {
  const history = new History({ maxMessages: 50 });
  for (const seq of many(200)) history.add(message(`${seq}`, 0), seq);
  assertEquals(idsOf(history), many(50).map((at) => `${at + 150}0`));
});

Deno.test("History does not take what is larger than all may be together, and loses nothing for it", () => {
  const history = new History({ maxBytes: 100 });
  history.add(message(ANN, 1), 0);
  history.add(message(ANN, 2, { bytes: new Uint8Array(101) }), 0);
  assertEquals([history.size, history.bytes, history.evicted], [1, 10, 1]);
  history.add(message(ANN, 3, { bytes: new Uint8Array(100) }), 0);
  assertEquals([history.size, history.bytes, history.evicted], [1, 100, 2]);
  assert(history.has(ANN, 3));
});

Deno.test("History drops what arrived too long ago, whenever it was created", () => {
  const history = new History({ maxAgeMs: 100, bucketMs: 10 });
  history.add(message(ANN, 1, { createdMs: 1e15 }), 0);
  history.add(message(BOB, 2, { createdMs: 0 }), 50);
  history.add(message(BOB, 3), 100);
  assertEquals(history.size, 3);
  history.add(message(BOB, 4), 101);
  assertEquals(idsOf(history), [`${BOB}2`, `${BOB}3`, `${BOB}4`]);
  assertEquals(history.evicted, 0, "there was room");
});

Deno.test("History keeps a message as it came first", () => {
  const history = new History();
  const first = message(ANN, 1);
  history.add(first, 0);
  history.add(message(ANN, 1, { createdMs: 50_000, mark: 9, bytes: new Uint8Array(99) }), 1);
  assert(history.get(ANN, 1) === first);
  assertEquals([history.size, history.bytes], [1, 10]);
  assertEquals(history.digest(2), [[0, 1, 1]]);
});

Deno.test("History.all stays what it was while messages come and go", () => {
  const history = new History({ maxMessages: 3 });
  for (const seq of many(3)) history.add(message(ANN, seq), seq);
  const seqs: number[] = [];
  for (const { seq } of history.all()) {
    seqs.push(seq);
    history.add(message(ANN, seq + 10), 10);
  }
  assertEquals(seqs, [0, 1, 2]);
  assertEquals(idsOf(history), [`${ANN}10`, `${ANN}11`, `${ANN}12`]);
});

Deno.test("History.digest counts messages and adds their marks, by when they were created", () => {
  const history = new History({ bucketMs: 100, maxAgeMs: 1_000 });
  history.add(message(ANN, 1, { createdMs: 399, mark: MARKS - 1 }), 0);
  history.add(message(BOB, 1, { createdMs: 300, mark: 3 }), 10);
  history.add(message(BOB, 2, { createdMs: 299.5, mark: 4 }), 20);
  history.add(message(BOB, 3, { createdMs: 400, mark: 5 }), 30);
  assertEquals(history.digest(31), [[2, 1, 4], [3, 2, 2], [4, 1, 5]]);
  assertEquals(history.digest(30), [[2, 1, 4], [3, 2, 2]]);
  assertEquals(history.digest(10), [[3, 1, MARKS - 1]]);
  assertEquals(history.digest(0), []);
});

Deno.test("History.differing names the buckets where one of two has something else", () => {
  const history = new History({ bucketMs: 100, maxAgeMs: 1_000 });
  for (const at of many(4)) {
    history.add(message(ANN, at, { createdMs: at * 100, mark: 7 }), at * 10);
  }
  assertEquals(history.differing([[0, 1, 7], [1, 1, 7], [2, 1, 7], [3, 1, 7]], 50), []);
  assertEquals(history.differing([[1, 1, 8], [2, 2, 7], [3, 1, 7], [9, 1, 7]], 50), [0, 1, 2, 9]);
  assertEquals(history.differing([], 20), [0, 1]);
  assertEquals(new History().differing([[5, 1, 1]], 50), [5]);
});

Deno.test("Histories that got the same in another order and by other ways do not differ", () => {
  const generator = new Generator(4);
  const messages = many(300).map((seq) => {
    const createdMs = generator.below(100_000);
    return message(generator.pick([ANN, BOB]), seq, { createdMs, mark: generator.below(MARKS) });
  });
  const [here, there] = [new History(), new History()];
  messages.forEach((one, at) => here.add(one, at));
  messages.toReversed().forEach((one, at) => there.add(one, at));
  assertEquals(here.differing(there.digest(300), 300), []);
  const late = message(ANN, 300, { createdMs: 55_000, mark: 1 });
  there.add(late, 300);
  assertEquals(here.differing(there.digest(300), 300), [], "it is just arriving");
  assertEquals(here.differing(there.digest(301), 301), [5]);
  const lacking = flat(there.idsIn([5], 301, 1_000)).filter((id) => !idsOf(here).includes(id));
  assertEquals(lacking, [`${ANN}300`]);
});

Deno.test("History.digest has the latest 512 buckets at most", () => {
  const history = new History({ maxAgeMs: 512, bucketMs: 1 });
  for (const at of many(600)) history.add(message(ANN, at, { createdMs: at }), 0);
  const digest = history.digest(1);
  assertEquals(digest.length, 512);
  assertEquals([digest[0]?.[0], digest.at(-1)?.[0]], [88, 599]);
  parseDigest(digest);
});

Deno.test("History refuses bounds that make no sense", () => {
  const cases: HistoryOptions[] = [
    { maxMessages: 0 },
    { maxBytes: -1 },
    { maxAgeMs: NaN },
    { maxAgeMs: Infinity },
    { bucketMs: 0 },
  ];
  for (const options of cases) assertThrows(() => new History(options), RangeError, "above 0");
  const error = assertThrows(() => new History({ bucketMs: 1_000 }), RangeError);
  assertEquals(error.message, "bucketMs must be 3516 or more: current value is 1000");
  new History({ bucketMs: 3_516 });
});

Deno.test("History stays within its bounds over 40,000 messages, whoever they are of", () => {
  const authors = many(20_000).map((at) => at.toString(16).padStart(40, "0"));
  for (const count of [1, 100, 20_000]) {
    const history = new History({ maxBytes: 2 ** 20 });
    const bytes = new Uint8Array(64);
    for (const seq of many(40_000)) {
      history.add(message(authors[seq % count] ?? "", seq, { createdMs: seq, bytes }), seq);
      if (seq % 5_000 === 0) history.digest(seq - 500);
    }
    assertEquals([history.size, history.bytes], [16_384, 2 ** 20]);
  }
});

const BAD_DIGESTS: readonly [string, unknown][] = [
  ["no array", null],
  ["no array", {}],
  ["no array", new Uint8Array(3)],
  ["bad bucket in row 0", [null]],
  ["bad bucket in row 0", [[]]],
  ["bad bucket in row 0", ["123"]],
  ["bad bucket in row 0", [[-1, 1, 1]]],
  ["bad bucket in row 0", [["1", 1, 1]]],
  ["bad bucket in row 0", [[2n ** 60n, 1, 1]]],
  ["bad bucket in row 0", [[0.5, 1, 1]]],
  ["bad bucket in row 1", [[1, 1, 1], [1, 1, 1]]],
  ["bad bucket in row 1", [[2, 1, 1], [1, 1, 1]]],
  ["bad count in row 0", [[1]]],
  ["bad count in row 0", [[1, 0, 1]]],
  ["bad count in row 0", [[1, -1, 1]]],
  ["bad count in row 0", [[1, NaN, 1]]],
  ["bad count in row 0", [[1, true, 1]]],
  ["bad sum in row 0", [[1, 1]]],
  ["bad sum in row 0", [[1, 1, -1]]],
  ["bad sum in row 0", [[1, 1, MARKS]]],
  ["bad sum in row 0", [[1, 1, 1.5]]],
  ["bad sum in row 1", [[1, 1, 1], [2, 1, [1]]]],
  ["more than three numbers in row 0", [[1, 1, 1, 1]]],
];

Deno.test("parseDigest takes 512 rows within their bounds, and names what is beyond", () => {
  const rows = many(512).map((at) => [at, Number.MAX_SAFE_INTEGER, MARKS - 1]);
  assertEquals(parseDigest(decode(encode(rows))), rows as unknown as DigestRow[]);
  assertEquals(parseDigest([]), []);
  for (const [why, value] of BAD_DIGESTS) {
    const error = assertThrows(() => parseDigest(value), InvalidPacketError);
    assertEquals(error.code, "bad-message");
    assert(error.message.endsWith(why), `${error.message}: ${why}`);
  }
  const error = assertThrows(() => parseDigest([...rows, [512, 1, 1]]), InvalidPacketError);
  assertEquals(error.code, "too-large");
  assertEquals(error.details, { limit: "rows", max: 512, got: 513 });
});

Deno.test("parseDigest: hostile values give an answer or InvalidPacketError", () => {
  const generator = new Generator(20_261_121);
  const digest = encode([[1, 2, 3], [900, 2, MARKS - 1], [901, 70_000, 9]]);
  let parsed = 0;
  for (let round = 0; round < 4_000; round++) {
    const bytes = round % 10 === 0 ? concat(encode(generator.value(3))) : generator.mutate(digest);
    try {
      parseDigest(decode(bytes));
      parsed++;
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${bytes.toHex()}: ${error}`);
    }
  }
  assert(parsed > 200, `${parsed} parsed`);
});
