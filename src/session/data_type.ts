/**
 * Data as it travels in a session: a value of one of three types, as bytes.
 *
 * | type    | between kith peers       | peerpy                                                             |
 * |---------|--------------------------|--------------------------------------------------------------------|
 * | `json`  | JSON text of the value   | JSON text of `{"data": value}`, written as Python's `json.dumps`   |
 * | `bytes` | the bytes                | the bytes                                                          |
 * | `raw`   | MessagePack of the value | a Python pickle, which runs what its sender likes: never spoken    |
 *
 * @module
 */

import { InvalidPacketError, UnsupportedError } from "../errors.ts";
import { decodeJson, encodeJson, pythonJson } from "../wire/json.ts";
import { decode, encode } from "../wire/msgpack.ts";

/** The types of data. */
export const DATA_TYPES = ["json", "bytes", "raw"] as const;

/** A type of data; `raw` is MessagePack, never a pickle. */
export type DataType = typeof DATA_TYPES[number];

/** Whose wire a session speaks. */
export type SessionDialect = "native" | "peerpy";

/** Largest data unless told otherwise: as much as fits into the largest frame. */
export const MAX_DATA_BYTES: number = 16 * 1024 * 1024;

/** How data travels. */
export interface DataOptions {
  /** Whose encoding. */
  dialect: SessionDialect;
  /** Largest encoded value in bytes. */
  maxDataBytes: number;
}

const utf8 = new TextEncoder();

/**
 * Encodes a value. Byte arrays are returned as they are, not copied.
 *
 * @example
 * ```ts
 * import { decodeData, encodeData } from "@kith/kith/session";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { dialect: "native", maxDataBytes: 1024 } as const;
 * const bytes = encodeData("raw", { at: 3n, of: new Uint8Array([7]) }, options);
 * assertEquals(decodeData("raw", bytes, options), { at: 3, of: new Uint8Array([7]) });
 * ```
 *
 * @throws {TypeError | RangeError} for a value that the type has no form for.
 * @throws {InvalidPacketError} `too-large` naming `maxDataBytes`. @throws {UnsupportedError} for peerpy's `raw`.
 */
export function encodeData(type: DataType, data: unknown, options: DataOptions): Uint8Array {
  const { dialect, maxDataBytes } = options;
  const bytes = encodeAs(type, data, dialect);
  if (bytes.length <= maxDataBytes) return bytes;
  throw tooLarge("send", bytes.length, maxDataBytes);
}

/**
 * Decodes a value; one of type `bytes` is the array that was given, not a copy.
 *
 * @example
 * ```ts
 * import { decodeData } from "@kith/kith/session";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode('{"data": [1, 2]}');
 * const maxDataBytes = 1024;
 * assertEquals(decodeData("json", bytes, { dialect: "peerpy", maxDataBytes }), [1, 2]);
 * assertEquals(decodeData("json", bytes, { dialect: "native", maxDataBytes }), { data: [1, 2] });
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` or `too-large`. @throws {UnsupportedError} for peerpy's `raw`.
 */
export function decodeData(type: DataType, bytes: Uint8Array, options: DataOptions): unknown {
  const { dialect, maxDataBytes } = options;
  if (bytes.length > maxDataBytes) throw tooLarge("take", bytes.length, maxDataBytes);
  switch (type) {
    case "bytes":
      return bytes;
    case "json": {
      const value = decodeJson(bytes, { maxBytes: maxDataBytes, what: "json data" });
      return dialect === "peerpy" ? unwrap(value) : value;
    }
    case "raw":
      if (dialect === "peerpy") throw noPickles();
      return decode(bytes);
    default:
      return type satisfies never;
  }
}

/** The type of data of that name. @throws {InvalidPacketError} `bad-message` when there is none. */
export function parseDataType(name: unknown): DataType {
  const type = DATA_TYPES.find((known) => known === name);
  if (type !== undefined) return type;
  throw new InvalidPacketError("bad-message", "Cannot read a session's message: unknown type", {
    details: { field: "type" },
  });
}

/** What is said wherever a pickle would have to be written or read. */
export function noPickles(): UnsupportedError {
  return new UnsupportedError(
    "Cannot speak raw data with peerpy: it is a Python pickle, which runs code of its sender (dataType)",
    { details: { dataType: "raw", dialect: "peerpy" } },
  );
}

function encodeAs(type: DataType, data: unknown, dialect: SessionDialect): Uint8Array {
  switch (type) {
    case "bytes":
      if (data instanceof Uint8Array) return data;
      throw new TypeError("Cannot send as bytes: the data is no Uint8Array");
    case "json":
      return utf8.encode(dialect === "peerpy" ? pythonJson({ data }) : encodeJson(data));
    case "raw":
      if (dialect === "peerpy") throw noPickles();
      return encode(data);
    default:
      return type satisfies never;
  }
}

function unwrap(value: unknown): unknown {
  if (typeof value === "object" && value !== null && Object.hasOwn(value, "data")) {
    return (value as { data: unknown }).data;
  }
  throw new InvalidPacketError("bad-message", 'Cannot decode json data: it is no {"data": ...}', {
    details: { field: "data" },
  });
}

function tooLarge(verb: string, got: number, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot ${verb} data: ${got} bytes exceed maxDataBytes ${max}`,
    { details: { limit: "maxDataBytes", max, got } },
  );
}
