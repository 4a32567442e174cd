/**
 * Messages with a page, as this side writes and reads them: which channel they belong to, and how peers are named.
 *
 * The first character of a header is its channel: `0` data, what is to be shown; `1` signal, what is to be reacted to.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { decodeJson } from "../wire/json.ts";
import {
  idFromDecimal,
  idFromHex,
  idToDecimal,
  idToHex,
  parsePeerId,
} from "../wire/remote_peer.ts";
import {
  type DataWeaver,
  type DataWeaverId,
  type DataWeaverType,
  decodeWeaver,
  encodeWeaver,
} from "../wire/weaver.ts";
import type { PageStyle } from "./options.ts";

/** Largest message that a page may send, in bytes: room for the longest text that people write, and for a thousand paths. */
export const MAX_PAGE_MESSAGE_BYTES: number = 256 * 1024;

/** Longest id of a message, in characters: it comes back with every answer. */
const MAX_MSG_ID_CHARS = 128;

const CHANNEL_OF: Readonly<Record<string, DataWeaverType>> = { "0": "data", "1": "signal" };
const MARK_OF = { data: "0", signal: "1" } as const;

/** A message to a page, before it is written. */
export interface PageMessage {
  /** What it is about; it begins with its channel. */
  readonly header: string;
  /** Whatever JSON can carry. */
  readonly content: unknown;
  /** The peer that it concerns, 40 hexadecimal digits. @default none */
  readonly peerId?: string | undefined;
  /** Ties an answer to its question. @default none */
  readonly msgId?: DataWeaverId | undefined;
}

/** The channel that a header belongs to; `undefined` for one that belongs to none. */
export function channelOf(header: string | null): DataWeaverType | undefined {
  const mark = header?.[0];
  return mark !== undefined && Object.hasOwn(CHANNEL_OF, mark) ? CHANNEL_OF[mark] : undefined;
}

/** A header on a channel, such as `1error`. */
export function headerOn(channel: DataWeaverType, name: string): string {
  return MARK_OF[channel] + name;
}

/**
 * Writes a message.
 *
 * @throws {TypeError} when the header belongs to no channel. @throws {TypeError | RangeError} as `encodeWeaver`.
 */
export function writePageMessage(message: PageMessage, style: PageStyle): string {
  const { header, content, peerId, msgId = null } = message;
  const channel = channelOf(header);
  if (channel === undefined) throw new TypeError("Page header must begin with 0 or 1");
  // The original says "signal" on both channels and never looks at it.
  const type = style === "peerconnect" ? "signal" : channel;
  const id = peerId === undefined ? null : writePeerId(peerId, style);
  return encodeWeaver({ header, content, peerId: id, msgId, type }, { style });
}

/** Reads a message. @throws {InvalidPacketError} as `decodeWeaver`, for what is not text, and for an id that is too long. */
export function readPageMessage(input: string | Uint8Array): DataWeaver {
  if (typeof input !== "string") throw invalid("it is not text");
  const message = decodeWeaver(input, { maxBytes: MAX_PAGE_MESSAGE_BYTES });
  if (isShort(message.msgId)) return message;
  throw invalid(`msgId is longer than ${MAX_MSG_ID_CHARS} characters`, "msgId");
}

/**
 * Reads the first message on a socket, of which only the header counts.
 *
 * @returns the channel that it chooses. @throws {InvalidPacketError} when it chooses none.
 */
export function readChoice(input: string | Uint8Array): DataWeaverType {
  const limits = { maxBytes: MAX_PAGE_MESSAGE_BYTES, what: "page message" };
  const value = decodeJson(input, limits);
  const header = isFields(value) ? value.header : undefined;
  const channel = typeof header === "string" ? channelOf(header) : undefined;
  if (channel !== undefined) return channel;
  throw invalid("the header of the first must begin with 0 or 1", "header");
}

/** The id of a message that could not be read, so that its sender knows which; `null` where there is none. */
export function msgIdIn(input: string | Uint8Array): DataWeaverId {
  try {
    const value = decodeJson(input, { maxBytes: MAX_PAGE_MESSAGE_BYTES });
    const id = isFields(value) ? value.msgId : null;
    return isId(id) && isShort(id) ? id : null;
  } catch (error) {
    if (error instanceof InvalidPacketError) return null; // no JSON at all
    throw error;
  }
}

/** A peer's id as a page gets it. */
export function writePeerId(peerId: string, style: PageStyle): string {
  return style === "kith" ? peerId : idToDecimal(idFromHex(peerId));
}

/**
 * Reads a peer's id from a page, hexadecimal or decimal. Forty digits that could be both are what the style writes.
 *
 * @returns 40 hexadecimal digits. @throws {InvalidPacketError} `bad-message` when it is neither.
 */
export function readPeerId(id: unknown, style: PageStyle): string {
  const text = typeof id === "number" ? String(id) : id;
  const isDecimal = style === "peerconnect" && typeof text === "string" && /^\d+$/.test(text);
  if (typeof text !== "string") throw invalid("peerId is not a peer's id", "peerId");
  return idToHex(isDecimal ? idFromDecimal(text) : parsePeerId(text));
}

/** Whether a value is a JSON object. */
export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is DataWeaverId {
  return typeof value === "string" || (typeof value === "number" && Number.isSafeInteger(value));
}

function isShort(id: DataWeaverId): boolean {
  return typeof id !== "string" || id.length <= MAX_MSG_ID_CHARS;
}

function invalid(why: string, field?: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode page message: ${why}`, {
    details: field === undefined ? {} : { field },
  });
}
