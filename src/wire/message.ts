/**
 * Messages: `WireData`, the one container that everything between peers travels in.
 *
 * ```
 * [ header, msg_id, version, body, peer_id ]      MessagePack array of exactly 5
 * ```
 *
 * | element   | native                                | dialect `peerconnect`                     |
 * |-----------|---------------------------------------|-------------------------------------------|
 * | `header`  | str; names that begin with `:` are ours | str or bin                              |
 * | `msg_id`  | unsigned integer, 0 = no reply wanted | str or nil                                |
 * | `version` | integer {@linkcode WIRE_VERSION}      | float64 1.0 written, anything read        |
 * | `body`    | map with str keys                     | the same, five key names excepted         |
 * | `peer_id` | nil, or 20-byte bin of a third party  | str or nil                                |
 *
 * Source: the PeerConnect wire protocol, `WireData`. Its own nodes write the version as a float and keep the sender's id
 * in `msg_id`; natively the connection proves who sends, so `peer_id` is nil.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { Decoder } from "./decoder.ts";
import type { Encoder } from "./encoder.ts";
import { encode } from "./msgpack.ts";
import { Float64 } from "./msgpack_types.ts";

/** The version of native messages. */
export const WIRE_VERSION = 1;

/** The version PeerConnect nodes write; on the wire a float64. */
export const PEERCONNECT_VERSION = 1;

/** Bytes of a peer id. */
export const PEER_ID_BYTES = 20;

/** Body keys that a PeerConnect node cannot decode, because it passes them on as keyword arguments. */
export const PEERCONNECT_RESERVED_KEYS: readonly string[] = [
  "header",
  "msg_id",
  "peer_id",
  "version",
  "self",
];

/** Whose rules a message follows. */
export type MessageDialect = "native" | "peerconnect";

/** The payload of a message. */
export type MessageBody = Record<string, unknown>;

/** A message. What the dialects may hold in its elements is anything MessagePack has; see {@linkcode NativeMessage}. */
export interface WireData {
  /** What kind of message it is: str or bin in practice. */
  header: unknown;
  /** Which message it is: str or nil in practice, natively a number. */
  msgId: unknown;
  /** Protocol version: natively {@linkcode WIRE_VERSION}. */
  version: unknown;
  /** The payload. */
  body: MessageBody;
  /** The peer it speaks of or comes from; nil where the connection says it. */
  peerId: unknown;
}

/** A message between kith peers. */
export interface NativeMessage extends WireData {
  /** What kind of message it is; names that begin with `:` are kith's own. */
  header: string;
  /** Unsigned safe integer; 0 where no reply is wanted. */
  msgId: number;
  /** A third party's id, 20 bytes; nil where the connection says who sends. */
  peerId: Uint8Array | null;
}

/** Header and id, read without decoding the body. */
export interface MessageHead {
  /** As in {@linkcode WireData.header}. */
  header: unknown;
  /** As in {@linkcode WireData.msgId}. */
  msgId: unknown;
}

/** Whose rules to follow. */
export interface MessageOptions {
  /** The dialect. @default {"native"} */
  dialect?: MessageDialect;
}

const MESSAGE_ELEMENTS = 5;

// For single messages; decoding calls nobody back, so one is enough.
const shared = new Decoder();

/**
 * Writes a native message into an encoder: the hot path.
 *
 * @example
 * ```ts
 * import { decodeWireData, Encoder, writeMessage } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const encoder = new Encoder();
 * writeMessage(encoder, "greet", 7, { name: "bob" });
 * assertEquals(decodeWireData(encoder.take()).body, { name: "bob" });
 * ```
 *
 * @param msgId Unsigned integer; 0 where no reply is wanted.
 */
export function writeMessage(
  encoder: Encoder,
  header: string,
  msgId: number,
  body: MessageBody,
  peerId: Uint8Array | null = null,
): void {
  encoder.arrayHeader(MESSAGE_ELEMENTS);
  encoder.string(header);
  encoder.number(msgId);
  encoder.byte(WIRE_VERSION);
  encoder.value(body);
  if (peerId === null) encoder.byte(0xc0);
  else encoder.bin(peerId);
}

/**
 * Reads the native message that a decoder stands on: the hot path.
 *
 * @example
 * ```ts
 * import { Decoder, encodeWireData, readMessage, wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const decoder = new Decoder();
 * decoder.reset(encodeWireData(wireData("greet", { name: "bob" }, { msgId: 7 })));
 * const { header, msgId, body } = readMessage(decoder);
 * assertEquals({ header, msgId, body }, { header: "greet", msgId: 7, body: { name: "bob" } });
 * ```
 *
 * @param borrows Decides by the header whether the body's byte arrays are views; else the decoder's option does.
 * @throws {InvalidPacketError} `bad-message`, `bad-version` or `too-large`, naming the element and the offset.
 */
export function readMessage(
  decoder: Decoder,
  borrows?: (header: unknown) => boolean,
): NativeMessage {
  const { header, msgId, version, body, peerId } = readElements(decoder, borrows);
  decoder.end();
  if (version !== WIRE_VERSION) throw badVersion(version);
  if (typeof header !== "string") throw badElement("header", "a native header is a string");
  if (typeof msgId !== "number" || !Number.isSafeInteger(msgId) || msgId < 0) {
    throw badElement("msg_id", "a native id is an unsigned integer");
  }
  if (peerId !== null && !(peerId instanceof Uint8Array && peerId.length === PEER_ID_BYTES)) {
    throw badElement("peer_id", "a native peer id is nil or 20 bytes");
  }
  return { header, msgId, version, body, peerId };
}

