/**
 * Which shape a palm tree is to have, from what was measured: how fast everybody sends and how far they are from each other.
 *
 * Chunks are passed on while later ones arrive, so a relay with k children and an uplink of u bytes a second gives each of
 * them u/k, and a level of the tree delays by one chunk to each child and the way there. For n equal receivers of S bytes in
 * chunks of c, latency L and depth d:
 *
 * ```
 * T(k) = S * k / u  +  (d - 1) * (k * c / u + L)  +  L        d = levels of a k-ary tree of n + 1
 * ```
 *
 * The first term wants k = 1: a chain, in which every uplink carries the content once, and which costs hardly more than a
 * single transfer as long as S is much more than n chunks. The second wants a flat tree: for little content, or long ways.
 * Whoever sends slowest stands where the tree has no children. The sender, who may be faster than everybody else, has a
 * fan-out of its own.
 *
 * @module
 */

/** What is known of somebody who takes part. */
export interface PlanNode {
  /** How fast it sends, in bytes a second. @default that of the median of those that are known, else 12,500,000 */
  readonly uplink?: number;
}

/** What to plan for. */
export interface PlanOptions {
  /** Bytes of the content. */
  readonly totalBytes: number;
  /** Bytes of a chunk. */
  readonly chunkBytes: number;
  /** Most children of anybody. */
  readonly maxFanout: number;
  /** Fewest children of whoever has any, as far as there are enough receivers. @default {1} */
  readonly minFanout?: number;
  /** How long a packet takes from one to the other, in milliseconds. @default half a millisecond between any two */
  readonly latencyMs?: (from: number, to: number) => number;
}

/** A shape; places are those of the list that was given, the sender first. */
export interface TreePlan {
  /** Who sends to whom: the place of everybody's parent, -1 for the sender. */
  readonly parents: readonly number[];
  /** Children of the sender, as many as there are at most. */
  readonly rootFanout: number;
  /** Children of everybody else, as many as there are at most. */
  readonly fanout: number;
  /** Steps from the sender to who is farthest. */
  readonly depth: number;
  /** How long it takes until everybody has everything, in milliseconds. */
  readonly estimateMs: number;
}

/** 100 Mbit/s, where nobody's uplink is known. */
const ASSUMED_UPLINK = 12_500_000;

const ASSUMED_LATENCY_MS = 0.5;

/** A shape that is flatter, and so breaks in fewer places, is taken if it takes at most so much longer. */
const FLATTER_RATIO = 1.02;

/** Bytes, uplink and latency of a tree whose nodes are all alike. */
export interface UniformTree {
  /** Bytes of the content. */
  readonly totalBytes: number;
  /** Bytes of a chunk. */
  readonly chunkBytes: number;
  /** How fast everybody sends, in bytes a second. */
  readonly uplink: number;
  /** From anybody to anybody, in milliseconds. */
  readonly latencyMs: number;
  /** Children of everybody. */
  readonly fanout: number;
  /** Steps from the sender to who is farthest, at least 1. */
  readonly depth: number;
}

/** How long a tree of equal nodes takes until everybody has everything, in milliseconds: the formula of the module. */
export function uniformTreeMs(tree: UniformTree): number {
  const { totalBytes, chunkBytes, uplink, latencyMs, fanout, depth } = tree;
  const bytesPerMs = uplink / 1_000;
  const levelMs = fanout * Math.min(chunkBytes, totalBytes) / bytesPerMs + latencyMs;
  return totalBytes * fanout / bytesPerMs + (depth - 1) * levelMs + latencyMs;
}

/**
 * Steps from the sender to who is farthest in a tree of `receivers`.
 *
 * @example
 * ```ts
 * import { depthOf } from "@kith/kith/palmtree";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([depthOf(5, 5), depthOf(6, 5), depthOf(6, 1)], [1, 2, 6]);
 * ```
 *
 * @throws {RangeError} when `fanout` is less than 1.
 */
export function depthOf(receivers: number, fanout: number): number {
  if (!(fanout >= 1)) throw new RangeError(`Fan-out must be 1 or more: current value is ${fanout}`);
  let depth = 0;
  for (let reached = 0, level = 1; reached < receivers; depth++) {
    level *= fanout;
    reached += level;
  }
  return depth;
}

/**
 * The shape in which everybody has everything soonest.
 *
 * @example
 * ```ts
 * import { planTree } from "@kith/kith/palmtree";
 * import { assertEquals } from "@std/assert";
 *
 * // A sender and two receivers, of whom nothing is known.
 * const options = { chunkBytes: 262_144, maxFanout: 5 };
 * const film = planTree([{}, {}, {}], { ...options, totalBytes: 1e9 });
 * assertEquals(film.parents, [-1, 0, 1]); // a chain
 * const note = planTree([{}, {}, {}], { ...options, totalBytes: 1e3 });
 * assertEquals(note.parents, [-1, 0, 0]);
 * ```
 *
 * @param nodes Who takes part, the sender first.
 * @throws {RangeError} when nobody takes part, or a size, an uplink or the fan-out is not positive.
 */
