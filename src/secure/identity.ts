/**
 * Who a peer is: an Ed25519 key (RFC 8032), the id that follows from it, and words to compare it by.
 *
 * The private key stays inside: it can sign, and nothing prints, serialises or returns it. Everything is synchronous,
 * because `node:crypto` is and a signature takes 20 us.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify as verifySignature,
} from "node:crypto";
import { InvalidPacketError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Home } from "../state/home.ts";
import { refuseShared } from "./secret_file.ts";

/** Bytes of an Ed25519 public key. */
export const PUBLIC_KEY_BYTES = 32;

/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;

/** Bytes of a peer id: those of a Kademlia id, so that one is the other. */
export const PEER_ID_BYTES = 20;

/** Bytes of the key's hash that a fingerprint speaks: five words, and 2^80 tries to fake them. */
const FINGERPRINT_BYTES = 10;

const KEY_FILE = "identity.pem";

// The letters of a proquint, in the order of their values.
const CONSONANTS = "bdfghjklmnprstvz";
const VOWELS = "aiou";

// DER before the 32 raw bytes of a public key: SubjectPublicKeyInfo with the algorithm Ed25519 (RFC 8410).
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b6570032100");

// And before those of a private key: PKCS#8.
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b657004220420");

/** Bytes of a private key as RFC 8032 writes it. */
const SEED_BYTES = 32;

// Points of small order, sign bit cleared: under such a "key" one signature fits many messages, and anyone can make it.
// Neither RFC 8032 nor node:crypto refuses them (the last two, other spellings of 0 and 1, it does so far).
const WEAK_KEYS: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/**
 * A peer's key and what follows from it.
 *
 * @example
 * ```ts
 * import { Identity, peerIdOf, verify } from "@kith/kith";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const ann = Identity.generate();
 * const message = new TextEncoder().encode("it is me");
 * assert(verify(ann.publicKey, message, ann.sign(message)));
 * assertEquals(peerIdOf(ann.publicKey), ann.peerId);
 * ```
 */
export class Identity {
  /** The public key, 32 bytes. Not a copy: leave it as it is. */
  readonly publicKey: Uint8Array;
  /** The peer id, 20 bytes: the first of SHA-256 of the public key. Not a copy. */
  readonly id: Uint8Array;
  /** The peer id in 40 lower-case hexadecimal digits, as the API and the command line write it. */
  readonly peerId: string;
  /** Five words to read out over the phone; see {@linkcode fingerprintOf}. */
  readonly fingerprint: string;
  readonly #key: KeyObject;

  private constructor(key: KeyObject) {
    this.#key = key;
    this.publicKey = rawPublicKey(key);
    this.peerId = peerIdOf(this.publicKey);
    this.id = Uint8Array.fromHex(this.peerId);
    this.fingerprint = fingerprintOf(this.publicKey);
  }

  /** Makes a new identity that is stored nowhere. */
  static generate(): Identity {
    return new Identity(generateKeyPairSync("ed25519").privateKey);
  }

  /**
   * The identity of a private key as RFC 8032 writes it, for whoever keeps it elsewhere.
   *
   * @param seed 32 bytes, which nobody else may know.
   * @throws {RangeError} when it has another length.
   */
  static fromSeed(seed: Uint8Array): Identity {
    if (seed.length !== SEED_BYTES) {
      throw new RangeError(`A private key has ${SEED_BYTES} bytes: it has ${seed.length}`);
    }
    const key = Buffer.concat([PKCS8_PREFIX, seed]);
    return new Identity(createPrivateKey({ key, format: "der", type: "pkcs8" }));
  }

  /**
   * The identity of a home folder, from its `identity.pem` (PKCS#8), which is made on first use with mode 0600. Of
   * several processes that start at once on an empty folder, one makes the key and the others take it.
   *
   * @throws {AuthError} `not-allowed` when the group or others can read the key file.
   * @throws {InvalidPacketError} `bad-message` when the file holds no Ed25519 key; it is left as it is.
   */
  static load(home: Home): Identity {
    const stored = readKey(home);
    if (stored !== undefined) return new Identity(stored);
    const { privateKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem" });
    const won = home.writeNew(KEY_FILE, new TextEncoder().encode(pem.toString()));
    if (won) return new Identity(privateKey);
    const other = readKey(home);
    if (other !== undefined) return new Identity(other);
    const path = printable(home.path(KEY_FILE), 400);
    throw new UnsupportedError(`Cannot make key file ${path}: something is in its place`);
  }

  /** Signs bytes; the signature has 64 bytes and is the same every time. */
  sign(bytes: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, bytes, this.#key));
  }
}

/**
 * Says whether a signature over `bytes` was made with the private key of `publicKey`. Wrong lengths, and keys that
 * anyone can sign for (points of small order), are simply `false`: all three may come from a stranger.
 *
 * @example
 * ```ts
 * import { Identity, verify } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const ann = Identity.generate();
 * const signature = ann.sign(new Uint8Array([1]));
 * assertEquals(verify(ann.publicKey, new Uint8Array([1]), signature), true);
 * assertEquals(verify(ann.publicKey, new Uint8Array([2]), signature), false);
 * ```
 */
export function verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  if (isWeak(publicKey)) return false;
  const der = Buffer.concat([SPKI_PREFIX, publicKey]);
  try {
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    return verifySignature(null, bytes, key, signature);
  } catch {
    // 32 bytes that are no point of the curve: no signature can be right.
    return false;
  }
}

