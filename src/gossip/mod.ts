/**
 * Word that gets around without a server: topics that everybody who takes part hears everything of, and rumors.
 *
 * @module
 */

export { type Contact } from "./contact.ts";
export { Cursor, MAX_CURSOR_CHARS, type MessageName } from "./cursor.ts";
export {
  PeerConnectGossip,
  type PeerConnectGossipOptions,
  type PeerConnectRumor,
} from "./dialects/peerconnect_gossip.ts";
export { type AuthorKey } from "./envelope.ts";
export { Gossip, GOSSIP_CAPABILITY } from "./gossip.ts";
export {
  type GossipMessage,
  type GossipOptions,
  type GossipParts,
  type Published,
  type PublishOptions,
  type SubscribeOptions,
  type TopicDirectory,
  type TopicOptions,
  type TopicStatus,
} from "./gossip_options.ts";
export { type TracedMessage, traceOfMessage } from "./message_trace.ts";
export { GOSSIP_DEFAULTS, type GossipTuning } from "./options.ts";
export { type GossipMessage as RumorMessage, type RumorOptions } from "./rumor.ts";
export {
  type HeardRumor,
  RumorMill,
  type RumorMillOptions,
  type RumorNeighbor,
} from "./rumor_mill.ts";
export { type FoundPeer as RumorFoundPeer, type SearchOptions } from "./rumor_search.ts";
export { type RumorPort } from "./rumor_sends.ts";
export { type Overflow } from "./subscription.ts";
export {
  type Delivery,
  MAX_AGE_MS,
  MAX_MESSAGE_BYTES,
  type TopicHistory,
  type TopicSettings,
} from "./topic.ts";
export { type TopicMessage, type Verdict as TopicVerdict } from "./topic_message.ts";
export { TopicSubscription, type TopicSubscriptionParts } from "./topic_subscription.ts";
