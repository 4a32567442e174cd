/**
 * Peerpy's text headers: a type and a few fields in exactly 128 bytes, padded on the right with `|`.
 *
 * ```text
 * HELLO|peer_name=127.0.0.1:51515&data_type=json&strict=True|||||||...   TCP: who calls, and what will be sent
 * ACCEPT||||...   DENY||||...                                            TCP: the answer
 * DATA|data_size=2048&data_type=json|||...                               TCP: as many bytes follow
 * PING|||...                                                             TCP: an idle side, to be ignored
 * PING|pinger=192.168.0.2:1024|||...   PONG|ponger=192.168.0.3:62626|||  UDP: who is there?
 * ```
 *
 * The seed spells some of it differently (`address_name` for `peer_name`, `PING 192.168.0.2:51515`, no padding); both
 * spellings are read, the program's is written.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";

/** The length of a header in bytes. On TCP it is always this; a datagram may leave the padding out. */
export const TEXT_HEADER_BYTES = 128;

/** The types of header. */
export const TEXT_HEADER_TYPES = ["HELLO", "ACCEPT", "DENY", "DATA", "PING", "PONG"] as const;

/** A type of header. */
export type TextHeaderType = typeof TEXT_HEADER_TYPES[number];

/** The encodings a connection can agree on. `raw` is a Python pickle: never decode one. */
export const TEXT_DATA_TYPES = ["raw", "json", "bytes"] as const;

/** An encoding of data. */
export type TextDataType = typeof TEXT_DATA_TYPES[number];

/** A header taken apart. */
export interface TextHeader {
  /** What it is. */
  readonly type: TextHeaderType;
  /** Its fields, in the program's spelling; without a prototype where it was decoded. */
  readonly fields: Readonly<Record<string, string>>;
}

/** How {@linkcode decodeTextHeader} reads. */
export interface DecodeTextHeaderOptions {
  /**
   * The caller asked and waits for answers, so `PING ip:port` is read as a PONG: the seed spells the answer like the
   * question. The program's own `PING|pinger=...` stays a PING.
   *
   * @default {false}
   */
  expectAnswer?: boolean;
}

/** What a caller says of itself and of the connection it wants. */
export interface TextHello {
  /** `host:port` of the caller's listener. */
  readonly peerName: string;
  /** What will be sent. */
  readonly dataType: TextDataType;
  /** Whether data of another type ends the connection. */
  readonly strict: boolean;
  /** Whether everything after the first data has its size and no header. */
  readonly stream: boolean;
}

/** What follows a DATA header. */
export interface TextData {
  /** How many bytes follow. */
  readonly dataSize: number;
  /** How they are encoded. */
  readonly dataType: TextDataType;
}

const PAD = "|";
const PAD_BYTE = 0x7c;
const MAX_PORT = 65535;
// The seed's names of fields.
const ALIASES: ReadonlyMap<string, string> = new Map([["address_name", "peer_name"]]);
const SEED_PING = /^(PING|PONG) (\S+)$/;
const HOST_PORT = /^[^\s/]+:([0-9]{1,5})$/;
const SIZE = /^ *([0-9]+) *$/;
// deno-lint-ignore no-control-regex -- control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SEPARATOR = /[|&=]/;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Encodes a header in 128 bytes.
 *
 * @example
 * ```ts
 * import { decodeTextHeader, encodeTextHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encodeTextHeader({ type: "PING", fields: { pinger: "127.0.0.1:1024" } });
 * assertEquals(bytes.length, 128);
 * assertEquals(decodeTextHeader(bytes).fields.pinger, "127.0.0.1:1024");
 * ```
 *
 * @throws {InvalidPacketError} `too-large` when the fields do not fit.
 * @throws {TypeError} when a name or value has a `|`, `&`, `=` or control character, which the format cannot escape.
 */
export function encodeTextHeader(
  header: { type: TextHeaderType; fields?: Readonly<Record<string, string>> },
): Uint8Array<ArrayBuffer> {
  const pairs = Object.entries(header.fields ?? {}).map(([name, value]) => {
    if (name === "" || !isCarried(name) || !isCarried(value)) {
      throw new TypeError(
        `Cannot encode text header: field ${printable(name, 40)} has a character it cannot carry`,
      );
    }
    return `${name}=${value}`;
  });
  const text = pairs.length === 0 ? header.type : header.type + PAD + pairs.join("&");
  const content = new TextEncoder().encode(text);
  if (content.length > TEXT_HEADER_BYTES) throw tooLong("encode", content.length);
  const bytes = new Uint8Array(TEXT_HEADER_BYTES).fill(PAD_BYTE);
  bytes.set(content);
  return bytes;
}

/**
 * Decodes a header, padded or not, in the program's spelling or the seed's.
 *
 * @example
 * ```ts
 * import { decodeTextHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("PING 192.168.0.2:51515"); // the seed's spelling
 * assertEquals(decodeTextHeader(bytes).type, "PING");
 * assertEquals(decodeTextHeader(bytes, { expectAnswer: true }).type, "PONG");
 * ```
 *
 * @throws {InvalidPacketError} `too-large` beyond 128 bytes; `bad-message` for an unknown type, a field that is not
 * `name=value` or comes twice, text after the padding, control characters and what is not UTF-8.
 */
