/**
 * SQLite files of the home folder: how they are opened.
 *
 * The write-ahead log makes each commit whole or not there, whenever the process is killed; what the machine itself had
 * not yet written when it lost its power is lost, and nothing else. A file is one process's as long as it is open.
 *
 * Sources: "Write-Ahead Logging" and "Result and Error Codes" in the documentation of SQLite.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Home } from "./home.ts";

/** The log is cut back to so many bytes. */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** What SQLite says of a file that is damaged, or none of its own (SQLITE_CORRUPT, SQLITE_NOTADB). */
const DAMAGED: readonly unknown[] = [11, 26];

/** And of one that another process has open (SQLITE_BUSY). */
const IN_USE = 5;

/** What is in a file. */
export interface SqliteSchema {
  /** The version of its tables, kept in the file's `user_version`. */
  readonly version: number;
  /** The statements that make them in an empty file, each with its semicolon. */
  readonly tables: string;
  /** What an error says when another process has the file open. */
  readonly inUse: string;
}

/**
 * Opens the file of that name in the home folder, made with mode 0600 where there is none. One that is damaged, or of
 * another version, is set aside, and an empty one takes its place.
 *
 * @throws {UnsupportedError} when it cannot be used, or another process uses it.
 */
export function openSqliteFile(home: Home, name: string, schema: SqliteSchema): DatabaseSync {
  const path = home.path(name);
  try {
    return open(path, schema) ?? renewed(home, name, schema);
  } catch (error) {
    throw sqliteFault(path, error, schema);
  }
}

/** The same tables in memory, gone when they are closed. */
export function openSqliteMemory(schema: SqliteSchema): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  prepared(db, schema);
  return db;
}

/** The error for a file that cannot be read or written; an error that is one of ours already stays. */
export function sqliteFault(
  path: string,
  cause: unknown,
  { inUse }: Pick<SqliteSchema, "inUse">,
): UnsupportedError {
  if (cause instanceof UnsupportedError) return cause;
  const shown = printable(path, 400);
  const said = cause instanceof Error ? cause.message : String(cause);
  const why = codeOf(cause) === IN_USE ? inUse : printable(said);
  return new UnsupportedError(`Cannot use ${shown}: ${why}`, { cause });
}

/** The database, its tables in it; `undefined` when the file is no good. */
function open(path: string, schema: SqliteSchema): DatabaseSync | undefined {
  makePrivate(path);
  const db = new DatabaseSync(path);
  try {
    if (prepared(db, schema)) return db;
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
function renewed(home: Home, name: string, schema: SqliteSchema): DatabaseSync {
  home.setAside(name, `it is damaged, or not of version ${schema.version}`);
  const db = open(home.path(name), schema);
  if (db !== undefined) return db;
  throw new UnsupportedError(`Cannot use ${printable(home.path(name), 400)}: a new one is damaged`);
}

// Not `exec`: its errors have no code.
function prepared(db: DatabaseSync, { version, tables }: SqliteSchema): boolean {
  const ask = (sql: string) => Object.values(db.prepare(sql).get() ?? {})[0];
  ask("PRAGMA locking_mode = EXCLUSIVE");
  ask("PRAGMA journal_mode = WAL");
  ask("PRAGMA synchronous = NORMAL");
  ask(`PRAGMA journal_size_limit = ${MAX_LOG_BYTES}`);
  const found = ask("PRAGMA user_version");
  if (found === 0 && ask("SELECT count(*) FROM sqlite_schema") === 0) {
    db.exec(`BEGIN IMMEDIATE; ${tables} PRAGMA user_version = ${version}; COMMIT`);
    return true;
  }
  // 60 ms for 64 MiB, once.
  return found === version && ask("PRAGMA quick_check(1)") === "ok";
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
