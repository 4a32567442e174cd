/**
 * Keys that two sides agree on a secret with: X25519 (RFC 7748).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { HandshakeError } from "../errors.ts";

/** Bytes of a public key of X25519, and of what two keys agree on. */
export const DH_BYTES = 32;

const NOTHING: Uint8Array = new Uint8Array(0);

// DER before the 32 raw bytes of a key (RFC 8410): SubjectPublicKeyInfo and PKCS#8 with the algorithm X25519.
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b656e032100");
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b656e04220420");

/** A key pair of X25519 (RFC 7748). */
export class DhKey {
  /** The public key, 32 bytes. Not a copy. */
  readonly publicKey: Uint8Array;
  readonly #key: KeyObject;

  private constructor(key: KeyObject, publicKey: KeyObject) {
    this.#key = key;
    const der = publicKey.export({ type: "spki", format: "der" });
    this.publicKey = new Uint8Array(der.subarray(SPKI_PREFIX.length));
  }

  /** Makes a new pair. */
  static generate(): DhKey {
    const { privateKey, publicKey } = generateKeyPairSync("x25519");
    return new DhKey(privateKey, publicKey);
  }

  /** The pair of a private key. @throws {RangeError} when that has not 32 bytes. */
  static from(privateKey: Uint8Array): DhKey {
    if (privateKey.length !== DH_BYTES) {
      throw new RangeError(`A private key has 32 bytes: current value is ${privateKey.length}`);
    }
    const der = Buffer.concat([PKCS8_PREFIX, privateKey]);
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    return new DhKey(key, createPublicKey(key));
  }

  /**
   * What this key and another public key agree on.
   *
   * @throws {HandshakeError} `bad-channel` when it is zero: the other key is a point of small order, with which everybody
   * agrees on the same.
   */
  agree(publicKey: Uint8Array): Uint8Array {
    const der = Buffer.concat([SPKI_PREFIX, publicKey]);
    const other = createPublicKey({ key: der, format: "der", type: "spki" });
    let shared: Uint8Array = NOTHING;
    try {
      shared = diffieHellman({ privateKey: this.#key, publicKey: other });
    } catch {
      // Some runtimes refuse such points themselves.
    }
    if (shared.some((byte) => byte !== 0)) return shared;
    throw new HandshakeError(
      "bad-channel",
      "Cannot agree on a key: the other side's has small order",
    );
  }
}
