import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { fromNotation, toNotation } from "../../src/cli/notation.ts";
import { VECTORS } from "../../src/cli/vectors.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { encodeJson } from "../../src/wire/json.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Extension, Float64 } from "../../src/wire/msgpack_types.ts";
import { Generator } from "../fuzz/generate.ts";

/** A value through notation and JSON text, and back. */
function throughJson(value: unknown): unknown {
  return fromNotation(JSON.parse(encodeJson(toNotation(value))));
}

function assertCarried(value: unknown, what: string): void {
  assertEquals(encode(throughJson(value)).toHex(), encode(value).toHex(), what);
}

Deno.test("notation has a form for everything that JSON has none for", () => {
  const cases: readonly (readonly [value: unknown, notation: unknown])[] = [
    [new Uint8Array([0, 255]), { $bytes: "00ff" }],
    [2n ** 64n - 1n, { $int: "18446744073709551615" }],
    [-(2n ** 63n), { $int: "-9223372036854775808" }],
    [new Float64(1), { $float: "1" }],
    [-0, { $float: "-0" }],
    [NaN, { $float: "NaN" }],
    [-Infinity, { $float: "-Infinity" }],
    [new Date(1_767_323_045_678), { $time: "2026-01-02T03:04:05.678Z" }],
    [new Extension(-5, new Uint8Array([1])), { $ext: [-5, "01"] }],
    [new Map<unknown, unknown>([[1, "a"], [null, [2n]]]), {
      $map: [[1, "a"], [null, [{ $int: "2" }]]],
    }],
    [{ a: [1.5, "x", true, null] }, { a: [1.5, "x", true, null] }],
  ];
  for (const [value, notation] of cases) {
    assertEquals(toNotation(value), notation);
    assertEquals(encode(fromNotation(notation)), encode(value));
    assertCarried(value, JSON.stringify(notation));
  }
});

Deno.test("notation carries maps that look like notation, and the key __proto__", () => {
  for (const key of ["$bytes", "$int", "$map", "$x", "$"]) {
    const value = { [key]: "00" };
    assertEquals(toNotation(value), { $map: [[key, "00"]] });
    assertCarried(value, key);
    assertCarried([{ [key]: { [key]: 1 } }], key);
    assertEquals(toNotation({ [key]: 1, b: 2 }), { [key]: 1, b: 2 });
  }
  assertCarried(JSON.parse('{"__proto__":{"x":1}}'), "__proto__");
  assertEquals(({} as { x?: number }).x, undefined);
});

Deno.test("notation carries every value of the codec: seeded values", () => {
  for (let seed = 1; seed <= 400; seed++) {
    assertCarried(new Generator(seed).value(4), `seed ${seed}`);
  }
});

Deno.test("notation carries what a decoder makes of bytes: the vectors, whole and damaged", () => {
  const generator = new Generator(77);
  const whole = VECTORS.map(({ hex }) => Uint8Array.fromHex(hex));
  const damaged = Array.from({ length: 4000 }, () => generator.mutate(generator.pick(whole)));
  let decoded = 0;
  for (const bytes of [...whole, ...damaged]) {
    const read = tryDecode(bytes);
    if (read === undefined) continue;
    // Compared as values: a NaN is one of many bit patterns.
    assertEquals(decode(encode(throughJson(read.value))), read.value, bytes.toHex());
    decoded++;
  }
  assert(decoded > 300, `only ${decoded} could be decoded`);
});

Deno.test("fromNotation refuses a notation that is none, and says which and why", () => {
  const cases: readonly (readonly [data: unknown, why: string])[] = [
    [{ $bytes: "0" }, '{"$bytes": ...}'],
    [{ $bytes: "zz" }, '{"$bytes": ...}'],
    [{ $bytes: 5 }, "its value is not a string"],
    [{ $int: "1.5" }, "it is not an integer"],
    [{ $int: "" }, "it is not an integer"],
    [{ $int: "0x10" }, "it is not an integer"],
    [{ $int: "18446744073709551616" }, "it needs more than 64 bits"],
    [{ $int: "-9223372036854775809" }, "it needs more than 64 bits"],
    [{ $int: "9".repeat(1000) }, "it is not an integer"],
    [{ $int: 5 }, "its value is not a string"],
    [{ $float: "one" }, "it is not a number"],
    [{ $float: " " }, "it is not a number"],
    [{ $time: "yesterday" }, "it is not a time"],
    [{ $ext: [128, "00"] }, "Extension type must be -128..127"],
    [{ $ext: [1, "0"] }, '{"$ext": ...}'],
    [{ $ext: [1] }, '{"$ext": ...}'],
    [{ $ext: "00" }, "there is no such notation"],
    [{ $map: [1] }, '{"$map": ...}'],
    [{ $map: "x" }, "there is no such notation"],
    [{ $: "x" }, "there is no such notation"],
    [{ $frob: "x" }, "there is no such notation"],
    [[1, { a: { $int: "x" } }], "it is not an integer"],
    [{ "$\u001b[2J": "x" }, '{"$\\u{1b}[2J": ...}'],
  ];
  for (const [data, why] of cases) {
    const error = assertThrows(() => fromNotation(data), InvalidPacketError, why);
    assertStringIncludes(error.message, "Cannot read {");
    assertEquals([error.code, error.message.length < 250], ["bad-message", true]);
  }
});

function tryDecode(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: decode(bytes) };
  } catch (error) {
    if (error instanceof InvalidPacketError) return undefined;
    throw error;
  }
}
