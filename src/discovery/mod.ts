/**
 * Finding peers on the networks this machine is on.
 *
 * @module
 */

export { type OwnAnnouncement } from "./announcer.ts";
export { type AnswerSocket } from "./discovery.ts";
export {
  Discovery,
  DISCOVERY_PORT,
  type DiscoveryOptions,
  type FindOptions,
  MULTICAST_V4,
  MULTICAST_V6,
} from "./discovery.ts";
export { broadcastOf, type LocalInterface, localInterfaces } from "./interfaces.ts";
export { DISCOVERY_METHODS, type DiscoveryMethod } from "./packets.ts";
export { type Announcement, type FoundPeer } from "./search.ts";
