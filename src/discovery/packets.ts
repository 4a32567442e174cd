/**
 * What peers that look for each other say, in datagrams with service code `10`.
 *
 * ```
 * :find  id = nonce  { from, via, pad }                             to a group or broadcast address, port 3486
 * :here  id = nonce  { key, inst, seq, exp, name, tcp, via, sig }   to the source of the question, from the peer's socket
 * ```
 *
 * A question is padded so that no answer is larger than it: asking in somebody else's name gains an attacker nothing.
 * `from` and `inst` tell a peer from itself, whatever address it has: two peers on one host find each other.
 *
 * An answer is signed with the key in it, from which the peer's id follows. The signature (Ed25519, RFC 8032) covers
 *
 * ```
 * [ "kith announcement 1", id, key, inst, seq, exp, name, tcp, via ]      MessagePack, everything in its shortest form
 * ```
 *
 * and so the question: an answer that was recorded answers no other one. `seq` grows as long as a peer answers under the
 * same instance id, and `exp` is how many seconds an answer may be believed from when it came, which takes no clock that
 * two peers would have to agree on.
 *
 * @module
 */

import { IntegrityError, InvalidPacketError } from "../errors.ts";
import {
  type Identity,
  peerIdOf,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  verify,
} from "../secure/identity.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../wire/datagram.ts";
import { decodeWireData, encodeWireData, type MessageBody, wireData } from "../wire/message.ts";
import { encode } from "../wire/msgpack.ts";

/** Bytes of an instance id: a random number by which a peer is told from others for some minutes. */
export const INSTANCE_BYTES = 8;

/** Least size of a question: that of the largest answer, with a little room. */
export const QUESTION_BYTES = 400;

/** Longest name in an announcement, in bytes of UTF-8: what the question's size leaves. */
const MAX_NAME_BYTES = 192;

/** Longest time that an answer may ask to be believed, in seconds. */
const MAX_EXPIRY_S = 3_600;

/** What signatures begin with, so that one over something else is never one over an answer. */
const SIGNED_AS = "kith announcement 1";

/** The ways a question can reach a peer. */
export const QUESTION_METHODS = ["multicast4", "multicast6", "broadcast"] as const;

/** A way a question can reach a peer. */
export type QuestionMethod = typeof QUESTION_METHODS[number];

/** The ways a peer can be found: by a question, or by a hint where to connect to. */
export const DISCOVERY_METHODS = [
  ...QUESTION_METHODS,
  "static",
  "file",
  "dns",
  "mdns",
  "remembered",
] as const;

/** A way a peer can be found. */
export type DiscoveryMethod = typeof DISCOVERY_METHODS[number];

/** A parsed question. */
export interface Question {
  /** Which question it is; the answer repeats it. */
  readonly id: number;
  /** The asker's instance id. */
  readonly from: Uint8Array;
  /** How it was sent; the answer repeats it, so that the asker learns which way works. */
  readonly via: QuestionMethod;
}

/** What a peer says of itself in answer to a question. */
export interface Reply {
  /** The question's id. */
  readonly id: number;
  /** Its instance id. */
  readonly instance: Uint8Array;
  /** Grows from answer to answer under the same instance id. */
  readonly seq: number;
  /** How long it may be believed in milliseconds; rounded up to seconds. */
  readonly validMs: number;
  /** Its name, empty where it has none. */
  readonly name: string;
  /** The port it accepts connections on. */
  readonly tcpPort: number;
  /** How the question reached it. */
  readonly via: QuestionMethod;
}

/** An answer whose signature was right. */
export interface Answer extends Omit<Reply, "instance"> {
  /** Who answers, 40 hexadecimal digits: it has the key. */
  readonly peerId: string;
  /** Its instance id, as hexadecimal digits. */
  readonly instance: string;
}

/** A question as a datagram. */
export function encodeQuestion(question: Question): Uint8Array<ArrayBuffer> {
  const { id, from, via } = question;
  const bare = encodePacket(":find", id, { from, via, pad: new Uint8Array(0) });
  const pad = new Uint8Array(QUESTION_BYTES - bare.length);
  return encodePacket(":find", id, { from, via, pad });
}

