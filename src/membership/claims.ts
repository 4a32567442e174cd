/**
 * What members say of themselves and of each other, signed, and passed on as it was written.
 *
 * ```
 * claim = fields (MessagePack array) | signature (64 bytes)
 *
 * alive    [ 0, id, incarnation, key, name, hosts, tcp, udp, tags ]      signed by its subject
 * left     [ 1, id, incarnation ]                                        signed by its subject
 * suspect  [ 2, id, incarnation, accuser's id ]                          signed by the accuser
 * ```
 *
 * The signature (Ed25519, RFC 8032) covers `"kith member 1"`, the project and the fields, so a claim of one project is
 * none in another. Only the subject can raise its incarnation, and nobody can declare another one dead: who hears enough
 * suspicions and no answer decides that for itself. A lie therefore costs its subject one refutation, and the liar its
 * name. Source: SWIM (Das, Gupta, Motivala 2002), section 4.2, with signatures instead of trust.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import { concat } from "../wire/concat.ts";
import { Decoder } from "../wire/decoder.ts";
import { encode } from "../wire/msgpack.ts";

/** Bytes of a peer id, a key and a signature. */
const [ID_BYTES, KEY_BYTES] = [20, 32];
/** See above. */
export const SIGNATURE_BYTES = 64;

/** The largest incarnation: that of a start in the year 2106, and few enough bits for a double. */
export const MAX_INCARNATION = 2 ** 52;

/** Longest claim in bytes: several fit into one packet. */
export const MAX_CLAIM_BYTES = 512;

/** Most hosts a member names: its interfaces, of which most machines have fewer. */
export const MAX_HOSTS = 4;

/** Most tags, and the longest of their names and values, in UTF-16 units. */
export const MAX_TAGS = 8;
/** See {@linkcode MAX_TAGS}. */
export const MAX_TAG_CHARS = 24;

/** Longest name of a member in UTF-16 units, as in handshakes. */
const MAX_NAME_CHARS = 64;

/** What signatures begin with, so that one over something else is never one over a claim. */
const SIGNED_AS = "kith member 1";

const KINDS = ["alive", "left", "suspect"] as const;

/** Labels of a member, for people and programs. */
export type Tags = Readonly<Record<string, string>>;

/** "I am here". */
export interface AliveClaim {
  /** Which claim it is. */
  readonly kind: "alive";
  /** Who is meant, 40 hexadecimal digits. */
  readonly subject: string;
  /** Grows whenever the subject says something new of itself. */
  readonly incarnation: number;
  /** Its public key, of which `subject` is the hash. */
  readonly key: Uint8Array;
  /** A label; empty for none. */
  readonly name: string;
  /** The addresses it believes to have, without ports. */
  readonly hosts: readonly string[];
  /** The port that it takes connections on. */
  readonly tcpPort: number;
  /** The port that it takes packets on. */
  readonly udpPort: number;
  /** Its tags. */
  readonly tags: Tags;
}

/** "I am going". */
export interface LeftClaim {
  /** Which claim it is. */
  readonly kind: "left";
  /** Who is meant. */
  readonly subject: string;
  /** The one it goes with. */
  readonly incarnation: number;
}

/** "It does not answer me". */
export interface SuspectClaim {
  /** Which claim it is. */
  readonly kind: "suspect";
  /** Who is meant. */
  readonly subject: string;
  /** The latest of the subject's that the accuser knew. */
  readonly incarnation: number;
  /** Who says so. */
  readonly accuser: string;
}

/** Something a member says. */
export type Claim = AliveClaim | LeftClaim | SuspectClaim;

