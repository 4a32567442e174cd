/**
 * What a connection to a PeerConnect node begins with: one frame that says what it is for, and from whom.
 *
 * | service | header | id | body | peer_id |
 * |---|---|---|---|---|
 * | chat | bin `basic connection` | who | | nil |
 * | files | bin `connection for file transfer` | nil | `file_id` str | who |
 * | directory | bin `cmd to recv dir ` | nil | `transfer_id` str, `dir_name` str | who |
 * | link of a palm tree | str `otm_add_stream_link` | who | `session_id` str, `peer_addr` [ip, port] | nil |
 *
 * Who it is stands in decimal and is not proven by anything.
 *
 * Source: the PeerConnect connections and transfer protocols.
 *
 * @module
 */

import { InvalidPacketError } from "../../errors.ts";
import type { Address } from "../../transport/transport.ts";
import { encodeWireData, type MessageBody, type WireData, wireData } from "../../wire/message.ts";
import { idFromDecimal, idToDecimal, MAX_IP_CHARS, parsePeerId } from "../../wire/remote_peer.ts";
import { nameOf, withLength } from "./peerconnect_records.ts";

/** Largest first frame in bytes that is worth waiting for: names and ids, no more. */
export const MAX_HANDSHAKE_BYTES = 4096;

/** Longest id of a transfer or a session in UTF-16 units; nodes send a small number, or a UUID. */
export const MAX_TRANSFER_ID_CHARS = 128;

const CHAT = "basic connection";
const FILES = "connection for file transfer";
const DIRECTORY = "cmd to recv dir "; // with a blank at its end
const LINK = "otm_add_stream_link";

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
    /** Who it says it is. */
    readonly peerId: string;
    /** Which session it belongs to. */
    readonly sessionId: string;
    /** Where it says it takes the session's datagrams. */
    readonly address: Address;
  };

/** A handshake as a frame, length and all: to be written in one piece. */
export function encodeHandshake(handshake: PeerConnectHandshake): Uint8Array<ArrayBuffer> {
  return withLength(encodeWireData(messageOf(handshake), { dialect }));
}

/**
 * Understands the message of a first frame.
 *
 * @returns `undefined` for a service that is not known.
 * @throws {InvalidPacketError} `bad-message` naming the field that is wrong, also for a hostile name, or `too-large`.
 */
export function parseHandshake(message: WireData): PeerConnectHandshake | undefined {
  const { header, body } = message;
  if (header === LINK) {
    const sessionId = idOf("session_id", body);
    return { type: "link", peerId: senderOf(message), sessionId, address: addressOf(body) };
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

function messageOf(handshake: PeerConnectHandshake): WireData {
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
    case "link": {
      const { hostname, port } = handshake.address;
      const body = { session_id: handshake.sessionId, peer_addr: [hostname, port] };
      return wireData(LINK, body, { msgId: peerId, dialect });
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

function addressOf({ peer_addr: pair }: MessageBody): Address {
  const [hostname, port]: unknown[] = Array.isArray(pair) && pair.length === 2 ? pair : [];
  const isHost = typeof hostname === "string" && hostname.length <= MAX_IP_CHARS;
  const isPort = typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535;
  if (isHost && isPort) return { hostname, port };
  throw bad("peer_addr", "it is not [ip, port]");
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot read PeerConnect handshake: ${field}: ${why}`,
    { details: { field } },
  );
}
