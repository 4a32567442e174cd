/**
 * The cipher of connections and datagrams: ChaCha20-Poly1305 (RFC 8439); and the nonce of connections, that of the Noise
 * Protocol Framework, revision 34, section 12.2: 32 zero bits and a 64-bit little-endian counter.
 *
 * @module
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { UnsupportedError } from "../errors.ts";

/** Bytes of a key. */
export const KEY_BYTES = 32;

/** Bytes that encryption adds. */
export const TAG_BYTES = 16;

const ALGORITHM = "chacha20-poly1305";
const NONCE_BYTES = 12;
const TAG = { authTagLength: TAG_BYTES };

/** Makes sure that the runtime has the cipher. @throws {UnsupportedError} when it is too old for that. */
export function requireCipher(): void {
  try {
    const [key, nonce] = [new Uint8Array(KEY_BYTES), new Uint8Array(NONCE_BYTES)];
    createCipheriv(ALGORITHM, key, nonce, TAG).final();
  } catch (cause) {
    const text = `Cannot encrypt: Deno ${Deno.version.deno} has no ${ALGORITHM}; 2.9 has it`;
    throw new UnsupportedError(text, { cause });
  }
}

/** A nonce that is counted up in place. */
export class CounterNonce {
  /** The nonce as it stands. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(NONCE_BYTES);
  readonly #view = new DataView(this.bytes.buffer);
  #low = 0;
  #high = 0;

  /** The counter, exact up to 2^53. */
  get count(): number {
    return this.#high * 2 ** 32 + this.#low;
  }

  /** Sets the counter. */
  set count(count: number) {
    this.#low = count >>> 0;
    this.#high = Math.floor(count / 2 ** 32);
    this.#write();
  }

  /** Counts up by one. */
  increment(): void {
    this.#low = (this.#low + 1) >>> 0;
    if (this.#low === 0) this.#high++;
    this.#write();
  }

  /** The largest there is, 2^64-1, which no message has: the Noise framework keeps it for new keys. */
  static last(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(NONCE_BYTES);
    bytes.fill(0xff, NONCE_BYTES - 8);
    return bytes;
  }

  #write(): void {
    this.#view.setUint32(4, this.#low, true);
    this.#view.setUint32(8, this.#high, true);
  }
}

/**
 * Encrypts into a buffer.
 *
 * @param into Where ciphertext and tag go: `plaintext.length + 16` bytes from `at`.
 * @returns where they end.
 */
export function encryptInto(
  into: Uint8Array,
  at: number,
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associated?: Uint8Array,
): number {
  const cipher = createCipheriv(ALGORITHM, key, nonce, TAG);
  if (associated !== undefined && associated.length > 0) {
    cipher.setAAD(associated, { plaintextLength: plaintext.length });
  }
  if (plaintext.length > 0) into.set(cipher.update(plaintext), at);
  cipher.final();
  into.set(cipher.getAuthTag(), at + plaintext.length);
  return at + plaintext.length + TAG_BYTES;
}

/** Decrypts what {@linkcode encryptInto} made. @returns the plaintext, or `undefined` when a single bit is not as it was. */
export function decrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  associated?: Uint8Array,
): Uint8Array | undefined {
  const length = ciphertext.length - TAG_BYTES;
  if (length < 0) return undefined;
  const decipher = createDecipheriv(ALGORITHM, key, nonce, TAG);
  if (associated !== undefined && associated.length > 0) {
    decipher.setAAD(associated, { plaintextLength: length });
  }
  decipher.setAuthTag(ciphertext.subarray(length));
  const plaintext = length > 0
    ? decipher.update(ciphertext.subarray(0, length))
    : new Uint8Array(0);
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  // Not the Buffer that it is: a slice of one is no copy.
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
}
