import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { decodeJson, encodeJson, MAX_JSON_BYTES, pythonJson } from "../../src/wire/json.ts";
import { encodeLine, LineReader, type LineReaderOptions } from "../../src/wire/line.ts";
import { Float64 } from "../../src/wire/msgpack_types.ts";
import { bytesOf, feedGarbage, fromNotation, loadVectors } from "../testdata/vectors.ts";

const REQUESTS = loadVectors("witch.request");
const RESPONSES = loadVectors("witch.response");
// The original's client sends text and bytes as they are, so these two lines are not JSON.
const NOT_JSON = ["text", "bytes already ending in LF are not doubled"];

function bytesOfText(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function assertInvalid(code: string, run: () => unknown): InvalidPacketError {
  const error = assertThrows(run, InvalidPacketError);
  assertEquals(error.code, code);
  return error;
}

// Everything a reader has to say: values, and errors as text. One that is too long is said for ever.
function drain(reader: LineReader): unknown[] {
  const said: unknown[] = [];
  for (;;) {
    try {
      const value = reader.next();
      if (value === undefined) return said;
      said.push(value);
    } catch (error) {
      assert(error instanceof InvalidPacketError);
      said.push(error.message);
      if (error.code === "too-large") return said;
    }
  }
}

function readWhole(bytes: Uint8Array, options?: LineReaderOptions): unknown[] {
  const reader = new LineReader(options);
  reader.push(bytes);
  return drain(reader);
}

// As a connection's loop would: read into one reused buffer, push, drain.
function readPieces(bytes: Uint8Array, sizes: () => number, options?: LineReaderOptions) {
  const reader = new LineReader(options);
  const said: unknown[] = [];
  const buffer = new Uint8Array(64);
  for (let at = 0; at < bytes.length;) {
    const piece = bytes.subarray(at, at + sizes());
    buffer.set(piece);
    reader.push(buffer.subarray(0, piece.length));
    buffer.fill(0);
    at += piece.length;
    const news = drain(reader);
    said.push(...news.filter((item) => item !== said.at(-1) || typeof item !== "string"));
  }
  return said;
}

Deno.test("encodeLine writes the original client's bytes and LineReader reads them", () => {
  for (const vector of REQUESTS.filter(({ name }) => !NOT_JSON.includes(name))) {
    const value = fromNotation(vector.value);
    assertEquals(encodeLine(value, { style: "python" }), bytesOf(vector), vector.name);
    assertEquals(readWhole(bytesOf(vector)), [value], vector.name);
  }
});

Deno.test("LineReader refuses the original client's lines that are not JSON", () => {
  for (const vector of REQUESTS.filter(({ name }) => NOT_JSON.includes(name))) {
    const reader = new LineReader();
    reader.push(bytesOf(vector));
    assertInvalid("bad-message", () => reader.next());
  }
});

Deno.test("LineReader reads the original server's answers, and encodeLine writes them", () => {
  for (const vector of RESPONSES) {
    if (vector.value === null) {
      assertEquals([vector.hex, readWhole(bytesOf(vector))], ["", []]);
      continue;
    }
    assertEquals(readWhole(bytesOf(vector)), [vector.value], vector.name);
    assertEquals(encodeLine(vector.value, { style: "python" }), bytesOf(vector), vector.name);
  }
});

Deno.test("LineReader reads what the original server was asked, and two requests in one write as two", () => {
  const asked = (name: string) => {
    const vector = RESPONSES.find((candidate) => candidate.name === name);
    return readWhole(Uint8Array.fromHex(vector?.request_hex ?? ""));
  };
  assertEquals(asked("CRLF"), [{ request: "ping" }]);
  assertEquals(asked("empty line"), []);
  assertEquals(asked("no LF: no answer"), []);
  assertEquals(asked("null"), [null]);
  assertEquals(asked("invalid utf-8"), ["Cannot decode line 1 at offset 0: it is not UTF-8"]);
  // The original takes both for one bad message.
  assertEquals(asked("two requests in one write: taken as one bad message"), [
    { request: "ping" },
    { request: "status" },
  ]);
});

Deno.test("LineReader gives the same lines and errors however the bytes are cut", () => {
  const lines = RESPONSES.map(bytesOf);
  const odd = bytesOfText('\n\r\n  \t\n{"a":1}\r\n{"broken"\n"é ☃ 😀"\n\u00ff\n');
  const bytes = new Uint8Array([...lines.flatMap((line) => [...line]), ...odd, 0xff, 0x0a, 0x35]);
  const whole = readWhole(bytes);
  assertEquals(whole.length, RESPONSES.length - 1 + 5);
  assertEquals(readPieces(bytes, () => 1), whole);
  const random = seededRandom(21);
  for (let i = 0; i < 50; i++) {
    assertEquals(readPieces(bytes, () => 1 + Math.floor(random() * 64)), whole);
  }
});

Deno.test("LineReader yields nothing for a part of a line", () => {
  const line = encodeLine({ text: "é" });
  for (let length = 0; length < line.length; length++) {
    assertEquals(readWhole(line.subarray(0, length)), []);
  }
});

Deno.test("LineReader goes on after a line that is not JSON, and says where that was", () => {
  const reader = new LineReader();
  reader.push(bytesOfText('[1]\n\n{"a":\u0007}\n[2]\n'));
  assertEquals(reader.next(), [1]);
  const error = assertInvalid("bad-message", () => reader.next());
  assertEquals(error.details, { line: 3, offset: 5 });
  assertStringIncludes(error.message, "Cannot decode line 3 at offset 5: ");
  assert(!error.message.includes("\u0007"));
  assertEquals([reader.next(), reader.next()], [[2], undefined]);
});

Deno.test("LineReader takes a byte-order mark for what it is in JSON, an error", () => {
  const reader = new LineReader();
  reader.push(bytesOfText("\ufeff[1]\n"));
  assertInvalid("bad-message", () => reader.next());
});

Deno.test("LineReader quotes a bad line only in part", () => {
  const reader = new LineReader();
  reader.push(bytesOfText("z".repeat(100_000) + "\n"));
  assert(assertInvalid("bad-message", () => reader.next()).message.length < 250);
});

Deno.test("LineReader refuses a line above its limit, after the lines before it", () => {
  const options = { maxLineBytes: 10 };
  const bytes = bytesOfText("[1]\n[34567890]\n[3456789]\r\n[345678901]\n[5]\n");
  const expected = [
    [1],
    [34567890],
    [3456789],
    "Cannot decode line 4 at offset 26: its size exceeds maxLineBytes 10",
  ];
  assertEquals(readWhole(bytes, options), expected);
  for (let size = 1; size < 30; size++) {
    assertEquals(readPieces(bytes, () => size, options), expected, `pieces of ${size}`);
  }
});

Deno.test("LineReader refuses a line as soon as it exceeds the limit, without its LF", () => {
  const reader = new LineReader();
  const chunk = new Uint8Array(64 * 1024).fill(0x20);
  for (let pushed = 0; pushed < MAX_JSON_BYTES; pushed += chunk.length) reader.push(chunk);
  assertEquals(reader.next(), undefined);
  reader.push(Uint8Array.of(0x20));
  const error = assertInvalid("too-large", () => reader.next());
  assertEquals(error.details, { line: 1, offset: 0, limit: "maxLineBytes", max: MAX_JSON_BYTES });
  // It stays refused, and so does the end.
  reader.push(bytesOfText("\n[1]\n"));
  assertInvalid("too-large", () => reader.next());
  assertInvalid("too-large", () => reader.end());
});

Deno.test("LineReader.end tells a line that was cut off", () => {
  const reader = new LineReader();
  reader.end();
  reader.push(bytesOfText("[1]\n[2]\n"));
  reader.end();
  reader.push(bytesOfText("[3"));
  const error = assertInvalid("bad-frame", () => reader.end());
  assertEquals(error.details, { line: 3, offset: 8 });
  assertEquals(
    error.message,
    "Cannot decode line 3 at offset 8: the input ends before its LF",
  );
  assertEquals([reader.next(), reader.next()], [[1], [2]]);
  assertEquals(assertInvalid("bad-frame", () => reader.end()).details, { line: 3, offset: 8 });
});

Deno.test("LineReader refuses a limit that is none", () => {
  for (const maxLineBytes of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new LineReader({ maxLineBytes }), RangeError, "maxLineBytes");
  }
});

