/**
 * What is in the SQLite file that {@linkcode SqliteStorage} keeps records in.
 *
 * Source: "Query Planning" in the documentation of SQLite.
 *
 * @module
 */

import type { SqliteSchema } from "../state/sqlite_file.ts";

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

/** The tables of records, and of the contacts to begin with. */
export const DHT_SCHEMA: SqliteSchema = {
  version: 1,
  tables: TABLES,
  inUse: "another process does; stop it, or name another folder with KITH_HOME or --home",
};
