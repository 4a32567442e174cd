/**
 * What a newcomer is given: the items that it is one of those to keep from now on.
 *
 * The nearest node to an item gives it, so that the newcomer gets it once and not from everybody. The original says so too
 * and does otherwise: it hashes the key once more, which is a hash already, and so compares the nodes with a place that
 * the item is not at. What it gives is not what the newcomer should keep, and what that should keep it is not given before
 * it is put again. And where fewer than k nodes are known it leaves out newcomers that are farther away than all of them,
 * which should keep the item as well. Here both are done as meant; on the wire it is the same `store`.
 *
 * Source: Maymounkov and Mazières, "Kademlia", 2002, section 2.5.
 *
 * @module
 */

import { compareDistance, type NodeId } from "../node_id.ts";
import { MAX_NAMED_NODES } from "./rpcudp_questions.ts";

/** Who a newcomer meets. */
export interface Encounter {
  /** Our id. */
  readonly self: NodeId;
  /** That of the newcomer. */
  readonly newcomer: NodeId;
}

/**
 * Whether it is for us to give a newcomer an item.
 *
 * @param key Where the item is.
 * @param nearest The nodes nearest to it that are known, without us and the newcomer, in ascending order, at most `k`.
 * @param k How many nodes keep an item. @default 20
 */
export function isToGive(
  { self, newcomer }: Encounter,
  key: NodeId,
  nearest: readonly NodeId[],
  k: number = MAX_NAMED_NODES,
): boolean {
  const [first] = nearest;
  const isNearest = first === undefined || compareDistance(key, self, first) < 0;
  const last = nearest[k - 1];
  return isNearest && (last === undefined || compareDistance(key, newcomer, last) < 0);
}

/**
 * The items that are for us to give to a newcomer.
 *
 * @param keys Where our items are. @param nearestTo As the `nearest` of {@linkcode isToGive}.
 */
export function* itemsFor(
  encounter: Encounter,
  keys: Iterable<NodeId>,
  nearestTo: (key: NodeId) => readonly NodeId[],
): Generator<NodeId, void, void> {
  for (const key of keys) {
    if (isToGive(encounter, key, nearestTo(key))) yield key;
  }
}
