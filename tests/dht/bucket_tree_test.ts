import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { BucketTree } from "../../src/dht/bucket_tree.ts";
import {
  commonBits,
  compareDistance,
  ID_BITS,
  ID_BYTES,
  type NodeId,
} from "../../src/dht/node_id.ts";

/** A tree that was split at ranges that chance chose. */
function grownTree(random: () => number, splits: number): BucketTree {
  const tree = new BucketTree({ k: 1, perNetwork: 1, lookedUpMs: 0 });
  for (let i = 0; i < splits; i++) tree.split(tree.of(randomId(random)));
  return tree;
}

function randomId(random: () => number): NodeId {
  return Uint8Array.from({ length: ID_BYTES }, () => random() * 256);
}

Deno.test("BucketTree begins with one bucket of all ids, and puts halves in its place", () => {
  const tree = new BucketTree({ k: 1, perNetwork: 1, lookedUpMs: 0 });
  const [all, ...none] = tree.all();
  assert(all !== undefined && none.length === 0);
  const halves = tree.split(all);
  assertEquals(tree.all(), [...halves]);
  assert(tree.all().every((bucket, i) => bucket === halves[i]));
  assertEquals(halves.map(({ bits }) => bits), [1, 1]);
});

Deno.test("BucketTree has each id in exactly one range, and ranges in order without gaps", () => {
  const random = seededRandom(3);
  const tree = grownTree(random, 60);
  const ranges = tree.all().map((bucket) => bucket.describe());
  assertEquals(ranges.length, 61);
  assertEquals([ranges[0]?.low, ranges.at(-1)?.high], ["0".repeat(40), "f".repeat(40)]);
  for (const [i, { high }] of ranges.slice(0, -1).entries()) {
    assertEquals(BigInt(`0x${ranges[i + 1]?.low}`), BigInt(`0x${high}`) + 1n);
  }
  for (let i = 0; i < 200; i++) {
    const id = randomId(random);
    const { prefix, bits } = tree.of(id);
    assert(commonBits(prefix, id) >= bits);
  }
});

Deno.test("BucketTree.nearest has no id of a bucket nearer than any of one before", () => {
  const random = seededRandom(4);
  const tree = grownTree(random, 40);
  const first = tree.all()[0];
  assert(first);
  for (let bits = first.bits; bits < ID_BITS; bits++) tree.split(tree.of(new Uint8Array(ID_BYTES)));
  for (let i = 0; i < 50; i++) {
    const target = i === 0 ? new Uint8Array(ID_BYTES) : randomId(random);
    const buckets = [...tree.nearest(target)];
    assertEquals(new Set(buckets).size, tree.all().length);
    assertEquals(buckets[0], tree.of(target));
    for (const [j, { prefix }] of buckets.slice(1).entries()) {
      const before = buckets[j];
      assert(before && compareDistance(target, before.prefix, prefix) < 0);
    }
  }
});
