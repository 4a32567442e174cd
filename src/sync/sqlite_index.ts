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
  MAX_OPENINGS,
  MAX_SAME_CONTENTS,
  NO_MARK,
  type Opening,
  signedAnew,
  type StoredEntry,
  type SyncIndex,
  type SyncMark,
} from "./index.ts";
import { indexSchema } from "./index_schema.ts";
import { makeReplica, versionFromJson, versionToJson } from "./version_vector.ts";

const COLUMNS = "path, folder, deleted, size, mode, mtimeMs, sha256, version, seq, stat, source";

const STATEMENTS = {
  begin: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  rollback: "ROLLBACK",
  self: "SELECT id, replica FROM self",
  rename: "UPDATE self SET replica = ?",
  openings: "SELECT name, began FROM openings ORDER BY number",
  opened: "INSERT INTO openings (name, began) VALUES (?, ?)",
  forgetOpenings: `DELETE FROM openings WHERE number <= (SELECT max(number) FROM openings) - ?`,
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
    ORDER BY path LIMIT ?`,
  mark: "SELECT ours, theirs, opening FROM marks WHERE replica = ?",
  setMark: "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
} as const;

/** Paths of which it is remembered for a while what is under them. */
const MAX_LATELY = 16;

/**
 * Keeps an index in a file; see {@linkcode SyncIndex}. Every method throws {@linkcode UnsupportedError} when the file
 * fails, and {@linkcode ClosedError} after it was disposed of.
 *
 * @example
 * ```ts
 * import { Home } from "@kith/kith";
 * import { SqliteIndex } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const home = Home.open(await Deno.makeTempDir());
 * const name = "sync-docs.sqlite"; // `indexNameOf` gives each folder one of its own
 * const before = SqliteIndex.open(home, name);
 * before.setMark("r0123456789abcdef", { ours: 3, theirs: 5 });
 * before[Symbol.dispose]();
 * const index = SqliteIndex.open(home, name);
 * assertEquals([index.id, index.mark("r0123456789abcdef").theirs], [before.id, 5]);
 * index[Symbol.dispose]();
 * await Deno.remove(home.dir, { recursive: true });
 * ```
 */
export class SqliteIndex implements SyncIndex {
  /** The index' own name, as old as the file. */
  readonly id: string;
  /** When it was open. */
  readonly openings: readonly Opening[];
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #statements = new Map<string, StatementSync>();
  /** What was asked for, and has not changed since. */
  readonly #lately = new Map<string, StoredEntry | undefined>();
  #seq: number;
  #replica: string;

  private constructor(db: DatabaseSync, path: string) {
    this.#db = db;
    this.#path = path;
    const [self] = this.#ask("self");
    this.id = String(self?.id);
    this.#replica = String(self?.replica);
    this.#seq = Number(this.#ask("seq")[0]?.seq);
    this.openings = this.#open();
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
    const db = openSqliteFile(home, name, indexSchema());
    db.exec(STATEMENTS.begin); // and never committed
    return new SqliteIndex(db, home.path(name));
  }

  /** An index in memory, of the same kind. */
  static inMemory(): SqliteIndex {
    return new SqliteIndex(openSqliteMemory(indexSchema()), ":memory:");
  }

  /** This replica's name. */
  get replica(): string {
    return this.#replica;
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
  withContents(sha256: string, limit: number = MAX_SAME_CONTENTS): StoredEntry[] {
    return this.#entries("withContents", sha256, limit);
  }

  /** How far this index and another know each other. */
  mark(replica: string): SyncMark {
    const [row] = this.#ask("mark", replica);
    if (row === undefined) return NO_MARK;
    const mark = { ours: Number(row.ours), theirs: Number(row.theirs) };
    return row.opening === "" ? mark : { ...mark, opening: String(row.opening) };
  }

  /** Notes it. */
  setMark(replica: string, { ours, theirs, opening = "" }: SyncMark): void {
    this.#ask("setMark", replica, ours, theirs, opening);
  }

  /** Takes a new replica's name. */
  renew(after: number): void {
    const [before, name] = [this.#replica, makeReplica()];
    this.together(() => {
      this.put(signedAnew(this.since(after), before, name));
      this.#ask("rename", name);
    });
    this.#replica = name;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#lately.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #open(): Opening[] {
    this.together(() => {
      this.#ask("opened", makeReplica(), this.#seq);
      this.#ask("forgetOpenings", MAX_OPENINGS);
    });
    return this.#ask("openings").map(({ name, began }) => {
      return { name: String(name), began: Number(began) };
    });
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
