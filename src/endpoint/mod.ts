/**
 * Links between peers: the port they come in on, the handshake, requests and the handlers that answer them.
 *
 * @module
 */

export { ACCESS_LEVELS, type AccessLevel, type IsInvited } from "./access_levels.ts";
export {
  type Accepted,
  Acceptor,
  type AcceptorOptions,
  type Protocol,
  type Taker,
} from "./acceptor.ts";
export { MAX_ACTIVE_REQUESTS } from "./calls.ts";
export {
  Dispatcher,
  type DispatcherOptions,
  type Handler,
  type HandlerOptions,
  linkOf,
  type Middleware,
  type Registration,
  type RequestContext,
  type Via,
} from "./dispatcher.ts";
export { type ConnectLinkOptions } from "./dialer.ts";
export {
  Endpoint,
  type EndpointLimits,
  type EndpointOptions,
  type Guard,
  type SelfInfo,
} from "./endpoint.ts";
export { FlightRecorder, type FrameDirection, type RecordedFrame } from "./flight_recorder.ts";
export {
  commonVersion,
  type Hello,
  MAX_NAME_CHARS,
  type PeerInfo,
  PREFACE,
  type VersionRange,
  VERSIONS,
} from "./handshake.ts";
export { FairInbox, type Priority } from "./inbox.ts";
export { type Direction, DRAIN_MS, Link, type LinkOptions } from "./link.ts";
export { DEFAULT_TCP_PORT } from "./listen.ts";
export { LIMITS_FILE, loadLimits, parseLimits } from "./limits_file.ts";
export {
  DEFAULT_LIMITS,
  describeLimits,
  type Limit,
  type LimitName,
  type LimitReport,
  LIMITS,
  type Limits,
  limitsManual,
  type LimitUnit,
  type LimitUse,
  type LimitValue,
  type RequestRates,
} from "./limits_table.ts";
export type { RequestOptions, StreamOptions } from "./outgoing.ts";
export { type PeerEvent, type PeerRecord, type PeerStatus, PeerTable } from "./peer_table.ts";
export {
  LinkShare,
  Reservation,
  Resources,
  type ResourcesOptions,
  StoredBytes,
} from "./resources.ts";
export { HandlerSlots, MAX_HANDLERS } from "./slots.ts";
export { STREAM_WINDOW } from "./stream.ts";
export { MAX_CREDIT, REQUEST_TIMEOUT_MS } from "./terms.ts";
export type { TlsIdentity } from "../transport/http.ts";
export { currentTrace, withTrace } from "./tracing.ts";
export { Traffic } from "./traffic.ts";
export { Turns } from "./turns.ts";
export {
  connectWeb,
  DEFAULT_HTTP_PORT,
  type Upgrade,
  WEB_PATH,
  type WebAnswerer,
  WebPort,
  type WebPortOptions,
  type WebTaker,
} from "./web.ts";
export { MAX_QUEUED_JOBS, WorkerPool, type WorkerPoolOptions } from "./worker_pool.ts";
export {
  ConnectionLimiter,
  type ConnectionRates,
  isLoopback,
  type RateOptions,
  subnetOf,
  TokenBuckets,
} from "./limits.ts";
export { DatagramCalls, type DatagramCallsOptions, MAX_REPLIES } from "./datagram_calls.ts";
export { type DatagramRequestOptions } from "./datagram_outgoing.ts";
export {
  type RegisterOptions as RegisterCodeOptions,
  type RequestEvent,
  type RequestHandler,
  RequestsDispatcher,
  type RequestsDispatcherOptions,
} from "./requests_dispatcher.ts";
export {
  type BareHandler,
  RequestsEndPoint,
  type RequestsEndPointOptions,
} from "./requests_endpoint.ts";
export { UdpPort, type UdpPortOptions } from "./udp_port.ts";
