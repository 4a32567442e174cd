/**
 * What a connection to a PeerConnect node begins with: one frame that says what it is for, and from whom.
 *
 * | service | header | id | body | peer_id |
 * |---|---|---|---|---|
 * | chat | bin `basic connection` | who | | nil |
 * | files | bin `connection for file transfer` | nil | `file_id` str | who |
 * | directory | bin `cmd to recv dir ` | nil | `transfer_id` str, `dir_name` str | who |
 * | link of a palm tree | str `otm_add_stream_link` or `gossip_add_stream_link` | who | the palm tree's | nil |
 *
 * Who it is stands in decimal and is not proven by anything. What is in the frame of a link is for palm trees to read.
 *
 * Source: the PeerConnect connections and transfer protocols.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  type WireData,
  wireData,
} from "../../wire/message.ts";
import { idFromDecimal, idToDecimal, parsePeerId } from "../../wire/remote_peer.ts";
import { nameOf, withLength } from "./peerconnect_records.ts";

/** Largest first frame in bytes that is worth waiting for: names and ids, no more. */
export const MAX_HANDSHAKE_BYTES = 4096;

/** Longest id of a transfer in UTF-16 units; nodes send a small number. */
export const MAX_TRANSFER_ID_CHARS = 128;

const CHAT = "basic connection";
const FILES = "connection for file transfer";
const DIRECTORY = "cmd to recv dir "; // with a blank at its end

/** What the first frame of a palm tree's link has for a header: of any session, and of one for files. */
export const PALM_LINK_HEADER = {
  plain: "gossip_add_stream_link",
  file: "otm_add_stream_link",
} as const;

const ascii = new TextDecoder("latin1");
const utf8 = new TextEncoder();
const dialect = "peerconnect";

/** What a connection is for. */
export type PeerConnectHandshake =
  | {
    /** Text. */
    readonly type: "chat";
    /** Who it says it is: a number below 2^160 in decimal. */
    readonly peerId: string;
  }
  | {
    /** Files. */
    readonly type: "files";
    /** Who it says it is. */
    readonly peerId: string;
    /** Which transfer it is, also when it goes on over another connection. */
    readonly transferId: string;
  }
  | {
    /** A directory. */
    readonly type: "directory";
    /** Who it says it is. */
    readonly peerId: string;
    /** Which transfer it is. */
    readonly transferId: string;
    /** What the directory is called; of one that was parsed, a name safe on every system. */
    readonly name: string;
  }
  | {
    /** A link of a palm tree. */
    readonly type: "link";
    /** The frame without its length, as it came. */
    readonly payload: Uint8Array;
  };

/** A handshake as a frame, length and all: to be written in one piece. */
export function encodeHandshake(handshake: PeerConnectHandshake): Uint8Array<ArrayBuffer> {
  if (handshake.type === "link") return withLength(handshake.payload);
  return withLength(encodeWireData(messageOf(handshake), { dialect }));
}

/**
 * Understands a first frame, without its length.
 *
 * @returns `undefined` for a service that is not known.
 * @throws {InvalidPacketError} `bad-message` naming the field that is wrong, also for a hostile name, or `too-large`.
 */
export function parseHandshake(payload: Uint8Array): PeerConnectHandshake | undefined {
  const message = decodeWireData(payload, { dialect });
  const { header, body } = message;
  if (header === PALM_LINK_HEADER.plain || header === PALM_LINK_HEADER.file) {
    return { type: "link", payload };
  }
  switch (header instanceof Uint8Array ? ascii.decode(header) : undefined) {
    case CHAT:
      return { type: "chat", peerId: senderOf(message) };
    case FILES:
      return { type: "files", peerId: senderOf(message), transferId: idOf("file_id", body) };
    case DIRECTORY: {
      const transferId = idOf("transfer_id", body);
      const name = nameOf(body.dir_name);
      return { type: "directory", peerId: senderOf(message), transferId, name };
    }
    default:
      return undefined;
  }
}

/**
 * Who a message says it comes from, in decimal. Some messages have it in one element, some in the other.
 *
 * @throws {InvalidPacketError} `bad-message` when it is no id.
 */
export function senderOf({ msgId, peerId }: Pick<WireData, "msgId" | "peerId">): string {
  const id = peerId ?? msgId;
  return idToDecimal(typeof id === "string" ? idFromDecimal(id) : parsePeerId(id));
}

function messageOf(handshake: Exclude<PeerConnectHandshake, { type: "link" }>): WireData {
  const { peerId } = handshake;
  switch (handshake.type) {
    case "chat":
      return wireData(utf8.encode(CHAT), {}, { msgId: peerId, dialect });
    case "files":
      return wireData(utf8.encode(FILES), { file_id: handshake.transferId }, { peerId, dialect });
    case "directory": {
      const body = { transfer_id: handshake.transferId, dir_name: handshake.name };
      return wireData(utf8.encode(DIRECTORY), body, { peerId, dialect });
    }
  }
}

/** Text; an integer is accepted, which some descriptions of the protocol ask for. */
function idOf(field: string, body: MessageBody): string {
  const value = body[field];
  const id = Number.isSafeInteger(value) ? String(value) : value;
  if (typeof id === "string" && id !== "" && id.length <= MAX_TRANSFER_ID_CHARS) return id;
  throw bad(field, `it is not text of 1..${MAX_TRANSFER_ID_CHARS} characters`);
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot read PeerConnect handshake: ${field}: ${why}`,
    { details: { field } },
  );
}
