import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { xxh3 } from "../../src/wire/xxh3.ts";
import { loadVectors, type Vector } from "../testdata/vectors.ts";

// Made with the xxHash library: either side of every length where the algorithm, the number of steps, of stripes or of
// blocks changes.
const BOUNDARIES: readonly (readonly [length: number, hash: string])[] = [
  [5, "b075753a84ca0fbe"],
  [6, "a6584d1d9a6ae704"],
  [7, "0cd2084a62406b69"],
  [10, "ab69a08ef83d8f77"],
  [15, "55ecedc2b87bb042"],
  [18, "f6912490d4c0eed5"],
  [32, "3523581fe96e4c05"],
  [33, "e68c56ba88991e58"],
  [65, "6928c76ce90422d0"],
  [96, "278a3e12ea046dfb"],
  [97, "e7220282dc4e14f4"],
  [127, "120b9787f8425f2f"],
  [130, "4d3224b100908a87"],
  [143, "8222e885f060341d"],
  [144, "028e1e35ff4c0a01"],
  [239, "972b14e3c46f214b"],
  [242, "ddcb33c494051832"],
  [257, "88fc3f7934a6c9be"],
  [320, "8a1836a6cc02f09e"],
  [321, "f92f3e46c8a7a651"],
  [1023, "d3d91d80ac495685"],
  [1025, "e95c42288f28186e"],
  [1088, "1a848d807034c403"],
  [1089, "a51e35ec282cb1d8"],
  [2048, "25339063db861586"],
  [2049, "6c9600c0e506e2ae"],
  [4097, "b69d29f17d48293f"],
  [16384, "168f7fb4781d0831"],
];

function ramp(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i % 251);
}

Deno.test("xxh3 gives the original's hashes", () => {
  let compared = 0;
  for (const vector of loadVectors("witch.xxh3_64") as readonly (Vector & { hash?: string })[]) {
    // The hash of the published tree has no bytes with it.
    if (vector.hash === undefined) continue;
    const { ramp_length: length } = vector.value as { ramp_length: number };
    assertEquals(xxh3(ramp(length)), vector.hash, vector.name);
    compared++;
  }
  assertEquals(compared, 17);
});

Deno.test("xxh3 gives the library's hashes on both sides of every boundary", () => {
  for (const [length, hash] of BOUNDARIES) {
    assertEquals(xxh3(ramp(length)), hash, `length ${length}`);
  }
});

Deno.test("xxh3 gives the library's hash for every length up to 2200", () => {
  const bytes = ramp(2200);
  let hashes = "";
  for (let length = 0; length <= bytes.length; length++) hashes += xxh3(bytes.subarray(0, length));
  assertEquals(xxh3(new TextEncoder().encode(hashes)), "57e3fdc06461bfcf");
});

Deno.test("xxh3 always has 16 lower-case digits", () => {
  const random = seededRandom(64);
  let padded = 0;
  for (let i = 0; i < 500; i++) {
    const hash = xxh3(Uint8Array.from({ length: i }, () => random() * 256));
    assertMatch(hash, /^[0-9a-f]{16}$/);
    if (hash.startsWith("0")) padded++;
  }
  assert(padded > 0);
});

Deno.test("xxh3 reads a view where it stands, aligned or not, and changes nothing", () => {
  const random = seededRandom(3);
  for (const length of [1, 3, 8, 16, 100, 200, 240, 241, 1024, 3000]) {
    const bytes = Uint8Array.from({ length }, () => random() * 256);
    const padded = new Uint8Array(length + 10).fill(0xee);
    padded.set(bytes, 5);
    const before = padded.slice();
    assertEquals(xxh3(padded.subarray(5, 5 + length)), xxh3(bytes), `length ${length}`);
    assertEquals(padded, before);
  }
});

Deno.test("xxh3 depends on every byte", () => {
  for (const length of [1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 1025]) {
    const bytes = ramp(length);
    const hash = xxh3(bytes);
    for (let at = 0; at < length; at++) {
      const changed = bytes.slice();
      changed[at] = 255;
      assertNotEquals(xxh3(changed), hash, `length ${length}, byte ${at}`);
    }
  }
});
