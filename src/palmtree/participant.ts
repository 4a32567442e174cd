/**
 * Who takes part in a palm tree, and how ids and addresses are written in its messages.
 *
 * Ids are decimal text; 20 bytes of bin, as older nodes write, are the same id.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import { idFromDecimal, idToDecimal, MAX_IP_CHARS, parsePeerId } from "../wire/remote_peer.ts";

/** Longest id of a session, of a message and longest key, in UTF-16 units; nodes send 36, a UUID. */
export const MAX_TEXT_CHARS = 128;

/** Which session it is: text, or an integer, which the seed has; it is written back as it came. */
export type SessionId = string | number | bigint;

/** Somebody who takes part. */
export interface Participant {
  /** Who: a number below 2^160 in decimal. */
  readonly peerId: string;
  /** Where it takes the session's packets (UDP). */
  readonly passive: Address;
  /** Where it takes links (TCP). */
  readonly active: Address;
  /** Whether it is one of ours, whose packets are sealed and whose links have frames; else it is an original. */
  readonly isKith: boolean;
}

/** An address as it stands in messages. */
export function pairOf({ hostname, port }: Address): [ip: string, port: number] {
  return [withoutZone(hostname), port];
}

/** Reads an address; originals without one write port 0. @throws {InvalidPacketError} `bad-message` naming the field. */
export function readAddress(value: unknown, field: string): Address {
  const [hostname, port, ...more]: readonly unknown[] = Array.isArray(value) ? value : [];
  if (typeof hostname !== "string" || hostname.length > MAX_IP_CHARS || more.length > 0) {
    throw bad(field, `it is not [ip, port] with an ip of at most ${MAX_IP_CHARS} characters`);
  }
  return { hostname: withoutZone(hostname), port: readInteger(port, field, 0, 65_535) };
}

/** Reads an id, as decimal text or bin. @throws {InvalidPacketError} `bad-message` naming the field. */
export function readPeerId(value: unknown, field: string): string {
  if (value instanceof Uint8Array) return idToDecimal(parsePeerId(value));
  // Read and written again: 007 is the same id as 7.
  if (typeof value === "string") return idToDecimal(idFromDecimal(value));
  throw bad(field, "it is neither text nor bin");
}

/** Reads the id of a session. @throws {InvalidPacketError} `bad-message` naming the field. */
export function readSessionId(value: unknown, field: string): SessionId {
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  if (typeof value === "string" && value !== "" && value.length <= MAX_TEXT_CHARS) return value;
  throw bad(field, `it is neither an integer nor text of 1..${MAX_TEXT_CHARS} characters`);
}

/** Reads text that is not empty. @throws {InvalidPacketError} `bad-message` naming the field. */
export function readText(value: unknown, field: string): string {
  if (typeof value === "string" && value !== "" && value.length <= MAX_TEXT_CHARS) return value;
  throw bad(field, `it is not text of 1..${MAX_TEXT_CHARS} characters`);
}

/** Reads an integer. @throws {InvalidPacketError} `bad-message` naming the field and its bounds. */
export function readInteger(value: unknown, field: string, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) {
    return value + 0; // also makes 0 of -0
  }
  throw bad(field, `it is not an integer ${least}..${most}`);
}

/** Reads a list. @throws {InvalidPacketError} `bad-message` naming the field and how many may be in it. */
export function readList<T>(
  value: unknown,
  field: string,
  most: number,
  read: (item: unknown, index: number) => T,
): T[] {
  if (Array.isArray(value) && value.length <= most) return value.map(read);
  throw bad(field, `it is not an array of at most ${most}`);
}

/** The error for a message whose field is wrong. */
export function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read palm tree message: ${field}: ${why}`, {
    details: { field },
  });
}

/** A host without the zone of a link-local address, which means nothing elsewhere. */
export function withoutZone(hostname: string): string {
  return hostname.split("%", 1)[0] ?? "";
}
