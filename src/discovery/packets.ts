/**
 * What peers that look for each other say, in datagrams with service code `10`.
 *
 * ```
 * :find  id = nonce  { net, from, via, pad }            to a group or broadcast address, port 3486
 * :here  id = nonce  { net, peer, inst, name, tcp, via }  to the source of the question, from the peer's own socket
 * ```
 *
 * A question is padded so that no answer is larger than it: asking in somebody else's name gains an attacker nothing.
 * `net` is the first 8 bytes of a hash of the network's name; peers of another network do not answer. `from` and `inst`
 * tell a peer from itself, whatever address it has: two peers on one host find each other.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../wire/datagram.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  PEER_ID_BYTES,
  wireData,
} from "../wire/message.ts";

/** Bytes of an instance id: a random number per run of a peer. */
export const INSTANCE_BYTES = 8;

/** Bytes of the hash of a network's name. */
const NETWORK_BYTES = 8;

/** Size of a question: more than the largest answer. */
const QUESTION_BYTES = 384;

/** Longest name in an announcement, in bytes of UTF-8: what the question's size leaves. */
const MAX_NAME_BYTES = 192;

/** The ways a question can reach a peer. */
export const DISCOVERY_METHODS = ["multicast4", "multicast6", "broadcast"] as const;

/** A way a question can reach a peer. */
export type DiscoveryMethod = typeof DISCOVERY_METHODS[number];

/** A parsed question. */
export interface Question {
  /** Which question it is; the answer repeats it. */
  readonly id: number;
  /** The asker's instance id. */
  readonly from: Uint8Array;
  /** How it was sent; the answer repeats it, so that the asker learns which way works. */
  readonly via: DiscoveryMethod;
}

/** A parsed answer. */
export interface Answer {
  /** The question's id. */
  readonly id: number;
  /** Who answers, 40 hexadecimal digits. A claim, until a connection proves it. */
  readonly peerId: string;
  /** Its instance id, as hexadecimal digits. */
  readonly instance: string;
  /** Its name, empty where it has none. */
  readonly name: string;
  /** The port it accepts connections on. */
  readonly tcpPort: number;
  /** How the question reached it. */
  readonly via: DiscoveryMethod;
}

/** The hash by which a network is known on the wire. */
export function networkHash(network: string): Uint8Array {
  const digest = createHash("sha256").update(`kith network\n${network}`).digest();
  return new Uint8Array(digest.subarray(0, NETWORK_BYTES));
}

/** A question as a datagram. */
export function encodeQuestion(question: Question, network: Uint8Array): Uint8Array<ArrayBuffer> {
  const { id, from, via } = question;
  const body = { net: network, from, via };
  const bare = encodePacket(":find", id, { ...body, pad: new Uint8Array(0) });
  const pad = new Uint8Array(Math.max(0, QUESTION_BYTES - bare.length));
  return encodePacket(":find", id, { ...body, pad });
}

/** An answer as a datagram; a name that does not fit is left out. */
export function encodeAnswer(answer: Answer, network: Uint8Array): Uint8Array<ArrayBuffer> {
  const { id, peerId, instance, name, tcpPort, via } = answer;
  const fits = new TextEncoder().encode(name).length <= MAX_NAME_BYTES;
  return encodePacket(":here", id, {
    net: network,
    peer: Uint8Array.fromHex(peerId),
    inst: Uint8Array.fromHex(instance),
    name: fits ? name : "",
    tcp: tcpPort,
    via,
  });
}

/**
 * Reads a question. @returns it, or `undefined` when it is for another network.
 * @throws {InvalidPacketError} naming what is wrong.
 */
export function parseQuestion(packet: Uint8Array, network: Uint8Array): Question | undefined {
  const message = decodePacket(packet, ":find");
  if (!sameBytes(message.body.net, network)) return undefined;
  const from = bytesOf(message.body, "from", INSTANCE_BYTES);
  return { id: message.id, from, via: methodOf(message.body) };
}

/**
 * Reads an answer. @returns it, or `undefined` when it is from another network.
 * @throws {InvalidPacketError} naming what is wrong.
 */
export function parseAnswer(packet: Uint8Array, network: Uint8Array): Answer | undefined {
  const { id, body } = decodePacket(packet, ":here");
  if (!sameBytes(body.net, network)) return undefined;
  const { name, tcp } = body;
  if (typeof name !== "string" || name.length > MAX_NAME_BYTES) throw badField("name");
  if (typeof tcp !== "number" || !Number.isInteger(tcp) || tcp < 1 || tcp > 65535) {
    throw badField("tcp");
  }
  return {
    id,
    peerId: bytesOf(body, "peer", PEER_ID_BYTES).toHex(),
    instance: bytesOf(body, "inst", INSTANCE_BYTES).toHex(),
    name,
    tcpPort: tcp,
    via: methodOf(body),
  };
}

function encodePacket(header: string, id: number, body: MessageBody): Uint8Array<ArrayBuffer> {
  const message = encodeWireData(wireData(header, body, { msgId: id }));
  return encodeDatagram(SERVICE_CODE.discovery, message);
}

function decodePacket(packet: Uint8Array, wanted: string): { id: number; body: MessageBody } {
  const { code, payload } = decodeDatagram(packet, { code: true, exact: true });
  if (code !== SERVICE_CODE.discovery) throw badField("service code");
  const { header, msgId, body } = decodeWireData(payload);
  if (header !== wanted) throw badField("header");
  return { id: msgId, body };
}

function bytesOf(body: MessageBody, field: string, count: number): Uint8Array {
  const value = body[field];
  if (value instanceof Uint8Array && value.length === count) return value;
  throw badField(field);
}

function methodOf(body: MessageBody): DiscoveryMethod {
  const method = DISCOVERY_METHODS.find((candidate) => candidate === body.via);
  if (method === undefined) throw badField("via");
  return method;
}

function sameBytes(a: unknown, b: Uint8Array): boolean {
  return a instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function badField(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read discovery packet: bad ${field}`, {
    details: { field },
  });
}