export function decodeTextHeader(
  bytes: Uint8Array,
  options: DecodeTextHeaderOptions = {},
): TextHeader {
  if (bytes.length > TEXT_HEADER_BYTES) throw tooLong("decode", bytes.length);
  const text = decodeText(bytes);
  const [head = "", body = "", ...padding] = text.split(PAD);
  if (padding.some((rest) => rest !== "")) throw invalid("it has text after its padding");

  const [, spelled, address] = SEED_PING.exec(head) ?? [];
  if (address !== undefined && body === "") {
    return spelled === "PONG" || options.expectAnswer
      ? { type: "PONG", fields: makeFields([["ponger", address]]) }
      : { type: "PING", fields: makeFields([["pinger", address]]) };
  }
  const type = TEXT_HEADER_TYPES.find((known) => known === head);
  if (type === undefined) throw invalid(`its type "${printable(head, 40)}" is unknown`);
  return { type, fields: makeFields(body === "" ? [] : body.split("&").map(splitPair)) };
}

/**
 * The header of a call.
 *
 * @example
 * ```ts
 * import { decodeTextHeader, helloHeader, parseHello } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const hello = { peerName: "127.0.0.1:51515", dataType: "json", strict: true, stream: false } as const;
 * assertEquals(parseHello(decodeTextHeader(helloHeader(hello))), hello);
 * ```
 *
 * @throws {TypeError | InvalidPacketError} as {@linkcode encodeTextHeader}.
 */
export function helloHeader(hello: TextHello): Uint8Array<ArrayBuffer> {
  const fields: Record<string, string> = {
    peer_name: hello.peerName,
    data_type: hello.dataType,
    strict: hello.strict ? "True" : "False",
  };
  // The program takes any text for true, so what is not a stream must not mention it.
  if (hello.stream) fields.stream = "True";
  return encodeTextHeader({ type: "HELLO", fields });
}

/**
 * Reads a HELLO.
 *
 * `strict=False` is read as it is meant; the program itself takes any text for true. The seed's HELLO has no `strict`:
 * that is read as strict.
 *
 * @example
 * ```ts
 * import { decodeTextHeader, parseHello } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("HELLO|peer_name=127.0.0.1:51515&data_type=json");
 * assertEquals(parseHello(decodeTextHeader(bytes)).strict, true);
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` naming the field that is missing or wrong (`details.field`).
 */
export function parseHello(header: TextHeader): TextHello {
  expectType(header, "HELLO");
  const { strict = "True", stream = "False" } = header.fields;
  return {
    peerName: readAddress(header, "peer_name"),
    dataType: readDataType(header),
    strict: readFlag("strict", strict),
    stream: readFlag("stream", stream),
  };
}

/**
 * The header that goes before data.
 *
 * @example
 * ```ts
 * import { dataHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const text = new TextDecoder().decode(dataHeader({ dataSize: 2048, dataType: "json" }));
 * assertEquals(text, "DATA|data_size=2048&data_type=json".padEnd(128, "|"));
 * ```
 *
 * @throws {RangeError} when the size is not a non-negative safe integer.
 */
export function dataHeader(data: TextData): Uint8Array<ArrayBuffer> {
  const { dataSize, dataType } = data;
  if (!Number.isSafeInteger(dataSize) || dataSize < 0) {
    throw new RangeError(`dataSize must be a non-negative integer: current value is ${dataSize}`);
  }
  return encodeTextHeader({
    type: "DATA",
    fields: { data_size: String(dataSize), data_type: dataType },
  });
}

/**
 * Reads a DATA header. Blanks around the size are let through, as the program does; a sign is not: a negative size
 * would be believed there.
 *
 * @example
 * ```ts
 * import { dataHeader, decodeTextHeader, parseData } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const header = decodeTextHeader(dataHeader({ dataSize: 2048, dataType: "json" }));
 * assertEquals(parseData(header, 4096).dataSize, 2048);
 * assertThrows(() => parseData(header, 1024), Error, "exceeds maxDataBytes 1024");
 * ```
 *
 * @param maxDataBytes What the caller is ready to receive.
 * @throws {InvalidPacketError} `too-large` naming `maxDataBytes`, `bad-message` naming the field that is missing or
 * wrong (`details.field`).
 */
export function parseData(header: TextHeader, maxDataBytes: number): TextData {
  expectType(header, "DATA");
  const [, digits] = SIZE.exec(readField(header, "data_size")) ?? [];
  if (digits === undefined) throw invalid("data_size is not a non-negative integer", "data_size");
  const dataSize = Number(digits);
  if (!Number.isSafeInteger(dataSize) || dataSize > maxDataBytes) {
    throw new InvalidPacketError(
      "too-large",
      `Cannot decode text header: data_size ${digits} exceeds maxDataBytes ${maxDataBytes}`,
      { details: { field: "data_size", limit: "maxDataBytes", max: maxDataBytes, got: digits } },
    );
  }
  return { dataSize, dataType: readDataType(header) };
}

