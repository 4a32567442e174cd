import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { decode as stdDecode, encode as stdEncode, type ValueType } from "@std/msgpack";
import { InvalidPacketError } from "../../src/errors.ts";
import { Decoder } from "../../src/wire/decoder.ts";
import { Encoder, MAX_DEPTH } from "../../src/wire/encoder.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Float64 } from "../../src/wire/msgpack_types.ts";
import { concat, Generator } from "../fuzz/generate.ts";

function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

function refused(bytes: Uint8Array | string, code: string): InvalidPacketError {
  const input = typeof bytes === "string" ? Uint8Array.fromHex(bytes) : bytes;
  const error = assertThrows(() => decode(input), InvalidPacketError);
  assertEquals(error.code, code);
  assert(typeof error.details.offset === "number", "the offset is missing");
  return error;
}

Deno.test("encode writes integers in their shortest form", () => {
  const cases: [number | bigint, string][] = [
    [0, "00"],
    [127, "7f"],
    [128, "cc80"],
    [255, "ccff"],
    [256, "cd0100"],
    [65535, "cdffff"],
    [65536, "ce00010000"],
    [4294967295, "ceffffffff"],
    [4294967296, "cf0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
    [9223372036854775808n, "cf8000000000000000"],
    [18446744073709551615n, "cfffffffffffffffff"],
    [-1, "ff"],
    [-32, "e0"],
    [-33, "d0df"],
    [-128, "d080"],
    [-129, "d1ff7f"],
    [-32768, "d18000"],
    [-32769, "d2ffff7fff"],
    [-2147483648, "d280000000"],
    [-2147483649, "d3ffffffff7fffffff"],
    [Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
    [-9223372036854775808n, "d38000000000000000"],
  ];
  for (const [value, expected] of cases) {
    assertEquals(hex(encode(value)), expected, `${value}`);
    assertEquals(decode(encode(value)), value);
  }
});

Deno.test("encode keeps floats, -0 and Float64 as float64", () => {
  assertEquals(hex(encode(1.5)), "cb3ff8000000000000");
  assertEquals(hex(encode(-0)), "cb8000000000000000");
  assert(Object.is(decode(encode(-0)), -0));
  assertEquals(hex(encode(new Float64(1))), "cb3ff0000000000000");
  assertEquals(hex(encode(1e300)), "cb7e37e43c8800759c");
  assert(Number.isNaN(decode(encode(NaN))));
});

Deno.test("encode refuses integers beyond 64 bits, functions, symbols, instances and deep nesting", () => {
  assertThrows(() => encode(1n << 64n), RangeError, "64 bits");
  assertThrows(() => encode(-(1n << 63n) - 1n), RangeError, "64 bits");
  assertThrows(() => encode(() => {}), TypeError, "function");
  assertThrows(() => encode([Symbol("s")]), TypeError, "symbol");
  assertThrows(() => encode({ a: new Set() }), TypeError, "Set");
  assertThrows(() => encode(new Date(NaN)), RangeError, "Date");
  let deep: unknown = null;
  for (let i = 0; i <= MAX_DEPTH; i++) deep = [deep];
  assertThrows(() => encode(deep), RangeError, "nesting");
  assertEquals(hex(encode("still works")), hex(encode("still works")));
});

Deno.test("encode writes maps of more than 15 keys and large bins nested in them", () => {
  const object: Record<string, unknown> = { head: new Uint8Array(70_000).fill(7) };
  for (let i = 0; i < 20; i++) object["key" + i] = { inner: "value" + i };
  assertEquals(decode(encode(object)), object);
});

Deno.test("encode writes own keys only, whatever was done to Object.prototype", () => {
  const plain = encode({ a: { b: 1 } });
  Object.defineProperty(Object.prototype, "polluted", {
    value: 1,
    enumerable: true,
    configurable: true,
  });
  try {
    assertEquals(encode({ a: { b: 1 } }), plain);
  } finally {
    delete (Object.prototype as Record<string, unknown>).polluted;
  }
});

Deno.test("decode gives plain objects however many keys they have", () => {
  for (const count of [0, 1, 12, 13, 14, 48, 60, 200]) {
    const object = Object.fromEntries(Array.from({ length: count }, (_, i) => ["key" + i, i]));
    const decoded = decode(encode(object)) as object;
    assertEquals(decoded, object);
    assertEquals(Object.keys(decoded), Object.keys(object));
    assert(Object.getPrototypeOf(decoded) === Object.prototype);
    assert(decoded.constructor === Object);
  }
});

Deno.test("Encoder splices large bins without copying them", () => {
  const large = new Uint8Array(10_000).map((_, i) => i);
  const object: Record<string, unknown> = { large };
  for (let i = 0; i < 20; i++) object["key" + i] = i;
  const spliced = new Encoder({ spliceFromBytes: 1000 });
  spliced.value([object, large]);
  assertEquals(spliced.splices.length, 2);
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const splice of spliced.splices) {
    pieces.push(spliced.bytes.subarray(at, splice.at), splice.bytes);
    at = splice.at;
  }
  pieces.push(spliced.bytes.subarray(at, spliced.length));
  assertEquals(concat(...pieces), encode([object, large]));
  const copied = spliced.bytes.length;
  assert(copied < 2 * large.length, `${copied} bytes`);
});

Deno.test("Encoder.truncate forgets a failed value and its splices", () => {
  const encoder = new Encoder({ spliceFromBytes: 5_000 });
  encoder.value("kept");
  const kept = encoder.length;
  assertThrows(() => encoder.value([new Uint8Array(5_000), () => {}]), TypeError);
  encoder.truncate(kept);
  assertEquals([encoder.splices.length, encoder.splicedBytes], [0, 0]);
  assertEquals(decode(encoder.take()), "kept");
});

Deno.test("encode canonical sorts keys by code point at every level", () => {
  const value = { "\ue000": 1, "\u{1f600}": 2, b: { z: 1, a: 2 }, a: 0, ab: 1 };
  const shuffled = { ab: 1, b: { a: 2, z: 1 }, "\u{1f600}": 2, a: 0, "\ue000": 1 };
  assertEquals(encode(value, { canonical: true }), encode(shuffled, { canonical: true }));
  const keys = Object.keys(decode(encode(value, { canonical: true })) as object);
  assertEquals(keys, ["a", "ab", "b", "\ue000", "\u{1f600}"]);
  assertThrows(() => encode(new Map([[1, 2], [2, 3]]), { canonical: true }), TypeError, "string");
});

Deno.test("decode gives back what encode was given", () => {
  const generator = new Generator(1);
  for (let i = 0; i < 3000; i++) {
    const value = generator.value();
    assertEquals(decode(encode(value)), value);
  }
});

Deno.test("decode and encode agree with the standard library on the shared subset", () => {
  const generator = new Generator(2);
  for (let i = 0; i < 3000; i++) {
    const value = generator.sharedValue() as ValueType;
    assertEquals(decode(stdEncode(value)), value, "ours cannot read theirs");
    assertEquals(stdDecode(encode(value)), value, "theirs cannot read ours");
    assertEquals(encode(value).length <= stdEncode(value).length, true, "ours is longer");
  }
});

Deno.test("decode keeps str and bin apart, borrows or copies bins by choice", () => {
  const bytes = encode([new Uint8Array([1, 2]), "\u0001\u0002"]);
  const [copy, text] = decode(bytes) as [Uint8Array, string];
  assertInstanceOf(copy, Uint8Array);
  assertEquals(text, "\u0001\u0002");
  const [view] = decode(bytes, { borrow: true }) as [Uint8Array];
  bytes.fill(0xff);
  assertEquals(copy, new Uint8Array([1, 2]));
  assertEquals(view, new Uint8Array([255, 255]));
  assert(view.buffer === bytes.buffer);
});

Deno.test("decode reads timestamps of all three sizes", () => {
  for (const ms of [0, 1_000, 1_700_000_000_250, 17_179_869_184_000 + 5, -1, -1_500, 8.64e15]) {
    assertEquals(decode(encode(new Date(ms))), new Date(ms), `${ms}`);
  }
  refused("c70cff" + "ffffffff" + "0000000000000000", "bad-message"); // nanoseconds out of range
  refused("c70cff" + "00000000" + "7fffffffffffffff", "bad-message"); // beyond what a Date holds
  refused("c702ff0000", "bad-message"); // no timestamp has two bytes
});

Deno.test("decode makes __proto__ and friends plain keys", () => {
  const hostile = concat(
    new Uint8Array([0x83]),
    encode("__proto__"),
    encode({ polluted: true }),
    encode("constructor"),
    encode(1),
    encode("toString"),
    encode(2),
  );
  for (let round = 0; round < 3; round++) { // the second round follows the remembered keys
    const decoder = new Decoder();
    decoder.reset(hostile);
    for (let again = 0; again < 2; again++) {
      decoder.reset(hostile);
      const object = decoder.value() as Record<string, unknown>;
      assertEquals(Object.getPrototypeOf(object), Object.prototype);
      assertEquals(Object.keys(object), ["__proto__", "constructor", "toString"]);
      assertEquals(object.polluted, undefined);
      assertEquals(encode(object), hostile);
    }
  }
});

Deno.test("decode refuses the same key twice, also where the first was remembered", () => {
  const error = refused("82a16101a16102", "bad-message");
  assertEquals(error.details.offset, 4);
  refused("83a16101a16202a16103", "bad-message");
  refused("8201020103", "bad-message"); // integer keys
  const decoder = new Decoder();
  for (const input of ["82a16101a16202", "82a16201a16102"]) {
    decoder.reset(Uint8Array.fromHex(input));
    decoder.value();
  }
  decoder.reset(Uint8Array.fromHex("82a16101a16102"));
  assertThrows(() => decoder.value(), InvalidPacketError, "same key twice");
});

Deno.test("Decoder reads maps right whatever keys it has seen before", () => {
  const generator = new Generator(3);
  const decoder = new Decoder();
  for (let i = 0; i < 3000; i++) {
    const object: Record<string, unknown> = {};
    for (let n = generator.below(6); n > 0; n--) {
      object["k" + generator.below(60)] = generator.below(9);
    }
    decoder.reset(encode(object));
    const decoded = decoder.value() as object;
    assertEquals(decoded, object);
    assertEquals(Object.keys(decoded), Object.keys(object));
  }
});

Deno.test("decode turns maps with other keys into a Map", () => {
  assertEquals(
    decode(encode(new Map<unknown, unknown>([["a", 1], [2, 3]]))),
    new Map<unknown, unknown>([["a", 1], [2, 3]]),
  );
});

Deno.test("decode names the offset of what is wrong", () => {
  assertEquals(refused("", "bad-message").details.offset, 0);
  assertEquals(refused("c1", "bad-message").details.offset, 0);
  assertEquals(refused("92a161c1", "bad-message").details.offset, 3);
  assertEquals(refused("a2fffe", "bad-message").details.offset, 1); // not UTF-8
  assertEquals(refused("0102", "bad-message").details.offset, 1); // trailing
  assertEquals(decode(Uint8Array.fromHex("0102"), { allowTrailing: true }), 1);
});

Deno.test("decode refuses every truncation of a message", () => {
  const whole = encode(["head", 300, 1.5, { body: [new Uint8Array(300), "é".repeat(200)] }, null]);
  for (let end = 0; end < whole.length; end++) refused(whole.subarray(0, end), "bad-message");
});

Deno.test("decode checks every limit before it allocates", () => {
  refused("ddffffffff", "bad-message"); // four billion items in no bytes
  refused("dfffffffff", "bad-message");
  refused("dbffffffff", "too-large");
  refused("c6ffffffff", "too-large");
  refused("c9ffffffff00", "too-large");
  const limits = { maxDepth: 2, maxElements: 4, maxStringBytes: 3, maxBinBytes: 3 };
  const over: [string, unknown][] = [
    ["maxDepth", [[[1]]]],
    ["maxElements", [[1, 2], [1, 2]]],
    ["maxElements", { a: 1, b: 2, c: 3 }],
    ["maxStringBytes", "abcd"],
    ["maxBinBytes", new Uint8Array(4)],
  ];
  for (const [limit, value] of over) {
    const error = assertThrows(() => decode(encode(value), limits), InvalidPacketError);
    assertEquals([error.code, error.details.limit], ["too-large", limit]);
  }
  assertEquals(decode(encode([1, "abc"]), limits), [1, "abc"]);
});

Deno.test("decode survives nesting 100,000 deep", () => {
  const deep = new Uint8Array(100_001).fill(0x91);
  assertEquals(refused(deep, "too-large").details.limit, "maxDepth");
  const maps = new Uint8Array(200_000);
  for (let i = 0; i < maps.length; i += 2) maps.set([0x81, 0x01], i);
  assertEquals(refused(maps, "too-large").details.limit, "maxDepth");
});

Deno.test("decode of an array bomb allocates no more than its bytes could hold", () => {
  const nils = new Uint8Array(5 + 2_000_000).fill(0xc0);
  nils.set([0xdd, 0x00, 0x1e, 0x84, 0x80]);
  assertEquals(refused(nils, "too-large").details.limit, "maxElements");
});

Deno.test("encode may be called while it is at work, and keeps no large buffer", () => {
  const inner = {
    get late() {
      return encode({ b: [1, 2, 3] }).length;
    },
  };
  assertEquals(decode(encode({ a: 1, inner, c: 2 })), { a: 1, inner: { late: 7 }, c: 2 });
  const before = Deno.memoryUsage().external;
  assertEquals(encode(new Uint8Array(20_000_000)).length, 20_000_005);
  assertEquals(encode("x").length, 2);
  assert(Deno.memoryUsage().external - before < 100_000_000);
});

Deno.test("Encoder.take refuses when bytes were spliced: they are not in its buffer", () => {
  const encoder = new Encoder({ spliceFromBytes: 5_000 });
  encoder.value(new Uint8Array(10_000));
  assertThrows(() => encoder.take(), TypeError, "spliced");
});
