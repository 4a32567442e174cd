/**
 * kith: peers that find each other on a network, call each other and share files, without a server in the middle.
 *
 * {@linkcode Peer} is all that most programs need. The layers underneath are exports of their own:
 * `@kith/kith/wire` (bytes and values) and `@kith/kith/transport` (sockets and an in-memory network).
 *
 * @example A file from one peer to another
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/hello.txt`, "hello");
 *
 * await using bob = await Peer.open({ name: "bob", hostname: "127.0.0.1" });
 * const receiver = bob.receive({ dir: `${dir}/inbox`, accept: () => true });
 *
 * await using alice = await Peer.open({ hostname: "127.0.0.1" });
 * await alice.send([`${dir}/hello.txt`], { to: bob.peerId });
 *
 * for await (const event of receiver) {
 *   if (event.type !== "received") continue;
 *   assertEquals(event.path, "hello.txt");
 *   break;
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @module
 */

export { VERSION } from "./src/version.ts";
export { Channel } from "./src/channel.ts";
export {
  type Clock,
  ManualClock,
  seededRandom,
  sleep,
  systemClock,
  type Timer,
} from "./src/clock.ts";
export {
  AuthError,
  ClosedError,
  type ErrorCode,
  EXIT_STATUS,
  exitStatus,
  HandshakeError,
  IntegrityError,
  InvalidPacketError,
  LimitError,
  NotFoundError,
  PeerError,
  type PeerErrorOptions,
  RemoteError,
  TimeoutError,
  TransportError,
  UnsupportedError,
} from "./src/errors.ts";
export { type LogFields, type Logger, printable, silentLogger } from "./src/log.ts";
export { type Counter, Metrics } from "./src/metrics.ts";
export {
  AGENT,
  CONNECT_TIMEOUT_MS,
  Peer,
  type PeerOptions,
  type ReachOptions,
  type SendFilesOptions,
  type SentFiles,
} from "./src/peer.ts";
export {
  type Announcement,
  Discovery,
  DISCOVERY_METHODS,
  DISCOVERY_PORT,
  type DiscoveryMethod,
  type DiscoveryOptions,
  type FindOptions,
  type FoundPeer,
  MULTICAST_V4,
  MULTICAST_V6,
} from "./src/discovery/mod.ts";
export { broadcastOf, type LocalInterface, localInterfaces } from "./src/discovery/interfaces.ts";
export {
  commonVersion,
  DEFAULT_TCP_PORT,
  Dispatcher,
  Endpoint,
  type EndpointLimits,
  type EndpointOptions,
  type Handler,
  type HandlerOptions,
  Link,
  type LinkOptions,
  type PeerInfo,
  type Registration,
  REQUEST_TIMEOUT_MS,
  type RequestContext,
  type RequestOptions,
  type VersionRange,
} from "./src/endpoint/mod.ts";
export {
  fingerprintOf,
  Identity,
  peerIdOf,
  proquints,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  verify,
} from "./src/secure/mod.ts";
export {
  Home,
  type HomeOptions,
  resolveHome,
  type ResolveHomeOptions,
  type WriteOptions,
} from "./src/state/mod.ts";
export {
  buildManifest,
  type BuildManifestOptions,
  type BuiltManifest,
  checkPath,
  type CommitOptions,
  encodeManifest,
  findCollision,
  freeBytes,
  type HashedEntry,
  type Manifest,
  type ManifestEntry,
  type ManifestLimits,
  manifestRoot,
  type Offer,
  parseManifest,
  type Part,
  type PathEntry,
  type PathLimits,
  type ReceivedFile,
  type ReceiveEvent,
  Receiver,
  ReceiveRoot,
  type ReceiverOptions,
  type SendEvent,
  sendFiles,
  type SendOptions,
  type SkippedPath,
  type TransferProgress,
  type TransferSummary,
} from "./src/transfer/mod.ts";