/**
 * The header that asks who is there, with the address to answer to; without one it says "still here" on TCP.
 *
 * @example
 * ```ts
 * import { pingHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const text = new TextDecoder().decode(pingHeader("192.168.0.2:1024"));
 * assertEquals(text, "PING|pinger=192.168.0.2:1024".padEnd(128, "|"));
 * ```
 */
export function pingHeader(pinger?: string): Uint8Array<ArrayBuffer> {
  return encodeTextHeader({ type: "PING", fields: pinger === undefined ? {} : { pinger } });
}

/**
 * Reads a PING: the `host:port` to answer to, or `undefined` for the bare one of an idle connection.
 *
 * @example
 * ```ts
 * import { decodeTextHeader, parsePing, pingHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parsePing(decodeTextHeader(pingHeader("127.0.0.1:1024"))), "127.0.0.1:1024");
 * assertEquals(parsePing(decodeTextHeader(pingHeader())), undefined);
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` when it is not a PING or its address is none.
 */
export function parsePing(header: TextHeader): string | undefined {
  expectType(header, "PING");
  return header.fields.pinger === undefined ? undefined : readAddress(header, "pinger");
}

/**
 * The answer to a PING, with the `host:port` of our listener.
 *
 * @example
 * ```ts
 * import { pongHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const text = new TextDecoder().decode(pongHeader("192.168.0.3:62626"));
 * assertEquals(text, "PONG|ponger=192.168.0.3:62626".padEnd(128, "|"));
 * ```
 */
export function pongHeader(ponger: string): Uint8Array<ArrayBuffer> {
  return encodeTextHeader({ type: "PONG", fields: { ponger } });
}

/**
 * Reads a PONG: the `host:port` of the other side's listener.
 *
 * @example
 * ```ts
 * import { decodeTextHeader, parsePong, pongHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parsePong(decodeTextHeader(pongHeader("127.0.0.1:62626"))), "127.0.0.1:62626");
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` when it is not a PONG or has no address.
 */
export function parsePong(header: TextHeader): string {
  expectType(header, "PONG");
  return readAddress(header, "ponger");
}

function isCarried(text: string): boolean {
  return text.isWellFormed() && !CONTROL.test(text) && !SEPARATOR.test(text);
}

function decodeText(bytes: Uint8Array): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw invalid("it is not UTF-8", undefined, cause);
  }
  if (CONTROL.test(text)) throw invalid("it has a control character");
  return text;
}

function splitPair(pair: string): [name: string, value: string] {
  const [name = "", value, ...rest] = pair.split("=");
  if (name === "" || value === undefined || rest.length > 0) {
    throw invalid(`"${printable(pair, 60)}" is not name=value`);
  }
  return [ALIASES.get(name) ?? name, value];
}

function makeFields(pairs: readonly [string, string][]): Record<string, string> {
  // No prototype: a field that was not sent must not be found as `constructor` or the like.
  const fields: Record<string, string> = Object.create(null);
  for (const [name, value] of pairs) {
    if (name in fields) throw invalid(`it has ${printable(name, 40)} twice`, printable(name, 40));
    fields[name] = value;
  }
  return fields;
}

function expectType(header: TextHeader, type: TextHeaderType): void {
  if (header.type !== type) throw invalid(`it is ${header.type} instead of ${type}`);
}

function readField(header: TextHeader, field: string): string {
  const value = header.fields[field];
  if (value === undefined) throw invalid(`${header.type} without ${field}`, field);
  return value;
}

function readAddress(header: TextHeader, field: string): string {
  const value = readField(header, field);
  const [, port] = HOST_PORT.exec(value) ?? [];
  if (port !== undefined && Number(port) <= MAX_PORT) return value;
  throw invalid(`${field} "${printable(value, 60)}" is not host:port`, field);
}

function readDataType(header: TextHeader): TextDataType {
  const value = readField(header, "data_type");
  const dataType = TEXT_DATA_TYPES.find((known) => known === value);
  if (dataType !== undefined) return dataType;
  throw invalid(`data_type "${printable(value, 40)}" is unknown`, "data_type");
}

function readFlag(field: string, value: string): boolean {
  const text = value.toLowerCase();
  if (text === "true" || text === "false") return text === "true";
  throw invalid(`${field} "${printable(value, 40)}" is neither True nor False`, field);
}

function invalid(reason: string, field?: string, cause?: unknown): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode text header: ${reason}`, {
    details: field === undefined ? {} : { field },
    cause,
  });
}

function tooLong(verb: string, got: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot ${verb} text header: ${got} bytes exceed TEXT_HEADER_BYTES ${TEXT_HEADER_BYTES}`,
    { details: { limit: "TEXT_HEADER_BYTES", max: TEXT_HEADER_BYTES, got } },
  );
}