/**
 * Encodes a message by itself. `version` is written as given; {@linkcode wireData} fills in the dialect's.
 *
 * @example
 * ```ts
 * import { decodeWireData, encodeWireData, wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encodeWireData(wireData("greet", { name: "bob" }, { msgId: 7 }));
 * assertEquals(decodeWireData(bytes).body, { name: "bob" });
 * ```
 *
 * @throws {TypeError} when a body key cannot be decoded by the original that it is written for.
 */
export function encodeWireData(
  message: WireData,
  options: MessageOptions = {},
): Uint8Array<ArrayBuffer> {
  const { dialect = "native" } = options;
  const { header, msgId, version, body, peerId } = message;
  if (dialect === "native") return encode([header, msgId, version, body, peerId]);
  const reserved = reservedKey(body);
  if (reserved !== undefined) {
    throw new TypeError(`Cannot encode for PeerConnect: body key "${reserved}" is reserved there`);
  }
  const written = typeof version === "number" ? new Float64(version) : version;
  return encode([header, msgId, written, body, peerId]);
}

/**
 * Decodes one message. `bin` values are copies.
 *
 * In the dialect `peerconnect` bytes after the message are ignored and header, ids and version may be of any type, all
 * as the original does.
 *
 * @example
 * ```ts
 * import { decodeWireData, encodeWireData, wireData } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const options = { dialect: "peerconnect" } as const;
 * const bytes = encodeWireData(wireData("greet", {}, { msgId: "7", ...options }), options);
 * assertEquals(decodeWireData(bytes, options).msgId, "7");
 * assertThrows(() => decodeWireData(bytes), Error, "a native id is an unsigned integer");
 * ```
 *
 * @throws {InvalidPacketError} `bad-message`, `bad-version` or `too-large`, naming the element and the offset.
 */
export function decodeWireData(
  bytes: Uint8Array,
  options?: MessageOptions & { dialect?: "native" },
): NativeMessage;
/** The same, for a dialect. */
export function decodeWireData(bytes: Uint8Array, options: MessageOptions): WireData;
export function decodeWireData(bytes: Uint8Array, options: MessageOptions = {}): WireData {
  const { dialect = "native" } = options;
  shared.reset(bytes);
  const message = dialect === "native" ? readMessage(shared) : readElements(shared);
  shared.release();
  if (dialect === "native") return message;
  const reserved = reservedKey(message.body);
  if (reserved !== undefined) throw badElement("body", `key "${reserved}" is reserved`);
  return message;
}

/**
 * A message with the version its dialect writes.
 *
 * @example
 * ```ts
 * import { wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const ping = { header: "ping", version: 1, body: {}, peerId: null };
 * assertEquals(wireData("ping"), { ...ping, msgId: 0 });
 * assertEquals(wireData("ping", {}, { dialect: "peerconnect" }), { ...ping, msgId: null });
 * ```
 */
export function wireData(
  header: string | Uint8Array,
  body: MessageBody = {},
  options: Partial<Pick<WireData, "msgId" | "peerId">> & MessageOptions = {},
): WireData {
  const { dialect = "native", msgId = dialect === "native" ? 0 : null, peerId = null } = options;
  const version = dialect === "native" ? WIRE_VERSION : PEERCONNECT_VERSION;
  return { header, msgId, version, body, peerId };
}

/**
 * Reads header and id of a message and leaves the body alone, which may be large or not for us.
 *
 * @example
 * ```ts
 * import { encodeWireData, peekHeader, wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encodeWireData(wireData("greet", { name: "bob" }, { msgId: 7 }));
 * assertEquals(peekHeader(bytes), { header: "greet", msgId: 7 });
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` when the bytes do not begin as a message does.
 */
export function peekHeader(bytes: Uint8Array): MessageHead {
  shared.reset(bytes);
  const head = readHead(shared);
  shared.release();
  return head;
}

function readElements(decoder: Decoder, borrows?: (header: unknown) => boolean): WireData {
  const { header, msgId } = readHead(decoder);
  if (borrows !== undefined) decoder.borrow = borrows(header);
  const version = decoder.value();
  const body = decoder.value();
  if (!isBody(body)) throw badElement("body", "it is not a map with string keys");
  const peerId = decoder.value();
  return { header, msgId, version, body, peerId };
}

function readHead(decoder: Decoder): MessageHead {
  const count = decoder.arrayHeader();
  if (count !== MESSAGE_ELEMENTS) {
    throw badElement("array", count < 0 ? "it is not an array" : `${count} elements instead of 5`);
  }
  const header = decoder.value();
  const msgId = decoder.value();
  return { header, msgId };
}

function isBody(value: unknown): value is MessageBody {
  return typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
}

function reservedKey(body: MessageBody): string | undefined {
  return PEERCONNECT_RESERVED_KEYS.find((key) => Object.hasOwn(body, key));
}

function badElement(element: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode message: ${element}: ${why}`, {
    details: { element },
  });
}

function badVersion(version: unknown): InvalidPacketError {
  const got = typeof version === "number" ? version : typeof version;
  return new InvalidPacketError(
    "bad-version",
    `Cannot decode message: version ${got} instead of ${WIRE_VERSION}`,
    { details: { got, wanted: WIRE_VERSION } },
  );
}
