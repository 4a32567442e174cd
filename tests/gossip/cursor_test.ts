import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { Cursor, MAX_CURSOR_CHARS } from "../../src/gossip/cursor.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { concat, Generator } from "../fuzz/generate.ts";

const ANN = "0a".repeat(20);
const BOB = "0b".repeat(20);
const ANN_ID = Uint8Array.fromHex(ANN);
const BOB_ID = Uint8Array.fromHex(BOB);

/** Where the numbers of a life begin that started in 2026. */
const LIFE = 1.77e12 * 2_048;

/** A text with any bytes in it, and a hash that fits. */
function textOf(body: Uint8Array): string {
  const hash = createHash("sha256").update(body).digest().subarray(0, 4);
  return toText(concat(body, hash));
}

/** A text of the right version, with any fields. */
function textWith(fields: unknown): string {
  return textOf(concat(Uint8Array.of(1), encode(fields)));
}

function toText(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text, { alphabet: "base64url" });
}

function cursorOf(fromMs: number, ids: readonly (readonly [from: string, seq: number])[]): Cursor {
  const cursor = new Cursor(fromMs);
  for (const [from, seq] of ids) cursor.add({ from, seq });
  return cursor;
}

const SAMPLE = cursorOf(7, [[ANN, 5], [ANN, 6], [ANN, 9], [BOB, LIFE]]);

Deno.test("Cursor has what was added, and what was created before it begins", () => {
  for (const cursor of [SAMPLE, Cursor.parse(SAMPLE.toString())]) {
    assertEquals(cursor.fromMs, 7);
    for (const [from, seq] of [[ANN, 5], [ANN, 6], [ANN, 9], [BOB, LIFE]] as const) {
      assert(cursor.has({ from, seq, createdMs: 7 }));
    }
    for (const [from, seq] of [[ANN, 4], [ANN, 7], [ANN, 10], [BOB, 5], ["x", 5]] as const) {
      assert(!cursor.has({ from, seq, createdMs: 7 }));
      assert(cursor.has({ from, seq, createdMs: 6.5 }));
    }
  }
});

Deno.test("Cursor begins in 1970 unless told otherwise, at a whole millisecond", () => {
  assertEquals(new Cursor().fromMs, 0);
  assertEquals(new Cursor(1.75e12 + 0.25).fromMs, 1.75e12);
  assert(!new Cursor().has({ from: ANN, seq: 1, createdMs: 0 }));
  for (const fromMs of [-1, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => new Cursor(fromMs), RangeError, `current value is ${fromMs}`);
  }
});

Deno.test("Cursor takes only names of messages", () => {
  const cursor = new Cursor();
  for (const from of ["", "0a", "0A".repeat(20), "\u001b".repeat(40), `${ANN}0`]) {
    assertThrows(() => cursor.add({ from, seq: 1 }), TypeError, "40 hexadecimal digits");
  }
  for (const seq of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => cursor.add({ from: ANN, seq }), RangeError, "sequence number");
  }
  assertEquals(cursor.toString(), new Cursor().toString());
});

Deno.test("Cursor writes the documented bytes", () => {
  const body = `01 92 07 92
    92 c414 ${ANN} 94 05 02 02 01
    92 c414 ${BOB} 92 cf 000c e0e1 c520 0000 01`;
  const bytes = Uint8Array.fromHex(body.replaceAll(/\s/g, ""));
  assertEquals(toBytes(SAMPLE.toString()).subarray(0, -4).toHex(), bytes.toHex());
  assertEquals(SAMPLE.toString(), textOf(bytes));
  assertEquals(new Cursor().toString(), "AZIAkBZh4pc");
});

Deno.test("Cursor is the same after its text was read, whatever came, and gives the same text", () => {
  const random = seededRandom(3);
  const draw = (bound: number) => Math.floor(random() * bound);
  for (let round = 0; round < 40; round++) {
    let cursor = new Cursor(draw(1e12));
    const added = new Set<string>();
    const authors = [ANN, BOB, "0c".repeat(20)];
    for (let i = 0; i < 150; i++) {
      const from = authors[draw(3)] ?? "";
      const seq = LIFE * draw(2) + draw(1 + 10 * round);
      const name = { from, seq, createdMs: cursor.fromMs };
      assertEquals(cursor.has(name), added.has(`${from}${seq}`));
      cursor.add(name);
      added.add(`${from}${seq}`);
      if (draw(30) > 0) continue;
      const text = cursor.toString();
      cursor = Cursor.parse(text);
      assertEquals(cursor.toString(), text);
    }
  }
});

