/**
 * How a palm tree begins: the sender informs everybody, and who takes part answers.
 *
 * ```
 * inform    WireData: str header, id = sender, body = the session's fields      datagram without service code
 * answer    [peer_id, [ip, udp] passive, [ip, tcp] active, session_key]         the same
 * ```
 *
 * The answer goes back to the address and port that the inform came from, once the passive socket is bound: whoever answers
 * first and binds then loses what comes in between.
 *
 * Source: the PeerConnect palm tree protocol, `PalmTreeSession` and `PalmTreeInformResponse`. The seed calls the session's
 * id an integer, nodes write text; both are read, and written back as they came.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import { decodeWireData, encodeWireData, type WireData, wireData } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { MAX_PARTICIPANTS } from "./hypercube.ts";
import {
  bad,
  MAX_TEXT_CHARS,
  pairOf,
  readAddress,
  readInteger,
  readList,
  readPeerId,
  readSessionId,
  readText,
  type SessionId,
} from "./participant.ts";

/** The header of an inform. */
export const INFORM_HEADER = "one to many file transfer request";

/** Children of a relay unless the session says otherwise; the originals' figure. */
export const DEFAULT_FANOUT = 5;

/** How long a link is waited for, in milliseconds, unless the session says otherwise; the originals' figure. */
export const DEFAULT_LINK_WAIT_MS = 3_000;

/** Largest chunk in bytes: it fits a stream frame with its number. */
export const MAX_CHUNK_BYTES: number = 16 * 1024 * 1024 - 64;

/** Longest time that a session may have links waited for, in milliseconds: one hour. */
const MAX_LINK_WAIT_MS = 3_600_000;

const MAX_FANOUT = 65_535;
const RESPONSE_FIELDS = 4;

/** What the participants of one palm tree share. */
export interface PalmTreeSession {
  /** Who sends: a number below 2^160 in decimal. */
  readonly originateId: string;
  /** Which session it is. */
  readonly sessionId: SessionId;
  /** What authenticates the session's packets among our peers (see `session_seal.ts`); originals only repeat it. */
  readonly key: string;
  /** Most children of a relay. */
  readonly fanout: number;
  /** How long a link is waited for, in milliseconds; on the wire in seconds. */
  readonly linkWaitMs: number;
  /** The sender's neighbours, in their order. */
  readonly adjacentPeers: readonly string[];
  /** Size of a chunk in bytes. The originals announce 262,144 and cut by other sizes. */
  readonly chunkSize: number;
  /** How many files follow, where it is a session for files. */
  readonly fileCount: number | undefined;
  /** Names of classes that originals add for information. @default none */
  readonly protocols?: readonly [string, string];
}

/** Somebody takes part. */
export interface PalmTreeInformResponse {
  /** Who. */
  readonly peerId: string;
  /** Where it takes the session's packets. */
  readonly passive: Address;
  /** Where it takes links. */
  readonly active: Address;
  /** The session's key, repeated. */
  readonly sessionKey: string;
}

/** The name of a session: ids are chosen by senders, and those of two may be the same. */
export function sessionName(originateId: string, sessionId: unknown): string {
  return `${originateId}/${sessionId}`;
}

/** An inform, without the datagram's length. @throws {RangeError} when the id is no id. */
export function encodeInform(session: PalmTreeSession): Uint8Array<ArrayBuffer> {
  const { protocols, fileCount } = session;
  const [protocol1, protocol2] = protocols ?? [];
  const body = {
    ...(protocols === undefined ? {} : { protocol1, protocol2 }),
    session_id: session.sessionId,
    key: session.key,
    fanout: session.fanout,
    link_wait_timeout: session.linkWaitMs / 1_000,
    adjacent_peers: session.adjacentPeers,
    ...(fileCount === undefined ? {} : { file_count: fileCount }),
    chunk_size: session.chunkSize,
  };
  const dialect = "peerconnect";
  return encodeWireData(wireData(INFORM_HEADER, body, { msgId: session.originateId, dialect }), {
    dialect,
  });
}

/**
 * Reads an inform; what follows it is ignored, as the originals do.
 *
 * @returns `undefined` for a message about something else.
 * @throws {InvalidPacketError} `bad-message` naming the field.
 */
export function parseInform(payload: Uint8Array): PalmTreeSession | undefined {
  return readInform(decodeWireData(payload, { dialect: "peerconnect" }));
}

/** The same for a message that was decoded. @throws as {@linkcode parseInform}. */
export function readInform({ header, msgId, body }: WireData): PalmTreeSession | undefined {
  if (header !== INFORM_HEADER) return undefined;
  const protocols = readProtocols(body.protocol1, body.protocol2);
  return {
    originateId: readPeerId(msgId, "id"),
    sessionId: readSessionId(body.session_id, "session_id"),
    key: readText(body.key, "key"),
    fanout: readInteger(body.fanout, "fanout", 1, MAX_FANOUT),
    linkWaitMs: readSeconds(body.link_wait_timeout, "link_wait_timeout"),
    adjacentPeers: readList(
      body.adjacent_peers,
      "adjacent_peers",
      MAX_PARTICIPANTS,
      (id) => readPeerId(id, "adjacent_peers"),
    ),
    chunkSize: readInteger(body.chunk_size, "chunk_size", 1, MAX_CHUNK_BYTES),
    fileCount: body.file_count === undefined
      ? undefined
      : readInteger(body.file_count, "file_count", 0, Number.MAX_SAFE_INTEGER),
    ...(protocols === undefined ? {} : { protocols }),
  };
}

/** An answer to an inform, without the datagram's length. */
export function encodeInformResponse(response: PalmTreeInformResponse): Uint8Array<ArrayBuffer> {
  const { peerId, passive, active, sessionKey } = response;
  return encode([peerId, pairOf(passive), pairOf(active), sessionKey]);
}

/** Reads an answer; what follows it is ignored. @throws {InvalidPacketError} `bad-message` naming the field. */
export function parseInformResponse(payload: Uint8Array): PalmTreeInformResponse {
  const value = decode(payload, { allowTrailing: true });
  if (!Array.isArray(value) || value.length !== RESPONSE_FIELDS) {
    throw bad("answer", `it is not an array of ${RESPONSE_FIELDS}`);
  }
  const [peerId, passive, active, sessionKey]: readonly unknown[] = value;
  return {
    peerId: readPeerId(peerId, "peer_id"),
    passive: readAddress(passive, "passive_addr"),
    active: readAddress(active, "active_addr"),
    sessionKey: readText(sessionKey, "session_key"),
  };
}

function readSeconds(value: unknown, field: string): number {
  if (typeof value === "number" && value >= 0 && value * 1_000 <= MAX_LINK_WAIT_MS) {
    return value * 1_000;
  }
  throw bad(field, `it is not a number of seconds from 0 to ${MAX_LINK_WAIT_MS / 1_000}`);
}

function readProtocols(first: unknown, second: unknown): readonly [string, string] | undefined {
  if (typeof first !== "string" || typeof second !== "string") return undefined;
  return [first.slice(0, MAX_TEXT_CHARS), second.slice(0, MAX_TEXT_CHARS)];
}
