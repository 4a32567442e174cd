/**
 * JSON from and to others: the bounded reader and strict writer that every JSON format of kith goes through.
 *
 * Reading checks the size before the text is decoded and the nesting before it is parsed. Writing refuses whatever
 * JSON would silently drop or change, in kith's own compact style or byte for byte as the Python originals write it.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { Float64 } from "./msgpack_types.ts";

/** The longest line or JSON text that is read unless told otherwise, in bytes: far above any message we know of. */
export const MAX_JSON_BYTES = 1024 * 1024;

/** The deepest nesting of JSON read or written: as in MessagePack, so that what came one way can go the other. */
export const MAX_JSON_DEPTH = 64;

/** `kith` is compact; `python` is byte for byte what Python's `json.dumps` writes. */
export type JsonStyle = "kith" | "python";

/** How {@linkcode encodeJson} writes. */
export interface EncodeJsonOptions {
  /** Whose separators, escapes and numbers. @default {"kith"} */
  style?: JsonStyle;
}

/** How {@linkcode decodeJson} reads. */
export interface DecodeJsonOptions {
  /** Largest input in bytes of UTF-8. @default {MAX_JSON_BYTES} */
  maxBytes?: number;
  /** What an error says could not be decoded. @default {"JSON"} */
  what?: string;
  /** Facts for every error's `details`, such as where the text was found. */
  details?: Record<string, unknown>;
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];
// Parsers quote what they stumble over; that is remote text.
const MAX_REASON_CHARS = 120;

const textEncoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Encodes a value as Python's `json.dumps` does by default, for formats whose bytes the originals compare or match.
 *
 * Separators are `", "` and `": "`, and everything beyond printable ASCII is escaped. Numbers: a safe integer and a
 * bigint are written as Python writes an `int`, every other number (-0 too) as it writes a `float`: `1e-05`, `1e+16`.
 * JavaScript cannot tell 1 from 1.0: wrap the latter in a {@linkcode Float64}. Keys keep their order, but for those
 * that look like array indexes, which JavaScript moves to the front.
 *
 * @example
 * ```ts
 * import { Float64, pythonJson } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   pythonJson({ text: "é", n: [1, new Float64(1), 0.00001] }),
 *   String.raw`{"text": "\u00e9", "n": [1, 1.0, 1e-05]}`,
 * );
 * ```
 *
 * @throws {TypeError | RangeError} as {@linkcode encodeJson}.
 */
export function pythonJson(value: unknown): string {
  return encodeJson(value, { style: "python" });
}

/**
 * Encodes a value as JSON text, and refuses what JSON has no form for instead of dropping or changing it.
 *
 * @example
 * ```ts
 * import { encodeJson } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(encodeJson({ name: "bob", ports: [80, 443n] }), '{"name":"bob","ports":[80,443]}');
 * assertThrows(() => encodeJson({ ports: [80, undefined] }), TypeError, "undefined at $.ports[1]");
 * ```
 *
 * @throws {TypeError} for `undefined`, functions, symbols, `NaN`, infinities and class instances; the text says where.
 * @throws {RangeError} for nesting deeper than {@linkcode MAX_JSON_DEPTH}, which a cycle is too.
 */
export function encodeJson(value: unknown, options: EncodeJsonOptions = {}): string {
  const { style = "kith" } = options;
  return write(value, style, []);
}

/**
 * Decodes JSON from outside: the size is checked first, then UTF-8, then the nesting, then the syntax.
 *
 * A key `__proto__` becomes an ordinary property.
 *
 * @example
 * ```ts
 * import { decodeJson } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode('{"name":"bob"}');
 * assertEquals(decodeJson(bytes), { name: "bob" });
 * assertThrows(() => decodeJson(bytes, { maxBytes: 10 }), Error, "maxBytes 10");
 * ```
 *
 * @throws {InvalidPacketError} `too-large` naming the limit (size or nesting), `bad-message` for anything else.
 */
