/**
 * Sealed packets: a whole native packet that only members of the network can read or make.
 *
 * ```text
 * 0      1                   5        9        17        25
 * +------+---------+---------+--------+--------+---------+---------------------------+----------+
 * | 0x1f | length, big-endian | key id | sender | counter | inner packet, encrypted   | tag (16) |
 * +------+---------+---------+--------+--------+---------+---------------------------+----------+
 *                                                        | code | length | payload | zeros to 38 |
 * ```
 *
 * ChaCha20-Poly1305 (RFC 8439) with 4 zero bytes and the counter as nonce; what stands before the ciphertext and the
 * network's name are the associated data. Each sender has a key of its own, HKDF-SHA256 (RFC 5869) of the network's,
 * so that counters of different senders may meet. The inner packet is filled up to 38 bytes: no sealed packet is smaller
 * than the challenge that it may cause, see {@linkcode FreshnessCheck}.
 *
 * @module
 */

import { hkdfSync } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../wire/datagram.ts";
import { decrypt, encryptInto, KEY_BYTES, TAG_BYTES } from "./aead.ts";
import type { NetworkKey } from "./network.ts";
import { MAC_BYTES } from "./rotating_mac.ts";

const KEY_ID_AT = 5;
const SENDER_AT = 9;
const COUNTER_AT = 17;
const HEADER_BYTES = 25;

/** Bytes that sealing adds to a packet of {@linkcode MIN_INNER_BYTES} or more. */
export const SEAL_BYTES: number = HEADER_BYTES + TAG_BYTES;

/** Service code and length of an inner packet. */
const INNER_HEADER_BYTES = 5;

/** Kind, receiver, counter, code. */
const CHECK_BYTES: number = 1 + 8 + 8 + MAC_BYTES;

/** Least bytes of what is encrypted: those of a {@linkcode FreshnessCheck}. */
export const MIN_INNER_BYTES: number = INNER_HEADER_BYTES + CHECK_BYTES;

const NONCE_COUNTER_AT = 4;
const NONCE_BYTES = 12;

/** What stands in front of the ciphertext. */
export interface SealedHeader {
  /** Which of the network's keys: 4 bytes, a view. */
  readonly keyId: Uint8Array;
  /** Who sealed it. */
  readonly sender: bigint;
  /** The sender's counter. */
  readonly counter: bigint;
}

/**
 * How peers find out that a packet is not a recording, in an inner packet of code 0x1d:
 *
 * ```text
 * | kind (1) | to (8) | counter (8) | code (16) |
 * ```
 *
 * A *challenge* asks sender `to` whether it sealed `counter` lately; the *response* repeats counter and code.
 */
export interface FreshnessCheck {
  /** Which of the two it is. */
  readonly kind: "challenge" | "response";
  /** The sender it is for. */
  readonly to: bigint;
  /** The packet in question. */
  readonly counter: bigint;
  /** 16 bytes that only the asker can make. */
  readonly code: Uint8Array;
}

const KINDS = ["challenge", "response"] as const;

/** Seals and opens packets of one network. */
export class DatagramSeal {
  // Header and name side by side, as they are authenticated.
  readonly #associated: Uint8Array;
  readonly #header: DataView;
  readonly #nonce = new Uint8Array(NONCE_BYTES);

  /** Makes the seal of the network of that name. */
  constructor(network: string) {
    const name = new TextEncoder().encode(network);
    this.#associated = new Uint8Array(HEADER_BYTES + name.length);
    this.#associated.set(name, HEADER_BYTES);
    this.#header = new DataView(this.#associated.buffer, 0, HEADER_BYTES);
  }

