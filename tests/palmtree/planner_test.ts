import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  depthOf,
  type PlanOptions,
  planTree,
  type TreePlan,
  uniformTreeMs,
} from "../../src/palmtree/planner.ts";

const MIB = 1024 * 1024;
const GBIT = 125_000_000;

const options = { totalBytes: 256 * MIB, chunkBytes: 256 * 1024, maxFanout: 5 };

function plan(receivers: number, change: Partial<PlanOptions> = {}, uplink = GBIT): TreePlan {
  const nodes = Array.from({ length: receivers + 1 }, () => ({ uplink }));
  return planTree(nodes, { ...options, ...change });
}

/** How many children everybody has. */
function childrenOf({ parents }: TreePlan): number[] {
  return parents.map((_, place) => parents.filter((parent) => parent === place).length);
}

Deno.test("depthOf counts the levels of a full tree", () => {
  const rows = [[0, 3, 0], [1, 3, 1], [3, 3, 1], [4, 3, 2], [12, 3, 2], [13, 3, 3], [16, 1, 16], [
    6,
    2,
    2,
  ], [7, 2, 3]];
  for (const [receivers = 0, fanout = 0, depth] of rows) {
    assertEquals(depthOf(receivers, fanout), depth);
  }
  assertThrows(() => depthOf(3, 0), RangeError);
});

Deno.test("uniformTreeMs is the time of the content, once for every child, and a chunk for every level", () => {
  const tree = { totalBytes: 100_000, chunkBytes: 1_000, uplink: 1_000_000, latencyMs: 5 };
  assertEquals(uniformTreeMs({ ...tree, fanout: 1, depth: 1 }), 100 + 5);
  assertEquals(uniformTreeMs({ ...tree, fanout: 1, depth: 16 }), 100 + 15 * (1 + 5) + 5);
  assertEquals(uniformTreeMs({ ...tree, fanout: 2, depth: 4 }), 200 + 3 * (2 + 5) + 5);
  assertEquals(uniformTreeMs({ ...tree, totalBytes: 0, fanout: 5, depth: 2 }), 10);
});

Deno.test("planTree estimates full trees of equal nodes as the formula does", () => {
  for (const [receivers, fanout] of [[16, 1], [6, 2], [14, 2], [12, 3], [5, 5]] as const) {
    // So slow a way that only this fan-out is left to choose between.
    const tree = plan(receivers, {
      maxFanout: fanout,
      totalBytes: fanout === 1 ? 256 * MIB : 1_024,
    });
    const shape = {
      ...options,
      uplink: GBIT,
      latencyMs: 0.5,
      fanout,
      depth: depthOf(receivers, fanout),
    };
    const totalBytes = fanout === 1 ? 256 * MIB : 1_024;
    assertEquals([tree.fanout, tree.rootFanout], [fanout, fanout]);
    assertEquals(tree.depth, shape.depth);
    assert(Math.abs(tree.estimateMs - uniformTreeMs({ ...shape, totalBytes })) < 1e-6);
  }
});

Deno.test("planTree makes a chain where uplinks are the limit, which costs hardly more than a single transfer", () => {
  const single = plan(1).estimateMs;
  for (const receivers of [4, 8, 16]) {
    const tree = plan(receivers);
    assertEquals([tree.rootFanout, tree.fanout, tree.depth], [1, 1, receivers]);
    assert(tree.estimateMs < 1.05 * single, `${tree.estimateMs} and ${single}`);
  }
});

Deno.test("planTree makes a flat tree where the way is the limit", () => {
  const far = plan(16, { totalBytes: 64 * 1024, latencyMs: () => 100 });
  assertEquals(far.depth, 2, "as flat as five children each allow");
  assertEquals(plan(4, { totalBytes: 0 }).depth, 1);
  const few = plan(16, { totalBytes: 3 * MIB, latencyMs: () => 5 });
  assert(few.depth < 16 && few.depth > 1, `${few.depth}`);
});

Deno.test("planTree puts the slow where they send to nobody", () => {
  const nodes = [{ uplink: GBIT }, { uplink: GBIT / 100 }, { uplink: GBIT }, { uplink: GBIT }];
  const tree = planTree(nodes, options);
  assertEquals(childrenOf(tree)[1], 0);
  assertEquals(tree.depth, 3, "the others still make a chain");
});

Deno.test("planTree lets a sender that is faster than the others send to more of them", () => {
  const nodes = [{ uplink: 10 * GBIT }, ...Array.from({ length: 8 }, () => ({ uplink: GBIT }))];
  const tree = planTree(nodes, options);
  assertEquals([tree.depth, tree.fanout], [2, 1], "several short chains");
  assert(tree.estimateMs < 1.1 * plan(1).estimateMs, `${tree.estimateMs}`);
});

Deno.test("planTree gives everybody one parent, a way to the sender, and no more children than it may", () => {
  for (const receivers of [0, 1, 2, 5, 17, 40]) {
    for (const maxFanout of [1, 2, 5]) {
      const nodes = Array.from({ length: receivers + 1 }, (_, nth) => ({
        ...(nth % 3 === 0 ? {} : { uplink: 1_000 * (1 + (nth * 7) % 11) }),
      }));
      const tree = planTree(nodes, { ...options, maxFanout });
      assertEquals([tree.parents.length, tree.parents[0]], [receivers + 1, -1]);
      assert(Math.max(...childrenOf(tree)) <= maxFanout);
      for (let place = 1; place <= receivers; place++) {
        let steps = 0;
        for (let at = place; at !== 0; at = tree.parents[at] ?? 0) steps++;
        assert(steps <= tree.depth);
      }
    }
  }
});

Deno.test("planTree is better than every other fan-out, by its own measure", () => {
  for (const totalBytes of [MIB, 16 * MIB, 256 * MIB]) {
    for (const latencyMs of [0.1, 5, 50]) {
      const best = plan(12, { totalBytes, latencyMs: () => latencyMs }).estimateMs;
      for (const maxFanout of [1, 2, 3, 4]) {
        const other = plan(12, { totalBytes, latencyMs: () => latencyMs, maxFanout }).estimateMs;
        assert(best <= 1.03 * other, `${totalBytes} ${latencyMs} ${maxFanout}`);
      }
    }
  }
});

Deno.test("planTree refuses nobody at all, and what is not positive", () => {
  assertThrows(() => planTree([], options), RangeError);
  assertThrows(() => planTree([{ uplink: 0 }], options), RangeError);
  assertThrows(() => plan(1, { maxFanout: 0 }), RangeError);
  assertThrows(() => plan(1, { chunkBytes: 0 }), RangeError);
  assertThrows(() => plan(1, { totalBytes: NaN }), RangeError);
});

Deno.test("planTree gives everybody who has children so many, where it is told to", () => {
  const nodes = Array.from({ length: 8 }, () => ({ uplink: 1_000_000 }));
  const content = { totalBytes: 1e9, chunkBytes: 1e6 };
  assertEquals(planTree(nodes, { ...content, maxFanout: 3 }).fanout, 1, "a chain is faster");
  const plan = planTree(nodes, { ...content, maxFanout: 3, minFanout: 3 });
  assertEquals([plan.rootFanout, plan.fanout, plan.depth], [3, 3, 2]);
  const few = planTree(nodes.slice(0, 3), { ...content, maxFanout: 5, minFanout: 5 });
  assertEquals([few.rootFanout, few.depth], [2, 1], "no more than there are");
});