export function decodeJson(input: string | Uint8Array, options: DecodeJsonOptions = {}): unknown {
  const { maxBytes = MAX_JSON_BYTES, what = "JSON", details = {} } = options;
  const got = typeof input === "string" ? utf8Length(input, maxBytes) : input.length;
  if (got > maxBytes) throw tooLarge(what, "its size", "maxBytes", maxBytes, { ...details, got });
  try {
    const text = typeof input === "string" ? input : utf8.decode(input);
    if (!nestsDeeper(text, MAX_JSON_DEPTH)) return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof SyntaxError
      ? printable(cause.message, MAX_REASON_CHARS)
      : "it is not UTF-8";
    throw new InvalidPacketError("bad-message", `Cannot decode ${what}: ${reason}`, {
      details,
      cause,
    });
  }
  throw tooLarge(what, "its nesting", "MAX_JSON_DEPTH", MAX_JSON_DEPTH, details);
}

// `path` says where the value is, one step per level of nesting.
function write(value: unknown, style: JsonStyle, path: string[]): string {
  if (value === null || typeof value === "boolean" || typeof value === "bigint") {
    return String(value);
  }
  if (typeof value === "string") return quote(value, style);
  if (typeof value === "number") {
    const integer = Number.isSafeInteger(value) && !Object.is(value, -0);
    return integer ? String(value) : float(value, style, path);
  }
  if (value instanceof Float64) return float(value.value, style, path);
  if (path.length >= MAX_JSON_DEPTH) {
    throw new RangeError(`Cannot encode as JSON: nesting exceeds MAX_JSON_DEPTH ${MAX_JSON_DEPTH}`);
  }
  const [comma, colon] = style === "python" ? [", ", ": "] : [",", ":"];
  if (Array.isArray(value)) {
    // Array.from visits holes too, which are then refused as undefined.
    const items = Array.from(value, (item, i) => writeAt(`[${i}]`, item, style, path));
    return `[${items.join(comma)}]`;
  }
  if (!isPlainObject(value)) throw unwritable(value, path);
  const members = Object.entries(value).map(([key, item]) =>
    quote(key, style) + colon + writeAt(`.${key}`, item, style, path)
  );
  return `{${members.join(comma)}}`;
}

function writeAt(step: string, value: unknown, style: JsonStyle, path: string[]): string {
  path.push(step);
  const text = write(value, style, path);
  path.pop();
  return text;
}

function quote(text: string, style: JsonStyle): string {
  const quoted = JSON.stringify(text);
  if (style === "kith") return quoted;
  // Without the u flag: a character beyond U+FFFF is two escapes, as in Python.
  return quoted.replace(
    /[\u007f-\uffff]/g,
    (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}

function float(value: number, style: JsonStyle, path: string[]): string {
  if (!Number.isFinite(value)) throw unwritable(value, path);
  const text = Object.is(value, -0) ? "-0" : String(value);
  if (style === "kith") return text;
  // Both languages write the shortest digits that read back as the same number; Python changes to an exponent earlier
  // and gives it two digits at least.
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e16)) {
    return value.toExponential().replace(/([+-])(\d)$/, (_, sign, digit) => `${sign}0${digit}`);
  }
  return text.includes(".") ? text : text + ".0";
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function unwritable(value: unknown, path: readonly string[]): TypeError {
  const name = typeof value === "object"
    ? `an instance of ${value?.constructor?.name}`
    : typeof value === "number"
    ? String(value)
    : typeof value;
  return new TypeError(`Cannot encode as JSON: ${name} at $${printable(path.join(""), 100)}`);
}

// The length in UTF-8, exact only where it decides: a UTF-16 unit takes 1 to 3 bytes.
function utf8Length(text: string, maxBytes: number): number {
  if (text.length > maxBytes || text.length * 3 <= maxBytes) return text.length;
  return textEncoder.encode(text).length;
}

// Counted on the text, before anything is built from it.
function nestsDeeper(text: string, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === QUOTE) i = endOfString(text, i);
    else if (unit === OPEN_BRACKET || unit === OPEN_BRACE) depth++;
    else if (unit === CLOSE_BRACKET || unit === CLOSE_BRACE) depth--;
    if (depth > maxDepth) return true;
  }
  return false;
}

// Where the string that begins at a quote ends, or the text. Searching for quotes is much faster than looking at each unit.
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return text.length;
}

/** The error for JSON that is larger or deeper than a limit allows. */
export function tooLarge(
  what: string,
  measure: string,
  limit: string,
  max: number,
  details: Record<string, unknown>,
): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot decode ${what}: ${measure} exceeds ${limit} ${max}`,
    { details: { ...details, limit, max } },
  );
}
