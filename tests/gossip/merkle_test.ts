import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import {
  leafHash,
  MAX_LEAVES,
  MAX_PATH,
  pathIn,
  ProvenTree,
  rootIn,
  rootOf,
  treeOver,
} from "../../src/gossip/merkle.ts";

const NONE = "00".repeat(32);

function sha256(...parts: Uint8Array[]): string {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest("hex");
}

function inner(left: string, right: string): string {
  return sha256(Uint8Array.of(1), Uint8Array.fromHex(left), Uint8Array.fromHex(right));
}

function leaves(count: number): string[] {
  return Array.from({ length: count }, (_, at) => sha256(Uint8Array.of(0, at)));
}

/** Another hash. */
function other(hash: string): string {
  return (hash.startsWith("0") ? "1" : "0") + hash.slice(1);
}

Deno.test("treeOver pairs leaves as drawn, with 32 zero bytes where there is none", () => {
  const [a = "", b = "", c = "", d = "", e = ""] = leaves(5);
  assertEquals(rootIn(treeOver([a])), a);
  assertEquals(rootIn(treeOver([a, b])), inner(a, b));
  assertEquals(rootIn(treeOver([a, b, c])), inner(inner(a, b), inner(c, NONE)));
  const half = inner(inner(a, b), inner(c, d));
  assertEquals(rootIn(treeOver([a, b, c, d, e])), inner(half, inner(inner(e, NONE), NONE)));
});

Deno.test("leafHash is SHA-256 of head and data, for data of every size", () => {
  const head = new Uint8Array(73).fill(7, 1);
  for (const size of [0, 1, 100, 4022, 4023, 4024, 5000, 70_000]) {
    const data = new Uint8Array(size).fill(9);
    assertEquals(leafHash(head, data), sha256(head, data), `${size}`);
  }
});

Deno.test("every leaf of trees of 1..64 leads to the root, and is in a ProvenTree", () => {
  for (let count = 1; count <= MAX_LEAVES; count++) {
    const all = leaves(count);
    const tree = treeOver(all);
    const depth = Math.ceil(Math.log2(count));
    const proven = new ProvenTree(rootIn(tree), depth);
    all.forEach((leaf, at) => {
      const path = pathIn(tree, at);
      assertEquals(path.length, depth);
      assert(path.length <= MAX_PATH);
      assertEquals(rootOf(leaf, at, path), rootIn(tree), `${at} of ${count}`);
      assert(proven.has(leaf, at, path), `${at} of ${count}`);
    });
  }
});

const EIGHT = leaves(8);
const TREE = treeOver(EIGHT);

/** One that has seen the leaves at these places. */
function provenWith(places: readonly number[]): ProvenTree {
  const proven = new ProvenTree(rootIn(TREE), 3);
  for (const at of places) assert(proven.has(EIGHT[at] ?? "", at, pathIn(TREE, at)));
  return proven;
}

for (const seen of [[], [0], [0, 7], [3, 4], [0, 1, 2, 3, 4, 5, 6, 7]]) {
  Deno.test(`ProvenTree that has seen [${seen}] refuses other leaves, places and paths`, () => {
    const proven = provenWith(seen);
    EIGHT.forEach((leaf, at) => {
      const path = pathIn(TREE, at);
      assert(!proven.has(other(leaf), at, path), `another leaf at ${at}`);
      path.forEach((node, level) => {
        const wrong = path.with(level, other(node));
        assert(!proven.has(leaf, at, wrong), `another node on level ${level} above ${at}`);
      });
      for (let place = 0; place < 20; place++) {
        if (place !== at) assert(!proven.has(leaf, place, path), `${at} moved to ${place}`);
      }
      assert(!proven.has(leaf, at, path.slice(0, -1)), "shorter");
      assert(!proven.has(leaf, at, path.slice(1)), "shorter at the other end");
      assert(!proven.has(leaf, at, [...path, NONE]), "longer");
      assert(!proven.has(leaf, at, []), "none");
    });
    EIGHT.forEach((leaf, at) => assert(proven.has(leaf, at, pathIn(TREE, at)), "what was refused"));
  });
}

Deno.test("an inner node is no leaf, neither for rootOf nor for a ProvenTree", () => {
  const [node = "", path] = [TREE[4], pathIn(TREE, 0)];
  assertEquals(rootOf(node, 0, path.slice(1)), rootIn(TREE), "the shape alone would allow it");
  assert(!provenWith([0]).has(node, 0, path.slice(1)), "in a known tree the depth does not");
  const asData = Uint8Array.fromHex((TREE[8] ?? "") + (TREE[9] ?? ""));
  assert(leafHash(Uint8Array.of(0), asData) !== node, "the first byte keeps them apart");
});
