/**
 * Records in an SQLite file of the home folder.
 *
 * What is written is gathered and committed after a second, or after a thousand writes: whoever kills the process loses at
 * most that, and never gets a broken file. See `sqlite_schema.ts` for what is in the file.
 *
 * @module
 */

import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { type Clock, systemClock, type Timer } from "../clock.ts";
import { ClosedError, InvalidPacketError } from "../errors.ts";
import { type Logger, printable, silentLogger } from "../log.ts";
import type { Home } from "../state/home.ts";
import { openSqliteFile, sqliteFault } from "../state/sqlite_file.ts";
import { type Contact, contactOf } from "./contact.ts";
import { fromKey } from "./node_id.ts";
import type { DhtRecord } from "./record.ts";
import { encodeRecord, readRecord } from "./record_codec.ts";
import { DHT_SCHEMA } from "./sqlite_schema.ts";
import {
  type DhtStorage,
  type Host,
  type ItemFacts,
  MAX_CONTACTS,
  type SourceUsage,
  type StoredItem,
  type Usage,
} from "./storage.ts";

/** Keys that are read in one go where all are wanted. */
const PAGE = 256;

const FACTS = "key, slot, source, subnet, bytes, expiresMs, dueMs, own";

/** What is asked of the file. Only the two that are said to do so read a whole table, once when the file is opened. */
export const STATEMENTS = {
  /** Begins a transaction. */
  begin: "BEGIN IMMEDIATE",
  /** Ends it. */
  commit: "COMMIT",
  /** Takes it back. */
  rollback: "ROLLBACK",
  /** What is under a key. */
  get: `SELECT ${FACTS}, crc, record FROM items WHERE key = ? ORDER BY slot`,
  /** What is in a slot. */
  find: `SELECT ${FACTS}, crc, record FROM items WHERE key = ? AND slot = ?`,
  /** What is known of what is under a key. */
  under: `SELECT ${FACTS} FROM items WHERE key = ? ORDER BY slot`,
  /** Puts an item into a slot that is free. */
  put: `INSERT INTO items (${FACTS}, crc, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  /** Frees a slot, and says how many bytes were in it. */
  delete: "DELETE FROM items WHERE key = ? AND slot = ? RETURNING bytes",
  /** What has ended. */
  expired: `SELECT ${FACTS} FROM items WHERE expiresMs <= ? ORDER BY expiresMs LIMIT ?`,
  /** What is to be published again. */
  due: `SELECT ${FACTS}, crc, record FROM items WHERE dueMs <= ? ORDER BY dueMs LIMIT ?`,
  /** What a host brought before all else. */
  oldestOf: `SELECT ${FACTS} FROM items WHERE own = 0 AND source = ? AND subnet IS ?
    ORDER BY id LIMIT 1`,
  /** The first keys of all that are not before one. */
  keysFrom: `SELECT DISTINCT key FROM items WHERE key >= ? ORDER BY key LIMIT ${PAGE}`,
  /** The keys that come next. */
  keys: `SELECT DISTINCT key FROM items WHERE key > ? ORDER BY key LIMIT ${PAGE}`,
  /** What hosts brought: reads the whole table. */
  usage: `SELECT source, subnet, count(*) AS records, sum(bytes) AS bytes FROM items
    WHERE own = 0 GROUP BY source, subnet`,
  /** What there is: reads the whole table. */
  totals: "SELECT count(*) AS records, coalesce(sum(bytes), 0) AS bytes FROM items",
  /** Forgets contacts. */
  clearContacts: "DELETE FROM contacts",
  /** Keeps a contact. */
  addContact: "INSERT INTO contacts (key, hostname, port, tcpPort, name) VALUES (?, ?, ?, ?, ?)",
  /** The contacts, but for those that the disk has changed. */
  contacts: `SELECT key, hostname, port, tcpPort, name FROM contacts
    WHERE length(key) = 40 AND key NOT GLOB '*[^0-9a-f]*' ORDER BY id LIMIT ${MAX_CONTACTS}`,
} as const;

/** How a {@linkcode SqliteStorage} keeps. */
export interface SqliteStorageOptions {
  /** Told when a record is damaged, and when nothing can be written. @default {silentLogger} */
  readonly log?: Logger;
  /** Where timers come from. @default {systemClock} */
  readonly clock?: Pick<Clock, "after">;
  /** How long what was put may wait to be committed, in milliseconds. @default {1000} */
  readonly commitMs?: number;
  /** How much may wait: so many writes. @default {1000} */
  readonly commitWrites?: number;
}

/**
 * Keeps records in a file; see the module. Every method throws {@linkcode UnsupportedError} when the file fails: what was
 * not committed is lost then. After it was disposed of, whatever needs the file throws {@linkcode ClosedError}.
 *
 * @example
 * ```ts
 * import { Home } from "@kith/kith";
 * import { immutableRecord, Keeper, SqliteStorage, toKey } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const home = Home.open(await Deno.makeTempDir());
 * const record = immutableRecord(new Uint8Array([7]));
 * {
 *   using storage = SqliteStorage.open(home, "dht.sqlite");
 *   const keeper = new Keeper(storage, { wallMs: () => 0, random: Math.random });
 *   keeper.put(record, { source: "192.0.2.7", subnet: undefined, ttlS: 60 });
 * }
 * {
 *   using storage = SqliteStorage.open(home, "dht.sqlite");
 *   assertEquals(storage.find(toKey(record.key), "")?.record, record);
 * }
 * await Deno.remove(home.dir, { recursive: true });
 * ```
 */
export class SqliteStorage implements DhtStorage {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #options: Required<SqliteStorageOptions>;
  readonly #statements = new Map<string, StatementSync>();
  #totals: Usage | undefined;
  #losses = 0;
  /** What waits to be committed. */
  #writes = 0;
  #timer: Timer | undefined;

  private constructor(db: DatabaseSync, path: string, options: SqliteStorageOptions) {
    const { log = silentLogger, clock = systemClock } = options;
    const { commitMs = 1_000, commitWrites = 1_000 } = options;
    this.#db = db;
    this.#path = path;
    this.#options = { log, clock, commitMs, commitWrites };
  }

  /**
   * Opens a file of the home folder, made with mode 0600 where there is none. One that is damaged is set aside, and an
   * empty one takes its place.
   *
   * @throws {UnsupportedError} when it cannot be used, or another process uses it.
   */
  static open(home: Home, name: string, options: SqliteStorageOptions = {}): SqliteStorage {
    return new SqliteStorage(openSqliteFile(home, name, DHT_SCHEMA), home.path(name), options);
  }

  /** How often what waited to be committed was lost. */
  get losses(): number {
    return this.#losses;
  }

  /** All under a key. */
  get(key: string): StoredItem[] {
    return this.#items(this.#ask("get", key));
  }

  /** The one in a slot. */
  find(key: string, slot: string): StoredItem | undefined {
    return this.#items(this.#ask("find", key, slot))[0];
  }

  /** What is known of all under a key. */
  under(key: string): ItemFacts[] {
    return this.#ask("under", key).map(factsOf);
  }

  /** Puts an item. */
  put(item: StoredItem): void {
    const { key, slot, source, subnet = null, bytes, expiresMs, dueMs, own, record } = item;
    const written = encodeRecord(record);
    this.#write(() => {
      this.#free(key, slot);
      const facts = [key, slot, source, subnet, bytes, expiresMs, dueMs, Number(own)];
      this.#ask("put", ...facts, crc32(written), written);
      this.#count(1, bytes);
    });
  }

  /** Forgets an item. */
  delete(key: string, slot: string): void {
    this.#write(() => this.#free(key, slot));
  }

  /** Items that are to be forgotten. */
  expired(nowMs: number, limit: number): ItemFacts[] {
    return this.#ask("expired", nowMs, limit).map(factsOf);
  }

  /** Items that are to be published again. */
  due(nowMs: number, limit: number): StoredItem[] {
    return this.#items(this.#ask("due", nowMs, limit));
  }

  /** The item of a host that was put before all its others. */
  oldestOf({ source, subnet }: Host): ItemFacts | undefined {
    return this.#ask("oldestOf", source, subnet ?? null).map(factsOf)[0];
  }

  /** Each key once. */
  *keys(from: string = ""): Iterable<string> {
    yield* this.#keysFrom(from);
    for (const key of from === "" ? [] : this.#keysFrom("")) {
      if (key >= from) return;
      yield key;
    }
  }

  *#keysFrom(from: string): Iterable<string> {
    let page = this.#ask("keysFrom", from);
    while (page.length > 0) {
      const keys = page.map(({ key }) => String(key));
      yield* keys;
      page = page.length < PAGE ? [] : this.#ask("keys", keys.at(-1) ?? "");
    }
  }

  /** How much each host brought. */
  usage(): Iterable<SourceUsage> {
    return this.#ask("usage").map((row) => ({ ...usageOf(row), ...hostOf(row) }));
  }

  /** How much there is of all. */
  totals(): Usage {
    return this.#totals ??= usageOf(this.#ask("totals")[0] ?? {});
  }

  /** Keeps contacts. */
  saveContacts(contacts: readonly Contact[]): void {
    this.#write(() => {
      this.#ask("clearContacts");
      for (const { key, address, tcpPort, name } of contacts.slice(0, MAX_CONTACTS)) {
        this.#ask("addContact", key, address.hostname, address.port, tcpPort, name);
      }
    });
  }

  /** The contacts that were kept. */
  loadContacts(): Contact[] {
    return this.#ask("contacts").map(({ key, hostname, port, tcpPort, name }) => {
      const address = { hostname: String(hostname), port: Number(port) };
      const label = name === null ? null : String(name);
      return contactOf(fromKey(String(key)), address, { tcpPort: Number(tcpPort), name: label });
    });
  }

  /** Commits what waits to be. @throws {UnsupportedError} when that fails. */
  commit(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#writes > 0) this.#ask("commit");
    this.#writes = 0;
  }

  /** Commits what waits to be, and closes the file. */
  [Symbol.dispose](): void {
    if (!this.#db.isOpen) return;
    this.#commitOrLog();
    this.#db.close();
  }

  #write(work: () => void): void {
    const { clock, commitMs, commitWrites } = this.#options;
    if (this.#writes === 0) this.#ask("begin");
    this.#writes++;
    this.#timer ??= clock.after(commitMs, () => this.#commitOrLog());
    this.totals(); // before the change: it is counted on from there
    work();
    if (this.#writes >= commitWrites) this.commit();
  }

  #free(key: string, slot: string): void {
    for (const { bytes } of this.#ask("delete", key, slot)) this.#count(-1, -Number(bytes));
  }

  #count(records: number, bytes: number): void {
    const before = this.totals();
    this.#totals = { records: before.records + records, bytes: before.bytes + bytes };
  }

  /** A timer has nobody to throw to. */
  #commitOrLog(): void {
    try {
      this.commit();
    } catch (error) {
      const why = printable(error instanceof Error ? error.message : String(error));
      this.#options.log.error("records could not be written", { path: this.#path, why });
    }
  }

  #ask(name: keyof typeof STATEMENTS, ...values: SQLInputValue[]): Row[] {
    if (!this.#db.isOpen) throw new ClosedError(`Cannot use ${printable(this.#path, 400)}: closed`);
    try {
      const statement = this.#statements.get(name) ?? this.#db.prepare(STATEMENTS[name]);
      this.#statements.set(name, statement);
      return statement.all(...values);
    } catch (error) {
      this.#giveUp();
      throw sqliteFault(this.#path, error, DHT_SCHEMA);
    }
  }

  /** Half of what was to be written is nothing that could be relied upon. */
  #giveUp(): void {
    this.#totals = undefined;
    if (this.#writes > 0) this.#losses++;
    this.#writes = 0;
    if (this.#db.isTransaction) this.#db.exec(STATEMENTS.rollback);
  }

  #items(rows: readonly Row[]): StoredItem[] {
    return rows.flatMap((row) => {
      const facts = factsOf(row);
      const record = recordOf(row);
      if (record !== undefined) return [{ ...facts, record }];
      const { key } = facts;
      this.#options.log.warn("damaged record dropped", { path: this.#path, key: printable(key) });
      this.delete(key, facts.slot);
      return [];
    });
  }
}

type Row = Record<string, SQLOutputValue>;

function factsOf(row: Row): ItemFacts {
  return {
    key: String(row.key),
    slot: String(row.slot),
    ...hostOf(row),
    bytes: Number(row.bytes),
    expiresMs: Number(row.expiresMs),
    dueMs: Number(row.dueMs),
    own: row.own === 1,
  };
}

function hostOf({ source, subnet }: Row): Host {
  return { source: String(source), subnet: subnet === null ? undefined : String(subnet) };
}

function usageOf({ records, bytes }: Row): Usage {
  return { records: Number(records), bytes: Number(bytes) };
}

/** The record of a row, `undefined` when it is damaged. */
function recordOf({ record, crc }: Row): DhtRecord | undefined {
  if (!(record instanceof Uint8Array) || crc32(record) !== crc) return undefined;
  try {
    return readRecord(record);
  } catch (error) {
    if (error instanceof InvalidPacketError) return undefined;
    throw error;
  }
}