Deno.test("Cursor takes the largest numbers there and back", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const cursor = cursorOf(most, [[ANN, 0], [ANN, most], [BOB, most], [BOB, most - 1]]);
  const again = Cursor.parse(cursor.toString());
  assertEquals(again.toString(), cursor.toString());
  assert(again.has({ from: BOB, seq: most - 1, createdMs: most }));
  assert(!again.has({ from: ANN, seq: most - 1, createdMs: most }));
});

Deno.test("Cursor forgets whom it heard of longest ago, so that its text stays within its bound", () => {
  const cursor = new Cursor();
  const ids = Array.from({ length: 6_000 }, (_, at) => at.toString(16).padStart(40, "0"));
  for (const [at, from] of ids.entries()) {
    cursor.add({ from, seq: LIFE });
    cursor.add({ from: ANN, seq: at }); // heard all the time
  }
  assert(cursor.has({ from: ANN, seq: 0, createdMs: 0 }));
  const text = cursor.toString();
  assert(text.length <= MAX_CURSOR_CHARS, `${text.length}`);
  assert(text.length > 0.6 * MAX_CURSOR_CHARS, `${text.length}`);
  const kept = ids.filter((from) => cursor.has({ from, seq: LIFE, createdMs: 0 }));
  assertEquals(kept, ids.slice(-kept.length));
  assert(kept.length > 4_000, `${kept.length}`);
  const next = Cursor.parse(text);
  for (const one of [cursor, next]) one.add({ from: BOB, seq: 1 }); // the order was kept as well
  assertEquals(next.toString(), cursor.toString());
});

Deno.test("Cursor stays within its bound whatever the numbers are", () => {
  const random = seededRandom(9);
  const cursor = new Cursor(Number.MAX_SAFE_INTEGER);
  const authors = Array.from({ length: 60 }, (_, at) => (at + 16).toString(16).repeat(20));
  for (const from of authors) {
    for (let i = 0; i < 300; i++) cursor.add({ from, seq: Math.floor(random() * 2 ** 53) });
  }
  const text = cursor.toString();
  assert(text.length <= MAX_CURSOR_CHARS && text.length > MAX_CURSOR_CHARS / 2, `${text.length}`);
  assertEquals(Cursor.parse(text).toString(), text);
  assert(!cursor.has({ from: authors[0] ?? "", seq: 0, createdMs: Infinity }));
});

/** The numbers of an author that are refused, and why. */
const BAD_NUMBERS: readonly [string, unknown][] = [
  ["none", []],
  ["no array", 5],
  ["a map", { 0: 5, 1: 1 }],
  ["an odd number of them", [5, 1, 3]],
  ["an empty range", [5, 0]],
  ["an empty range later", [5, 1, 3, 0]],
  ["a range that touches the one before", [5, 1, 0, 1]],
  ["a range below the one before", [5, 1, -2, 1]],
  ["a range that overlaps the one before", [5, 3, -1, 3]],
  ["a negative number", [-1, 1]],
  ["a negative count", [5, -1]],
  ["a fraction", [5.5, 1]],
  ["a text", ["5", 1]],
  ["no number", [NaN, 1]],
  ["infinity", [5, Infinity]],
  ["a huge count", [5, Number.MAX_SAFE_INTEGER]],
  ["a sum beyond 2^53", [Number.MAX_SAFE_INTEGER, 2]],
  ["a later sum beyond 2^53", [5, 1, Number.MAX_SAFE_INTEGER - 5, 1]],
  ["an empty range beyond 2^53", [5, 1, Number.MAX_SAFE_INTEGER - 5, 0]],
  ["64 bits", [5n + 2n ** 60n, 1]],
  ["too many ranges", Array.from({ length: 514 }, () => 1)],
];

Deno.test("Cursor.parse takes 256 ranges of an author, and refuses what is no ascending ranges", () => {
  Cursor.parse(textWith([0, [[ANN_ID, Array.from({ length: 512 }, () => 1)]]]));
  Cursor.parse(textWith([0, [[ANN_ID, [Number.MAX_SAFE_INTEGER, 1]]]]));
  for (const [what, numbers] of BAD_NUMBERS) {
    const text = textWith([0, [[BOB_ID, [1, 1]], [ANN_ID, numbers]]]);
    assertThrows(
      () => Cursor.parse(text),
      InvalidPacketError,
      "Cannot read cursor: bad ranges of author 1",
      what,
    );
  }
});

const GOOD = [ANN_ID, [1, 1]];

