/**
 * PeerConnect's gossip packets: service code 02, a message of that dialect.
 *
 * | packet | header | id | body |
 * |---|---|---|---|
 * | message | str U+0000 | which message, a UUID | `message` str, `ttl` integer or missing, `created` seconds, `id` |
 * | search | str U+0001 | which question, a UUID | `message` str: part of a name, `created` |
 * | search reply | str U+0002 | that of the question | `message` bin: a peer's record, `created` |
 *
 * The originals pass on only what repeats its id in the body, as `id`, which none of them writes itself: a message that
 * starts with one of them is heard by its neighbours alone. We write it, into what we pass on for others too, so that from
 * us on it travels. Whoever has both ids different from each other is refused: it would be two messages.
 *
 * Source: the PeerConnect gossip protocol, `GossipMessage`.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import { encodeDatagram, SERVICE_CODE } from "../../wire/datagram.ts";
import { encodeWireData, type MessageBody, type WireData, wireData } from "../../wire/message.ts";
import { decode, encode } from "../../wire/msgpack.ts";
import { Float64 } from "../../wire/msgpack_types.ts";
import { parseRemotePeer, type RemotePeer, remotePeerToRecord } from "../../wire/remote_peer.ts";
import type { GossipMessage } from "../rumor.ts";

/** Longest id of a message in UTF-16 units; nodes send 36, a UUID. */
export const MAX_GOSSIP_ID_CHARS = 128;

const MESSAGE = "\u0000";
const SEARCH = "\u0001";
const SEARCH_REPLY = "\u0002";

/** A packet of gossip that was understood. */
export type PeerConnectGossipPacket =
  | {
    /** Something that is told. */
    readonly type: "message";
    /** What; its `ttl` is 0 where the packet had none, so that it is not passed on. */
    readonly message: GossipMessage;
  }
  | {
    /** Somebody looks for a name. */
    readonly type: "search";
    /** Which question it is. */
    readonly id: string;
    /** What the name must contain. */
    readonly text: string;
  }
  | {
    /** Somebody has it. */
    readonly type: "reply";
    /** The question. */
    readonly id: string;
    /** Who it says it is. */
    readonly peer: RemotePeer;
  };

/**
 * A message as a packet, with its id in the body too.
 *
 * @throws {InvalidPacketError} `too-large` when no datagram can hold it.
 */
export function encodeGossip(
  { id, message, ttl, created }: GossipMessage,
): Uint8Array<ArrayBuffer> {
  return encodePacket(MESSAGE, id, { message, ttl, created: new Float64(created), id });
}

/** The question who has a name with that text in it, as a packet. @param created Seconds since 1970. */
export function encodeSearch(id: string, text: string, created: number): Uint8Array<ArrayBuffer> {
  return encodePacket(SEARCH, id, { message: text, created: new Float64(created) });
}

/** The answer to a search, as a packet. @throws {RangeError} when the peer's id is not 20 bytes. */
export function encodeSearchReply(
  id: string,
  peer: RemotePeer,
  created: number,
): Uint8Array<ArrayBuffer> {
  const message = encode(remotePeerToRecord(peer));
  return encodePacket(SEARCH_REPLY, id, { message, created: new Float64(created) });
}

/**
 * Understands a message of code 02.
 *
 * @returns `undefined` for one that is about something else; its header is none of the three, or is bin.
 * @throws {InvalidPacketError} `bad-message` naming the field that is wrong, `too-large` naming the limit.
 */
export function parseGossip(
  { header, msgId, body }: WireData,
): PeerConnectGossipPacket | undefined {
  switch (header) {
    case MESSAGE:
      return { type: "message", message: messageOf(idOf(msgId), body) };
    case SEARCH:
      return { type: "search", id: idOf(msgId), text: textOf(body) };
    case SEARCH_REPLY:
      return { type: "reply", id: idOf(msgId), peer: peerOf(body) };
    default:
      return undefined;
  }
}

function encodePacket(header: string, msgId: string, body: MessageBody): Uint8Array<ArrayBuffer> {
  const dialect = "peerconnect";
  const message = wireData(header, body, { msgId, dialect });
  return encodeDatagram(SERVICE_CODE.peerconnectGossip, encodeWireData(message, { dialect }));
}

function messageOf(id: string, body: MessageBody): GossipMessage {
  if (body.id !== undefined && body.id !== id) throw bad("id", "the body has another");
  return { id, message: textOf(body), ttl: ttlOf(body), created: createdOf(body) };
}

function idOf(id: unknown): string {
  if (typeof id === "string" && id !== "" && id.length <= MAX_GOSSIP_ID_CHARS) return id;
  throw bad("id", `it is not text of 1..${MAX_GOSSIP_ID_CHARS} characters`);
}

function textOf({ message }: MessageBody): string {
  if (typeof message === "string") return message;
  throw bad("message", "it is not text");
}

function ttlOf({ ttl = null }: MessageBody): number {
  if (ttl === null) return 0;
  if (typeof ttl === "number" && Number.isInteger(ttl)) return ttl;
  throw bad("ttl", "it is not an integer");
}

function createdOf({ created }: MessageBody): number {
  if (typeof created === "number" && Number.isFinite(created)) return created;
  throw bad("created", "it is not a number");
}

function peerOf({ message }: MessageBody): RemotePeer {
  if (!(message instanceof Uint8Array)) throw bad("message", "it is not bin");
  return parseRemotePeer(decode(message, { allowTrailing: true }));
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read PeerConnect gossip: ${field}: ${why}`, {
    details: { field },
  });
}
