/**
 * A file of records in the home folder that several processes read and change at the same time: who is trusted, which
 * invites there are.
 *
 * ```json
 * {"version":1,"records":[
 * {"peerId":"21fe31...","name":"bob","policy":"pin","since":1767225600000}
 * ]}
 * ```
 *
 * Reading costs a look at the folder, and the file again when another process has changed it. A change reads, changes and
 * replaces the file while it holds a lock (a second, empty file), so that none is lost to another process's; the system
 * frees the lock of a process that ends. A file that cannot be understood is never replaced: it may hold what somebody
 * is denied by.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { InvalidPacketError, LimitError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Home } from "../state/home.ts";
import { decodeJson, encodeJson } from "../wire/json.ts";
import { fileStamp } from "./file_stamp.ts";

/** Most records in a file. */
export const MAX_RECORDS = 4_096;

/** Largest file in bytes: more than the most records of the longest can have. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** The last time that a `Date` can show (ECMA-262, 21.4.1.1). */
const MAX_TIME_MS = 8.64e15;

/** The version of the format. */
const VERSION = 1;

/** What a file holds and where it is. */
export interface RecordFileOptions<R> {
  /** The folder; without one the records are in memory only. */
  home: Home | undefined;
  /** The file's name there. */
  name: string;
  /** What an error calls it. */
  what: string;
  /** Checks a record that was read. @throws {InvalidPacketError} as {@linkcode badRecord} makes it. */
  parse: (value: Readonly<Record<string, unknown>>) => R;
  /** What tells records apart. */
  keyOf: (record: R) => string;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** How long not to look whether the file has changed, in milliseconds. @default {0} */
  recheckMs?: number;
}

/** Records, each under its key. */
export class RecordFile<R extends object> {
  readonly #options: RecordFileOptions<R>;
  readonly #clock: Clock;
  #records: ReadonlyMap<string, R> = new Map();
  #fault: unknown;
  #stamp: string | undefined;
  #lookedMs = -Infinity;

  /** Reads nothing yet. */
  constructor(options: RecordFileOptions<R>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * The records as they are now, by their keys, in the order they were added.
   *
   * @throws {InvalidPacketError} when the file cannot be understood: the same error until the file changes.
   * @throws {UnsupportedError} when it cannot be read.
   */
  get records(): ReadonlyMap<string, R> {
    const { home, recheckMs = 0 } = this.#options;
    const nowMs = this.#clock.now();
    if (home !== undefined && nowMs - this.#lookedMs >= recheckMs) {
      this.#lookedMs = nowMs;
      this.#refresh(home);
    }
    return this.#current();
  }

  /** The same, looked at this very moment. @throws as {@linkcode RecordFile.records}. */
  get latest(): ReadonlyMap<string, R> {
    this.#lookedMs = -Infinity;
    return this.records;
  }

  /**
   * Changes the records; what others change meanwhile waits, as this does for them. When `change` throws nothing is
   * changed.
   *
   * @returns what `change` does.
   * @throws {LimitError} for more than 4096 records. @throws {UnsupportedError} when the file cannot be written.
   * @throws as {@linkcode RecordFile.records}, and what `change` does.
   */
  update<T>(change: (records: Map<string, R>) => T): T {
    const { home, name } = this.#options;
    if (home === undefined) return this.#change(change);
    using _lock = lock(home.path(`${name}.lock`));
    this.#refresh(home);
    const result = this.#change(change, (records) => home.writeAtomic(name, format(records)));
    this.#stamp = fileStamp(home.path(name));
    return result;
  }

  #current(): ReadonlyMap<string, R> {
    if (this.#fault !== undefined) throw this.#fault;
    return this.#records;
  }

  #change<T>(
    change: (records: Map<string, R>) => T,
    write: (records: ReadonlyMap<string, R>) => void = () => {},
  ): T {
    const records = new Map(this.#current());
    const result = change(records);
    if (records.size > MAX_RECORDS) throw full(this.#options.what);
    write(records);
    this.#records = records;
    return result;
  }

  #refresh(home: Home): void {
    const { name } = this.#options;
    // Looked at before it is read: what changes in between is seen the next time.
    const stamp = fileStamp(home.path(name));
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      this.#records = this.#parse(home.read(name), home.path(name));
      this.#fault = undefined;
    } catch (error) {
      this.#fault = error;
      // What is wrong with the machine, not with the file, may be over the next time.
      if (!(error instanceof InvalidPacketError)) this.#stamp = "unread";
    }
  }

  #parse(bytes: Uint8Array | undefined, path: string): ReadonlyMap<string, R> {
    const records = new Map<string, R>();
    if (bytes === undefined) return records;
    try {
      const json = decodeJson(bytes, { maxBytes: MAX_FILE_BYTES });
      for (const [index, row] of rowsOf(json).entries()) {
        const record = this.#parseRow(row, index);
        records.set(this.#options.keyOf(record), record);
      }
      return records;
    } catch (error) {
      throw error instanceof InvalidPacketError ? unusable(this.#options.what, path, error) : error;
    }
  }

  #parseRow(row: unknown, index: number): R {
    try {
      return this.#options.parse(objectOf(row));
    } catch (error) {
      throw error instanceof InvalidPacketError
        ? badRecord(`record ${index}: ${error.message}`)
        : error;
    }
  }
}

/** The error for a record that cannot be: what is wrong with it, which is all that its text has to say. */
export function badRecord(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", why);
}

/** Whether a value is a time in milliseconds since 1970 that a date can show. */
export function isTimeMs(value: unknown): value is number {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= MAX_TIME_MS;
}

/** Waits for the lock and holds it until it is disposed of. */
function lock(path: string): Disposable {
  let file: Deno.FsFile | undefined;
  try {
    file = Deno.openSync(path, { create: true, write: true, mode: 0o600 });
    file.lockSync(true);
    return file;
  } catch (cause) {
    file?.close();
    const why = printable(cause instanceof Error ? cause.message : String(cause), 400);
    throw new UnsupportedError(`Cannot lock ${printable(path, 400)}: ${why}`, { cause });
  }
}

// A record per line: whoever has to mend the file sees what is what.
function format(records: ReadonlyMap<string, object>): Uint8Array {
  const rows = [...records.values()].map((record) => encodeJson(record));
  const text = `{"version":${VERSION},"records":[\n${rows.join(",\n")}\n]}\n`;
  return new TextEncoder().encode(text);
}

function rowsOf(json: unknown): readonly unknown[] {
  const { version, records } = objectOf(json);
  if (version !== VERSION) throw badRecord(`its version is not ${VERSION}`);
  if (!Array.isArray(records)) throw badRecord("it has no list of records");
  if (records.length <= MAX_RECORDS) return records;
  throw badRecord(`it has ${records.length} records, more than maxRecords ${MAX_RECORDS}`);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (isObject) return value as Readonly<Record<string, unknown>>;
  throw badRecord("it is no object");
}

function full(what: string): LimitError {
  return new LimitError(
    "limit",
    `Cannot add to ${what}: maxRecords ${MAX_RECORDS} are there; remove some`,
    { details: { limit: "maxRecords", max: MAX_RECORDS } },
  );
}

function unusable(what: string, path: string, cause: InvalidPacketError): InvalidPacketError {
  const remedy = "correct it, restore it from a backup, or move it away to start with an empty one";
  return new InvalidPacketError(
    "bad-message",
    `Cannot use ${what} ${printable(path, 400)}: ${cause.message}; ${remedy}`,
    { cause, details: { path } },
  );
}
