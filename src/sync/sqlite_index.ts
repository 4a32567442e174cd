/**
 * An index in an SQLite file of the home folder.
 *
 * @module
 */

import { existsSync } from "node:fs";
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { ClosedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Home } from "../state/home.ts";
import { openSqliteFile, openSqliteMemory, sqliteFault } from "../state/sqlite_file.ts";
import { foldPath } from "../transfer/safe_path.ts";
import {
  type IndexWrite,
  type KnownFile,
  NO_MARK,
  type StoredEntry,
  type SyncIndex,
  type SyncMark,
} from "./index.ts";
import { indexSchema } from "./index_schema.ts";
import { versionFromJson, versionToJson } from "./version_vector.ts";

const COLUMNS = "path, folder, deleted, size, mode, mtimeMs, sha256, version, seq, stat, source";

const STATEMENTS = {
  begin: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  rollback: "ROLLBACK",
  self: "SELECT replica FROM self",
  seq: "SELECT coalesce(max(seq), 0) AS seq FROM entries",
  get: `SELECT ${COLUMNS} FROM entries WHERE path = ?`,
  // What the disk was known to say stays, unless it is said anew, or nothing is there.
  put: `INSERT INTO entries (${COLUMNS}, fold)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, iif(?3, '', coalesce(?10, '')), ?11, ?12)
    ON CONFLICT (path) DO UPDATE SET folder = ?2, deleted = ?3, size = ?4, mode = ?5, mtimeMs = ?6,
    sha256 = ?7, version = ?8, seq = ?9, stat = iif(?3, '', coalesce(?10, stat)), source = ?11`,
  noteStat: "UPDATE entries SET stat = ? WHERE path = ? AND deleted = 0",
  known: "SELECT path, folder, stat FROM entries WHERE deleted = 0",
  since:
    `SELECT ${COLUMNS} FROM entries WHERE seq > ? AND (?2 IS NULL OR source <> ?2) ORDER BY seq`,
  // "0" is what comes after "/".
  within: `SELECT ${COLUMNS} FROM entries WHERE path > ? || '/' AND path < ?1 || '0'
    AND deleted = 0 ORDER BY path`,
  alike:
    `SELECT ${COLUMNS} FROM entries WHERE fold = ? AND deleted = 0 AND path <> ? ORDER BY path`,
  withContents: `SELECT ${COLUMNS} FROM entries WHERE sha256 = ? AND deleted = 0 AND folder = 0
    ORDER BY path`,
  mark: "SELECT ours, theirs FROM marks WHERE replica = ?",
  setMark: "INSERT OR REPLACE INTO marks VALUES (?, ?, ?)",
} as const;

/** Paths of which it is remembered for a while what is under them. */
const MAX_LATELY = 16;

/**
 * Keeps an index in a file; see {@linkcode SyncIndex}. Every method throws {@linkcode UnsupportedError} when the file
 * fails, and {@linkcode ClosedError} after it was disposed of.
 */
export class SqliteIndex implements SyncIndex {
  /** This replica's name, as old as the file. */
  readonly replica: string;
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #statements = new Map<string, StatementSync>();
  /** What was asked for, and has not changed since. */
  readonly #lately = new Map<string, StoredEntry | undefined>();
  #seq: number;

