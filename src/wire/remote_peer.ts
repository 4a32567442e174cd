/**
 * Who a peer is and where: PeerConnect's record, and the ways its 20-byte id is written.
 *
 * On the wire the record is a MessagePack array of 6: id (bin), user name, IP address, TCP port, UDP requests port,
 * status. Inside other messages the id alone travels as "peer_id": an unsigned big-endian integer in decimal text.
 * kith writes ids as lower-case hex.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import { PEER_ID_BYTES } from "./message.ts";

/** The longest user name in UTF-16 units; the original has no limit. Enough for any name, and it fits a datagram. */
export const MAX_USERNAME_CHARS = 256;

/** The longest address in UTF-16 units: that of a DNS name, which leaves room for IPv6 with a zone. */
export const MAX_IP_CHARS = 253;

/** A peer's status in its record. */
export const PEER_STATUS = { offline: 0, online: 1 } as const;

/** A status: 0 or 1. */
export type PeerStatus = typeof PEER_STATUS[keyof typeof PEER_STATUS];

/** A peer as PeerConnect describes it. Everything in it is what the peer says of itself. */
export interface RemotePeer {
  /** 20 bytes. */
  readonly id: Uint8Array;
  /** A label, not an identity; `null` where the original had none. */
  readonly username: string | null;
  /** Where it says it is. */
  readonly ip: string;
  /** Port for connections, 0..65535. */
  readonly tcpPort: number;
  /** Port for requests, 0..65535. */
  readonly udpPort: number;
  /** Whether it is reachable. */
  readonly status: PeerStatus;
}

/** How {@linkcode parseRemotePeer} reads. */
export interface ParseRemotePeerOptions {
  /** Longest user name in UTF-16 units. @default {MAX_USERNAME_CHARS} */
  maxUsernameChars?: number;
}

const FIELD_COUNT = 6;
const MAX_PORT = 65535;
const HEX_ID = /^[0-9A-Fa-f]{40}$/;
// 2^160 has 49 digits.
const DECIMAL_ID = /^[0-9]{1,49}$/;

/**
 * The record of a peer, ready for MessagePack.
 *
 * @example
 * ```ts
 * import { parseRemotePeer, PEER_STATUS, remotePeerToRecord } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const where = { ip: "192.0.2.11", tcpPort: 3485, udpPort: 3486 };
 * const bob = { id: new Uint8Array(20), username: "bob", ...where, status: PEER_STATUS.online };
 * assertEquals(remotePeerToRecord(bob), [bob.id, "bob", "192.0.2.11", 3485, 3486, 1]);
 * assertEquals(parseRemotePeer(remotePeerToRecord(bob)), bob);
 * ```
 *
 * @throws {RangeError} when the id is not 20 bytes.
 */
export function remotePeerToRecord(peer: RemotePeer): unknown[] {
  checkId(peer.id);
  return [peer.id, peer.username, peer.ip, peer.tcpPort, peer.udpPort, peer.status];
}

/**
 * Reads a record that MessagePack gave; the id is copied, and one shorter than 20 bytes gets zeros in front.
 *
 * @example
 * ```ts
 * import { idToHex, parseRemotePeer } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const peer = parseRemotePeer([new Uint8Array(20).fill(7), "bob", "192.0.2.11", 3485, 3486, 1]);
 * assertEquals(peer.username, "bob");
 * assertEquals(idToHex(peer.id), "07".repeat(20));
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` naming the field (`details.field`), `too-large` naming the limit.
 */
export function parseRemotePeer(value: unknown, options: ParseRemotePeerOptions = {}): RemotePeer {
  const { maxUsernameChars = MAX_USERNAME_CHARS } = options;
  if (!Array.isArray(value)) throw invalid("record", "it is not an array");
  if (value.length !== FIELD_COUNT) {
    throw invalid("record", `it has ${value.length} fields instead of ${FIELD_COUNT}`);
  }
  const [id, username, ip, tcpPort, udpPort, status]: unknown[] = value;
  if (!(id instanceof Uint8Array)) throw invalid("id", "it is not bin");
  return {
    id: padId(id),
    username: username === null ? null : readText("username", username, maxUsernameChars),
    ip: readText("ip", ip, MAX_IP_CHARS),
    tcpPort: readPort("tcpPort", tcpPort),
    udpPort: readPort("udpPort", udpPort),
    status: readStatus(status),
  };
}

/**
 * A peer id as kith writes it: 40 lower-case hex digits.
 *
 * @example
 * ```ts
 * import { idToHex } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(idToHex(new Uint8Array(20).fill(7)), "07".repeat(20));
 * assertThrows(() => idToHex(new Uint8Array(32)), RangeError, "current length is 32");
 * ```
 *
 * @throws {RangeError} when the id is not 20 bytes.
 */
export function idToHex(id: Uint8Array): string {
  checkId(id);
  return id.toHex();
}

