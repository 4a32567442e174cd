/**
 * How two kith peers begin: who we are, which versions and capabilities we speak, and the answer to that.
 *
 * ```
 * dialer    KITH/1\n, a key            ->
 *                                      <-  :hello                 acceptor
 *           :hello                     ->
 *                                      <-  :accept {version}, or :deny {code, reason} and the end
 *
 * :hello {min, max, shared, key, sig, inst, name, caps, agent}
 * ```
 *
 * All but the first line is encrypted: the two hellos are what the Noise handshake carries (`channel_handshake.ts`), and
 * the answer is the first message of the channel. `key` is the peer's Ed25519 key, of which its peer id is the hash;
 * `sig` binds the channel's own key to it. In a network with a name or a key the acceptor says nothing of itself before
 * the dialer has shown that it belongs to it: its hello comes with `:accept`.
 *
 * HELLO, ACCEPT and DENY are the peerpy peer's; what is proven, versions, capabilities and reasons are what its document
 * lacks.
 *
 * @module
 */

import {
  AuthError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  type PeerError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { peerIdOf, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from "../secure/identity.ts";
import { MAX_NAME_CHARS } from "../secure/trust_entry.ts";
import type { MessageBody } from "../wire/message.ts";

export { MAX_NAME_CHARS } from "../secure/trust_entry.ts";

/** The first bytes of every native connection, and the prologue of its handshake. */
export const PREFACE: Uint8Array = new TextEncoder().encode("KITH/1\n");

/** The oldest and the newest version of the native protocol that this code speaks. */
export const VERSIONS: VersionRange = { min: 1, max: 1 };

/** Most capabilities a peer may list, and the longest of their names. */
const MAX_CAPABILITIES = 64;
const MAX_CAPABILITY_CHARS = 64;

/** Bytes of an instance id: enough that no two running programs draw the same. */
export const INSTANCE_BYTES = 8;

/** Versions from `min` to `max`, both included. */
export interface VersionRange {
  /** The oldest. */
  readonly min: number;
  /** The newest. */
  readonly max: number;
}

/** Who a peer is, which the channel proves, and what it says of itself. */
export interface PeerInfo {
  /** 40 lower-case hexadecimal digits: the hash of its key. */
  readonly peerId: string;
  /** Its Ed25519 key, 64 hexadecimal digits. */
  readonly publicKey?: string;
  /** A label, empty where none was given; never an identity. */
  readonly name: string;
  /** What it can do; unknown ones are ignored. */
  readonly capabilities: readonly string[];
  /** Its software, such as `kith/0.1.0`. */
  readonly agent: string;
  /** Which of the programs that run with this identity it is: 16 hexadecimal digits, drawn at start. */
  readonly instance?: string;
}

/** A parsed HELLO. */
export interface Hello extends PeerInfo {
  /** Its Ed25519 key, 64 hexadecimal digits. */
  readonly publicKey: string;
  /** The signature that binds the channel's key to it, not checked yet. */
  readonly signature: Uint8Array;
  /** Versions that it speaks. */
  readonly versions: VersionRange;
  /** Whether it wants this to be the one connection between the two. */
  readonly shared: boolean;
}

/** What a HELLO has besides what a peer says of itself. */
export interface HelloOptions {
  /** The signature that binds the channel's key. */
  signature: Uint8Array;
  /** Versions that are spoken. @default {VERSIONS} */
  versions?: VersionRange;
  /** Whether this shall be the one connection between the two. @default {false} */
  shared?: boolean;
}

/** The body of HELLO. @param self Whose `publicKey` must be there. */
export function helloBody(self: PeerInfo, options: HelloOptions): MessageBody {
  const { signature, versions = VERSIONS, shared = false } = options;
  return {
    min: versions.min,
    max: versions.max,
    shared,
    key: Uint8Array.fromHex(self.publicKey ?? ""),
    sig: signature,
    name: self.name,
    caps: self.capabilities,
    agent: self.agent,
    ...(self.instance === undefined ? {} : { inst: Uint8Array.fromHex(self.instance) }),
  };
}

/**
 * The body of DENY: a code of the error table and a sentence for people. Whom else we know or let in, by which name, is
 * no business of somebody whom we do not let in.
 */
export function denyBody(error: PeerError): MessageBody {
  if (!(error instanceof AuthError)) return { code: error.code, reason: error.message };
  return { code: "not-allowed", reason: "it does not let this peer in" };
}

/** Reads a HELLO. @throws {InvalidPacketError} naming the field that is wrong. */
export function parseHello(body: MessageBody): Hello {
  const { key, sig, name, caps, agent, inst } = body;
  const publicKey = parseBytes("key", key, PUBLIC_KEY_BYTES);
  return {
    peerId: peerIdOf(publicKey),
    publicKey: publicKey.toHex(),
    signature: parseBytes("sig", sig, SIGNATURE_BYTES),
    name: parseText("name", name, MAX_NAME_CHARS),
    capabilities: parseTexts("caps", caps, MAX_CAPABILITIES, MAX_CAPABILITY_CHARS),
    agent: parseText("agent", agent, MAX_NAME_CHARS),
    ...(inst === undefined ? {} : { instance: parseBytes("inst", inst, INSTANCE_BYTES).toHex() }),
    versions: { min: versionOf(body, "min"), max: versionOf(body, "max") },
    shared: body.shared === true,
  };
}

/** What a HELLO says of a peer, without what only the handshake needs. */
export function infoOfHello(hello: Hello): PeerInfo {
  const { peerId, publicKey, name, capabilities, agent, instance } = hello;
  return {
    peerId,
    publicKey,
    name,
    capabilities,
    agent,
    ...(instance === undefined ? {} : { instance }),
  };
}

/** Reads the version of an ACCEPT. @throws {InvalidPacketError} when there is none. */
export function parseAccept(body: MessageBody): number {
  return versionOf(body, "version");
}

/** The error that a DENY means to the dialer. */
export function parseDeny(body: MessageBody): PeerError {
  const code = typeof body.code === "string" ? printable(body.code, 40) : "denied";
  const reason = typeof body.reason === "string" ? printable(body.reason) : "no reason given";
  const options = { details: { reason: code } };
  const text = `Cannot connect: the peer refused: ${reason}`;
  if (code === "limit" || code === "rate") return new LimitError(code, text, options);
  return new HandshakeError(code === "incompatible" ? "incompatible" : "denied", text, options);
}

/**
 * The newest version that both speak.
 *
 * @example
 * ```ts
 * import { commonVersion } from "@kith/kith/endpoint";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(commonVersion({ min: 1, max: 3 }, { min: 2, max: 5 }), 3);
 * assertThrows(() => commonVersion({ min: 1, max: 1 }, { min: 2, max: 2 }));
 * ```
 *
 * @throws {HandshakeError} `incompatible` naming both ranges.
 */
export function commonVersion(ours: VersionRange, theirs: VersionRange): number {
  const version = Math.min(ours.max, theirs.max);
  if (version >= ours.min && version >= theirs.min) return version;
  throw new HandshakeError(
    "incompatible",
    `No common version: ${theirs.min}..${theirs.max} was offered, ${ours.min}..${ours.max} is spoken here`,
    { details: { ours, theirs } },
  );
}

/** The error for a message that has no place in the handshake there. */
export function unexpected(header: string, wanted: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot shake hands: "${printable(header, 40)}" came instead of "${wanted}"`,
  );
}

function parseBytes(field: string, value: unknown, count: number): Uint8Array {
  if (value instanceof Uint8Array && value.length === count) return value;
  throw badField(field, `it is not ${count} bytes`);
}

function parseText(field: string, value: unknown, maxChars: number): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw badField(field, "it is not a string");
  if (value.length > maxChars) throw badField(field, `it is longer than ${maxChars}`);
  return value;
}

function parseTexts(field: string, value: unknown, max: number, maxChars: number): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badField(field, "it is not a list");
  if (value.length > max) throw badField(field, `more than ${max}`);
  return value.map((item) => parseText(field, item, maxChars));
}

function versionOf(body: MessageBody, field: string): number {
  const value = body[field];
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff) {
    return value;
  }
  throw badField(field, "it is not a version number");
}

function badField(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read handshake: ${field}: ${why}`, {
    details: { field },
  });
}
