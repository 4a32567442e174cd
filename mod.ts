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
  type ConnectOptions,
  type Dialect,
  DIALECTS,
  Peer,
  type PeerOptions,
  type SendFilesOptions,
  type SentFiles,
} from "./src/peer.ts";
export { CONNECT_TIMEOUT_MS, type ReachOptions } from "./src/reach.ts";
export { serve, type ServeOptions, StandaloneServer } from "./src/serve.ts";
export {
  type Announcement,
  type AnswerSocket,
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
  type Accepted,
  type ConnectLinkOptions,
  DEFAULT_HTTP_PORT,
  DEFAULT_TCP_PORT,
  type Direction,
  Endpoint,
  type EndpointLimits,
  type EndpointOptions,
  type Guard,
  type Handler,
  type HandlerOptions,
  type Hello,
  Link,
  linkOf,
  type Middleware,
  type PeerEvent,
  type PeerInfo,
  type PeerRecord,
  type Priority,
  type Protocol,
  REQUEST_TIMEOUT_MS,
  type RequestContext,
  type RequestEvent,
  type RequestHandler,
  type RequestOptions,
  RequestsDispatcher,
  RequestsEndPoint,
  type StreamOptions,
  type Taker,
  type Via,
  WorkerPool,
  type WorkerPoolOptions,
} from "./src/endpoint/mod.ts";
export {
  type AdoptedClient,
  type AnswerMessage,
  type AnyEndpoints,
  authorize,
  type BuiltIns,
  type CallArguments,
  type CallName,
  type CallOrigin,
  type CallResult,
  Client,
  type ClientConnection,
  type ClientInfo,
  type ClientOptions,
  type ConnectionStatus,
  countCalls,
  EMPTY_SOURCE_HASH,
  type EndpointContext,
  type EndpointDescription,
  type EndpointFunction,
  type Endpoints,
  type Fields,
  type FunctionOf,
  hashSources,
  type HashSourcesOptions,
  type Infer,
  type InferFields,
  type InputOf,
  limitRate,
  type LimitRateOptions,
  type Literal,
  logCalls,
  type MediaEvent,
  type MediaSink,
  type MeshEvent,
  type MeshPeer,
  type Mismatch,
  type NewClient,
  type NumberOptions,
  type OutputOf,
  type PeerListEntry,
  type Pong,
  type RegisterAllOptions,
  type RegisterOptions,
  type RequestMessage,
  Schema,
  schema,
  type Schemas,
  type SendMediaOptions,
  Server,
  type ServerDescription,
  type ServerDirectory,
  type ServerInfo,
  type ServerOptions,
  ServerPeer,
  type ServerPeerOptions,
  type ServerStatus,
  SOURCE_EXTENSIONS,
  type StreamMediaOptions,
  type StreamPart,
  WitchClient,
  type WitchClientOptions,
  type WitchMessage,
  type WitchPeerInfo,
  type WitchRequest,
  type WitchRequestOptions,
} from "./src/rpc/mod.ts";
export {
  type CloseSessionOptions,
  type DataType,
  MAX_DATA_BYTES,
  type SendDataOptions,
  type Session,
  type SessionDialect,
  type SessionOffer,
  type SessionOptions,
  type SessionPeer,
  Sessions,
  type SessionsOptions,
  type SessionTerms,
  type TermsOptions,
  type Verdict,
} from "./src/session/mod.ts";
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
