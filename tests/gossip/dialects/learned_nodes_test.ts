import { assert, assertEquals } from "@std/assert";
import { LearnedNodes, MAX_LEARNED } from "../../../src/gossip/dialects/learned_nodes.ts";

const nodeOf = (n: number) => ({ hostname: `10.0.${n >> 8}.${n & 255}`, port: 3486 });

Deno.test("LearnedNodes lets a node have the bytes that came from it, and no more", () => {
  const nodes = new LearnedNodes();
  const bob = nodeOf(1);
  nodes.heard(bob, 100);
  assertEquals([nodes.affording(100), nodes.affording(101)], [[bob], []]);
  nodes.sent(bob, 60);
  assertEquals([nodes.affording(40), nodes.affording(41)], [[bob], []]);
  nodes.heard(bob, 60);
  assertEquals(nodes.affording(100), [bob]);
  nodes.sent(bob, 1_000); // known otherwise, too
  nodes.heard(bob, 10);
  assertEquals([nodes.affording(10), nodes.affording(11), nodes.size], [[bob], [], 1]);
  nodes.sent(nodeOf(2), 10);
  assertEquals(nodes.size, 1);
});

Deno.test("LearnedNodes lets nobody save up more than a few packets", () => {
  const nodes = new LearnedNodes();
  for (let n = 0; n < 1_000; n++) nodes.heard(nodeOf(1), 1_200);
  assertEquals([nodes.affording(9_600).length, nodes.affording(9_601).length], [1, 0]);
});

Deno.test("LearnedNodes keeps the 256 that were heard from last", () => {
  const nodes = new LearnedNodes();
  for (let n = 0; n < 10_000; n++) {
    nodes.heard(nodeOf(n), 100);
    nodes.heard(nodeOf(0), 1);
    assert(nodes.size <= MAX_LEARNED);
  }
  const known = nodes.affording(1).map(({ hostname }) => hostname);
  assertEquals(known.length, MAX_LEARNED);
  assertEquals(known.slice(-2), [nodeOf(9_999).hostname, nodeOf(0).hostname]);
});
