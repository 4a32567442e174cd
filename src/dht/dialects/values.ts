/**
 * Keys and values as programs that use the plain Kademlia library have them.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { pythonJson } from "../../wire/json.ts";
import { encode } from "../../wire/msgpack.ts";
import { Float64 } from "../../wire/msgpack_types.ts";
import type { NodeId } from "../node_id.ts";

/**
 * What may be a value: an integer, a float, a truth value, a text, bytes. A whole number is an integer; for a float that
 * is whole there is `Float64`.
 */
export type KademliaValue = number | bigint | boolean | string | Uint8Array | Float64;

/**
 * The key in the DHT of a key in a program: the SHA-1 of the bytes, or of what Python's `str` makes of anything else.
 *
 * Source: kademlia 2.2, `digest`.
 *
 * @example
 * ```ts
 * import { digestOf, toKey } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(toKey(digestOf("tea")), "75490f32c06a50051804339453d3fe2f0cd5564b");
 * assertEquals(digestOf(7), digestOf("7"));
 * assertEquals(digestOf(true), digestOf("True"));
 * ```
 *
 * @throws {TypeError} for a number that is none: infinite or NaN.
 */
export function digestOf(key: KademliaValue | null): NodeId {
  const hashed = key instanceof Uint8Array ? key : pythonText(key);
  return new Uint8Array(createHash("sha1").update(hashed).digest());
}

/** Whether the library's programs can set a value: nil, lists and maps they cannot. */
export function isKademliaValue(value: unknown): value is KademliaValue {
  if (value instanceof Uint8Array || value instanceof Float64) return true;
  return ["number", "bigint", "boolean", "string"].includes(typeof value);
}

/**
 * A value in MessagePack.
 *
 * @throws {TypeError} for what the library's programs cannot set. @throws {RangeError} for integers beyond 64 bits.
 */
export function encodeKademliaValue(value: unknown): Uint8Array<ArrayBuffer> {
  if (isKademliaValue(value)) return encode(value);
  throw new TypeError("A value must be a number, a truth value, a text or bytes");
}

function pythonText(key: Exclude<KademliaValue, Uint8Array> | null): string {
  if (typeof key === "string") return key;
  if (key === null) return "None";
  if (typeof key === "boolean") return key ? "True" : "False";
  return pythonJson(key); // numbers are written alike there
}
