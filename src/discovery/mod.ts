/**
 * Finding peers on the networks this machine is on.
 *
 * @module
 */

export { type OwnAnnouncement } from "./announcer.ts";
export { type Candidate, type CandidateSource, MAX_CANDIDATES } from "./candidates.ts";
export { type BroadcastOptions } from "./dialects/broadcasts_lan.ts";
export {
  broadcastServerInfo,
  type BroadcastServerOptions,
  type FoundServer,
  listenForServerBroadcasts,
  type ListenForServersOptions,
  type OnServer,
  type ServerBroadcast,
  type ServerListener,
} from "./dialects/broadcasts.ts";
export { PeerConnectDiscovery, type PeerConnectOptions } from "./dialects/peerconnect.ts";
export { type AliveOptions } from "./dialects/peerconnect_liveness.ts";
export { type PeerConnectPort } from "./dialects/peerconnect_links.ts";
export { PeerpyDiscovery, type PeerpyDiscoveryOptions } from "./dialects/peerpy_discovery.ts";
export { type PeerpyAnnouncement } from "./dialects/peerpy_responder.ts";
export { type WitchPorts, type WitchServerAnnouncement } from "./dialects/witch_announcer.ts";
export { type AskStatus } from "./dialects/witch_checks.ts";
export { WitchDiscovery, type WitchDiscoveryOptions } from "./dialects/witch_discovery.ts";
export { askWitchStatus } from "./dialects/witch_status.ts";
export { Discovery, type DiscoveryOptions, type FindOptions } from "./discovery.ts";
export {
  type FindForeignOptions,
  FOREIGN_DIALECTS,
  type ForeignDialect,
  type ForeignDiscovery,
  type ForeignPeer,
} from "./foreign.ts";
export { DISCOVERY_PORT, MULTICAST_V4, MULTICAST_V6 } from "./groups.ts";
export { interfaceFilter } from "./interface_filter.ts";
export { broadcastOf, type LocalInterface, localInterfaces } from "./interfaces.ts";
export { Mdns, MDNS_PORT, type MdnsOptions } from "./mdns/mdns.ts";
export { type MdnsPeer } from "./mdns/mdns_browser.ts";
export { type MdnsAnnouncement } from "./mdns/mdns_service.ts";
export {
  DISCOVERY_METHODS,
  type DiscoveryMethod,
  QUESTION_METHODS,
  type QuestionMethod,
} from "./packets.ts";
export { type Probe, type ProvenPeer } from "./prober.ts";
export { type AnswerSocket } from "./responder.ts";
export { type Announcement, type FoundPeer } from "./search.ts";
export { DnsPeers, type DnsPeersOptions } from "./sources/dns_peers.ts";
export { PeersFile, type PeersFileOptions } from "./sources/peers_file.ts";
export {
  type PeerMemory,
  type RememberedPeer,
  RememberedPeers,
  type RememberedPeersOptions,
} from "./sources/remembered_peers.ts";
export { StaticAddresses } from "./sources/static_addresses.ts";
