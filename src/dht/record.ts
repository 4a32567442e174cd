/**
 * What the DHT keeps, and how it is known not to be forged.
 *
 * | kind        | key                                              | who may change it            |
 * |-------------|--------------------------------------------------|------------------------------|
 * | `immutable` | hash of the value                                | nobody                       |
 * | `signed`    | hash of its scope and name, see {@linkcode Scope} | its author, by a higher `seq` |
 * | `plain`     | any                                              | everybody who can reach it   |
 *
 * Every hash is the first 20 bytes of SHA-256, and begins with what it is of, so that no key is one of two kinds:
 *
 * ```
 * immutable         "kith dht value\n"    | value
 * signed, own       "kith dht own\n"      | author's id 20 | name
 * signed, shared    "kith dht shared\n"   | name
 * signed, provider  "kith dht provider\n" | name
 * plain, by name    "kith dht plain\n"    | name
 *
 * what is signed    "kith dht\n" | MessagePack of [ scope 0..2, name, seq, expires, value ]
 * ```
 *
 * Sources: Kademlia, 2002, section 2.3; BEP 44 (immutable and mutable items) for the two kinds that cannot be forged.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { peerIdOf, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from "../secure/identity.ts";
import { concat } from "../wire/concat.ts";
import { encode } from "../wire/msgpack.ts";
import { ID_BYTES, type NodeId } from "./node_id.ts";

/** Most bytes of a value. */
export const MAX_VALUE_BYTES = 65_536;

/** Most bytes of a name, in UTF-8. */
export const MAX_NAME_BYTES = 255;

/** The longest that a signed record may have before it, in seconds: seven days. Its author signs it anew before. */
export const MAX_LIFETIME_S: number = 7 * 24 * 60 * 60;

/**
 * Where a signed record is: under the name in a place of its author alone (`own`), under the name beside those that others
 * put there (`shared`), or among those who provide something of that name (`provider`).
 */
export type Scope = "own" | "shared" | "provider";

/** All scopes; each is its place here where it is written and signed. */
export const SCOPES: readonly Scope[] = ["own", "shared", "provider"];

/** What every record has. */
export interface AnyRecord {
  /** Where it is kept. */
  readonly key: NodeId;
  /** What it is beside others under its key: the author's id in hexadecimal where it is signed, else empty. */
  readonly slot: string;
  /** The value, in MessagePack. At most {@linkcode MAX_VALUE_BYTES}. */
  readonly value: Uint8Array;
}

/** A value that its key is the hash of. */
export interface ImmutableRecord extends AnyRecord {
  /** Which kind it is. */
  readonly kind: "immutable";
}

/** A value with an author. */
export interface SignedRecord extends AnyRecord {
  /** Which kind it is. */
  readonly kind: "signed";
  /** Where it is kept. */
  readonly scope: Scope;
  /** At most 255 bytes of UTF-8. */
  readonly name: string;
  /** The author's key, 32 bytes; `slot` is the id that follows from it. */
  readonly publicKey: Uint8Array;
  /** Which version of it this is: 0 or more. */
  readonly seq: number;
  /** When it ends, in seconds since 1970. */
  readonly expiresS: number;
  /** Its author's over {@linkcode signedBytes}, 64 bytes. */
  readonly signature: Uint8Array;
}

/** A value that nobody vouches for. */
export interface PlainRecord extends AnyRecord {
  /** Which kind it is. */
  readonly kind: "plain";
}

/** Something that is kept. */
export type DhtRecord = ImmutableRecord | SignedRecord | PlainRecord;

/** What an author signs. */
export type SignedDraft = Pick<SignedRecord, "scope" | "name" | "value" | "seq" | "expiresS">;

