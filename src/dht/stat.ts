/**
 * What a node knows and keeps, in figures.
 *
 * @module
 */

import type { DhtNode } from "./dht_node.ts";
import type { DhtMode, DhtStat } from "./dht_options.ts";
import { distanceOf, ID_BITS, toKey } from "./node_id.ts";

/** The figures of a node. */
export function statOf(node: DhtNode, mode: DhtMode): DhtStat {
  const { table, keeper, self, tuning: { k } } = node;
  const buckets = table.buckets();
  const failing = buckets.reduce((sum, bucket) => sum + bucket.failing, 0);
  const { records, bytes } = keeper.totals;
  return {
    id: toKey(self),
    mode,
    nodes: table.size,
    failing,
    buckets,
    estimatedNodes: estimateOf(node),
    records,
    bytes,
    health:
      Math.round(100 * Math.min(1, (table.size - failing) / Math.min(k, estimateOf(node) || 1))) /
      100,
  };
}

/**
 * How many nodes there are, by how dense they are around us: of n that are spread evenly the i-th nearest is i / (n + 1) of
 * the whole away, and the k nearest are all known.
 */
function estimateOf({ table, self, tuning: { k } }: DhtNode): number {
  const nearest = table.closest(self, k);
  if (nearest.length < k) return nearest.length;
  const whole = 2 ** ID_BITS;
  const [sum, squares] = nearest.reduce(([sum, squares], { id }, index) => {
    const rank = index + 1;
    return [sum + rank * (Number(distanceOf(self, id)) / whole), squares + rank * rank];
  }, [0, 0]);
  return Math.max(k, Math.round(squares / sum - 1));
}
