/**
 * How two kith peers begin: who we are, which versions and capabilities we speak, and the answer to that.
 *
 * ```
 * dialer    KITH/1\n  :hello {min, max, shared, peer, inst, name, caps, agent}  ->
 *                            <-  :accept {version, peer, inst, name, caps, agent}   acceptor
 *                                  <-  :deny {code, reason}, then close
 * ```
 *
 * The preface is not a frame: it is what tells a native connection from the others that may come in on the same port.
 * HELLO, ACCEPT and DENY are the peerpy peer's; versions, capabilities and reasons are what its document lacks.
 *
 * @module
 */

import { HandshakeError, InvalidPacketError, LimitError, type PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { type MessageBody, PEER_ID_BYTES } from "../wire/message.ts";

/** The first bytes of every native connection. */
export const PREFACE: Uint8Array = new TextEncoder().encode("KITH/1\n");

/** The oldest and the newest version of the native protocol that this code speaks. */
export const VERSIONS: VersionRange = { min: 1, max: 1 };

/** Largest message before a link exists, enough for every capability: what a stranger can make us hold. */
export const MAX_HANDSHAKE_BYTES: number = 16 * 1024;

/** Longest name of a peer, in UTF-16 units: a label for people. */
export const MAX_NAME_CHARS = 64;

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

/** What a peer says of itself. Until the channel proves it, it is a claim. */
export interface PeerInfo {
  /** 40 lower-case hexadecimal digits. */
  readonly peerId: string;
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
  /** Versions that the dialer speaks. */
  readonly versions: VersionRange;
  /** Whether it wants this to be the one connection between the two. */
  readonly shared: boolean;
}

/** The body of HELLO. */
export function helloBody(
  self: PeerInfo,
  options: { versions?: VersionRange; shared?: boolean } = {},
): MessageBody {
  const { versions = VERSIONS, shared = false } = options;
  return { min: versions.min, max: versions.max, shared, ...infoBody(self) };
}

/** The body of ACCEPT. */
export function acceptBody(self: PeerInfo, version: number): MessageBody {
  return { version, ...infoBody(self) };
}

/** The body of DENY: a code of the error table and a sentence for people. */
export function denyBody(error: PeerError): MessageBody {
  return { code: error.code, reason: error.message };
}

/** Reads a HELLO. @throws {InvalidPacketError} naming the field that is wrong. */
export function parseHello(body: MessageBody): Hello {
  const versions = { min: versionOf(body, "min"), max: versionOf(body, "max") };
  return { ...parseInfo(body), versions, shared: body.shared === true };
}

/** Reads an ACCEPT. @throws {InvalidPacketError} naming the field that is wrong. */
export function parseAccept(body: MessageBody): PeerInfo & { readonly version: number } {
  return { ...parseInfo(body), version: versionOf(body, "version") };
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

function infoBody(self: PeerInfo): MessageBody {
  return {
    peer: Uint8Array.fromHex(self.peerId),
    name: self.name,
    caps: self.capabilities,
    agent: self.agent,
    ...(self.instance === undefined ? {} : { inst: Uint8Array.fromHex(self.instance) }),
  };
}

function parseInfo(body: MessageBody): PeerInfo {
  const { peer, name, caps, agent, inst } = body;
  if (!(peer instanceof Uint8Array) || peer.length !== PEER_ID_BYTES) {
    throw badField("peer", `it is not ${PEER_ID_BYTES} bytes`);
  }
  if (inst !== undefined && !(inst instanceof Uint8Array && inst.length === INSTANCE_BYTES)) {
    throw badField("inst", `it is not ${INSTANCE_BYTES} bytes`);
  }
  return {
    peerId: peer.toHex(),
    name: parseText("name", name, MAX_NAME_CHARS),
    capabilities: parseCapabilities(caps),
    agent: parseText("agent", agent, MAX_NAME_CHARS),
    ...(inst === undefined ? {} : { instance: inst.toHex() }),
  };
}

function parseText(field: string, value: unknown, maxChars: number): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw badField(field, "it is not a string");
  if (value.length > maxChars) throw badField(field, `it is longer than ${maxChars}`);
  return value;
}

function parseCapabilities(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badField("caps", "it is not a list");
  if (value.length > MAX_CAPABILITIES) throw badField("caps", `more than ${MAX_CAPABILITIES}`);
  return value.map((item) => parseText("caps", item, MAX_CAPABILITY_CHARS));
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
