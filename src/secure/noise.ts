/**
 * The Noise handshake of two connections' ends: patterns XX and XXpsk3 with 25519, ChaChaPoly and SHA-256.
 *
 * ```
 * XX:      -> e    <- e, ee, s, es    -> s, se
 * XXpsk3:  the same, and the pre-shared key at the end of the third message
 * ```
 *
 * Source: T. Perrin, "The Noise Protocol Framework", revision 34, 2018. Names are the specification's.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { HandshakeError } from "../errors.ts";
import { CounterNonce, decrypt, encryptInto, KEY_BYTES, TAG_BYTES } from "./aead.ts";

/** Bytes of a public key of X25519, and of what two keys agree on. */
export const DH_BYTES = 32;

/** Largest message of the Noise framework, in bytes. */
export const MAX_NOISE_BYTES = 65_535;

const HASH_BYTES = 32;
const NOTHING: Uint8Array = new Uint8Array(0);

// DER before the 32 raw bytes of a key (RFC 8410): SubjectPublicKeyInfo and PKCS#8 with the algorithm X25519.
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b656e032100");
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b656e04220420");

/** A handshake's pattern. */
export type NoisePattern = "XX" | "XXpsk3";

type Token = "e" | "s" | "ee" | "es" | "se" | "psk";

const MESSAGES: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  XX: [["e"], ["e", "ee", "s", "es"], ["s", "se"]],
  XXpsk3: [["e"], ["e", "ee", "s", "es"], ["s", "se", "psk"]],
};

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

/** A key with its counter: encrypts or decrypts the messages of one direction (specification, 5.1). */
export class CipherState {
  readonly #nonce = new CounterNonce();
  #key: Uint8Array;

  /** Starts counting at 0. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Messages so far. */
  get count(): number {
    return this.#nonce.count;
  }

