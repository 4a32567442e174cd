/**
 * The packets by which PeerConnect's nodes find each other, and ask whether somebody is still there.
 *
 * | packet | service code | header | id | body |
 * |---|---|---|---|---|
 * | find | 01 | bin `00` | who asks | `reply_addr`: [ip, port] |
 * | find reply | 01 | bin `01` | who answers | `connect_uri`: [ip, port] |
 * | probe | 00, 01, 02 or none | bin `pinging peer for removal` | any text | |
 * | sign of life | any | any | that of the probe | |
 *
 * Who somebody is stands in decimal, where somebody is in the body: neither is proven, and no packet may go to an address
 * only because it stands there.
 *
 * Source: the PeerConnect discovery protocol and its requests module.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import { encodeDatagram, SERVICE_CODE } from "../../wire/datagram.ts";
import { encodeWireData, type MessageBody, type WireData, wireData } from "../../wire/message.ts";
import { idFromDecimal, idToDecimal, MAX_IP_CHARS } from "../../wire/remote_peer.ts";

/** Longest id of a probe in UTF-16 units; nodes send 36, a UUID. */
export const MAX_PROBE_ID_CHARS = 128;

const FIND = Uint8Array.of(0);
const FIND_REPLY = Uint8Array.of(1);
const PROBE = new TextEncoder().encode("pinging peer for removal");

/** What a sign of life has for a header: not that of the probe, or two peers would answer each other for ever. */
const SIGN_OF_LIFE = new Uint8Array(0);

/** A packet that was understood. */
export type PeerConnectMessage = PeerConnectContact | PeerConnectProbe;

/** Somebody who looks for others, or answers who looks. */
export interface PeerConnectContact {
  /** Which of the two. */
  readonly type: "find" | "reply";
  /** Who it says it is: a number below 2^160 in decimal. */
  readonly peerId: string;
  /** Where it says it takes requests; nothing may go there for that reason alone. */
  readonly address: Address;
}

/** Somebody who asks whether we are still there. */
export interface PeerConnectProbe {
  /** That it is one. */
  readonly type: "probe";
  /** What the answer must repeat. */
  readonly id: string;
}

/**
 * The question who is there, as a packet.
 *
 * @param peerId Who asks, in decimal.
 * @param replyAddr Where replies go.
 */
export function encodeFind(peerId: string, replyAddr: Address): Uint8Array<ArrayBuffer> {
  return encodePacket(SERVICE_CODE.peerconnectDiscovery, FIND, peerId, {
    reply_addr: pairOf(replyAddr),
  });
}

/**
 * The answer to a find, as a packet.
 *
 * @param peerId Who answers, in decimal.
 * @param connectUri Where it takes requests.
 */
export function encodeFindReply(peerId: string, connectUri: Address): Uint8Array<ArrayBuffer> {
  return encodePacket(SERVICE_CODE.peerconnectDiscovery, FIND_REPLY, peerId, {
    connect_uri: pairOf(connectUri),
  });
}

/**
 * The question whether somebody is still there, as a packet.
 *
 * @param id What the answer repeats.
 * @param code The service code; the original leaves it out, and cannot read its own probes for that.
 */
export function encodeProbe(id: string, code?: number): Uint8Array<ArrayBuffer> {
  return encodePacket(code, PROBE, id, {});
}

/** The answer to a probe, as a packet: always shorter than that was. */
export function encodeSignOfLife(id: string): Uint8Array<ArrayBuffer> {
  return encodePacket(SERVICE_CODE.peerconnectDiscovery, SIGN_OF_LIFE, id, {});
}

/**
 * Understands a message.
 *
 * @returns `undefined` for one that is about something else.
 * @throws {InvalidPacketError} `bad-message` naming the field that is wrong.
 */
export function parsePeerConnect(
  { header, msgId, body }: WireData,
): PeerConnectMessage | undefined {
  if (!(header instanceof Uint8Array)) return undefined;
  if (isSame(header, FIND)) return contactOf("find", msgId, body, "reply_addr");
  if (isSame(header, FIND_REPLY)) return contactOf("reply", msgId, body, "connect_uri");
  if (isSame(header, PROBE)) return { type: "probe", id: probeIdOf(msgId) };
  return undefined;
}

/** Whether a message is a probe, sound or not: nothing else has that header. */
export function isProbe({ header }: Pick<WireData, "header">): boolean {
  return header instanceof Uint8Array && isSame(header, PROBE);
}

function encodePacket(
  code: number | undefined,
  header: Uint8Array,
  msgId: string,
  body: MessageBody,
): Uint8Array<ArrayBuffer> {
  const dialect = "peerconnect";
  const message = wireData(header, body, { msgId, dialect });
  return encodeDatagram(code, encodeWireData(message, { dialect }));
}

function pairOf({ hostname, port }: Address): [ip: string, port: number] {
  return [hostname.replace(/%.*/, ""), port]; // a zone means nothing elsewhere
}

function contactOf(
  type: "find" | "reply",
  id: unknown,
  body: MessageBody,
  field: string,
): PeerConnectContact {
  if (typeof id !== "string") throw bad("id", "it is not text");
  return { type, peerId: idToDecimal(idFromDecimal(id)), address: addressOf(body[field], field) };
}

function addressOf(value: unknown, field: string): Address {
  if (!Array.isArray(value) || value.length !== 2) throw bad(field, "it is not [ip, port]");
  const [hostname, port]: unknown[] = value;
  if (typeof hostname !== "string" || hostname.length > MAX_IP_CHARS) {
    throw bad(field, `the ip is not text of at most ${MAX_IP_CHARS} characters`);
  }
  if (typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535) {
    return { hostname, port };
  }
  throw bad(field, "the port is not an integer 1..65535");
}

function probeIdOf(id: unknown): string {
  if (typeof id === "string" && id.length <= MAX_PROBE_ID_CHARS) return id;
  throw bad("id", `it is not text of at most ${MAX_PROBE_ID_CHARS} characters`);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read PeerConnect packet: ${field}: ${why}`, {
    details: { field },
  });
}
