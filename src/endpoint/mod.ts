/**
 * Links between peers: the port they come in on, the handshake, requests and the handlers that answer them.
 *
 * @module
 */

export { MAX_ACTIVE_REQUESTS } from "./calls.ts";
export {
  Dispatcher,
  type Handler,
  type HandlerOptions,
  type Registration,
  type RequestContext,
} from "./dispatcher.ts";
export { Endpoint, type EndpointLimits, type EndpointOptions } from "./endpoint.ts";
export {
  commonVersion,
  MAX_NAME_CHARS,
  type PeerInfo,
  PREFACE,
  type VersionRange,
  VERSIONS,
} from "./handshake.ts";
export { Link, type LinkOptions, REQUEST_TIMEOUT_MS, type RequestOptions } from "./link.ts";
export { DEFAULT_TCP_PORT } from "./listen.ts";
