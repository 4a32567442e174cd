/**
 * Datagrams of the seed's requests port: a service code, a length, a payload.
 *
 * ```text
 * 0      1                   5
 * +------+---------+---------+------------------+
 * | code | length, big-endian | payload ...      |     palm-tree sockets leave the code out
 * +------+---------+---------+------------------+
 * ```
 *
 * UDP already says where a packet ends, so the length is a check: kith's own packets must be exact, the originals' are
 * read as the originals read them.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";

/** The largest packet that can arrive, in bytes: 65,535 less the IPv4 (20) and UDP (8) headers. */
export const MAX_DATAGRAM_IN_BYTES = 65507;

/** The largest payload we send, in bytes: 63 KiB, what the original sends at most. The seed says 64 KB. */
export const MAX_DATAGRAM_OUT_BYTES = 63 * 1024;

/**
 * The largest packet, in bytes, that no path fragments: below IPv6's least MTU (1,280) with room for its headers. More
 * is allowed, but one lost fragment loses the whole packet; whoever sends more counts it.
 */
export const SOFT_DATAGRAM_BYTES = 1200;

/**
 * Who a packet on the requests port is for: its first byte, the seed's `root_code`. Append only: a code that was once
 * on a wire never changes its meaning.
 */
export const SERVICE_CODE = {
  /** PeerConnect: a Kademlia packet wrapped in WireData. */
  peerconnectKademlia: 0x00,
  /** PeerConnect: multicast discovery. */
  peerconnectDiscovery: 0x01,
  /** PeerConnect: gossip and search. */
  peerconnectGossip: 0x02,
  /** Native announcements. */
  discovery: 0x10,
  /** Native membership. */
  membership: 0x11,
  /** Native gossip. */
  gossip: 0x12,
  /** Native DHT. */
  dht: 0x13,
  /** Native requests and replies. */
  requests: 0x14,
  /** Whether a sealed packet is fresh or a recording; only inside of sealed ones. */
  freshness: 0x1d,
  /** A token that proves the asker's address before a long answer is sent there. */
  retryToken: 0x1e,
  /** Any native packet, sealed with the network's key. */
  sealed: 0x1f,
} as const;

/** A code that kith knows. */
export type ServiceCode = typeof SERVICE_CODE[keyof typeof SERVICE_CODE];

/** How {@linkcode encodeDatagram} writes. */
export interface EncodeDatagramOptions {
  /** Largest payload in bytes; a larger one is refused. @default {MAX_DATAGRAM_OUT_BYTES} */
  maxPayloadBytes?: number;
}

/** How {@linkcode decodeDatagram} reads. */
export interface DecodeDatagramOptions {
  /** Whether the packet starts with a service code; on palm-tree sockets it does not. */
  code: boolean;
  /**
   * Whether the length must be that of the payload. If not, the payload is cut at the length and a shorter one passes
   * as it is, which is what the original does.
   */
  exact: boolean;
}

/** A packet taken apart. */
export interface DecodedDatagram {
  /** The service code 0..255, or `undefined` where packets have none. */
  readonly code: number | undefined;
  /** The payload: a view of the packet. */
  readonly payload: Uint8Array;
}

const LENGTH_BYTES = 4;
const MAX_CODE = 0xff;

/**
 * Puts a payload into a packet.
 *
 * @example
 * ```ts
 * import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = encodeDatagram(SERVICE_CODE.gossip, new Uint8Array([7, 8]));
 * assertEquals(packet, new Uint8Array([0x12, 0, 0, 0, 2, 7, 8]));
 *
 * const { code, payload } = decodeDatagram(packet, { code: true, exact: true });
 * assertEquals(code, SERVICE_CODE.gossip);
 * assertEquals(payload, new Uint8Array([7, 8]));
 * ```
 *
 * @param code The service code 0..255, or `undefined` for a packet without one.
 * @throws {InvalidPacketError} `too-large` when the payload exceeds `maxPayloadBytes`.
 * @throws {RangeError} when the code is not a byte.
 */
export function encodeDatagram(
  code: number | undefined,
  payload: Uint8Array,
  options: EncodeDatagramOptions = {},
): Uint8Array<ArrayBuffer> {
  const { maxPayloadBytes = MAX_DATAGRAM_OUT_BYTES } = options;
  if (code !== undefined && !(Number.isInteger(code) && code >= 0 && code <= MAX_CODE)) {
    throw new RangeError(`Service code must be 0..${MAX_CODE}: current value is ${code}`);
  }
  if (payload.length > maxPayloadBytes) {
    throw tooLarge("encode", payload.length, "maxPayloadBytes", maxPayloadBytes);
  }
  const lengthAt = code === undefined ? 0 : 1;
  const packet = new Uint8Array(lengthAt + LENGTH_BYTES + payload.length);
  if (code !== undefined) packet[0] = code;
  new DataView(packet.buffer).setUint32(lengthAt, payload.length);
  packet.set(payload, lengthAt + LENGTH_BYTES);
  return packet;
}

/**
 * Takes a packet apart; the payload is a view of it.
 *
 * @example
 * ```ts
 * import { decodeDatagram } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const packet = new Uint8Array([0x12, 0, 0, 0, 2, 7, 8, 9]); // a byte more than it says
 * assertThrows(() => decodeDatagram(packet, { code: true, exact: true }), Error, "length 2");
 * const { payload } = decodeDatagram(packet, { code: true, exact: false });
 * assertEquals(payload, new Uint8Array([7, 8]));
 * ```
 *
 * @throws {InvalidPacketError} `bad-frame` when the packet ends inside its header or, with `exact`, is not as long as it
 * says; `too-large` when no UDP socket can have received it.
 */
export function decodeDatagram(
  packet: Uint8Array,
  options: DecodeDatagramOptions,
): DecodedDatagram {
  if (packet.length > MAX_DATAGRAM_IN_BYTES) {
    throw tooLarge("decode", packet.length, "MAX_DATAGRAM_IN_BYTES", MAX_DATAGRAM_IN_BYTES);
  }
  const lengthAt = options.code ? 1 : 0;
  const payloadAt = lengthAt + LENGTH_BYTES;
  if (packet.length < payloadAt) {
    throw new InvalidPacketError(
      "bad-frame",
      `Cannot decode datagram: ${packet.length} bytes are shorter than its header of ${payloadAt}`,
      { details: { got: packet.length, expected: payloadAt } },
    );
  }
  const declared = new DataView(packet.buffer, packet.byteOffset + lengthAt).getUint32(0);
  const present = packet.length - payloadAt;
  if (options.exact && declared !== present) {
    throw new InvalidPacketError(
      "bad-frame",
      `Cannot decode datagram: length ${declared} at offset ${lengthAt} is not the ${present} present`,
      { details: { offset: lengthAt, expected: declared, got: present } },
    );
  }
  return {
    code: options.code ? packet[0] : undefined,
    // A view ends where the packet does, however much is declared.
    payload: packet.subarray(payloadAt, payloadAt + declared),
  };
}

function tooLarge(verb: string, got: number, limit: string, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot ${verb} datagram: ${got} bytes exceed ${limit} ${max}`,
    { details: { limit, max, got } },
  );
}