/** Signs and checks: Ed25519 for peers, something quick for simulations. */
export interface Signer {
  /** Our id. */
  readonly peerId: string;
  /** Our public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Our signature over bytes, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array;
  /** Whether a signature over bytes is the key's. */
  verify(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
  /** The id that belongs to a key. */
  idOf(key: Uint8Array): string;
}

/**
 * Writes a claim, signed.
 *
 * @throws {RangeError} when it is longer than {@linkcode MAX_CLAIM_BYTES}, or has what nobody would read.
 */
export function writeClaim(claim: Claim, project: string, signer: Signer): Uint8Array {
  if (claim.kind === "alive") assertReadable(claim);
  const fields = encode(fieldsOf(claim));
  const bytes = concat(fields, signer.sign(signed(project, fields)));
  if (bytes.length <= MAX_CLAIM_BYTES) return bytes;
  throw new RangeError(`A member's name and tags must fit into ${MAX_CLAIM_BYTES} bytes`);
}

/**
 * Reads a claim; its signature is not looked at.
 *
 * @throws {InvalidPacketError} `bad-message` naming what is wrong.
 */
export function readClaim(bytes: Uint8Array): Claim {
  if (bytes.length > MAX_CLAIM_BYTES) throw bad("length");
  const fields = fieldsIn(bytes.subarray(0, Math.max(0, bytes.length - SIGNATURE_BYTES)));
  if (!Array.isArray(fields)) throw bad("fields");
  const kind = typeof fields[0] === "number" ? KINDS[fields[0]] : undefined;
  const subject = idOf(fields[1], "subject");
  const incarnation = integer(fields[2], "incarnation", MAX_INCARNATION);
  const expected = kind === "alive" ? 9 : kind === "left" ? 3 : 4;
  if (kind === undefined || fields.length !== expected) throw bad("kind");
  if (kind === "left") return { kind, subject, incarnation };
  if (kind === "suspect") {
    return { kind, subject, incarnation, accuser: idOf(fields[3], "accuser") };
  }
  return {
    kind,
    subject,
    incarnation,
    key: keyOf(fields[3]),
    name: text(fields[4], "name", MAX_NAME_CHARS),
    hosts: hostsOf(fields[5]),
    tcpPort: integer(fields[6], "tcp", 65_535, 1),
    udpPort: integer(fields[7], "udp", 65_535, 1),
    tags: tagsOf(fields[8]),
  };
}

// For all claims: decoding calls nobody back, so one is enough.
const decoder = new Decoder();

function fieldsIn(bytes: Uint8Array): unknown {
  decoder.reset(bytes);
  const fields = decoder.value();
  decoder.end();
  decoder.release();
  return fields;
}

/** What a claim begins with, where it is written as {@linkcode writeClaim} does. */
export function peekClaim(
  bytes: Uint8Array,
): { kind: Claim["kind"]; subject: string; incarnation: number } | undefined {
  const kind = KINDS[bytes[1] ?? -1];
  const isUsual = bytes[2] === 0xc4 && bytes[3] === ID_BYTES && bytes[24] === 0xcf;
  if (kind === undefined || !isUsual || bytes.length < 33 + SIGNATURE_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + 25, 8);
  const incarnation = view.getUint32(0) * 2 ** 32 + view.getUint32(4);
  return { kind, subject: bytes.subarray(4, 24).toHex(), incarnation };
}

/**
 * Whether a claim that was read is its author's.
 *
 * @param key The author's: that in an `alive` claim, else the known one of the subject or the accuser.
 */
export function isSigned(
  bytes: Uint8Array,
  key: Uint8Array,
  author: string,
  project: string,
  signer: Signer,
): boolean {
  const fields = bytes.subarray(0, bytes.length - SIGNATURE_BYTES);
  const signature = bytes.subarray(bytes.length - SIGNATURE_BYTES);
  return signer.idOf(key) === author && signer.verify(key, signed(project, fields), signature);
}

/** What we say of ourselves is held to what we take from others: who would say more would be refused by all of them. */
function assertReadable({ name, hosts, tags }: AliveClaim): void {
  try {
    text(name, "name", MAX_NAME_CHARS);
    hostsOf(hosts);
    tagsOf(tags);
  } catch (cause) {
    const limits = `a name of ${MAX_NAME_CHARS} characters, ${MAX_HOSTS} addresses and ` +
      `${MAX_TAGS} tags of ${MAX_TAG_CHARS} characters`;
    throw new RangeError(`A member has at most ${limits}`, { cause });
  }
}

function signed(project: string, fields: Uint8Array): Uint8Array {
  return concat(encode([SIGNED_AS, project]), fields);
}

function fieldsOf(claim: Claim): readonly unknown[] {
  const { kind, incarnation } = claim;
  const head = [KINDS.indexOf(kind), Uint8Array.fromHex(claim.subject), incarnation];
  if (kind === "left") return head;
  if (kind === "suspect") return [...head, Uint8Array.fromHex(claim.accuser)];
  const { key, name, hosts, tcpPort, udpPort, tags } = claim;
  return [...head, key, name, hosts, tcpPort, udpPort, tags];
}

function idOf(value: unknown, field: string): string {
  if (value instanceof Uint8Array && value.length === ID_BYTES) return value.toHex();
  throw bad(field);
}

function keyOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array && value.length === KEY_BYTES) return value.slice();
  throw bad("key");
}

function integer(value: unknown, field: string, max: number, min = 0): number {
  if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) {
    return Number(value);
  }
  throw bad(field);
}

function text(value: unknown, field: string, max: number): string {
  if (typeof value === "string" && value.length <= max) return value;
  throw bad(field);
}

/** Addresses only: a name would have to be looked up, for whoever signs it. */
function hostsOf(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > MAX_HOSTS) throw bad("hosts");
  return value.map((host) => {
    if (typeof host === "string" && isHostAddress(host)) return host;
    throw bad("hosts");
  });
}

function tagsOf(value: unknown): Tags {
  const isPlain = typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain) throw bad("tags");
  const entries = Object.entries(value);
  if (entries.length > MAX_TAGS) throw bad("tags");
  for (const [name, tag] of entries) {
    if (typeof tag !== "string" || name.length > MAX_TAG_CHARS || tag.length > MAX_TAG_CHARS) {
      throw bad("tags");
    }
  }
  return value as Tags;
}

function bad(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read a member's claim: bad ${field}`, {
    details: { field },
  });
}