/** A signed answer as a datagram; a name that does not fit is left out. */
export function encodeAnswer(reply: Reply, identity: Identity): Uint8Array<ArrayBuffer> {
  const { id, instance, seq, validMs, name, tcpPort, via } = reply;
  const fits = new TextEncoder().encode(name).length <= MAX_NAME_BYTES;
  const said: Said = {
    key: identity.publicKey,
    inst: instance,
    seq,
    exp: Math.ceil(validMs / 1_000),
    name: fits ? name : "",
    tcp: tcpPort,
    via,
  };
  return encodePacket(":here", id, { ...said, sig: identity.sign(signedBytes(id, said)) });
}

/**
 * Reads a question.
 *
 * @throws {InvalidPacketError} naming what is wrong; `bad-frame` for one that an answer may be larger than.
 */
export function parseQuestion(packet: Uint8Array): Question {
  if (packet.length < QUESTION_BYTES) throw tooShort(packet.length);
  const { id, body } = decodePacket(packet, ":find");
  return { id, from: bytesOf(body, "from", INSTANCE_BYTES), via: methodOf(body) };
}

/**
 * Reads an answer and checks its signature. @returns it, or `undefined` when it answers another question.
 *
 * @throws {InvalidPacketError} naming what is wrong. @throws {IntegrityError} `bad-signature`.
 */
export function parseAnswer(packet: Uint8Array, questionId: number): Answer | undefined {
  const { id, body } = decodePacket(packet, ":here");
  if (id !== questionId) return undefined; // before the signature, which takes long to check
  const said: Said = {
    key: bytesOf(body, "key", PUBLIC_KEY_BYTES),
    inst: bytesOf(body, "inst", INSTANCE_BYTES),
    seq: integerOf(body, "seq", 0, Number.MAX_SAFE_INTEGER),
    exp: integerOf(body, "exp", 1, MAX_EXPIRY_S),
    name: nameOf(body),
    tcp: integerOf(body, "tcp", 1, 65_535),
    via: methodOf(body),
  };
  const signature = bytesOf(body, "sig", SIGNATURE_BYTES);
  if (!verify(said.key, signedBytes(id, said), signature)) {
    throw new IntegrityError("bad-signature", "Cannot believe discovery packet: bad signature");
  }
  return {
    id,
    peerId: peerIdOf(said.key),
    instance: said.inst.toHex(),
    seq: said.seq,
    validMs: said.exp * 1_000,
    name: said.name,
    tcpPort: said.tcp,
    via: said.via,
  };
}

/** The body of an answer, but for its signature. */
interface Said {
  readonly key: Uint8Array;
  readonly inst: Uint8Array;
  readonly seq: number;
  readonly exp: number;
  readonly name: string;
  readonly tcp: number;
  readonly via: QuestionMethod;
}

function signedBytes(id: number, { key, inst, seq, exp, name, tcp, via }: Said): Uint8Array {
  return encode([SIGNED_AS, id, key, inst, seq, exp, name, tcp, via]);
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

function integerOf(body: MessageBody, field: string, min: number, max: number): number {
  const value = body[field];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw badField(field);
}

function nameOf({ name }: MessageBody): string {
  if (typeof name === "string" && name.length <= MAX_NAME_BYTES) return name;
  throw badField("name");
}

function methodOf(body: MessageBody): QuestionMethod {
  const method = QUESTION_METHODS.find((candidate) => candidate === body.via);
  if (method === undefined) throw badField("via");
  return method;
}

function badField(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read discovery packet: bad ${field}`, {
    details: { field },
  });
}

function tooShort(got: number): InvalidPacketError {
  return new InvalidPacketError(
    "bad-frame",
    `Cannot read discovery packet: ${got} bytes, a question has ${QUESTION_BYTES} or more`,
    { details: { got, expected: QUESTION_BYTES } },
  );
}