/**
 * The peer id of a public key: the first 20 bytes of its SHA-256, in lower-case hexadecimal.
 *
 * @example
 * ```ts
 * import { Identity, peerIdOf } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const { publicKey } = Identity.fromSeed(new Uint8Array(32));
 * assertEquals(peerIdOf(publicKey), "139e3940e64b5491722088d9a0d741628fc826e0");
 * ```
 *
 * @throws {RangeError} when the key has not 32 bytes.
 */
export function peerIdOf(publicKey: Uint8Array): string {
  return hashKey(publicKey).subarray(0, PEER_ID_BYTES).toHex();
}

/**
 * The fingerprint of a public key, for people to compare by voice: the first 10 bytes of its SHA-256 as five
 * proquints.
 *
 * @example
 * ```ts
 * import { fingerprintOf, Identity } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const { publicKey } = Identity.fromSeed(new Uint8Array(32));
 * assertEquals(fingerprintOf(publicKey), "daviv-gojab-vinar-jifid-lamob");
 * ```
 *
 * @throws {RangeError} when the key has not 32 bytes.
 */
export function fingerprintOf(publicKey: Uint8Array): string {
  return proquints(hashKey(publicKey).subarray(0, FINGERPRINT_BYTES));
}

/**
 * Bytes as pronounceable words, one for every 16 bits (4-2-4-2-4 bits: consonant, vowel, consonant, vowel, consonant).
 * Source: D. S. Wilkerson, "A Proposal for Proquints: Identifiers that are Readable, Spellable, and Pronounceable",
 * arXiv:0901.4016, 2009.
 *
 * @example
 * ```ts
 * import { proquints } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(proquints(new Uint8Array([127, 0, 0, 1])), "lusab-babad");
 * ```
 *
 * @throws {RangeError} when the number of bytes is odd.
 */
export function proquints(bytes: Uint8Array): string {
  if (bytes.length % 2 !== 0) {
    throw new RangeError(
      `Proquints need an even number of bytes: current value is ${bytes.length}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 2) words.push(proquint(view.getUint16(at)));
  return words.join("-");
}

function proquint(bits: number): string {
  const consonant = (shift: number) => CONSONANTS.charAt((bits >> shift) & 15);
  const vowel = (shift: number) => VOWELS.charAt((bits >> shift) & 3);
  return consonant(12) + vowel(10) + consonant(6) + vowel(4) + consonant(0);
}

function hashKey(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw new RangeError(`A public key has 32 bytes: current value is ${publicKey.length}`);
  }
  return createHash("sha256").update(publicKey).digest();
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return new Uint8Array(der.subarray(SPKI_PREFIX.length));
}

function isWeak(publicKey: Uint8Array): boolean {
  const point = publicKey.slice();
  point[PUBLIC_KEY_BYTES - 1] = (publicKey[PUBLIC_KEY_BYTES - 1] ?? 0) & 0x7f;
  return WEAK_KEYS.has(point.toHex());
}

function readKey(home: Home): KeyObject | undefined {
  const pem = home.read(KEY_FILE);
  if (pem === undefined) return undefined;
  const path = home.path(KEY_FILE);
  refuseShared(Deno.statSync(path), path);
  const key = parseKey(pem);
  if (key !== undefined) return key;
  const remedy = "restore it from a backup, or move it away to start with a new identity";
  throw new InvalidPacketError(
    "bad-message",
    `Cannot read key file ${printable(path, 400)}: it holds no Ed25519 private key; ${remedy}`,
    { details: { path } },
  );
}

// The cause is dropped on purpose: a parser's message may quote the file.
function parseKey(pem: Uint8Array): KeyObject | undefined {
  try {
    const key = createPrivateKey({ key: new TextDecoder().decode(pem), format: "pem" });
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    return undefined;
  }
}
