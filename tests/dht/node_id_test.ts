import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import {
  bitOf,
  commonBits,
  compareDistance,
  distanceOf,
  fromKey,
  ID_BITS,
  ID_BYTES,
  isSameId,
  type NodeId,
  randomIdIn,
  randomIdUnder,
  toKey,
  withBitFlipped,
} from "../../src/dht/node_id.ts";
import { fromNotation, loadVectors } from "../testdata/vectors.ts";

const random = seededRandom(7);

function randomId(): NodeId {
  return Uint8Array.from({ length: ID_BYTES }, () => random() * 256);
}

Deno.test("distanceOf is what the original computes", () => {
  let cases = 0;
  for (const { name, value } of loadVectors("kademlia.distance")) {
    const { a, b, distance } = fromNotation(value) as Record<string, unknown>;
    assert(a instanceof Uint8Array && b instanceof Uint8Array, name);
    assertEquals(distanceOf(a, b), BigInt(String(distance)), name);
    assertEquals(distanceOf(b, a), BigInt(String(distance)), name);
    cases++;
  }
  assertEquals(cases, 21);
});

Deno.test("compareDistance orders ids as their distances do, also those that are nearly the same", () => {
  for (let i = 0; i < 2_000; i++) {
    const target = randomId();
    const [a, b] = i % 2 === 0
      ? [randomId(), randomId()]
      : [randomIdIn(target, i % ID_BITS, random), randomIdIn(target, i % ID_BITS, random)];
    const difference = distanceOf(target, a) - distanceOf(target, b);
    const expected = difference < 0n ? -1 : difference > 0n ? 1 : 0;
    assertEquals(Math.sign(compareDistance(target, a, b)), expected);
    assertEquals(Math.sign(compareDistance(target, b, a)), 0 - expected);
    assertEquals(compareDistance(target, a, a.slice()), 0);
  }
});

Deno.test("commonBits, bitOf and withBitFlipped agree on each of the 160 bits", () => {
  const id = randomId();
  assertEquals([commonBits(id, id), isSameId(id, id.slice())], [ID_BITS, true]);
  for (let bit = 0; bit < ID_BITS; bit++) {
    const other = withBitFlipped(id, bit);
    assertEquals(commonBits(id, other), bit);
    assertEquals(bitOf(other, bit), 1 - bitOf(id, bit));
    assertEquals(distanceOf(id, other), 1n << BigInt(ID_BITS - 1 - bit));
    assert(!isSameId(id, other));
    assertEquals(withBitFlipped(other, bit), id);
  }
});

Deno.test("randomIdIn has exactly so many bits in common, and chance has the others", () => {
  const id = randomId();
  for (let bits = 0; bits < ID_BITS; bits++) {
    assertEquals(commonBits(id, randomIdIn(id, bits, random)), bits);
    if (bits > 120) continue;
    const [one, other] = [randomIdIn(id, bits, random), randomIdIn(id, bits, random)];
    assertNotEquals(one, other, `${bits} bits`);
  }
});

Deno.test("randomIdUnder keeps the first bits, all or none of them too, and changes any other", () => {
  const id = randomId();
  for (let bits = 0; bits <= ID_BITS; bits++) {
    const ids = Array.from({ length: 40 }, () => randomIdUnder(id, bits, random));
    assertEquals(Math.min(...ids.map((other) => commonBits(id, other))), bits);
  }
  const zeros = new Uint8Array(ID_BYTES);
  assertEquals(toKey(randomIdUnder(zeros, 12, () => 1 - Number.EPSILON)), "000" + "f".repeat(37));
  assertEquals(toKey(randomIdUnder(zeros.fill(255), 12, () => 0)), "fff" + "0".repeat(37));
});

Deno.test("randomIdIn and randomIdUnder refuse a number of bits that no id has", () => {
  const id = randomId();
  for (const bits of [-1, 1.5, NaN, 161]) {
    assertThrows(() => randomIdUnder(id, bits, random), RangeError, "bits must be");
    assertThrows(() => randomIdIn(id, bits, random), RangeError, "bits must be");
  }
  assertThrows(() => randomIdIn(id, 160, random), RangeError, "0 to 159: current value is 160");
});

Deno.test("fromKey undoes toKey and takes nothing else", () => {
  const id = randomId();
  assertEquals(fromKey(toKey(id)), id);
  assertEquals(toKey(id), toKey(id).toLowerCase());
  for (const key of ["", "00", "0".repeat(39), "0".repeat(41), "g".repeat(40)]) {
    assertThrows(() => fromKey(key), TypeError, "Key must be 40 hexadecimal digits");
  }
});