  /** Encrypts into a buffer; see `encryptInto`. */
  encryptInto(
    into: Uint8Array,
    at: number,
    plaintext: Uint8Array,
    associated?: Uint8Array,
  ): number {
    const end = encryptInto(into, at, this.#key, this.#nonce.bytes, plaintext, associated);
    this.#nonce.increment();
    return end;
  }

  /** Decrypts the next message. @returns `undefined` when it is not what was encrypted. */
  decrypt(ciphertext: Uint8Array, associated?: Uint8Array): Uint8Array | undefined {
    const plaintext = decrypt(this.#key, this.#nonce.bytes, ciphertext, associated);
    if (plaintext !== undefined) this.#nonce.increment();
    return plaintext;
  }

  /** Goes on with a key that follows from this one, and from which this one does not follow (specification, 4.2). */
  rekey(): void {
    const derived = new Uint8Array(KEY_BYTES + TAG_BYTES);
    encryptInto(derived, 0, this.#key, CounterNonce.last(), new Uint8Array(KEY_BYTES));
    this.#key = derived.slice(0, KEY_BYTES);
  }
}

/** What both sides know so far, hashed and made into keys (specification, 5.2). */
class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #cipher: CipherState | undefined;

  constructor(chainingKey: Uint8Array, hash: Uint8Array, cipher?: CipherState) {
    this.#chainingKey = chainingKey;
    this.#hash = hash;
    this.#cipher = cipher;
  }

  static of(protocolName: string): SymmetricState {
    const name = new TextEncoder().encode(protocolName);
    const hash = name.length <= HASH_BYTES ? padded(name) : sha256(name);
    return new SymmetricState(hash, hash);
  }

  get hash(): Uint8Array {
    return this.#hash;
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = derive(this.#chainingKey, input, 2);
    this.#chainingKey = chainingKey;
    this.#cipher = new CipherState(key);
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, hash, key = NOTHING] = derive(this.#chainingKey, input, 3);
    this.#chainingKey = chainingKey;
    this.mixHash(hash);
    this.#cipher = new CipherState(key);
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    if (this.#cipher === undefined) {
      this.mixHash(plaintext);
      return plaintext;
    }
    const ciphertext = new Uint8Array(plaintext.length + TAG_BYTES);
    this.#cipher.encryptInto(ciphertext, 0, plaintext, this.#hash);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** @returns `undefined` when it is not what the other side encrypted. */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array | undefined {
    const { hash } = this;
    this.mixHash(ciphertext);
    return this.#cipher === undefined ? ciphertext : this.#cipher.decrypt(ciphertext, hash);
  }

  /** What it would be with a pre-shared key mixed in; this one stays as it is. */
  withKey(psk: Uint8Array): SymmetricState {
    const state = new SymmetricState(this.#chainingKey, this.#hash);
    state.mixKeyAndHash(psk);
    return state;
  }

  get overhead(): number {
    return this.#cipher === undefined ? 0 : TAG_BYTES;
  }

  split(): [CipherState, CipherState] {
    const [first, second] = derive(this.#chainingKey, NOTHING, 2);
    return [new CipherState(first), new CipherState(second)];
  }
}

/** What a handshake needs. */
export interface NoiseOptions {
  /** Which of the patterns. */
  pattern: NoisePattern;
  /** Whether we began. */
  initiator: boolean;
  /** What both sides must have seen alike before. */
  prologue: Uint8Array;
  /** Our key. */
  staticKey: DhKey;
  /** Our key for this handshake alone. @default a new one */
  ephemeralKey?: DhKey;
  /**
   * The pre-shared keys of XXpsk3, 32 bytes each: whoever begins uses the first, whoever answers takes all.
   *
   * @default {[]}
   */
  psks?: readonly Uint8Array[];
}

/** The ciphers that a handshake ends with. */
export interface NoiseCiphers {
  /** For what we send. */
  readonly send: CipherState;
  /** For what we receive. */
  readonly receive: CipherState;
}

/**
 * One side of a handshake: `write` and `read` take turns until `ciphers` are there.
 *
 * What comes in wrong throws, and then the handshake is over.
 */
export class NoiseHandshake {
  readonly #options: NoiseOptions;
  readonly #messages: readonly (readonly Token[])[];
  readonly #ephemeral: DhKey;
  #state: SymmetricState;
  #next = 0;
  #remoteStatic: Uint8Array = NOTHING;
  #remoteEphemeral: Uint8Array = NOTHING;

  /** Nothing is said yet. @throws {RangeError} when the pattern wants pre-shared keys and there are none. */
  constructor(options: NoiseOptions) {
    const { pattern, prologue, psks = [] } = options;
    if ((pattern === "XXpsk3") !== (psks.length > 0)) {
      throw new RangeError("Pre-shared keys belong to the pattern XXpsk3, and it to them");
    }
    this.#options = options;
    this.#messages = MESSAGES[pattern];
    this.#ephemeral = options.ephemeralKey ?? DhKey.generate();
    this.#state = SymmetricState.of(`Noise_${pattern}_25519_ChaChaPoly_SHA256`);
    this.#state.mixHash(prologue);
  }

  /** The other side's static key, once it has come. */
  get remoteStatic(): Uint8Array {
    return this.#remoteStatic;
  }

  /** What both sides have seen, hashed. */
  get hash(): Uint8Array {
    return this.#state.hash;
  }

  /** The next message. @throws {RangeError} when it is longer than 65,535 bytes. */
  write(payload: Uint8Array): Uint8Array {
    const parts = this.#tokens().map((token) => this.#writeToken(token));
    parts.push(this.#state.encryptAndHash(payload));
    const message = new Uint8Array(Buffer.concat(parts));
    if (message.length <= MAX_NOISE_BYTES) return message;
    throw new RangeError(`A handshake message has at most ${MAX_NOISE_BYTES} bytes`);
  }

  /** Takes the next message. @returns its payload. @throws {HandshakeError} `bad-channel` when it is not right. */
  read(message: Uint8Array): Uint8Array {
    let at = 0;
    const take = (count: number): Uint8Array => {
      const part = message.slice(at, at += count);
      if (part.length < count) {
        throw wrong(`message ${this.#next} has only ${message.length} bytes`);
      }
      return part;
    };
    for (const token of this.#tokens()) this.#readToken(token, take);
    const rest = message.slice(at);
    const payload = this.#decryptPayload(rest);
    if (payload === undefined) throw wrong(`message ${this.#next} is not authentic`);
    return payload;
  }

  /** The ciphers for what comes after the handshake, which is over. */
  split(): NoiseCiphers {
    if (this.#next < this.#messages.length) throw new TypeError("The handshake is not over");
    const [first, second] = this.#state.split();
    return this.#options.initiator
      ? { send: first, receive: second }
      : { send: second, receive: first };
  }

  #tokens(): readonly Token[] {
    const tokens = this.#messages[this.#next++];
    if (tokens === undefined) throw new TypeError("The handshake is over");
    return tokens;
  }

  #writeToken(token: Token): Uint8Array {
    const { staticKey, psks = [] } = this.#options;
    if (token === "e") {
      this.#mixEphemeral(this.#ephemeral.publicKey);
      return this.#ephemeral.publicKey;
    }
    if (token === "s") return this.#state.encryptAndHash(staticKey.publicKey);
    if (token === "psk") this.#state.mixKeyAndHash(psks[0] ?? NOTHING);
    else this.#agree(token);
    return NOTHING;
  }

  #readToken(token: Token, take: (count: number) => Uint8Array): void {
    if (token === "e") {
      this.#remoteEphemeral = take(DH_BYTES);
      this.#mixEphemeral(this.#remoteEphemeral);
    } else if (token === "s") {
      const key = this.#state.decryptAndHash(take(DH_BYTES + this.#state.overhead));
      if (key === undefined) throw wrong(`message ${this.#next} is not authentic`);
      this.#remoteStatic = key;
    } else if (token !== "psk") {
      this.#agree(token);
    }
  }

  /** With pre-shared keys every ephemeral key is mixed in, too (specification, 9.2). */
  #mixEphemeral(publicKey: Uint8Array): void {
    this.#state.mixHash(publicKey);
    if (this.#options.pattern === "XXpsk3") this.#state.mixKey(publicKey);
  }

  #agree(token: "ee" | "es" | "se"): void {
    const { initiator, staticKey } = this.#options;
    if (token === "ee") return this.#state.mixKey(this.#ephemeral.agree(this.#remoteEphemeral));
    // "es" is the initiator's ephemeral key and the responder's static one, "se" the other way round.
    const withOurStatic = (token === "se") === initiator;
    this.#state.mixKey(
      withOurStatic
        ? staticKey.agree(this.#remoteEphemeral)
        : this.#ephemeral.agree(this.#remoteStatic),
    );
  }

  /** The payload of a message that was read: of one with a pre-shared key, by the first key that fits. */
  #decryptPayload(ciphertext: Uint8Array): Uint8Array | undefined {
    const { psks = [] } = this.#options;
    if (!this.#messages[this.#next - 1]?.includes("psk")) {
      return this.#state.decryptAndHash(ciphertext);
    }
    for (const psk of psks) {
      const state = this.#state.withKey(psk);
      const payload = state.decryptAndHash(ciphertext);
      if (payload === undefined) continue;
      this.#state = state;
      return payload;
    }
    return undefined;
  }
}

/** HKDF of the specification, 4.3, which is that of RFC 5869 without a purpose. */
function derive(
  chainingKey: Uint8Array,
  input: Uint8Array,
  count: 2 | 3,
): [Uint8Array, Uint8Array, Uint8Array?] {
  const bytes = hkdfSync("sha256", input, chainingKey, NOTHING, count * HASH_BYTES);
  const part = (index: number) => new Uint8Array(bytes, index * HASH_BYTES, HASH_BYTES);
  return count === 2 ? [part(0), part(1)] : [part(0), part(1), part(2)];
}

function sha256(...parts: Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function padded(name: Uint8Array): Uint8Array {
  const hash = new Uint8Array(HASH_BYTES);
  hash.set(name);
  return hash;
}

function wrong(what: string): HandshakeError {
  return new HandshakeError("bad-channel", `Cannot shake hands: ${what}`);
}
