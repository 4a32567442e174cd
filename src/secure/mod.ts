/**
 * Who a peer is and how it proves it.
 *
 * @module
 */

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
