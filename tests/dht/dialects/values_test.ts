import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  digestOf,
  encodeKademliaValue,
  isKademliaValue,
  type KademliaValue,
} from "../../../src/dht/dialects/values.ts";
import { decode } from "../../../src/wire/msgpack.ts";
import { Float64 } from "../../../src/wire/msgpack_types.ts";
import { fromNotation, loadVectors } from "../../testdata/vectors.ts";

Deno.test("digestOf gives the original's keys", () => {
  const vectors = loadVectors("kademlia.digest");
  assert(vectors.length >= 12);
  for (const { name, value, hex } of vectors) {
    const key = fromNotation(value) as KademliaValue | null;
    assertEquals(digestOf(key).toHex(), hex, name);
  }
});

Deno.test("digestOf writes numbers as Python's str does", () => {
  assertEquals(digestOf(2n ** 70n), digestOf("1180591620717411303424"));
  assertEquals(digestOf(new Float64(1)), digestOf("1.0"));
  assertEquals(digestOf(1e-5), digestOf("1e-05"));
  assertEquals(digestOf(false), digestOf("False"));
  assertThrows(() => digestOf(NaN), TypeError);
});

Deno.test("encodeKademliaValue takes what the original's set takes, and nothing else", () => {
  const vectors = loadVectors("kademlia.value_types");
  assert(vectors.length >= 9);
  for (const vector of vectors) {
    const { accepted } = vector as unknown as { accepted: boolean };
    const value = fromNotation(vector.value);
    assertEquals(isKademliaValue(value), accepted, vector.name);
    if (accepted) assertEquals(decode(encodeKademliaValue(value)), value);
    else assertThrows(() => encodeKademliaValue(value), TypeError, "must be");
  }
  for (const value of [undefined, Symbol("x"), () => {}, new Date(0), new Map()]) {
    assertThrows(() => encodeKademliaValue(value), TypeError);
  }
});
