/**
 * Files from one peer to many along a palm tree: the receivers pass on what they have, so that it costs the sender hardly more
 * than one transfer.
 *
 * @module
 */

export { Broadcast, broadcast } from "./broadcast.ts";
export type {
  BroadcastEvent,
  BroadcastOptions,
  BroadcastProgress,
  BroadcastSummary,
  BroadcastTarget,
  RecipientProgress,
  RecipientSummary,
  TreeShape,
} from "./broadcast_options.ts";
export { ChunkList } from "./chunk_list.ts";
export {
  PeerConnectBroadcast,
  type PeerConnectBroadcastOptions,
  type PeerConnectTarget,
} from "./dialects/peerconnect_broadcast.ts";
export type { PeerConnectPalmPorts } from "./dialects/peerconnect_relay.ts";
export {
  type InformPort,
  PeerConnectTrees,
  type PeerConnectTreesOptions,
} from "./dialects/peerconnect_trees.ts";
export { depthOf, type PlanNode, type PlanOptions, planTree, type TreePlan } from "./planner.ts";
export type { PalmPorts } from "./relay_driver.ts";
export { RELAY_DEFAULTS, type RelayTuning } from "./relay_options.ts";
export type { ReceivingDesk, ReceivingProgress } from "./receiving.ts";
export { TreeReceiver, type TreeReceiverOptions } from "./tree_receiver.ts";