  /**
   * Seals a packet.
   *
   * @param into Where it is written: at least {@linkcode sealedBytes} long.
   * @param key The sender's key, see {@linkcode senderKey}.
   * @returns the sealed packet, a view of `into`.
   */
  seal(
    into: Uint8Array,
    header: SealedHeader,
    key: Uint8Array,
    packet: Uint8Array,
  ): Uint8Array {
    const length = sealedBytes(packet.length);
    this.#header.setUint8(0, SERVICE_CODE.sealed);
    this.#header.setUint32(1, length - INNER_HEADER_BYTES);
    this.#associated.set(header.keyId, KEY_ID_AT);
    this.#header.setBigUint64(SENDER_AT, header.sender);
    this.#header.setBigUint64(COUNTER_AT, header.counter);
    into.set(this.#associated.subarray(0, HEADER_BYTES));
    encryptInto(into, HEADER_BYTES, key, this.#nonceOf(into), padded(packet), this.#associated);
    return into.subarray(0, length);
  }

  /** Opens a sealed packet whose header was read. @returns what was sealed, or `undefined` when a single bit differs. */
  open(sealed: Uint8Array, key: Uint8Array): Uint8Array | undefined {
    this.#associated.set(sealed.subarray(0, HEADER_BYTES));
    const ciphertext = sealed.subarray(HEADER_BYTES);
    return decrypt(key, this.#nonceOf(sealed), ciphertext, this.#associated);
  }

  #nonceOf(sealed: Uint8Array): Uint8Array {
    this.#nonce.set(sealed.subarray(COUNTER_AT, HEADER_BYTES), NONCE_COUNTER_AT);
    return this.#nonce;
  }
}

/** Bytes of a packet once it is sealed. */
export function sealedBytes(packetBytes: number): number {
  return SEAL_BYTES + Math.max(packetBytes, MIN_INNER_BYTES);
}

/** The key that a sender seals with under a key of the network. */
export function senderKey(key: NetworkKey, sender: bigint): Uint8Array {
  const info = `kith sealed datagrams of ${sender.toString(16).padStart(16, "0")}`;
  return new Uint8Array(hkdfSync("sha256", key.datagram, "", info, KEY_BYTES));
}

/**
 * Reads the header of a sealed packet, which anybody can have made.
 *
 * @throws {InvalidPacketError} `bad-frame` when the packet is no sealed one, shorter than any is, or not as long as it
 * says; `too-large` when no UDP socket can have received it.
 */
export function readSealedHeader(packet: Uint8Array): SealedHeader {
  const { code } = decodeDatagram(packet, { code: true, exact: true });
  const least = sealedBytes(0);
  if (code !== SERVICE_CODE.sealed || packet.length < least) {
    throw new InvalidPacketError(
      "bad-frame",
      `Cannot open datagram: ${packet.length} bytes of code ${code} are no sealed packet`,
      { details: { code, got: packet.length, least } },
    );
  }
  const view = new DataView(packet.buffer, packet.byteOffset, HEADER_BYTES);
  return {
    keyId: packet.subarray(KEY_ID_AT, SENDER_AT),
    sender: view.getBigUint64(SENDER_AT),
    counter: view.getBigUint64(COUNTER_AT),
  };
}

/**
 * The packet in what was sealed: a view of it.
 *
 * @throws {InvalidPacketError} `bad-frame` when it is not as long as it says or filled up with anything but zeros;
 * `bad-message` when it is not native, or sealed once more.
 */
export function readInnerPacket(plaintext: Uint8Array): Uint8Array {
  const isShortest = plaintext.length === MIN_INNER_BYTES;
  const { code = 0, payload } = decodeDatagram(plaintext, { code: true, exact: !isShortest });
  if (!isNativeCode(code) || code === SERVICE_CODE.sealed) {
    throw new InvalidPacketError("bad-message", `Cannot open datagram: code ${code} is sealed`, {
      details: { code, offset: 0 },
    });
  }
  const end = INNER_HEADER_BYTES + payload.length;
  const declared = new DataView(plaintext.buffer, plaintext.byteOffset).getUint32(1);
  if (declared !== payload.length || plaintext.subarray(end).some((byte) => byte !== 0)) {
    throw new InvalidPacketError(
      "bad-frame",
      `Cannot open datagram: its inner length ${declared} is not that of its payload`,
      { details: { offset: 1, got: declared } },
    );
  }
  return plaintext.subarray(0, end);
}

/** A check as an inner packet. */
export function encodeFreshnessCheck(check: FreshnessCheck): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(CHECK_BYTES);
  const view = new DataView(payload.buffer);
  view.setUint8(0, KINDS.indexOf(check.kind));
  view.setBigUint64(1, check.to);
  view.setBigUint64(9, check.counter);
  payload.set(check.code, 17);
  return encodeDatagram(SERVICE_CODE.freshness, payload);
}

/**
 * Reads a check from an inner packet; its code is a view.
 *
 * @throws {InvalidPacketError} `bad-message` when the packet is none.
 */
export function parseFreshnessCheck(packet: Uint8Array): FreshnessCheck {
  const { code, payload } = decodeDatagram(packet, { code: true, exact: true });
  const kind = KINDS[payload[0] ?? KINDS.length];
  if (code !== SERVICE_CODE.freshness || kind === undefined || payload.length !== CHECK_BYTES) {
    throw new InvalidPacketError(
      "bad-message",
      `Cannot open datagram: ${payload.length} bytes of code ${code} are no freshness check`,
      { details: { code, got: payload.length, expected: CHECK_BYTES } },
    );
  }
  const view = new DataView(payload.buffer, payload.byteOffset, CHECK_BYTES);
  return {
    kind,
    to: view.getBigUint64(1),
    counter: view.getBigUint64(9),
    code: payload.subarray(17),
  };
}

/** Whether a service code is one of kith's own, 0x10 to 0x1f: what is sealed. */
export function isNativeCode(code: number): boolean {
  return code >= 0x10 && code <= 0x1f;
}

function padded(packet: Uint8Array): Uint8Array {
  if (packet.length >= MIN_INNER_BYTES) return packet;
  const whole = new Uint8Array(MIN_INNER_BYTES);
  whole.set(packet);
  return whole;
}