Deno.test("decodeJson bounds the nesting and never overflows the stack", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assertEquals(JSON.stringify(decodeJson(nested(64))), nested(64));
  for (const depth of [65, 100_000]) {
    const { details } = assertInvalid("too-large", () => decodeJson(nested(depth)));
    assertEquals(details, { limit: "MAX_JSON_DEPTH", max: 64 });
  }
  assertInvalid("too-large", () => decodeJson('{"a":'.repeat(100_000)));
  assertInvalid("bad-message", () => decodeJson("]".repeat(100_000)));
});

Deno.test("decodeJson does not count brackets in strings or side by side", () => {
  const value = { text: '[[{"\\'.repeat(100), wide: Array(100).fill([]) };
  assertEquals(decodeJson(JSON.stringify(value)), value);
});

Deno.test("decodeJson keeps __proto__ an ordinary key", () => {
  const value = decodeJson('{"__proto__":{"admin":true}}') as Record<string, unknown>;
  assertEquals([Object.keys(value), value.admin], [["__proto__"], undefined]);
  assertEquals(encodeJson(value), '{"__proto__":{"admin":true}}');
});

Deno.test("pythonJson writes numbers as Python 3.11 does", () => {
  const cases: [value: unknown, text: string][] = [
    [0, "0"],
    [-5, "-5"],
    [9007199254740991, "9007199254740991"],
    [9007199254740992, "9007199254740992.0"],
    [
      469099608771183077085495238363724627294301243880n,
      "469099608771183077085495238363724627294301243880",
    ],
    [-0, "-0.0"],
    [2.5, "2.5"],
    [new Float64(1), "1.0"],
    [new Float64(0), "0.0"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [-0.000012345, "-1.2345e-05"],
    [1e15 + 0.5, "1000000000000000.5"],
    [1e16, "1e+16"],
    [123456789012345680, "1.2345678901234568e+17"],
    [1e22, "1e+22"],
    [5e-324, "5e-324"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
    [1767323045.5, "1767323045.5"],
  ];
  for (const [value, text] of cases) assertEquals(pythonJson(value), text);
});

Deno.test("pythonJson escapes everything beyond printable ASCII", () => {
  assertEquals(
    pythonJson('\u0000\b\t\n\f\r\u001f "\\/~\u007f\u0080é☃😀\ud800'),
    String.raw`"\u0000\b\t\n\f\r\u001f \"\\/~\u007f\u0080\u00e9\u2603\ud83d\ude00\ud800"`,
  );
  assertEquals(
    pythonJson({ é: {}, a: [], b: [1, [true, null]] }),
    String.raw`{"\u00e9": {}, "a": [], "b": [1, [true, null]]}`,
  );
});

Deno.test("encodeJson writes compact JSON that reads back", () => {
  const value = { text: "é\n\u2028", list: [1, -0, 2.5, 1e300, true, null, {}], nothing: null };
  const text = encodeJson(value);
  assertEquals(text, '{"text":"é\\n\u2028","list":[1,-0,2.5,1e+300,true,null,{}],"nothing":null}');
  assertEquals(decodeJson(text), value);
  assertEquals(encodeJson([12345678901234567890n, new Float64(1)]), "[12345678901234567890,1]");
  const bare: Record<string, unknown> = Object.create(null);
  bare.a = 1;
  assertEquals(encodeJson(bare), '{"a":1}');
});

Deno.test("encodeJson refuses what JSON cannot carry and says where it is", () => {
  const sparse = [1];
  sparse.length = 2;
  const cases: [value: unknown, text: string][] = [
    [undefined, "undefined at $"],
    [{ a: [0, { b: undefined }] }, "undefined at $.a[1].b"],
    [sparse, "undefined at $[1]"],
    [[NaN], "NaN at $[0]"],
    [[-Infinity], "-Infinity at $[0]"],
    [[new Float64(NaN)], "NaN at $[0]"],
    [{ f: () => 1 }, "function at $.f"],
    [[Symbol("s")], "symbol at $[0]"],
    [new Date(0), "an instance of Date at $"],
    [new Map(), "an instance of Map at $"],
    [new Uint8Array(1), "an instance of Uint8Array at $"],
  ];
  for (const [value, text] of cases) {
    for (const style of ["kith", "python"] as const) {
      const error = assertThrows(() => encodeJson(value, { style }), TypeError);
      assertEquals(error.message, `Cannot encode as JSON: ${text}`);
    }
  }
});

Deno.test("encodeJson refuses nesting deeper than it reads, and so a cycle", () => {
  let value: unknown = [];
  for (let depth = 1; depth < 64; depth++) value = [value];
  assertEquals(decodeJson(encodeJson(value)), value);
  assertThrows(() => encodeJson([value]), RangeError, "64");
  const cycle: unknown[] = [];
  cycle.push(cycle);
  assertThrows(() => encodeJson(cycle), RangeError, "64");
});

Deno.test("LineReader meets garbage with values or PeerErrors", () => {
  const samples = [...REQUESTS, ...RESPONSES].map(bytesOf);
  const outcome = feedGarbage(
    (bytes) => {
      const reader = new LineReader({ maxLineBytes: 300 });
      reader.push(bytes);
      while (reader.next() !== undefined);
      reader.end();
    },
    samples,
    { seed: 15, cases: 4000 },
  );
  assert(outcome.decoded > 0 && outcome.refused > 0);
});
