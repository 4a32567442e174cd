/**
 * A closed group of peers: a name that all of them know and, better, a key that nobody else has.
 *
 * Everything that peers of a network say to each other depends on both: connections by the pre-shared key of their
 * handshake, datagrams by the keys that seal them. Peers of different networks can neither join nor understand each
 * other, and neither name nor key is ever on the wire. A name alone keeps apart who does not know it, no better: who
 * records what passes can try names until one fits. Against that there are keys.
 *
 * @module
 */

import { hkdfSync } from "node:crypto";

/** Keys that a network may have at the same time: the one that is used, and one that is on its way in or out. */
export const MAX_NETWORK_KEYS = 2;

/** Least bytes of a network key: what nobody can try. */
export const MIN_NETWORK_KEY_BYTES = 16;

/** Bytes of what is derived from a key. */
const DERIVED_BYTES = 32;

/** Bytes by which a packet says which key seals it. */
const KEY_ID_BYTES = 4;

/** What a network's keys are made into. */
export interface NetworkKey {
  /** 4 bytes that tell this key from the others of the network, and strangers nothing. */
  readonly id: Uint8Array;
  /** What datagrams are sealed with, 32 bytes; each sender's own key is derived from it. */
  readonly datagram: Uint8Array;
  /** The pre-shared key of connections, 32 bytes. */
  readonly psk: Uint8Array;
}

/**
 * A network; see the module. Without a name and without keys it is the open one, whose peers prove who they are, and
 * which anybody may join.
 *
 * @example
 * ```ts
 * import { Network } from "@kith/kith";
 * import { assert, assertEquals, assertNotEquals } from "@std/assert";
 *
 * assert(new Network().isOpen);
 * const home = new Network("home", [crypto.getRandomValues(new Uint8Array(32))]);
 * assertEquals(home.keys.length, 1);
 * assertNotEquals(home.keys[0]?.psk, new Network("home").keys[0]?.psk);
 * ```
 */
export class Network {
  /** Its name, empty where it has none. Never on the wire. */
  readonly name: string;
  #keys: readonly NetworkKey[];
  #isSecret: boolean;

  /**
   * A network.
   *
   * @param name Its name. @default {""}
   * @param keys Its keys; the first is used, all are accepted. @default {[]}
   * @throws {RangeError} for more than two keys, or one of less than 16 bytes.
   */
  constructor(name = "", keys: readonly Uint8Array[] = []) {
    // What people type looks the same in several forms of Unicode.
    this.name = name.normalize("NFC");
    this.#keys = deriveAll(this.name, keys);
    this.#isSecret = keys.length > 0;
  }

  /** Whether anybody may join: it has neither name nor key. */
  get isOpen(): boolean {
    return this.#keys.length === 0;
  }

  /** Whether it has a key, and not only a name that can be guessed. */
  get isSecret(): boolean {
    return this.#isSecret;
  }

  /** Its keys: the first is used, all are accepted. Empty for the open network. */
  get keys(): readonly NetworkKey[] {
    return this.#keys;
  }

  /**
   * Changes the keys from now on; what is connected stays connected. To rotate without a gap: add the new key behind
   * the old one everywhere, then put it in front everywhere, then take the old one away.
   *
   * @throws {RangeError} for no key, more than two, or one of less than 16 bytes.
   * @throws {TypeError} for the open network, whose peers chose when they were opened to speak to everybody.
   */
  setKeys(keys: readonly Uint8Array[]): void {
    if (this.isOpen) throw new TypeError("The open network cannot be given keys");
    if (keys.length === 0) throw new RangeError("A network that has keys must keep one");
    this.#keys = deriveAll(this.name, keys);
    this.#isSecret = true;
  }
}

function deriveAll(name: string, keys: readonly Uint8Array[]): readonly NetworkKey[] {
  if (keys.length > MAX_NETWORK_KEYS) {
    throw new RangeError(
      `A network has at most ${MAX_NETWORK_KEYS} keys: there are ${keys.length}`,
    );
  }
  const short = keys.find((key) => key.length < MIN_NETWORK_KEY_BYTES);
  if (short !== undefined) {
    const least = MIN_NETWORK_KEY_BYTES;
    throw new RangeError(`A network key has at least ${least} bytes: it has ${short.length}`);
  }
  if (keys.length === 0 && name === "") return [];
  return (keys.length === 0 ? [new Uint8Array(0)] : keys).map((key) => deriveKey(name, key));
}

/** What a key means in a network of that name (HKDF with SHA-256, RFC 5869). */
function deriveKey(name: string, key: Uint8Array): NetworkKey {
  const derive = (purpose: string, bytes: number) =>
    new Uint8Array(hkdfSync("sha256", key, `kith ${purpose}`, name, bytes));
  return {
    id: derive("network key id", KEY_ID_BYTES),
    datagram: derive("network datagrams", DERIVED_BYTES),
    psk: derive("network connections", DERIVED_BYTES),
  };
}
