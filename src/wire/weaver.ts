/**
 * `DataWeaver`: the seed's JSON envelope between a peer and a web page on its WebSocket.
 *
 * ```json
 * { "header": "0send_text", "content": "hello", "peerId": "123", "msgId": "1", "type": "signal" }
 * ```
 *
 * The seed's `type` is a word; the original program wrote 1 (signal) or 0 (data). Both are read.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { decodeJson, encodeJson, MAX_JSON_BYTES, pythonJson } from "./json.ts";

/** What a message is: something to react to, or something to show. */
export type DataWeaverType = "signal" | "data";

/** A peer's or message's id on a page: text as a rule, sometimes a number, `null` where there is none. */
export type DataWeaverId = string | number | null;

/** One message between a peer and a page. */
export interface DataWeaver {
  /** What it is about. The original's pages route by the first character: `0` data, `1` signal. */
  readonly header: string | null;
  /** Whatever JSON can carry. */
  readonly content: unknown;
  /** The peer it concerns. */
  readonly peerId: DataWeaverId;
  /** Ties an answer to its question. */
  readonly msgId: DataWeaverId;
  /** Absent on the wire means `signal`. */
  readonly type: DataWeaverType;
}

/** How {@linkcode encodeWeaver} writes. */
export interface EncodeWeaverOptions {
  /** The seed's words and compact JSON, or byte for byte what the original program writes. @default {"kith"} */
  style?: "kith" | "peerconnect";
}

/** How {@linkcode decodeWeaver} reads. */
export interface DecodeWeaverOptions {
  /** Largest message in bytes of UTF-8. @default {MAX_JSON_BYTES} */
  maxBytes?: number;
}

const REQUIRED_FIELDS = ["header", "content", "peerId", "msgId"] as const;
const TYPE_NUMBER = { data: 0, signal: 1 } as const;
const TYPE_READ: ReadonlyMap<unknown, DataWeaverType> = new Map<unknown, DataWeaverType>([
  ["signal", "signal"],
  ["data", "data"],
  [TYPE_NUMBER.signal, "signal"],
  [TYPE_NUMBER.data, "data"],
]);

/**
 * Encodes a message as JSON text.
 *
 * @example
 * ```ts
 * import { encodeWeaver } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const about = { header: "0x", content: "hi", peerId: "2", msgId: null };
 * assertEquals(
 *   encodeWeaver({ ...about, type: "signal" }, { style: "peerconnect" }),
 *   '{"header": "0x", "content": "hi", "peerId": "2", "msgId": null, "type": 1}',
 * );
 * ```
 *
 * @throws {TypeError | RangeError} when JSON cannot carry the content.
 */
export function encodeWeaver(message: DataWeaver, options: EncodeWeaverOptions = {}): string {
  const { style = "kith" } = options;
  const { header, content, peerId, msgId, type } = message;
  return style === "kith"
    ? encodeJson({ header, content, peerId, msgId, type })
    : pythonJson({ header, content, peerId, msgId, type: TYPE_NUMBER[type] });
}

/**
 * Decodes a message from a page; keys it does not know are ignored.
 *
 * @example
 * ```ts
 * import { decodeWeaver, encodeWeaver } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const message = decodeWeaver('{"header":"0x","content":[1],"peerId":"2","msgId":null,"type":0}');
 * assertEquals(message, { header: "0x", content: [1], peerId: "2", msgId: null, type: "data" });
 * assertEquals(
 *   encodeWeaver(message),
 *   '{"header":"0x","content":[1],"peerId":"2","msgId":null,"type":"data"}',
 * );
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` naming every field that is missing (`details.missing`) or of a wrong type
 * (`details.wrong`), `too-large` when it exceeds a limit.
 */
export function decodeWeaver(
  input: string | Uint8Array,
  options: DecodeWeaverOptions = {},
): DataWeaver {
  const { maxBytes = MAX_JSON_BYTES } = options;
  const value = decodeJson(input, { maxBytes, what: "page message" });
  if (!isObject(value)) throw invalid("it is not a JSON object");
  const missing = REQUIRED_FIELDS.filter((field) => !Object.hasOwn(value, field));
  const { header = null, content = null, peerId = null, msgId = null, type: mark = "signal" } =
    value;
  const type = TYPE_READ.get(mark);
  if (
    missing.length === 0 && isHeader(header) && isId(peerId) && isId(msgId) && type !== undefined
  ) {
    return { header, content, peerId, msgId, type };
  }
  const valid = {
    header: isHeader(header),
    peerId: isId(peerId),
    msgId: isId(msgId),
    type: type !== undefined,
  };
  const wrong = Object.entries(valid).filter(([, ok]) => !ok).map(([field]) => field);
  const reasons = [
    missing.length > 0 ? `missing ${missing.join(", ")}` : "",
    wrong.length > 0 ? `wrong type of ${wrong.join(", ")}` : "",
  ];
  throw invalid(reasons.filter((reason) => reason !== "").join("; "), { missing, wrong });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isHeader(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function isId(value: unknown): value is DataWeaverId {
  return value === null || typeof value === "string" || Number.isSafeInteger(value);
}

function invalid(reason: string, details: Record<string, unknown> = {}): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode page message: ${reason}`, {
    details,
  });
}
