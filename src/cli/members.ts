/**
 * What a peer says of the members of its group: read with care, since any peer may say anything.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import type { MemberDescription } from "../membership/description.ts";

/** A peer id as it is sent. */
const PEER_ID = /^[0-9a-f]{40}$/;

const STATES: readonly unknown[] = ["alive", "suspect", "dead", "gone"];
const PATHS: readonly unknown[] = ["direct", "relay", "stream", null];

/** What each field has to be. */
const FIELDS: Readonly<Record<keyof MemberDescription, (value: unknown) => boolean>> = {
  peerId: isPeerId,
  name: isText,
  state: (value) => STATES.includes(value),
  why: isText,
  confirmedBy: (value) => Array.isArray(value) && value.every(isPeerId),
  since: Number.isFinite,
  addresses: (value) => Array.isArray(value) && value.every(isText),
  tags: (value) => isRecord(value) && Object.values(value).every(isText),
  rttMs: (value) => value === null || Number.isFinite(value),
  path: (value) => PATHS.includes(value),
};

/** Reads a member; its texts are still a stranger's. @throws {InvalidPacketError} naming the field that is wrong. */
export function readMember(value: unknown): MemberDescription {
  if (!isRecord(value)) throw bad("data");
  const read: Record<string, unknown> = {};
  for (const [field, isFit] of Object.entries(FIELDS)) {
    if (!isFit(value[field])) throw bad(field);
    read[field] = value[field];
  }
  return read as unknown as MemberDescription; // each field was looked at
}

/** Reads all of them. @throws {InvalidPacketError} for what is no list, or has what is no member in it. */
export function readMembers(value: unknown): MemberDescription[] {
  if (!Array.isArray(value)) throw bad("list");
  return value.map(readMember);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isPeerId(value: unknown): boolean {
  return isText(value) && PEER_ID.test(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read member: bad ${field}`, {
    details: { field },
  });
}