  private constructor(db: DatabaseSync, path: string) {
    this.#db = db;
    this.#path = path;
    this.replica = String(this.#ask("self")[0]?.replica);
    this.#seq = Number(this.#ask("seq")[0]?.seq);
  }

  /**
   * Opens a file of the home folder, made with mode 0600 where there is none. One that is damaged is set aside, and an
   * empty one takes its place.
   *
   * @throws {UnsupportedError} when it cannot be used, or another process uses it.
   */
  static open(home: Home, name: string): SqliteIndex {
    return new SqliteIndex(openSqliteFile(home, name, indexSchema()), home.path(name));
  }

  /**
   * The same for a look: whatever is put into it, the file stays as it is. Where there is none, none is made.
   *
   * @throws as {@linkcode SqliteIndex.open}.
   */
  static openForLook(home: Home, name: string): SqliteIndex {
    if (!existsSync(home.path(name))) return SqliteIndex.inMemory();
    const index = SqliteIndex.open(home, name);
    index.#ask("begin"); // and never committed
    return index;
  }

  /** An index in memory, of the same kind. */
  static inMemory(): SqliteIndex {
    return new SqliteIndex(openSqliteMemory(indexSchema()), ":memory:");
  }

  /** The number of the last change. */
  get seq(): number {
    return this.#seq;
  }

  /** What is under a path. */
  get(path: string): StoredEntry | undefined {
    // A step is decided and carried out by what is under one path, which many ask for.
    if (this.#lately.has(path)) return this.#lately.get(path);
    if (this.#lately.size >= MAX_LATELY) this.#lately.clear();
    const [entry] = this.#entries("get", path);
    this.#lately.set(path, entry);
    return entry;
  }

  /** Writes entries. */
  put(writes: Iterable<IndexWrite>): void {
    this.together(() => {
      for (const { entry, stat, source = "" } of writes) {
        const { path, kind, deleted, size, mode, mtimeMs, sha256, version } = entry;
        const facts = [size, mode, mtimeMs, sha256, JSON.stringify(versionToJson(version))];
        const [folder, gone] = [Number(kind === "directory"), Number(deleted)];
        const ours = [++this.#seq, stat ?? null, source, foldPath(path)];
        this.#ask("put", path, folder, gone, ...facts, ...ours);
        this.#lately.delete(path);
      }
    });
  }

  /** Writes all that some work writes, or, when it throws, none of it. */
  together<T>(work: () => T): T {
    if (this.#db.isTransaction) return work();
    const before = this.#seq;
    this.#ask("begin");
    try {
      const result = work();
      this.#ask("commit");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#ask("rollback");
      this.#lately.clear();
      this.#seq = before;
      throw error;
    }
  }

  /** Notes what the disk says. */
  noteStats(stats: Iterable<readonly [path: string, stat: string]>): void {
    this.together(() => {
      for (const [path, stat] of stats) {
        this.#ask("noteStat", stat, path);
        this.#lately.delete(path);
      }
    });
  }

  /** Everything that is there. */
  known(): Map<string, KnownFile> {
    return new Map(
      this.#ask("known").map(({ path, folder, stat }) => {
        return [String(path), { kind: folder === 1 ? "directory" : "file", stat: String(stat) }];
      }),
    );
  }

  /** What changed after a number. */
  since(seq: number, except?: string): StoredEntry[] {
    return this.#entries("since", seq, except ?? null);
  }

  /** What is there below a folder. */
  within(folder: string): StoredEntry[] {
    return this.#entries("within", folder);
  }

  /** What is there under other spellings. */
  alike(path: string): StoredEntry[] {
    return this.#entries("alike", foldPath(path), path);
  }

  /** Files that are there with these contents. */
  withContents(sha256: string): StoredEntry[] {
    return this.#entries("withContents", sha256);
  }

  /** How far this index and another know each other. */
  mark(replica: string): SyncMark {
    const [row] = this.#ask("mark", replica);
    return row === undefined ? NO_MARK : { ours: Number(row.ours), theirs: Number(row.theirs) };
  }

  /** Notes it. */
  setMark(replica: string, { ours, theirs }: SyncMark): void {
    this.#ask("setMark", replica, ours, theirs);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#lately.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #entries(name: keyof typeof STATEMENTS, ...values: SQLInputValue[]): StoredEntry[] {
    return this.#ask(name, ...values).map(entryOf);
  }

  #ask(name: keyof typeof STATEMENTS, ...values: SQLInputValue[]): Row[] {
    if (!this.#db.isOpen) throw new ClosedError(`Cannot use ${printable(this.#path, 400)}: closed`);
    try {
      const statement = this.#statements.get(name) ?? this.#db.prepare(STATEMENTS[name]);
      this.#statements.set(name, statement);
      return statement.all(...values);
    } catch (error) {
      throw sqliteFault(this.#path, error, indexSchema());
    }
  }
}

type Row = Record<string, SQLOutputValue>;

function entryOf(row: Row): StoredEntry {
  return {
    path: String(row.path),
    kind: row.folder === 1 ? "directory" : "file",
    deleted: row.deleted === 1,
    size: Number(row.size),
    mode: Number(row.mode),
    mtimeMs: Number(row.mtimeMs),
    sha256: String(row.sha256),
    version: versionFromJson(JSON.parse(String(row.version))),
    seq: Number(row.seq),
    stat: String(row.stat),
    source: String(row.source),
  };
}
