/**
 * MessagePack values as JSON, both ways: what JSON has no form for is an object with one key that begins with `$`.
 *
 * | value                        | notation                          |
 * |------------------------------|-----------------------------------|
 * | bytes                        | `{"$bytes": "00ff"}`              |
 * | integer beyond 2^53          | `{"$int": "18446744073709551615"}` |
 * | float64 that is whole, or -0, NaN, infinite | `{"$float": "1"}`  |
 * | timestamp                    | `{"$time": "2026-01-02T03:04:05.000Z"}` |
 * | extension                    | `{"$ext": [5, "00ff"]}`           |
 * | map with other keys than strings, or with one key that begins with `$` | `{"$map": [[1, "a"]]}` |
 *
 * A whole float64 is decoded as an integer, because JavaScript has one kind of number; it is written with `$float`.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { Extension, Float64 } from "../wire/msgpack_types.ts";

/** A decoded value as JSON-able data. */
export function toNotation(value: unknown): unknown {
  if (typeof value === "bigint") return { $int: String(value) };
  if (typeof value === "number") {
    return Number.isFinite(value) && !Object.is(value, -0) ? value : { $float: floatText(value) };
  }
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return { $bytes: value.toHex() };
  if (value instanceof Float64) return { $float: floatText(value.value) };
  if (value instanceof Date) return { $time: value.toISOString() };
  if (value instanceof Extension) return { $ext: [value.type, value.data.toHex()] };
  if (Array.isArray(value)) return value.map(toNotation);
  if (value instanceof Map) {
    return { $map: [...value].map(([key, item]) => [toNotation(key), toNotation(item)]) };
  }
  const entries = Object.entries(value).map(([key, item]) => [key, toNotation(item)]);
  const readsAsNotation = entries.length === 1 && String(entries[0]?.[0]).startsWith("$");
  return readsAsNotation ? { $map: entries } : Object.fromEntries(entries);
}

/** JSON data as a value to encode. @throws {InvalidPacketError} when a notation is not one. */
export function fromNotation(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return data;
  if (Array.isArray(data)) return data.map(fromNotation);
  const [first, ...others] = Object.entries(data);
  if (first !== undefined && others.length === 0 && first[0].startsWith("$")) {
    try {
      return special(...first);
    } catch (cause) {
      const why = cause instanceof Error ? printable(cause.message, 100) : "";
      throw new InvalidPacketError(
        "bad-message",
        `Cannot read {"${printable(first[0], 20)}": ...}: ${why}`,
        { cause },
      );
    }
  }
  return Object.fromEntries(Object.entries(data).map(([key, item]) => [key, fromNotation(item)]));
}

function special(kind: string, content: unknown): unknown {
  if (kind === "$map" && Array.isArray(content)) {
    return new Map(content.map(([key, value]) => [fromNotation(key), fromNotation(value)]));
  }
  if (kind === "$ext" && Array.isArray(content)) {
    return new Extension(content[0], Uint8Array.fromHex(content[1]));
  }
  if (typeof content !== "string") throw new TypeError("its value is not a string");
  switch (kind) {
    case "$bytes":
      return Uint8Array.fromHex(content);
    case "$int":
      return parseInteger(content);
    case "$float":
      return new Float64(parseFloat64(content));
    case "$time":
      return parseTime(content);
  }
  throw new TypeError("there is no such notation");
}

function parseInteger(text: string): bigint {
  if (!/^-?\d{1,20}$/.test(text)) throw new TypeError("it is not an integer");
  const value = BigInt(text);
  if (value >= -(2n ** 63n) && value < 2n ** 64n) return value;
  throw new RangeError("it needs more than 64 bits");
}

function parseFloat64(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && (text === "NaN" || !Number.isNaN(value))) return value;
  throw new TypeError("it is not a number");
}

function parseTime(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new TypeError("it is not a time");
  return time;
}

function floatText(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}
