/**
 * Records as they travel and as they are stored.
 *
 * ```
 * immutable  [ 0, value bin ]
 * signed     [ 1, scope 0..2, name str, value bin, publicKey bin 32, seq uint, expires uint (s), signature bin 64 ]
 * plain      [ 2, key bin 20, value bin ]
 * ```
 *
 * MessagePack, and only as {@linkcode encodeRecord} writes it: a record has one spelling. Keys that follow from the rest
 * and the author's id are not said but computed, so they cannot be false.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { IntegrityError, InvalidPacketError } from "../errors.ts";
import { peerIdOf, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verify } from "../secure/identity.ts";
import { Decoder } from "../wire/decoder.ts";
import { encode } from "../wire/msgpack.ts";
import { ID_BYTES } from "./node_id.ts";
import {
  type AuthorOptions,
  type DhtRecord,
  faultOfName,
  immutableRecord,
  MAX_LIFETIME_S,
  MAX_NAME_BYTES,
  MAX_VALUE_BYTES,
  type PlainRecord,
  plainRecord,
  SCOPES,
  signedBytes,
  signedKey,
  type SignedRecord,
} from "./record.ts";

/** Most bytes that a record has besides its value: those of a signed one with the longest name. */
export const MAX_RECORD_OVERHEAD = 384;

/** Most bytes of a record. */
export const MAX_RECORD_BYTES: number = MAX_VALUE_BYTES + MAX_RECORD_OVERHEAD;

/** How far the clock of an author may be ahead of ours, in seconds. */
const CLOCK_SLACK_S = 5 * 60;

/** The kinds, each in its place, and how many elements those of it have. */
const KINDS = [
  { kind: "immutable", count: 2 },
  { kind: "signed", count: 8 },
  { kind: "plain", count: 3 },
] as const;

/** By what a record from a stranger is judged. */
export interface DecodeRecordOptions extends AuthorOptions {
  /** The time, in seconds since 1970. */
  readonly nowS: number;
  /** Whether a signature over bytes is the key's; false also for keys that are none. @default {verify} */
  readonly verify?: (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array) => boolean;
  /** Whether records that nobody vouches for are taken. @default {false} */
  readonly allowPlain?: boolean;
}

// Decoding calls nobody back, so one is enough. A record is one array and nothing deeper.
const decoder = new Decoder({ maxDepth: 1, maxElements: 8 });

/**
 * Writes a record: at most {@linkcode MAX_RECORD_BYTES}.
 *
 * @example
 * ```ts
 * import { encodeRecord, immutableRecord } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * // [ 0, value ] in MessagePack
 * const bytes = encodeRecord(immutableRecord(new Uint8Array([7])));
 * assertEquals(bytes, new Uint8Array([0x92, 0, 0xc4, 1, 7]));
 * ```
 */
export function encodeRecord(record: DhtRecord): Uint8Array<ArrayBuffer> {
  switch (record.kind) {
    case "immutable":
      return encode([0, record.value]);
    case "signed": {
      const { scope, name, value, publicKey, seq, expiresS, signature } = record;
      return encode([1, SCOPES.indexOf(scope), name, value, publicKey, seq, expiresS, signature]);
    }
    case "plain":
      return encode([2, record.key, record.value]);
    default:
      return record satisfies never;
  }
}

/**
 * Reads a record that somebody sent, and checks whatever about it can be checked, the signature last: that costs most.
 *
 * @example
 * ```ts
 * import { Identity } from "@kith/kith";
 * import { decodeRecord, encodeRecord, signedRecord } from "@kith/kith/dht";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const nowS = 1_800_000_000;
 * const draft = { scope: "shared", name: "tea", value: new Uint8Array([7]) } as const;
 * const record = signedRecord({ ...draft, seq: 1, expiresS: nowS + 60 }, Identity.generate());
 * assertEquals(decodeRecord(encodeRecord(record), { nowS }), record);
 * const forged = encodeRecord({ ...record, seq: 2 });
 * assertThrows(() => decodeRecord(forged, { nowS }), Error, "not by its author");
 * ```
 *
 * @param bytes The record; what is returned is a copy.
 * @throws {InvalidPacketError} `bad-message` naming the field, `too-large` naming the limit.
 * @throws {IntegrityError} `bad-signature` when its author did not sign it.
 */
