/**
 * Conformance vectors: what any implementation of kith's wire reads and writes. Values are in the notation of
 * `notation.ts`.
 *
 * @module
 */

/** One vector. */
export interface Vector {
  /** What it is. */
  readonly name: string;
  /** The MessagePack bytes. */
  readonly hex: string;
  /** The value, in notation. */
  readonly value: unknown;
}

/** All of them. */
export const VECTORS: readonly Vector[] = [
  {
    name: "nil",
    hex: "c0",
    value: null,
  },
  {
    name: "false",
    hex: "c2",
    value: false,
  },
  {
    name: "true",
    hex: "c3",
    value: true,
  },
  {
    name: "fixint 127",
    hex: "7f",
    value: 127,
  },
  {
    name: "uint8 255",
    hex: "ccff",
    value: 255,
  },
  {
    name: "uint16 65535",
    hex: "cdffff",
    value: 65535,
  },
  {
    name: "uint32 4294967295",
    hex: "ceffffffff",
    value: 4294967295,
  },
  {
    name: "uint64 2^53-1",
    hex: "cf001fffffffffffff",
    value: 9007199254740991,
  },
  {
    name: "uint64 2^64-1",
    hex: "cfffffffffffffffff",
    value: { "$int": "18446744073709551615" },
  },
  {
    name: "negative fixint -32",
    hex: "e0",
    value: -32,
  },
  {
    name: "int8 -128",
    hex: "d080",
    value: -128,
  },
  {
    name: "int16 -32768",
    hex: "d18000",
    value: -32768,
  },
  {
    name: "int32 -2147483648",
    hex: "d280000000",
    value: -2147483648,
  },
  {
    name: "int64 -2^63",
    hex: "d38000000000000000",
    value: { "$int": "-9223372036854775808" },
  },
  {
    name: "float64 1.5",
    hex: "cb3ff8000000000000",
    value: 1.5,
  },
  {
    name: "float64 -0",
    hex: "cb8000000000000000",
    value: { "$float": "-0" },
  },
  {
    name: "float64 NaN",
    hex: "cb7ff8000000000000",
    value: { "$float": "NaN" },
  },
  {
    name: "fixstr",
    hex: "a46b697468",
    value: "kith",
  },
  {
    name: "str8 of 32",
    hex: "d9206161616161616161616161616161616161616161616161616161616161616161",
    value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  },
  {
    name: "str of three scripts",
    hex: "a9c3a9e29883f09f9880",
    value: "é☃😀",
  },
  {
    name: "bin8",
    hex: "c40200ff",
    value: { "$bytes": "00ff" },
  },
  {
    name: "array of 16",
    hex: "dc0010000102030405060708090a0b0c0d0e0f",
    value: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  },
  {
    name: "map",
    hex: "82a16101a16292c3c0",
    value: { "a": 1, "b": [true, null] },
  },
  {
    name: "map with a key __proto__",
    hex: "81a95f5f70726f746f5f5f01",
    value: JSON.parse('{"__proto__":1}'),
  },
  {
    name: "map with integer keys",
    hex: "8201a36f6e6502a374776f",
    value: { "$map": [[1, "one"], [2, "two"]] },
  },
  {
    name: "extension",
    hex: "d50500ff",
    value: { "$ext": [5, "00ff"] },
  },
  {
    name: "timestamp 32",
    hex: "d6ff695735a5",
    value: { "$time": "2026-01-02T03:04:05.000Z" },
  },
  {
    name: "timestamp 64",
    hex: "d7ffa1a5d600695735a5",
    value: { "$time": "2026-01-02T03:04:05.678Z" },
  },
  {
    name: "timestamp 96",
    hex: "c70cff1dcd6500ffffffffffffffff",
    value: { "$time": "1969-12-31T23:59:59.500Z" },
  },
  {
    name: "message hello",
    hex:
      "95a63a68656c6c6f000186a36d696e01a36d617801a470656572c414000102030405060708090a0b0c0d0e0f10111213a46e616d65a3626f62a46361707391aa7472616e736665722f31a56167656e74aa6b6974682f302e312e30c0",
    value: [":hello", 0, 1, {
      "min": 1,
      "max": 1,
      "peer": { "$bytes": "000102030405060708090a0b0c0d0e0f10111213" },
      "name": "bob",
      "caps": ["transfer/1"],
      "agent": "kith/0.1.0",
    }, null],
  },
  {
    name: "message request",
    hex: "95a56772656574ce000100000181a46e616d65a5616c696365c0",
    value: ["greet", 65536, 1, { "name": "alice" }, null],
  },
  {
    name: "message answer",
    hex: "95a33a6f6bce000100000181a6726573756c74ac68656c6c6f2c20616c696365c0",
    value: [":ok", 65536, 1, { "result": "hello, alice" }, null],
  },
  {
    name: "message error",
    hex:
      "95a63a6572726f72ce000100000183a4636f6465ab6e6f2d656e64706f696e74a76d657373616765b44e6f20656e64706f696e74202278222068657265a764657461696c7380c0",
    value: [":error", 65536, 1, {
      "code": "no-endpoint",
      "message": 'No endpoint "x" here',
      "details": {},
    }, null],
  },
  {
    name: "message of a third party",
    hex: "95a572756d6f72000181a464617461c4012ac414000102030405060708090a0b0c0d0e0f10111213",
    value: ["rumor", 0, 1, { "data": { "$bytes": "2a" } }, {
      "$bytes": "000102030405060708090a0b0c0d0e0f10111213",
    }],
  },
];
