/**
 * Proof that a packet of a session comes from somebody who was informed of it: what the session's key is for.
 *
 * ```text
 * | WireData | sender, 20 bytes | counter, 8, big-endian | HMAC-SHA-256, 16 |
 *            `------------------ seal, 44 bytes -----------------------'
 * ```
 *
 * Originals ignore what follows a message, so one form serves both: our peers check the seal, others do not see it. The code
 * covers all in front of it and who it is for, so a packet can be neither changed nor sent on; the counter rises, so it cannot
 * be sent again. A packet that another one overtook is dropped like a lost one, which every step of the protocol survives.
 *
 * All participants have the session's key. It keeps out who was not informed; between neighbours a packet counts as its
 * address does, that a participant is who it says is for the channel under its links to prove, and what it gives is checked
 * chunk by chunk. The sender, whom everybody obeys, has a further key with each receiver: what says to be from one of the two
 * counts for the other only with that. Where the inform itself travels in plain text, as to originals, who reads it has the
 * key too. Originals seal nothing: what comes from them counts as far as its address does.
 *
 * @module
 */

import { createHmac, timingSafeEqual } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { PEER_ID_BYTES } from "../wire/message.ts";
import { idFromDecimal, idToDecimal } from "../wire/remote_peer.ts";
import { MAX_PARTICIPANTS } from "./hypercube.ts";
import type { SessionId } from "./participant.ts";

/** Separates these codes from everything else that is made with the same key. */
const DOMAIN = "kith palm tree 1";

const COUNTER_BYTES = 8;
const MAC_BYTES = 16;

/** Bytes that a seal adds to a packet. */
export const SEAL_BYTES: number = PEER_ID_BYTES + COUNTER_BYTES + MAC_BYTES;

/** What a seal needs. */
export interface SessionSealOptions {
  /** Which session. */
  readonly sessionId: SessionId;
  /** Its key. */
  readonly key: string;
  /** Who we are, in decimal. */
  readonly self: string;
  /** The key that only we and somebody have, which is used instead of the session's. @default there is none */
  readonly keyWith?: (peerId: string) => Uint8Array | undefined;
  /** The counter of our first packet: more than that of any packet we have sent in this session. @default {1} */
  readonly firstCounter?: number;
}

/** A packet whose seal was looked at. */
export interface OpenedPacket {
  /** The message, as a view. */
  readonly payload: Uint8Array;
  /** Who sealed it, in decimal; `undefined` where it has no seal. */
  readonly sealedBy: string | undefined;
}

/** Seals and opens the packets of one session for one participant. */
export class SessionSeal {
  readonly #key: Uint8Array;
  readonly #self: Uint8Array;
  readonly #sessionId: SessionId;
  readonly #keyWith: (peerId: string) => Uint8Array | undefined;
  readonly #lastOf = new Map<string, bigint>();
  #counter: bigint;

  /** Makes the seal of a session. @throws {InvalidPacketError} when the own id is no id. */
  constructor(options: SessionSealOptions) {
    const { sessionId, key, self, keyWith = () => undefined, firstCounter = 1 } = options;
    this.#key = sealKey(key, sessionId);
    this.#sessionId = sessionId;
    this.#keyWith = keyWith;
    this.#self = idFromDecimal(self);
    this.#counter = BigInt(firstCounter);
  }

  /** A message with a seal for one receiver. */
  seal(payload: Uint8Array, to: string): Uint8Array<ArrayBuffer> {
    const packet = new Uint8Array(payload.length + SEAL_BYTES);
    packet.set(payload);
    packet.set(this.#self, payload.length);
    const counterAt = payload.length + PEER_ID_BYTES;
    new DataView(packet.buffer).setBigUint64(counterAt, this.#counter++);
    const macAt = counterAt + COUNTER_BYTES;
    packet.set(macOf(this.#keyFor(to), packet.subarray(0, macAt), idFromDecimal(to)), macAt);
    return packet;
  }

  /**
   * Looks at a packet's seal.
   *
   * @param isBy Whether who seals with the session's key, which all have, is to be believed that it is that peer.
   * @returns the packet as it is, `sealedBy` nobody, when it does not end in a seal of this session.
   * @throws {InvalidPacketError} `bad-message` when the seal is a copy, or older than one that came before.
   */
  open(packet: Uint8Array, isBy: (peerId: string) => boolean = () => true): OpenedPacket {
    const macAt = packet.length - MAC_BYTES;
    const senderAt = packet.length - SEAL_BYTES;
    const plain = { payload: packet, sealedBy: undefined };
    if (senderAt < 0) return plain;
    const counterAt = senderAt + PEER_ID_BYTES;
    const sealedBy = idToDecimal(packet.subarray(senderAt, counterAt));
    const key = this.#keyFor(sealedBy);
    const mac = macOf(key, packet.subarray(0, macAt), this.#self);
    if (!timingSafeEqual(mac, packet.subarray(macAt))) return plain;
    // Before the counter is kept: nobody makes somebody else's packets look old.
    if (key === this.#key && !isBy(sealedBy)) return plain;
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    const counter = view.getBigUint64(counterAt);
    if (counter <= (this.#lastOf.get(sealedBy) ?? -1n)) throw replayed();
    // Only who has the key gets here: more than can take part are invented.
    if (this.#lastOf.size >= MAX_PARTICIPANTS && !this.#lastOf.has(sealedBy)) return plain;
    this.#lastOf.set(sealedBy, counter);
    return { payload: packet.subarray(0, senderAt), sealedBy };
  }

  #keyFor(peerId: string): Uint8Array {
    const key = this.#keyWith(peerId);
    return key === undefined ? this.#key : sealKey(key, this.#sessionId);
  }
}

function sealKey(key: string | Uint8Array, sessionId: SessionId): Uint8Array {
  return createHmac("sha256", key).update(`${DOMAIN}\0${sessionId}`).digest();
}

function macOf(key: Uint8Array, bytes: Uint8Array, receiver: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(receiver).update(bytes).digest().subarray(0, MAC_BYTES);
}

function replayed(): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    "Cannot read palm tree message: its seal is not newer than the last one of its sender",
    { details: { field: "counter" } },
  );
}
