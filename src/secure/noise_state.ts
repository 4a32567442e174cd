/**
 * What a Noise handshake goes through, and the ciphers that come out of it.
 *
 * Source: T. Perrin, "The Noise Protocol Framework", revision 34, 2018, sections 4 and 5. Names are the specification's.
 *
 * @module
 */

import { createHash, hkdfSync } from "node:crypto";
import { CounterNonce, decrypt, encryptInto, KEY_BYTES, TAG_BYTES } from "./aead.ts";

const HASH_BYTES = 32;
const NOTHING: Uint8Array = new Uint8Array(0);

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
export class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #cipher: CipherState | undefined;

  /** @param cipher The key so far, if there is one. */
  constructor(chainingKey: Uint8Array, hash: Uint8Array, cipher?: CipherState) {
    this.#chainingKey = chainingKey;
    this.#hash = hash;
    this.#cipher = cipher;
  }

  /** What both sides know before they begin: which protocol they speak. */
  static of(protocolName: string): SymmetricState {
    const name = new TextEncoder().encode(protocolName);
    const hash = name.length <= HASH_BYTES ? padded(name) : sha256(name);
    return new SymmetricState(hash, hash);
  }

  /** The hash of all that was said. */
  get hash(): Uint8Array {
    return this.#hash;
  }

  /** Makes a new key of what both have agreed on. */
  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = derive(this.#chainingKey, input, 2);
    this.#chainingKey = chainingKey;
    this.#cipher = new CipherState(key);
  }

  /** Notes what was said. */
  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data);
  }

  /** Does both with a pre-shared key. */
  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, hash, key = NOTHING] = derive(this.#chainingKey, input, 3);
    this.#chainingKey = chainingKey;
    this.mixHash(hash);
    this.#cipher = new CipherState(key);
  }

  /** Encrypts, once there is a key, and notes what comes of it. */
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

  /** The reverse. @returns `undefined` when it is not what the other side encrypted. */
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

  /** Bytes that encryption adds at this stage. */
  get overhead(): number {
    return this.#cipher === undefined ? 0 : TAG_BYTES;
  }

  /** The ciphers of both directions, that of who began first. */
  split(): [CipherState, CipherState] {
    const [first, second] = derive(this.#chainingKey, NOTHING, 2);
    return [new CipherState(first), new CipherState(second)];
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
