import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { InvalidPacketError, UnsupportedError } from "../../src/errors.ts";
import {
  type DataOptions,
  type DataType,
  decodeData,
  encodeData,
  parseDataType,
} from "../../src/session/data_type.ts";
import { bytesOf, feedGarbage, fromNotation, loadVectors } from "../testdata/vectors.ts";
import { utf8 } from "./fixture.ts";

const NATIVE: DataOptions = { dialect: "native", maxDataBytes: 1000 };
const PEERPY: DataOptions = { dialect: "peerpy", maxDataBytes: 1000 };

Deno.test("encodeData writes the original's bodies and decodeData reads them, pickles excepted", () => {
  let pickles = 0;
  for (const vector of loadVectors("peerpy.payload")) {
    const { type, data } = fromNotation(vector.value) as { type: DataType; data: unknown };
    const bytes = bytesOf(vector);
    if (type === "raw") {
      pickles++;
      assertThrows(() => encodeData(type, data, PEERPY), UnsupportedError, "pickle");
      assertThrows(() => decodeData(type, bytes, PEERPY), UnsupportedError, "pickle");
      continue;
    }
    assertEquals(encodeData(type, data, PEERPY), bytes, vector.name);
    assertEquals(decodeData(type, bytes, PEERPY), data, vector.name);
  }
  assertEquals(pickles, 2);
});

Deno.test("encodeData and decodeData carry values of each type between kith peers", () => {
  const values: readonly (readonly [DataType, unknown, number])[] = [
    ["json", { text: "é☃", list: [1, 2.5, null, true] }, 41],
    ["json", "", 2],
    ["bytes", Uint8Array.of(0, 255), 2],
    ["bytes", new Uint8Array(0), 0],
    ["raw", { bin: Uint8Array.of(1), big: 2n ** 63n, at: new Date(1000) }, 30],
  ];
  for (const [type, value, size] of values) {
    const bytes = encodeData(type, value, NATIVE);
    assertEquals(bytes.length, size, type);
    assertEquals(decodeData(type, bytes, NATIVE), value);
  }
  const bytes = Uint8Array.of(1, 2);
  assertStrictEquals(encodeData("bytes", bytes, NATIVE), bytes);
});

Deno.test("encodeData refuses what a type has no form for", () => {
  const values: readonly (readonly [DataType, unknown, DataOptions])[] = [
    ["json", undefined, NATIVE],
    ["json", { when: new Date() }, NATIVE],
    ["json", NaN, PEERPY],
    ["bytes", "str", NATIVE],
    ["bytes", [1, 2], PEERPY],
    ["raw", () => 1, NATIVE],
  ];
  for (const [type, value, options] of values) {
    assertThrows(() => encodeData(type, value, options), TypeError);
  }
});

Deno.test("encodeData and decodeData name the limit that data exceeds", () => {
  const limits = { dialect: "native", maxDataBytes: 4 } as const;
  for (const type of ["json", "bytes", "raw"] as const) {
    const value = type === "bytes" ? new Uint8Array(5) : "12345";
    const bytes = new Uint8Array(5);
    for (
      const run of [() => encodeData(type, value, limits), () => decodeData(type, bytes, limits)]
    ) {
      const { code, details } = assertThrows(run, InvalidPacketError, "exceed maxDataBytes 4");
      assertEquals([code, details.limit], ["too-large", "maxDataBytes"]);
    }
  }
  assertEquals(encodeData("bytes", new Uint8Array(4), limits).length, 4);
});

Deno.test("decodeData refuses what is no value, and peerpy's json without data", () => {
  for (const text of ["", "{", '{"data": NaN}', "\xff"]) {
    assertThrows(() => decodeData("json", utf8(text), PEERPY), InvalidPacketError);
  }
  for (const text of ["5", "null", "[1]", "{}", '{"date": 1}', '{"__proto__": {"data": 1}}']) {
    assertThrows(() => decodeData("json", utf8(text), PEERPY), InvalidPacketError, '{"data": ...}');
  }
  assertThrows(() => decodeData("raw", Uint8Array.of(0xc1), NATIVE), InvalidPacketError);
  assertThrows(() => decodeData("raw", Uint8Array.of(1, 1), NATIVE), InvalidPacketError);
});

Deno.test("decodeData meets garbage with a value or an error of ours", () => {
  const json = [utf8('{"data": {"k": ["a", 1.5]}}')];
  const raw = [encodeData("raw", { k: ["a", 1.5, new Uint8Array(9)] }, NATIVE)];
  for (const options of [NATIVE, PEERPY]) {
    const { refused } = feedGarbage((bytes) => decodeData("json", bytes, options), json, {
      seed: 11,
      cases: 2000,
    });
    assertEquals(refused > 0, true);
  }
  const seen = feedGarbage((bytes) => decodeData("raw", bytes, NATIVE), raw, {
    seed: 12,
    cases: 2000,
  });
  assertEquals(seen.refused > 0 && seen.decoded > 0, true);
});

Deno.test("parseDataType knows three types", () => {
  assertEquals(["json", "bytes", "raw"].map(parseDataType), ["json", "bytes", "raw"]);
  for (const name of ["JSON", "", undefined, 1, "toString"]) {
    assertThrows(() => parseDataType(name), InvalidPacketError, "unknown type");
  }
});
