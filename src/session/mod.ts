/**
 * Sessions: data of an agreed type between two peers, in order, both ways.
 *
 * @module
 */

export {
  DATA_TYPES,
  type DataOptions,
  type DataType,
  decodeData,
  encodeData,
  MAX_DATA_BYTES,
  type SessionDialect,
} from "./data_type.ts";
export { connectSession } from "./native.ts";
export { connectPeerpy, type PeerpyOptions } from "./peerpy.ts";
export {
  ANSWER_MS,
  CLOSE_MS,
  type CloseSessionOptions,
  type SendDataOptions,
  type Session,
  type SessionOffer,
  type SessionOptions,
  type SessionPeer,
} from "./session.ts";
export { MAX_SESSIONS, Sessions, type SessionsOptions, type Verdict } from "./sessions.ts";
export type { SessionTerms, TermsOptions } from "./terms.ts";
