/**
 * Saying who we are so that it is proven, and checking what others say.
 *
 * A signature binds the channel's key of one run to the identity. It has no end: whoever takes that key out of the memory
 * of a running program can pass for the peer as if it had taken the identity itself.
 *
 * @module
 */

import { IntegrityError } from "../errors.ts";
import { type Identity, verify } from "../secure/identity.ts";
import { DhKey } from "../secure/noise.ts";
import { concat } from "../wire/concat.ts";
import { decodeWireData, encodeWireData, wireData } from "../wire/message.ts";
import {
  type Hello,
  helloBody,
  type HelloOptions,
  parseHello,
  type PeerInfo,
  unexpected,
} from "./handshake.ts";

/** What a signature of a channel's key begins with, so that it counts for nothing else. */
const PURPOSE = new TextEncoder().encode("kith channel key 1\n");

/** Signatures remembered as right: a peer that connects again mostly has the same. */
const MAX_REMEMBERED = 1_024;

/** Our side of every handshake. */
export class Introduction {
  /** The key of our channels, of this run alone. */
  readonly staticKey: DhKey = DhKey.generate();
  readonly #self: () => PeerInfo;
  readonly #signature: Uint8Array;
  readonly #right = new Set<string>();

  /** @param self Who we are, at the time of each handshake. */
  constructor(identity: Identity, self: () => PeerInfo) {
    this.#self = self;
    this.#signature = identity.sign(signedBytes(this.staticKey.publicKey));
  }

  /** What we say. */
  hello(options: Omit<HelloOptions, "signature"> = {}): Uint8Array {
    const body = helloBody(this.#self(), { ...options, signature: this.#signature });
    return encodeWireData(wireData(":hello", body));
  }

  /**
   * Reads what the other side says.
   *
   * @param remoteStatic The key that the channel has proven it to have.
   * @throws {InvalidPacketError} naming what is malformed. @throws {IntegrityError} `bad-signature` when that key is not
   * signed by the identity it names.
   */
  read(payload: Uint8Array, remoteStatic: Uint8Array): Hello {
    const { header, body } = decodeWireData(payload);
    if (header !== ":hello") throw unexpected(header, ":hello");
    const hello = parseHello(body);
    this.#check(hello, remoteStatic);
    return hello;
  }

  #check({ publicKey, signature, peerId }: Hello, remoteStatic: Uint8Array): void {
    const known = `${publicKey}${remoteStatic.toHex()}`;
    if (this.#right.has(known)) return;
    if (!verify(Uint8Array.fromHex(publicKey), signedBytes(remoteStatic), signature)) {
      throw new IntegrityError(
        "bad-signature",
        `Cannot connect: the other side does not have the key of peer ${peerId}`,
      );
    }
    if (this.#right.size >= MAX_REMEMBERED) this.#right.clear();
    this.#right.add(known);
  }
}

function signedBytes(staticKey: Uint8Array): Uint8Array {
  return concat(PURPOSE, staticKey);
}
