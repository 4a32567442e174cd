/**
 * The twenty keys under which PeerConnect's nodes put themselves into lists, evenly spread over all there are, so that
 * whoever asks for all twenty lists hears of everybody.
 *
 * @module
 */

import { compareDistance, ID_BITS, ID_BYTES, type NodeId } from "../node_id.ts";

const LISTS = 20;

/** The keys, in ascending order: the i-th is i times a twentieth of 2^160, rounded down. */
export const LIST_KEYS: readonly NodeId[] = Array.from({ length: LISTS }, (_, nth) => keyOf(nth));

/** The list that a node belongs to: that of the nearest key. */
export function listKeyFor(id: NodeId): NodeId {
  return LIST_KEYS.reduce((best, key) => compareDistance(id, key, best) < 0 ? key : best);
}

function keyOf(nth: number): NodeId {
  const step = 2n ** BigInt(ID_BITS) / BigInt(LISTS);
  return Uint8Array.fromHex((BigInt(nth) * step).toString(16).padStart(2 * ID_BYTES, "0"));
}
