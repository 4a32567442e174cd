/**
 * What is in the SQLite file that an index is kept in.
 *
 * What the machine had not yet written when it lost its power is lost: the next rescan finds those edits again.
 *
 * Source: "Clustered Indexes and the WITHOUT ROWID Optimization" in the documentation of SQLite.
 *
 * @module
 */

import type { SqliteSchema } from "../state/sqlite_file.ts";
import { makeReplica } from "./version_vector.ts";

// Texts are compared by their bytes, which is the order of code points. `fold` is what the path is to a system that
// ignores case.
const TABLES = `
  CREATE TABLE entries (
    path TEXT PRIMARY KEY,
    fold TEXT NOT NULL,
    folder INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    mtimeMs INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    version TEXT NOT NULL,
    seq INTEGER NOT NULL,
    stat TEXT NOT NULL,
    source TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX entries_by_seq ON entries (seq);
  CREATE INDEX entries_by_fold ON entries (fold) WHERE deleted = 0;
  CREATE INDEX entries_by_contents ON entries (sha256) WHERE deleted = 0 AND folder = 0;
  CREATE TABLE marks (
    replica TEXT PRIMARY KEY,
    ours INTEGER NOT NULL,
    theirs INTEGER NOT NULL,
    opening TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE openings (number INTEGER PRIMARY KEY, name TEXT NOT NULL, began INTEGER NOT NULL) STRICT;
  CREATE TABLE self (id TEXT NOT NULL, replica TEXT NOT NULL) STRICT;
`;

/** The tables of an index, under a replica's name of its own: an index that was lost never gets its name again. */
export function indexSchema(): SqliteSchema {
  const name = makeReplica();
  return {
    version: 2,
    tables: `${TABLES} INSERT INTO self VALUES ('${name}', '${name}');`,
    inUse: "another process keeps this folder alike",
  };
}