/** Who signs: {@linkcode Identity} is one. */
export interface RecordAuthor {
  /** The public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The Ed25519 signature over bytes, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array;
}

/** How an author's id follows from its key. */
export interface AuthorOptions {
  /** The id of a public key, 40 hexadecimal digits. @default {peerIdOf} */
  readonly idOf?: (publicKey: Uint8Array) => string;
}

const SIGNED_AS = new TextEncoder().encode("kith dht\n");

/** What is hashed before it, for each kind. */
const PREFIXES = {
  value: Buffer.from("kith dht value\n"),
  plain: Buffer.from("kith dht plain\n"),
  own: Buffer.from("kith dht own\n"),
  shared: Buffer.from("kith dht shared\n"),
  provider: Buffer.from("kith dht provider\n"),
} as const;

/**
 * A record of a value that nobody can change. The value is not copied: leave it as it is.
 *
 * @example
 * ```ts
 * import { decodeRecord, encodeRecord, immutableKey, immutableRecord } from "@kith/kith/dht";
 * import { encode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const value = encode("tea");
 * const record = decodeRecord(encodeRecord(immutableRecord(value)), { nowS: 0 });
 * assertEquals([record.value, record.key], [value, immutableKey(value)]);
 * ```
 *
 * @throws {RangeError} when the value is too long.
 */
export function immutableRecord(value: Uint8Array): ImmutableRecord {
  assertValue(value);
  return { kind: "immutable", key: immutableKey(value), slot: "", value };
}

/**
 * A record that its author signs here. The value is not copied: leave it as it is.
 *
 * @example
 * ```ts
 * import { Identity } from "@kith/kith";
 * import { signedKey, signedRecord } from "@kith/kith/dht";
 * import { encode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const ann = Identity.generate();
 * const draft = { scope: "own", name: "tea", value: encode("green"), seq: 1 } as const;
 * const record = signedRecord({ ...draft, expiresS: 2_000_000_000 }, ann);
 * assertEquals(record.key, signedKey("own", "tea", ann.peerId));
 * ```
 *
 * @throws {RangeError} when the value or the name is too long, and for numbers that are no whole ones of 0..2^53 - 1.
 * @throws {TypeError} when the name has control characters or half a surrogate pair.
 */
export function signedRecord(
  draft: SignedDraft,
  author: RecordAuthor,
  options: AuthorOptions = {},
): SignedRecord {
  const { scope, name, value, seq, expiresS } = draft;
  assertValue(value);
  assertName(name);
  assertUint("seq", seq);
  assertUint("expiresS", expiresS);
  const { publicKey } = author;
  assertLength("A public key", publicKey, PUBLIC_KEY_BYTES);
  const slot = (options.idOf ?? peerIdOf)(publicKey);
  const signature = author.sign(signedBytes(draft));
  assertLength("A signature", signature, SIGNATURE_BYTES);
  const key = signedKey(scope, name, slot);
  return { kind: "signed", key, slot, value, scope, name, publicKey, seq, expiresS, signature };
}

/**
 * A record under a key of one's choice, which anybody can overwrite. The value is not copied: leave it as it is.
 *
 * @example
 * ```ts
 * import { plainKey, plainRecord } from "@kith/kith/dht";
 * import { encode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const record = plainRecord(plainKey("tea"), encode("green"));
 * assertEquals([record.key, record.slot], [plainKey("tea"), ""]);
 * ```
 *
 * @throws {RangeError} when the key has not 20 bytes or the value is too long.
 */
export function plainRecord(key: NodeId, value: Uint8Array): PlainRecord {
  assertLength("A key", key, ID_BYTES);
  assertValue(value);
  return { kind: "plain", key, slot: "", value };
}

/**
 * Where an immutable value is kept.
 *
 * @example
 * ```ts
 * import { immutableKey, toKey } from "@kith/kith/dht";
 * import { encode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const key = immutableKey(encode("tea"));
 * assertEquals(toKey(key), "7be974a53bac2f4c43f912723713014eee04a3c9");
 * ```
 */
export function immutableKey(value: Uint8Array): NodeId {
  return keyOf("value", value);
}

/**
 * Where a signed record is kept.
 *
 * @example
 * ```ts
 * import { signedKey } from "@kith/kith/dht";
 * import { assertEquals, assertNotEquals } from "@std/assert";
 *
 * const [ann, bob] = ["aa".repeat(20), "bb".repeat(20)] as const;
 * assertNotEquals(signedKey("own", "tea", ann), signedKey("own", "tea", bob));
 * assertEquals(signedKey("shared", "tea", ann), signedKey("shared", "tea", bob));
 * ```
 *
 * @param author Its author's id, 40 hexadecimal digits; it only matters to the scope `own`.
 */
export function signedKey(scope: Scope, name: string, author: string): NodeId {
  const text = Buffer.from(name);
  return keyOf(scope, scope === "own" ? concat(Uint8Array.fromHex(author), text) : text);
}

/**
 * Where a plain value of that name is kept, for those who agree to keep it there.
 *
 * @example
 * ```ts
 * import { plainKey, toKey } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(toKey(plainKey("tea")), "d17c26b1cd3790c4ad298b9a7f8f40fcd5b59184");
 * ```
 */
export function plainKey(name: string): NodeId {
  return keyOf("plain", Buffer.from(name));
}

/** What the signature of a record is over. */
export function signedBytes({ scope, name, seq, expiresS, value }: SignedDraft): Uint8Array {
  return concat(SIGNED_AS, encode([SCOPES.indexOf(scope), name, seq, expiresS, value]));
}

/**
 * Whether a signed record takes the place of another of its author under its key: by its `seq`, where that is the same by
 * the greater value, then by the later end. So all who keep one of several end with the same, in whatever order they come.
 *
 * @example
 * ```ts
 * import { Identity } from "@kith/kith";
 * import { isNewer, signedRecord } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const ann = Identity.generate();
 * const draft = { scope: "own", name: "tea", value: new Uint8Array([7]) } as const;
 * const version = (seq: number) => signedRecord({ ...draft, seq, expiresS: 2_000_000_000 }, ann);
 * assertEquals(isNewer(version(2), version(1)), true);
 * assertEquals(isNewer(version(2), version(2)), false);
 * ```
 */
export function isNewer(record: SignedRecord, than: SignedRecord): boolean {
  if (record.seq !== than.seq) return record.seq > than.seq;
  const order = Buffer.compare(record.value, than.value);
  return order === 0 ? record.expiresS > than.expiresS : order > 0;
}

/**
 * A name as all write it: what looks the same in several forms of Unicode is one.
 *
 * @throws {TypeError} for none, and for control characters. @throws {RangeError} for more than 255 bytes.
 */
export function normalName(name: string): string {
  if (name === "") throw new TypeError("A name must have at least one character");
  const normal = name.normalize("NFC");
  assertName(normal);
  return normal;
}

/** What is wrong with a name, if anything is: `too-large`, or not text of one line. */
export function faultOfName(name: string): "too-large" | "not-plain" | undefined {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return "too-large";
  return /\p{Cc}/u.test(name) || !name.isWellFormed() ? "not-plain" : undefined;
}

function keyOf(kind: keyof typeof PREFIXES, bytes: Uint8Array): NodeId {
  // All at once, and as text: nodes do this for every value, and it takes half as long.
  const digest = hash("sha256", concat(PREFIXES[kind], bytes), "hex");
  return Uint8Array.fromHex(digest.slice(0, 2 * ID_BYTES));
}

function assertValue({ length }: Uint8Array): void {
  if (length <= MAX_VALUE_BYTES) return;
  throw new RangeError(`A value has at most ${MAX_VALUE_BYTES} bytes: it has ${length}`);
}

function assertName(name: string): void {
  const fault = faultOfName(name);
  if (fault === undefined) return;
  if (fault === "not-plain") throw new TypeError("A name must be text without control characters");
  const bytes = Buffer.byteLength(name);
  throw new RangeError(`A name has at most ${MAX_NAME_BYTES} bytes: it has ${bytes}`);
}

function assertLength(what: string, bytes: Uint8Array, count: number): void {
  if (bytes.length === count) return;
  throw new RangeError(`${what} has ${count} bytes: it has ${bytes.length}`);
}

function assertUint(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new RangeError(`${what} must be a whole number of 0..2^53 - 1: current value is ${value}`);
}
