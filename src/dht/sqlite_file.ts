/**
 * The SQLite file that {@linkcode SqliteStorage} keeps records in: what is in it, and how it is opened.
 *
 * The write-ahead log makes each commit whole or not there, whenever the process is killed; what the machine itself had
 * not yet written when it lost its power is lost, and nothing else. The file is one process's as long as it is open.
 *
 * Sources: "Write-Ahead Logging", "Result and Error Codes" and "Query Planning" in the documentation of SQLite.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Home } from "../state/home.ts";

/** The version of the tables, in the file's `user_version`. */
const VERSION = 1;

/** The log is cut back to so many bytes. */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** What SQLite says of a file that is damaged, or none of its own (SQLITE_CORRUPT, SQLITE_NOTADB). */
const DAMAGED: readonly unknown[] = [11, 26];

/** And of one that another process has open (SQLITE_BUSY). */
const IN_USE = 5;

// A new item gets a number above all others: in the order of `id` they were put. The record stands last, so that what is
// before it is read without it. `crc` is of the record: SQLite does not see whether a disk has changed what it keeps.
const TABLES = `
  CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    slot TEXT NOT NULL,
    source TEXT NOT NULL,
    subnet TEXT,
    bytes INTEGER NOT NULL,
    expiresMs INTEGER NOT NULL,
    dueMs INTEGER NOT NULL,
    own INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (key, slot)
  ) STRICT;
  CREATE INDEX items_by_end ON items (expiresMs);
  CREATE INDEX items_by_due ON items (dueMs);
  CREATE INDEX items_by_host ON items (own, source, subnet);
  CREATE TABLE contacts (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    hostname TEXT NOT NULL,
    port INTEGER NOT NULL,
    tcpPort INTEGER NOT NULL,
    name TEXT
  ) STRICT;
`;

/**
 * Opens the file of that name in the home folder, made with mode 0600 where there is none. One that is damaged, or of
 * another version, is set aside, and an empty one takes its place.
 *
 * @throws {UnsupportedError} when it cannot be used, or another process uses it.
 */
export function openFile(home: Home, name: string): DatabaseSync {
  const path = home.path(name);
  try {
    return open(path) ?? renewed(home, name);
  } catch (error) {
    throw fileFault(path, error);
  }
}

/** The error for a file that cannot be read or written; an error that is one of ours already stays. */
export function fileFault(path: string, cause: unknown): UnsupportedError {
  if (cause instanceof UnsupportedError) return cause;
  const shown = printable(path, 400);
  if (codeOf(cause) === IN_USE) {
    const remedy = "stop it, or name another folder with KITH_HOME or --home";
    return new UnsupportedError(`Cannot use ${shown}: another process does; ${remedy}`, { cause });
  }
  const why = printable(cause instanceof Error ? cause.message : String(cause));
  return new UnsupportedError(`Cannot use ${shown}: ${why}`, { cause });
}

/** The database, its tables in it; `undefined` when the file is no good. */
function open(path: string): DatabaseSync | undefined {
  makePrivate(path);
  const db = new DatabaseSync(path);
  try {
    if (prepared(db)) return db;
  } catch (error) {
    if (!DAMAGED.includes(codeOf(error))) {
      db.close();
      throw error;
    }
  }
  db.close();
  return undefined;
}

/** SQLite plays no log into an empty file: what is left of the damaged one's is harmless. */
function renewed(home: Home, name: string): DatabaseSync {
  home.setAside(name, `it is damaged, or not of version ${VERSION}`);
  const db = open(home.path(name));
  if (db !== undefined) return db;
  throw new UnsupportedError(`Cannot use ${printable(home.path(name), 400)}: a new one is damaged`);
}

// Not `exec`: its errors have no code.
function prepared(db: DatabaseSync): boolean {
  const ask = (sql: string) => Object.values(db.prepare(sql).get() ?? {})[0];
  ask("PRAGMA locking_mode = EXCLUSIVE");
  ask("PRAGMA journal_mode = WAL");
  ask("PRAGMA synchronous = NORMAL");
  ask(`PRAGMA journal_size_limit = ${MAX_LOG_BYTES}`);
  const version = ask("PRAGMA user_version");
  if (version === 0 && ask("SELECT count(*) FROM sqlite_schema") === 0) {
    db.exec(`BEGIN IMMEDIATE; ${TABLES} PRAGMA user_version = ${VERSION}; COMMIT`);
    return true;
  }
  // 60 ms for 64 MiB, once.
  return version === VERSION && ask("PRAGMA quick_check(1)") === "ok";
}

// SQLite would make it readable to all, as it does its log unless the file is private.
function makePrivate(path: string): void {
  try {
    Deno.openSync(path, { createNew: true, write: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "errcode" in error ? error.errcode : undefined;
}
