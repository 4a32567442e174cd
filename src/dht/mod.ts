/**
 * A distributed hash table: values and peers that are found without a server, at any size.
 *
 * `Dht` is the native one, which a peer has as `peer.dht`. Underneath are parts that work on any wire and in a simulation: a
 * node, its routing table, the lookup, records and who may keep them.
 *
 * Sources: Maymounkov and Mazières, "Kademlia", 2002; Baumgart and Mies, "S/Kademlia", 2007; BEP 44.
 *
 * @module
 */

export { type BucketInfo } from "./bucket.ts";
export { type Contact, contactOf } from "./contact.ts";
export { Dht } from "./dht.ts";
export {
  type KademliaPort,
  KademliaWire,
  type KademliaWireParts,
  MAX_KADEMLIA_VALUE_BYTES,
} from "./dialects/kademlia.ts";
export { type ListedPeer, type ListSearchOptions } from "./dialects/list_search.ts";
export {
  type DialectWire,
  type FoundValue,
  type GetValueOptions,
  KademliaNetwork,
  type KademliaNetworkOptions,
  type KademliaNetworkParts,
  NETWORK_TIMEOUT_MS,
  type SetValue,
  type WireParts,
} from "./dialects/network.ts";
export {
  type ListAnswer,
  PeerConnectKademlia,
  type PeerConnectKademliaParts,
  type PeerConnectKademliaPort,
} from "./dialects/peerconnect_kademlia.ts";
export {
  PeerConnectNetwork,
  type PeerConnectNetworkParts,
} from "./dialects/peerconnect_network.ts";
export { PeerLists } from "./dialects/peer_lists.ts";
export { type AskOptions, type DialectParts } from "./dialects/rpcudp_wire.ts";
export { digestOf, type KademliaValue } from "./dialects/values.ts";
export { DhtNode, type DhtNodeParts, type NodeLookupOptions } from "./dht_node.ts";
export {
  type DhtEntry,
  type DhtGetOptions,
  type DhtMode,
  type DhtOptions,
  type DhtParts,
  type DhtProvider,
  type DhtPut,
  type DhtPutOptions,
  type DhtStat,
  type DhtValue,
} from "./dht_options.ts";
export { type Crowded, type DiversityOptions, publicNetworkOf } from "./diversity.ts";
export { Keeper, type KeeperOptions, type PutOptions, type PutResult } from "./keeper.ts";
export { lookup, type LookupOptions } from "./lookup.ts";
export {
  type LookupAnswered,
  type LookupAsked,
  type LookupDone,
  type LookupEvent,
  type LookupFailed,
  type LookupNode,
} from "./lookup_events.ts";
export { type LookupPlanOptions } from "./lookup_plan.ts";
export { DHT_CAPABILITY, type DhtPort } from "./native_wire.ts";
export {
  commonBits,
  compareDistance,
  distanceOf,
  fromKey,
  ID_BITS,
  ID_BYTES,
  type NodeId,
  randomIdIn,
  toKey,
} from "./node_id.ts";
export { DHT_DEFAULTS, type DhtTuning } from "./options.ts";
export { place, type Placed, type PlaceOptions } from "./placing.ts";
export { type Answer, type Asker, type DhtWire, type Gift, type Question } from "./questions.ts";
export { DEFAULT_QUOTAS, type QuotaOptions, Quotas } from "./quotas.ts";
export { type Found, read, type ReadOptions } from "./reading.ts";
export {
  type AnyRecord,
  type AuthorOptions,
  type DhtRecord,
  immutableKey,
  type ImmutableRecord,
  immutableRecord,
  isNewer,
  MAX_LIFETIME_S,
  MAX_NAME_BYTES,
  MAX_VALUE_BYTES,
  plainKey,
  type PlainRecord,
  plainRecord,
  type RecordAuthor,
  type Scope,
  type SignedDraft,
  signedKey,
  type SignedRecord,
  signedRecord,
} from "./record.ts";
export { decodeRecord, type DecodeRecordOptions, encodeRecord } from "./record_codec.ts";
export { type Added, RoutingTable, type RoutingTableOptions } from "./routing_table.ts";
export { type DhtDirectory } from "./seeker.ts";
export { SqliteStorage, type SqliteStorageOptions } from "./sqlite_storage.ts";
export {
  type DhtStorage,
  type Host,
  type ItemFacts,
  MemoryStorage,
  type SourceUsage,
  type StoredItem,
  type Usage,
} from "./storage.ts";
