/**
 * How a node proves its id: it signs a random number of whoever asks, and the address that it was asked at.
 *
 * Who merely passes the question on to the node that it wants to be taken for gets no signature that helps it: a node signs
 * only for addresses of its own, and whoever asks knows which one it asked. What is proven holds for the address, so that
 * answers from there need no signature each: they count by their 53 random bits.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { AuthError } from "../errors.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { Claim, Proof } from "./node_packets.ts";

const DOMAIN = "kith dht node\n";

/** What is signed. */
export interface ProofTerms {
  /** The number of who asks, 16 bytes. */
  readonly nonce: Uint8Array;
  /** Where the node was asked. */
  readonly at: string;
  /** Where it accepts connections there, 0 for nowhere. */
  readonly tcpPort: number;
}

/** Signs that we are at an address. */
export function prove(
  terms: ProofTerms,
  signer: { readonly publicKey: Uint8Array; sign(bytes: Uint8Array): Uint8Array },
): Proof {
  return { publicKey: signer.publicKey, signature: signer.sign(signedBytes(terms)) };
}

/**
 * Checks who answered.
 *
 * @param asked What the question had, and whose id it was meant for; `undefined` for whoever is there.
 * @throws {AuthError} `not-authenticated` when it did not prove its id, or it is somebody else.
 */
export function checkProof(
  { claim, proof }: { readonly claim: Claim | undefined; readonly proof: Proof | undefined },
  asked: { readonly nonce: Uint8Array; readonly at: Address; readonly key: string | undefined },
  {
    verify,
    idOf,
  }: {
    verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
    idOf(publicKey: Uint8Array): string;
  },
): Claim {
  const at = formatAddress(asked.at);
  if (claim === undefined || proof === undefined) throw unproven(at, "it proves nothing");
  const key = claim.id.toHex();
  if (asked.key !== undefined && key !== asked.key) throw unproven(at, "somebody else is there");
  if (idOf(proof.publicKey) !== key) throw unproven(at, "its id is not that of its key");
  const bytes = signedBytes({ nonce: asked.nonce, at, tcpPort: claim.tcpPort });
  if (!verify(proof.publicKey, bytes, proof.signature)) {
    throw unproven(at, "the signature is wrong");
  }
  return claim;
}

function signedBytes({ nonce, at, tcpPort }: ProofTerms): Uint8Array {
  return createHash("sha256").update(DOMAIN).update(nonce).update(`${at}\n${tcpPort}`).digest();
}

function unproven(at: string, why: string): AuthError {
  return new AuthError("not-authenticated", `Cannot tell who is at ${at}: ${why}`);
}
