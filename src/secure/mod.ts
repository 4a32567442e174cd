/**
 * Who a peer is and how it proves it, what nobody on the way may read, and who may do what.
 *
 * @module
 */

export {
  Access,
  type AccessDecision,
  type AccessOptions,
  type ApiKeyOptions,
  type Caller,
  type InviteOptions,
  type IssuedCredential,
  type RefusalReason,
} from "./access.ts";
export { type AccessRecord } from "./access_record.ts";
export {
  fingerprintOf,
  Identity,
  PEER_ID_BYTES,
  peerIdOf,
  proquints,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  verify,
} from "./identity.ts";
export { MAX_NETWORK_KEYS, MIN_NETWORK_KEY_BYTES, Network, type NetworkKey } from "./network.ts";
export {
  type LoadedNetwork,
  loadNetwork,
  type LoadNetworkOptions,
  watchNetworkFile,
  type WatchNetworkOptions,
} from "./network_file.ts";
export { covers, isScope, parseScope, type Scope } from "./scope.ts";
export { type ReadEnv } from "./secret_file.ts";
export { SealedSocket, sealTransport } from "./sealed_socket.ts";
export { type SealedPort, Sealer, type SealerOptions } from "./sealer.ts";
export {
  type ProvenPeer,
  type RefusedName,
  Trust,
  type TrustAddOptions,
  type TrustOptions,
} from "./trust.ts";
export { TRUST_POLICIES, type TrustEntry, type TrustPolicy } from "./trust_entry.ts";