/**
 * Reads an id of 40 hex digits, of either case.
 *
 * @example
 * ```ts
 * import { idFromHex } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(idFromHex("0A".repeat(20)), new Uint8Array(20).fill(10));
 * assertThrows(() => idFromHex("bob"), Error, '"bob" is not 40 hex digits');
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` when the text is anything else.
 */
export function idFromHex(text: string): Uint8Array<ArrayBuffer> {
  if (!HEX_ID.test(text)) throw invalid("id", `"${printable(text, 64)}" is not 40 hex digits`);
  return Uint8Array.fromHex(text);
}

/**
 * A peer id as PeerConnect writes it: an unsigned big-endian integer in decimal, without padding.
 *
 * @example
 * ```ts
 * import { idFromDecimal, idToDecimal, idToHex } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const id = idFromDecimal("469099608771183077085495238363724627294301243880");
 * assertEquals(idToHex(id), "522b276a356bdf39013dfabea2cd43e141ecc9e8");
 * assertEquals(idToDecimal(id), "469099608771183077085495238363724627294301243880");
 * ```
 *
 * @throws {RangeError} when the id is not 20 bytes.
 */
export function idToDecimal(id: Uint8Array): string {
  return BigInt(`0x${idToHex(id)}`).toString();
}

/**
 * Reads an id written in decimal: up to 49 digits, below 2^160.
 *
 * @example
 * ```ts
 * import { idFromDecimal, idToHex } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(idToHex(idFromDecimal("255")), "ff".padStart(40, "0"));
 * assertThrows(() => idFromDecimal(String(2n ** 160n)), Error, "below 2^160");
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` when the text is anything else.
 */
export function idFromDecimal(text: string): Uint8Array<ArrayBuffer> {
  const hex = DECIMAL_ID.test(text) ? BigInt(text).toString(16) : "";
  if (hex === "" || hex.length > 2 * PEER_ID_BYTES) {
    throw invalid("id", `"${printable(text, 64)}" is not a decimal number below 2^160`);
  }
  return Uint8Array.fromHex(hex.padStart(2 * PEER_ID_BYTES, "0"));
}

/**
 * Reads a peer id in any of its forms: bin of up to 20 bytes, hex or decimal text. The result is a copy.
 *
 * Text of 40 hex digits is hex, all other text decimal. So a decimal id of exactly 40 digits would be misread; one in
 * 10^8 is. Where the other side is known to write decimal, call {@linkcode idFromDecimal} instead.
 *
 * @example
 * ```ts
 * import { idToHex, parsePeerId } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const hex = "522b276a356bdf39013dfabea2cd43e141ecc9e8";
 * const decimal = "469099608771183077085495238363724627294301243880";
 * const read = [hex, decimal, Uint8Array.fromHex(hex)].map((form) => idToHex(parsePeerId(form)));
 * assertEquals(read, [hex, hex, hex]);
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` when it is none of them.
 */
export function parsePeerId(value: unknown): Uint8Array<ArrayBuffer> {
  if (value instanceof Uint8Array) return padId(value);
  if (typeof value !== "string") throw invalid("id", "it is neither bin nor text");
  return HEX_ID.test(value) ? idFromHex(value) : idFromDecimal(value);
}

// A peer that the original made without a profile has the one-byte id 00.
function padId(id: Uint8Array): Uint8Array<ArrayBuffer> {
  if (id.length > PEER_ID_BYTES) {
    throw tooLarge("id", id.length, "PEER_ID_BYTES", PEER_ID_BYTES);
  }
  const padded = new Uint8Array(PEER_ID_BYTES);
  padded.set(id, PEER_ID_BYTES - id.length);
  return padded;
}

function readText(field: string, value: unknown, maxChars: number): string {
  if (typeof value !== "string") throw invalid(field, "it is not text");
  if (value.length > maxChars) {
    const limit = field === "ip" ? "MAX_IP_CHARS" : "maxUsernameChars";
    throw tooLarge(field, value.length, limit, maxChars);
  }
  return value;
}

function readPort(field: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_PORT) {
    return value;
  }
  throw invalid(field, `it is not an integer 0..${MAX_PORT}`);
}

function readStatus(value: unknown): PeerStatus {
  if (value === PEER_STATUS.offline || value === PEER_STATUS.online) return value;
  throw invalid("status", "it is neither 0 nor 1");
}

function checkId(id: Uint8Array): void {
  if (id.length === PEER_ID_BYTES) return;
  throw new RangeError(`Peer id must be ${PEER_ID_BYTES} bytes: current length is ${id.length}`);
}

function invalid(field: string, reason: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode peer ${field}: ${reason}`, {
    details: { field },
  });
}

function tooLarge(field: string, got: number, limit: string, max: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot decode peer ${field}: length ${got} exceeds ${limit} ${max}`,
    { details: { field, limit, max, got } },
  );
}
