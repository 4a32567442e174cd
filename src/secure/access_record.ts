/**
 * What a peer notes of the invites and API keys that it gives away.
 *
 * @module
 */

import { badRecord, isTimeMs } from "./record_file.ts";
import { isScope, type Scope } from "./scope.ts";

/** How long what has expired or was revoked stays on the list, in milliseconds. */
const REMEMBER_MS = 86_400_000;

/** What was given away. */
export interface AccessRecord {
  /** Its id, 32 hexadecimal digits; no secret. */
  readonly id: string;
  /** Which of the two it is. */
  readonly kind: "invite" | "api-key";
  /** What it allows. */
  readonly scopes: readonly Scope[];
  /** When it was made, in milliseconds since 1970. */
  readonly created: number;
  /** When it ends, in milliseconds since 1970; absent where it does not. */
  readonly expires?: number;
  /** When it was revoked, in milliseconds since 1970. */
  readonly revoked?: number;
  /** The peer id of who alone may use it; absent where anybody may. */
  readonly to?: string;
}

/** What is kept of it. */
export interface StoredRecord extends AccessRecord {
  /** SHA-256 of an API key's secret, in hexadecimal digits. */
  readonly hash?: string;
}

/** Forgets what expired or was revoked a day ago or longer. */
export function forgetOld(records: Map<string, StoredRecord>, now: number): void {
  for (const { id, expires = Infinity, revoked = Infinity } of records.values()) {
    if (Math.min(expires, revoked) + REMEMBER_MS <= now) records.delete(id);
  }
}

/** What may be shown of a record. */
export function withoutHash({ hash: _, ...record }: StoredRecord): AccessRecord {
  return record;
}

/** Checks a record of the file. @throws {InvalidPacketError} */
export function parseRecord(row: Readonly<Record<string, unknown>>): StoredRecord {
  const { id, kind, scopes, created, expires, revoked, to, hash } = row;
  if (!isHex(id, 32)) throw badRecord("id is no id");
  if (kind !== "invite" && kind !== "api-key") {
    throw badRecord("kind is neither invite nor api-key");
  }
  if (!Array.isArray(scopes) || !scopes.every(isScope)) throw badRecord("scopes are none");
  if (!isTimeMs(created)) throw badRecord("created is no time");
  if (expires !== undefined && !isTimeMs(expires)) throw badRecord("expires is no time");
  if (revoked !== undefined && !isTimeMs(revoked)) throw badRecord("revoked is no time");
  if (to !== undefined && !isPeerId(to)) throw badRecord("to is no peer id");
  if (hash !== undefined && !isHex(hash, 64)) throw badRecord("hash is no hash");
  return {
    id,
    kind,
    scopes,
    created,
    ...(expires === undefined ? {} : { expires }),
    ...(revoked === undefined ? {} : { revoked }),
    ...(to === undefined ? {} : { to }),
    ...(hash === undefined ? {} : { hash }),
  };
}

/** Whether a value is a peer id. */
export function isPeerId(value: unknown): value is string {
  return isHex(value, 40);
}

function isHex(value: unknown, digits: number): value is string {
  return typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value);
}
