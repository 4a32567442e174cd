/**
 * What is noted of a peer that somebody trusts or denies.
 *
 * @module
 */

import { peerIdOf, PUBLIC_KEY_BYTES } from "./identity.ts";
import { badRecord, isTimeMs } from "./record_file.ts";

/** What can be said of a peer: its name was used, confirmed, or it is on the allow or the deny list. */
export const TRUST_POLICIES = ["seen", "pin", "allow", "deny"] as const;

/** One of {@linkcode TRUST_POLICIES}. */
export type TrustPolicy = typeof TRUST_POLICIES[number];

/** Longest name, in UTF-16 units: that of a peer. */
export const MAX_NAME_CHARS = 64;

const PEER_ID = /^[0-9a-f]{40}$/;

/** A peer under one of its names. All entries of a peer have the same policy. */
export interface TrustEntry {
  /** The peer id, 40 lower-case hexadecimal digits. */
  readonly peerId: string;
  /** The name that belongs to it; empty where it has none. One that is denied keeps it as a label only. */
  readonly name: string;
  /** What was said of it. */
  readonly policy: TrustPolicy;
  /** When that was said, in milliseconds since 1970. */
  readonly since: number;
  /** Its public key, 64 hexadecimal digits; absent until it is first met. */
  readonly key?: string;
}

/** What tells entries apart. */
export function keyOf({ peerId, name }: TrustEntry): string {
  return `${peerId} ${name}`;
}

/**
 * Whether a peer can have that name. One that looks like an id cannot: somebody could take another peer's id for a name.
 */
export function isName(name: string): boolean {
  return name !== "" && name.length <= MAX_NAME_CHARS && !looksLikeId(name);
}

/** Whether a text is a peer id, or so much of one that nobody is called that by chance: eight digits or more. */
export function looksLikeId(text: string): boolean {
  return /^[0-9a-f]{8,40}$/i.test(text);
}

/** A peer id, in lower case; `undefined` when the text is none. */
export function asPeerId(text: string): string | undefined {
  const id = text.toLowerCase();
  return PEER_ID.test(id) ? id : undefined;
}

/** Checks an entry of the file. @throws {InvalidPacketError} */
export function parseEntry(row: Readonly<Record<string, unknown>>): TrustEntry {
  const { peerId, name, policy, since, key } = row;
  if (typeof peerId !== "string" || !PEER_ID.test(peerId)) throw badRecord("peerId is no peer id");
  if (typeof name !== "string" || name.length > MAX_NAME_CHARS) throw badRecord("name is no name");
  if (!isTimeMs(since)) throw badRecord("since is no time");
  const known = TRUST_POLICIES.find((candidate) => candidate === policy);
  if (known === undefined) throw badRecord(`policy is none of ${TRUST_POLICIES.join(", ")}`);
  if (key === undefined) return { peerId, name, policy: known, since };
  if (typeof key !== "string" || !isKeyOf(key, peerId)) throw badRecord("key is not the peer's");
  return { peerId, name, policy: known, since, key };
}

/** Whether a text is the public key of that peer. */
export function isKeyOf(key: string, peerId: string): boolean {
  if (!/^[0-9a-f]+$/.test(key) || key.length !== 2 * PUBLIC_KEY_BYTES) return false;
  return peerIdOf(Uint8Array.fromHex(key)) === peerId;
}