export function decodeRecord(bytes: Uint8Array, options: DecodeRecordOptions): DhtRecord {
  const { nowS, verify: isSigned = verify, allowPlain = false } = options;
  const record = readRecord(bytes, options);
  if (record.kind === "plain" && !allowPlain) {
    throw refused("kind", "is plain, which is not accepted here");
  }
  if (record.kind !== "signed") return record;
  checkEnd(record, nowS);
  if (isSigned(record.publicKey, signedBytes(record), record.signature)) return record;
  throw new IntegrityError(
    "bad-signature",
    "Cannot accept DHT record: its signature is not by its author",
    { details: { key: record.key.toHex(), seq: record.seq } },
  );
}

/**
 * Reads a record that was checked before it was stored: neither its end nor its signature is looked at.
 *
 * @param bytes The record; what is returned is a copy.
 * @throws {InvalidPacketError} `bad-message` naming the field, `too-large` naming the limit.
 */
export function readRecord(bytes: Uint8Array, options: AuthorOptions = {}): DhtRecord {
  assertAtMost("maxRecordBytes", MAX_RECORD_BYTES, "record", bytes.length);
  decoder.reset(bytes);
  const elements = decoder.value();
  decoder.end();
  decoder.release();
  const record = recordOf(elements, options);
  if (Buffer.compare(encodeRecord(record), bytes) === 0) return record;
  throw refused("record", "is not written in its shortest form");
}

function recordOf(elements: unknown, options: AuthorOptions): DhtRecord {
  if (!Array.isArray(elements)) throw refused("record", "is no array");
  const { kind, count } = itemAt(KINDS, elements[0]) ?? {};
  if (kind === undefined) throw refused("kind", "is none of 0, 1 and 2");
  if (elements.length !== count) {
    throw refused("record", `has ${elements.length} elements instead of ${count}`);
  }
  if (kind === "immutable") return immutableRecord(valueOf(elements[1]));
  return kind === "plain" ? plainOf(elements) : signedOf(elements, options);
}

function plainOf([, key, value]: readonly unknown[]): PlainRecord {
  return plainRecord(bytesOf("key", key, ID_BYTES), valueOf(value));
}

function signedOf(elements: readonly unknown[], options: AuthorOptions): SignedRecord {
  const [, scopeAt, nameText, valueBytes, keyBytes, seqNumber, expires, signed] = elements;
  const scope = itemAt(SCOPES, scopeAt);
  if (scope === undefined) throw refused("scope", "is none of 0, 1 and 2");
  const name = nameOf(nameText);
  const value = valueOf(valueBytes);
  const publicKey = bytesOf("publicKey", keyBytes, PUBLIC_KEY_BYTES);
  const seq = uintOf("seq", seqNumber);
  const expiresS = uintOf("expires", expires);
  const signature = bytesOf("signature", signed, SIGNATURE_BYTES);
  const slot = (options.idOf ?? peerIdOf)(publicKey);
  const key = signedKey(scope, name, slot);
  return { kind: "signed", key, slot, value, scope, name, publicKey, seq, expiresS, signature };
}

function checkEnd({ expiresS }: SignedRecord, nowS: number): void {
  if (expiresS <= nowS) throw refused("expires", `is past: ${expiresS} of ${Math.floor(nowS)}`);
  const aheadS = Math.ceil(expiresS - nowS);
  if (aheadS <= MAX_LIFETIME_S + CLOCK_SLACK_S) return;
  throw refused("expires", `is ${aheadS} s ahead, more than maxLifetimeS ${MAX_LIFETIME_S}`);
}

function itemAt<T>(list: readonly T[], at: unknown): T | undefined {
  return typeof at === "number" ? list[at] : undefined;
}

function valueOf(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw refused("value", "is not bin");
  assertAtMost("maxValueBytes", MAX_VALUE_BYTES, "value", value.length);
  return value;
}

function nameOf(name: unknown): string {
  if (typeof name !== "string") throw refused("name", "is not str");
  const fault = faultOfName(name);
  if (fault === undefined) return name;
  assertAtMost("maxNameBytes", MAX_NAME_BYTES, "name", Buffer.byteLength(name));
  throw refused("name", "has control characters");
}

function bytesOf(field: string, value: unknown, count: number): Uint8Array {
  if (value instanceof Uint8Array && value.length === count) return value;
  throw refused(field, `is not ${count} bytes of bin`);
}

function uintOf(field: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw refused(field, "is not an integer of 0..2^53 - 1");
}

function assertAtMost(limit: string, max: number, field: string, got: number): void {
  if (got <= max) return;
  throw new InvalidPacketError(
    "too-large",
    `Cannot read DHT record: ${field} of ${got} bytes exceeds ${limit} ${max}`,
    { details: { limit, max, got, field } },
  );
}

function refused(field: string, what: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read DHT record: ${field} ${what}`, {
    details: { field },
  });
}
