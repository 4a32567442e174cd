/**
 * Membership packets: service code 11, a message of the native wire.
 *
 * ```
 * :ping   id = nonce   { p, from, to, c, r }   is `to` there? Answered with :ack to the source
 * :ack    id = nonce   { from, c, s }          yes, or: whom you asked me about answers me
 * :nack   id = nonce   { from, c }             whom you asked me about does not answer me (yet)
 * :relay  id = nonce   { p, from, to, c }      ask `to` for me
 * :news   id = 0       { p, from, c }          nothing but claims
 * ```
 *
 * `p` is the project's digest, `from` and `to` are peer ids, and `c` are claims (`claims.ts`), as many as fit. A nonce is
 * random, so that whoever did not see a question cannot answer it. Who asks for somebody else passes that one's nonce on
 * as `r`, and the signature over it comes back as `s`: nobody can answer for another member.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { encodeDatagram, SERVICE_CODE } from "../wire/datagram.ts";
import { encodeWireData, wireData } from "../wire/message.ts";
import type { MessageBody } from "../wire/message.ts";
import { encode } from "../wire/msgpack.ts";
import { MAX_CLAIM_BYTES, SIGNATURE_BYTES } from "./claims.ts";

/** Bytes of a project's digest. */
export const PROJECT_BYTES = 8;

/** Most claims in one packet that are looked at. */
const MAX_CLAIMS = 32;

/** What a packet takes besides its claims, in bytes, with room to spare. */
export const PACKET_BYTES = 112;

/** What a claim takes in a packet besides its bytes: how many they are. */
export const CLAIM_OVERHEAD = 3;

const HEADERS = [":ping", ":ack", ":nack", ":relay", ":news"] as const;

/** What a packet wants. */
export type PacketKind = typeof HEADERS[number];

/** A packet of membership. */
export interface MemberPacket {
  /** What it wants. */
  readonly kind: PacketKind;
  /** Which question it is or answers; 0 for news. */
  readonly nonce: number;
  /** The project's digest as hexadecimal digits; empty where an answer has none. */
  readonly project: string;
  /** Who sends it, as it says. */
  readonly from: string;
  /** Who is asked for, in `:ping` and `:relay`. */
  readonly to: string;
  /** Claims, unread. */
  readonly claims: readonly Uint8Array[];
  /** The nonce of whoever is asked for, in `:ping`; 0 for none. */
  readonly relayed?: number;
  /** The subject's signature over the nonce of whoever asked for it, in `:ack`. */
  readonly proof?: Uint8Array | undefined;
}

/** What a member signs to show that it is there. */
export function proofOf(project: string, nonce: number): Uint8Array {
  return encode(["kith member is there 1", project, nonce]);
}

/** A packet's bytes, service code and length included. */
export function encodePacket(packet: MemberPacket): Uint8Array<ArrayBuffer> {
  const { kind, nonce, project, from, to, claims, relayed = 0, proof } = packet;
  const body: MessageBody = { from: Uint8Array.fromHex(from), c: claims };
  if (project !== "") body.p = Uint8Array.fromHex(project);
  if (to !== "") body.to = Uint8Array.fromHex(to);
  if (relayed !== 0) body.r = relayed;
  if (proof !== undefined) body.s = proof;
  const message = encodeWireData(wireData(kind, body, { msgId: nonce }));
  return encodeDatagram(SERVICE_CODE.membership, message);
}

/** Reads the message of a packet. @throws {InvalidPacketError} `bad-message` naming what is wrong. */
export function readPacket(
  message: { readonly header: unknown; readonly msgId: unknown; readonly body: MessageBody },
): MemberPacket {
  const { header, msgId, body } = message;
  const kind = HEADERS.find((known) => known === header);
  if (kind === undefined || typeof msgId !== "number") throw bad("header");
  const asks = kind === ":ping" || kind === ":relay";
  const names = asks || kind === ":news";
  return {
    kind,
    nonce: msgId,
    project: names ? hexOf(body, "p", PROJECT_BYTES) : "",
    from: hexOf(body, "from", 20),
    to: asks ? hexOf(body, "to", 20) : "",
    claims: claimsOf(body.c),
    relayed: relayedOf(body),
    proof: proofIn(body),
  };
}

/** The claims in an array. @throws {InvalidPacketError} */
export function claimsOf(value: unknown, max: number = MAX_CLAIMS): Uint8Array[] {
  if (!Array.isArray(value) || value.length > max) throw bad("claims");
  return value.map((claim) => {
    if (claim instanceof Uint8Array && claim.length <= MAX_CLAIM_BYTES) return claim;
    throw bad("claims");
  });
}

/** So many bytes of a body, as hexadecimal digits. @throws {InvalidPacketError} */
export function hexOf(body: MessageBody, field: string, count: number): string {
  const value = body[field];
  if (value instanceof Uint8Array && value.length === count) return value.toHex();
  throw bad(field);
}

function relayedOf({ r = 0 }: MessageBody): number {
  if (typeof r === "number" && Number.isSafeInteger(r) && r >= 0) return r;
  throw bad("r");
}

function proofIn({ s }: MessageBody): Uint8Array | undefined {
  if (s === undefined || (s instanceof Uint8Array && s.length === SIGNATURE_BYTES)) return s;
  throw bad("s");
}

function bad(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read membership packet: bad ${field}`, {
    details: { field },
  });
}
