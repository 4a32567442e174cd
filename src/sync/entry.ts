/**
 * A row of an index: what a replica has under a path, and which edits that includes.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { checkReceivedPath } from "../transfer/safe_path.ts";
import {
  boolean,
  type Faults,
  integer,
  objectOf,
  oneOf,
  optional,
  required,
  type Rule,
  textThat,
} from "./fields.ts";
import type { EntryMessage, FileChanged, JsonObject } from "./message_types.ts";
import {
  versionFault,
  versionFromJson,
  versionToJson,
  type VersionVector,
} from "./version_vector.ts";

/** What is under a path, or was. */
export interface SyncEntry {
  /** Portable relative path in normal form C, as `checkReceivedPath` returns it. */
  readonly path: string;
  /** What it is, or was. */
  readonly kind: "file" | "directory";
  /** Whether it is there no more: a tombstone, kept so that who missed the deletion does not bring it back. */
  readonly deleted: boolean;
  /** Bytes of the file; 0 for what has no contents. */
  readonly size: number;
  /** Permission bits, 0..0o777. */
  readonly mode: number;
  /** Time of the last change in whole milliseconds since 1970: for the disk, never for an order. */
  readonly mtimeMs: number;
  /** SHA-256 of the contents, 64 lower-case hexadecimal digits; empty for what has none. */
  readonly sha256: string;
  /** The edits that it includes. */
  readonly version: VersionVector;
}

/** The end of the year 9999 in milliseconds since 1970. */
export const MAX_MTIME_MS = 253_402_300_799_999;

const MODE_BITS = 0o777;

const SHA256 = /^[0-9a-f]{64}$/;

/** A path that names the same file below a folder on every system, and nothing outside it. */
export function safePath(value: unknown, field: string, faults: Faults): void {
  if (typeof value !== "string") return faults.add(field, "is not text");
  try {
    checkReceivedPath(value);
  } catch (error) {
    if (!(error instanceof InvalidPacketError)) throw error;
    faults.add(field, `is refused: ${error.details.reason}`);
  }
}

/** The rule for an entry in a message. */
export const entryRule: Rule = objectOf({
  path: required(safePath),
  kind: required(oneOf("file", "directory")),
  deleted: optional(boolean),
  size: optional(integer(0, Number.MAX_SAFE_INTEGER)),
  mode: optional(integer(0, 0xffffffff)),
  mtime_ms: optional(integer(0, MAX_MTIME_MS)),
  sha256: optional(textThat((value) => SHA256.test(value), "is not 64 lower-case hex digits")),
  version: required((value, field, faults) => {
    const fault = versionFault(value);
    if (fault !== undefined) faults.add(field, fault);
  }),
}, (value, field, faults) => {
  const { kind, deleted = false, size, sha256 } = value as EntryMessage;
  if (kind !== "file" || deleted) return;
  if (typeof size !== "number") faults.add(`${field}.size`, "is missing");
  if (typeof sha256 !== "string") faults.add(`${field}.sha256`, "is missing");
});

/** An entry as it stands in a message. */
export function entryToMessage(entry: SyncEntry): EntryMessage {
  const { path, kind, deleted, size, mode, mtimeMs, sha256 } = entry;
  const version = versionToJson(entry.version);
  if (deleted) return { path, kind, deleted, version };
  const common = { path, kind, mode, mtime_ms: mtimeMs, version };
  return kind === "directory" ? common : { ...common, size, sha256 };
}

/**
 * Reads an entry from a message that was decoded, and so looked at by {@linkcode entryRule}.
 *
 * @throws {InvalidPacketError} when it was not, and its path or version is wrong.
 */
export function entryFromMessage(message: EntryMessage): SyncEntry {
  const { kind } = message;
  const deleted = message.deleted ?? false;
  const hasContents = kind === "file" && !deleted;
  return {
    path: checkReceivedPath(message.path),
    kind,
    deleted,
    size: hasContents ? message.size ?? 0 : 0,
    mode: deleted ? 0 : (message.mode ?? (kind === "file" ? 0o644 : 0o755)) & MODE_BITS,
    mtimeMs: deleted ? 0 : message.mtime_ms ?? 0,
    sha256: hasContents ? message.sha256 ?? "" : "",
    version: versionFromJson(message.version),
  };
}

/** The entries that a `file_changed` carries, what is gone first; none when it comes from a program that has no index. */
export function changedEntries(change: FileChanged): SyncEntry[] {
  return [change.old_entry, change.entry].filter((entry) => entry !== undefined)
    .map(entryFromMessage);
}

/** A `file_changed` for what became of an entry. @param before What stood there. @param from After a rename, the tombstone. */
export function changeOf(
  entry: SyncEntry,
  clientId: string,
  { before, from }: { before?: SyncEntry | undefined; from?: SyncEntry | undefined } = {},
): FileChanged {
  const isNew = before === undefined || before.deleted;
  const operation = from !== undefined
    ? "rename"
    : entry.deleted
    ? "delete"
    : isNew
    ? "create"
    : "update";
  return {
    operation,
    file_path: entry.path,
    client_id: clientId,
    ...(from === undefined ? {} : { old_path: from.path, old_entry: entryToMessage(from) }),
    entry: entryToMessage(entry),
  };
}

/** A tombstone for an entry. */
export function tombstoneOf(entry: SyncEntry, version: VersionVector): SyncEntry {
  return { ...entry, deleted: true, size: 0, mode: 0, mtimeMs: 0, sha256: "", version };
}

/** Whether two entries stand for the same: nothing, a folder, or a file with these contents. */
export function sameContents(a: SyncEntry, b: SyncEntry): boolean {
  if (a.deleted || b.deleted) return a.deleted === b.deleted;
  // Of one hash and two sizes, one was made up.
  return a.kind === b.kind && a.sha256 === b.sha256 && a.size === b.size;
}

/** Whether the paths that an object names agree. */
export function pathsAgree(value: unknown, field: string, faults: Faults): void {
  const { file_path: filePath, old_path: oldPath, entry, old_entry: oldEntry } =
    value as FileChanged;
  const differ = (path: string | undefined, named: JsonObject | undefined) =>
    named !== undefined && named.path !== path;
  if (differ(filePath, entry)) faults.add(`${field}.entry.path`, "is not that of file_path");
  if (differ(oldPath, oldEntry)) faults.add(`${field}.old_entry.path`, "is not that of old_path");
}