const BAD_FIELDS: readonly [string, unknown][] = [
  ["bad time", null],
  ["bad time", 5],
  ["bad time", []],
  ["bad time", {}],
  ["bad time", [-1, []]],
  ["bad time", [0.5, []]],
  ["bad time", [NaN, []]],
  ["bad time", [2n ** 53n, []]],
  ["bad time", ["0", []]],
  ["no list of authors", [0]],
  ["no list of authors", [0, {}]],
  ["no list of authors", [0, "x"]],
  ["more than two fields", [0, [], 1]],
  ["bad id of author 0", [0, [null]]],
  ["bad id of author 0", [0, [[]]]],
  ["bad id of author 0", [0, [["x".repeat(20), [1, 1]]]]],
  ["bad id of author 0", [0, [[ANN, [1, 1]]]]],
  ["bad id of author 1", [0, [GOOD, [new Uint8Array(19), [1, 1]]]]],
  ["bad id of author 1", [0, [GOOD, [new Uint8Array(21), [1, 1]]]]],
  ["bad ranges of author 0", [0, [[ANN_ID]]]],
  ["bad ranges of author 0", [0, [[...GOOD, 1]]]],
  ["author 1 stands there twice", [0, [GOOD, GOOD]]],
];

Deno.test("Cursor.parse names the field that is wrong", () => {
  for (const [why, fields] of BAD_FIELDS) {
    const error = assertThrows(() => Cursor.parse(textWith(fields)), InvalidPacketError, why);
    assertEquals(error.code, "bad-message");
  }
});

Deno.test("Cursor.parse refuses more than a text may hold, and counts that nothing stands behind", () => {
  const error = assertThrows(() => Cursor.parse("A".repeat(MAX_CURSOR_CHARS + 1)));
  assert(error instanceof InvalidPacketError);
  assertEquals(error.code, "too-large");
  assertEquals(error.details, { limit: "maxCursorChars", max: 262_144, got: 262_145 });
  // Short ones: the text would fit.
  const authors = Array.from({ length: 5_000 }, (_, at) => {
    return [Uint8Array.fromHex(at.toString(16).padStart(40, "0")), [1, 1]];
  });
  assertThrows(() => Cursor.parse(textWith([0, authors])), InvalidPacketError, "more authors");
  for (const counts of ["dd ffffffff", "dd 00100000", "df ffffffff", "c6 ffffffff"]) {
    const bytes = Uint8Array.fromHex(`01 92 00 ${counts}`.replaceAll(" ", ""));
    assertThrows(() => Cursor.parse(textOf(bytes)), InvalidPacketError, "Cannot decode");
  }
});

Deno.test("Cursor.parse refuses another version, naming both", () => {
  for (const version of [0, 2, 255]) {
    const text = textOf(concat(Uint8Array.of(version), encode([0, []])));
    const error = assertThrows(() => Cursor.parse(text), InvalidPacketError, `version ${version}`);
    assertEquals(error.code, "bad-version");
    assertEquals(error.details, { version, known: 1 });
  }
});

Deno.test("Cursor.parse refuses every other length, and bytes after the fields", () => {
  const text = SAMPLE.toString();
  for (let length = 0; length < text.length; length++) {
    assertThrows(() => Cursor.parse(text.slice(0, length)), InvalidPacketError);
  }
  for (const more of ["A", "AA", "AAA", "AAAA", "=", "==", "\n", " "]) {
    assertThrows(() => Cursor.parse(text + more), InvalidPacketError);
  }
  const body = concat(toBytes(text).subarray(0, -4), new Uint8Array(1));
  assertThrows(() => Cursor.parse(textOf(body)), InvalidPacketError, "after the value");
  const cut = toBytes(text).subarray(0, -6);
  assertThrows(() => Cursor.parse(textOf(cut)), InvalidPacketError, "ends inside");
  assertThrows(() => Cursor.parse(textOf(new Uint8Array())), InvalidPacketError, "version");
});

Deno.test("Cursor.parse notices every single character and every bit that changed", () => {
  const text = SAMPLE.toString();
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \u0000é";
  for (let at = 0; at < text.length; at++) {
    for (const char of alphabet) {
      if (char === text[at]) continue;
      const changed = text.slice(0, at) + char + text.slice(at + 1);
      assertThrows(() => Cursor.parse(changed), InvalidPacketError, "Cannot read cursor", changed);
    }
  }
});

Deno.test("Cursor.parse: hostile bytes give a cursor that writes itself, or InvalidPacketError", () => {
  const generator = new Generator(20_261_121);
  const body = toBytes(SAMPLE.toString()).subarray(0, -4);
  let parsed = 0;
  for (let round = 0; round < 3_000; round++) {
    const bytes = round % 10 === 0
      ? concat(Uint8Array.of(1), encode([generator.below(9), generator.value(2)]))
      : generator.mutate(body);
    let cursor: Cursor;
    try {
      cursor = Cursor.parse(textOf(bytes));
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${bytes.toHex()}: ${error}`);
      continue;
    }
    parsed++;
    const text = cursor.toString();
    assertEquals(Cursor.parse(text).toString(), text);
    assertNotEquals(text, "");
  }
  assert(parsed > 100, `${parsed} parsed`);
});