export function planTree(nodes: readonly PlanNode[], options: PlanOptions): TreePlan {
  const { totalBytes, chunkBytes, maxFanout, minFanout = 1 } = options;
  const { latencyMs = () => ASSUMED_LATENCY_MS } = options;
  if (nodes.length === 0) throw new RangeError("A tree needs a sender");
  if (!(totalBytes >= 0)) throw new RangeError(`Size must be 0 or more: it is ${totalBytes}`);
  checkPositive("Chunk", chunkBytes);
  checkPositive("Fan-out", maxFanout);
  const uplinks = uplinksOf(nodes);
  const order = bySpeed(uplinks);
  const most = Math.max(1, Math.min(Math.floor(maxFanout), nodes.length - 1));
  const least = Math.max(1, Math.min(Math.floor(minFanout), most));
  let best: TreePlan | undefined;
  for (let rootFanout = most; rootFanout >= least; rootFanout--) {
    for (let fanout = most; fanout >= least; fanout--) {
      const parents = parentsOf(order, rootFanout, fanout);
      const sums = estimate(parents, order, { totalBytes, chunkBytes, uplinks, latencyMs });
      const plan = { parents, rootFanout, fanout, ...sums };
      if (best === undefined || isBetter(plan, best)) best = plan;
    }
  }
  return best as TreePlan;
}

function uplinksOf(nodes: readonly PlanNode[]): number[] {
  const known = nodes.flatMap(({ uplink }) => uplink === undefined ? [] : [uplink]);
  for (const uplink of known) checkPositive("Uplink", uplink);
  const median = known.toSorted((a, b) => a - b)[known.length >> 1] ?? ASSUMED_UPLINK;
  return nodes.map(({ uplink }) => uplink ?? median);
}

/** The sender first, then the faster before the slower: those at the end of the list have no children. */
function bySpeed(uplinks: readonly number[]): number[] {
  const receivers = uplinks.map((_, place) => place).slice(1);
  const speed = (place: number) => uplinks[place] ?? 0;
  return [0, ...receivers.sort((a, b) => speed(b) - speed(a) || a - b)];
}

/** Level by level, each full before the next begins. */
function parentsOf(order: readonly number[], rootFanout: number, fanout: number): number[] {
  const parents: number[] = order.map(() => -1);
  order.forEach((place, nth) => {
    if (nth === 0) return;
    const above = nth <= rootFanout ? 0 : 1 + Math.floor((nth - 1 - rootFanout) / fanout);
    parents[place] = order[above] ?? 0;
  });
  return parents;
}

interface Measures {
  readonly totalBytes: number;
  readonly chunkBytes: number;
  readonly uplinks: readonly number[];
  readonly latencyMs: (from: number, to: number) => number;
}

/** Depth and duration of a tree: parents come before their children in `order`. */
function estimate(
  parents: readonly number[],
  order: readonly number[],
  { totalBytes, chunkBytes, uplinks, latencyMs }: Measures,
): { depth: number; estimateMs: number } {
  const children = parents.map(() => 0);
  for (const parent of parents) if (parent >= 0) children[parent] = (children[parent] ?? 0) + 1;
  const firstBytes = Math.min(chunkBytes, totalBytes);
  const levels = parents.map(() => 0);
  const firstMs = parents.map(() => 0); // until the first chunk is there
  const slowest = parents.map(() => Infinity); // bytes per millisecond, on the way from the sender
  let [depth, estimateMs] = [0, 0];
  for (const place of order.slice(1)) {
    const parent = parents[place] ?? 0;
    const rate = (uplinks[parent] ?? ASSUMED_UPLINK) / 1_000 / (children[parent] ?? 1);
    const way = firstBytes / rate + latencyMs(parent, place);
    firstMs[place] = (firstMs[parent] ?? 0) + way;
    slowest[place] = Math.min(slowest[parent] ?? Infinity, rate);
    levels[place] = (levels[parent] ?? 0) + 1;
    const restMs = (totalBytes - firstBytes) / (slowest[place] ?? rate);
    depth = Math.max(depth, levels[place] ?? 0);
    estimateMs = Math.max(estimateMs, (firstMs[place] ?? 0) + restMs);
  }
  return { depth, estimateMs };
}

function isBetter(plan: TreePlan, best: TreePlan): boolean {
  if (plan.depth < best.depth) return plan.estimateMs <= best.estimateMs * FLATTER_RATIO;
  return plan.estimateMs * (plan.depth > best.depth ? FLATTER_RATIO : 1) < best.estimateMs;
}

function checkPositive(what: string, value: number): void {
  if (!(value > 0)) throw new RangeError(`${what} must be more than 0: current value is ${value}`);
}
