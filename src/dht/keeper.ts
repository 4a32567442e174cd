/**
 * Decides what a node keeps: for how long, of whom, and which of two versions.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Clock } from "../clock.ts";
import { AuthError } from "../errors.ts";
import { type NodeId, toKey } from "./node_id.ts";
import { overLimit, type QuotaOptions, Quotas } from "./quotas.ts";
import { type DhtRecord, isNewer } from "./record.ts";
import {
  type DhtStorage,
  type Host,
  ITEM_OVERHEAD,
  type ItemFacts,
  type StoredItem,
  type Usage,
} from "./storage.ts";

/** The last time that a `Date` can show (ECMA-262, 21.4.1.1). */
const MAX_TIME_MS = 8.64e15;

/** What is forgotten in one go where nothing else is said: a few milliseconds' worth. */
const PAGE = 1_000;

/** How much the time of the next publication is spread: all holders of a record got it at the same moment. */
const SPREAD = 0.25;

const ONE: Usage = { records: 1, bytes: 0 };

/** How a {@linkcode Keeper} keeps. */
export interface KeeperOptions {
  /** How long a record of others is kept without being put again, at most, in seconds. @default {86400} */
  readonly maxTtlS?: number;
  /**
   * How long after a record was put, or published again, it is to be published again, in seconds, give or take a quarter.
   * Source: Kademlia, section 2.5. @default {3600}
   */
  readonly republishS?: number;
  /** How much is kept for others. @default {DEFAULT_QUOTAS} */
  readonly quotas?: QuotaOptions;
}

/** How to keep a record. */
export interface PutOptions {
  /** The host that brings it: of IPv6 its network of 64 bits, for it has every address in there. */
  readonly source: string;
  /** Its network, /24 or /48; `undefined` in private ranges. */
  readonly subnet: string | undefined;
  /** For how long, in seconds; more than `maxTtlS` is not granted to others, nor what is beyond the end of the record. */
  readonly ttlS: number;
  /** Whether this node itself puts it: no quota counts then. @default {false} */
  readonly own?: boolean;
  /** The `seq` that the kept record must have, where one is kept and is not this very one. */
  readonly cas?: number | undefined;
}

/** What became of a record: nothing was there; an older one was; this one was, and is kept for longer now. */
export type PutResult = "added" | "updated" | "refreshed";

/**
 * Keeps records in a storage, within quotas. It is the only one that changes items of that storage.
 *
 * @example
 * ```ts
 * import { immutableRecord, Keeper, MemoryStorage } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * let nowMs = 0;
 * const keeper = new Keeper(new MemoryStorage(), { wallMs: () => nowMs, random: Math.random });
 * const record = immutableRecord(new Uint8Array([7]));
 * const options = { source: "192.0.2.7", subnet: "192.0.2.0/24", ttlS: 60 };
 * assertEquals(keeper.put(record, options), "added");
 * assertEquals(keeper.put(record, options), "refreshed");
 * assertEquals(keeper.get(record.key), [record]);
 * nowMs = 60_000;
 * assertEquals([keeper.get(record.key), keeper.expire()], [[], 1]);
 * ```
 */
export class Keeper {
  readonly #storage: DhtStorage;
  readonly #clock: Pick<Clock, "wallMs" | "random">;
  readonly #maxTtlMs: number;
  readonly #republishMs: number;
  readonly #limits: QuotaOptions | undefined;
  #quotas: Quotas;
  #losses: number;
  #evicted = 0;

  /** Takes over what is in the storage. @throws {RangeError} when an option is out of range. */
  constructor(
    storage: DhtStorage,
    clock: Pick<Clock, "wallMs" | "random">,
    options: KeeperOptions = {},
  ) {
    const { maxTtlS = 24 * 60 * 60, republishS = 60 * 60, quotas } = options;
    this.#storage = storage;
    this.#clock = clock;
    this.#maxTtlMs = 1_000 * positive("maxTtlS", maxTtlS);
    this.#republishMs = 1_000 * positive("republishS", republishS);
    this.#limits = quotas;
    this.#losses = storage.losses;
    this.#quotas = countAll(storage, quotas);
  }

  /** How much is kept, with what this node put itself. */
  get totals(): Usage {
    return this.#storage.totals();
  }

  /** How much is kept for others. */
  get forOthers(): Usage {
    return this.#quotas.usage;
  }

  /** Records that had to make room for others. */
  get evicted(): number {
    return this.#evicted;
  }

  /**
   * Keeps a record, which is taken to be genuine: {@linkcode decodeRecord} has checked it.
   *
   * @throws {LimitError} `limit`, naming the quota that is full in `details.limit` and its value in `details.max`.
   * @throws {AuthError} `not-allowed` when a newer version is kept, or another than `cas` says; `details.seq` is the kept
   * one's, 0 for none. Also when a plain record would take the place of one that cannot be forged.
   * @throws {RangeError} when `ttlS` is not above 0.
   */
  put(record: DhtRecord, options: PutOptions): PutResult {
    this.#recountIfLost();
    const nowMs = this.#clock.wallMs();
    const item = this.#itemOf(record, options, nowMs);
    const kept = this.#storage.find(item.key, item.slot);
    if (kept === undefined || kept.expiresMs <= nowMs) {
      assertMayAdd(record, options.cas);
      if (kept === undefined) this.#admit(item);
      else this.#replace(kept, item);
      return "added";
    }
    if (isSameVersion(kept.record, record)) {
      this.#refresh(kept, item);
      return "refreshed";
    }
    assertMayReplace(kept.record, record, options.cas);
    // What is this node's own stays so when its author has a newer version, but not when somebody overwrote it.
    this.#replace(kept, { ...item, own: item.own || (kept.own && record.kind !== "plain") });
    return "updated";
  }

  /** What is kept under a key and has not ended. */
  get(key: NodeId): DhtRecord[] {
    const nowMs = this.#clock.wallMs();
    return this.#storage.get(toKey(key))
      .filter(({ expiresMs }) => expiresMs > nowMs)
      .map(({ record }) => record);
  }

  /** Bytes of the values under a key, without a look at them. */
  bytesUnder(key: NodeId): number {
    return this.#storage.under(toKey(key))
      .reduce((sum, { bytes }) => sum + bytes - ITEM_OVERHEAD, 0);
  }

  /** Forgets a record; harmless where there is none. */
  remove(record: Pick<DhtRecord, "key" | "slot">): void {
    const kept = this.#storage.find(toKey(record.key), record.slot);
    if (kept !== undefined) this.#drop(kept);
  }

  /** Forgets what has ended, up to so many records. @returns how many: as many as `limit` when there may be more. */
  expire(limit: number = PAGE): number {
    this.#recountIfLost();
    const ended = this.#storage.expired(this.#clock.wallMs(), limit);
    for (const item of ended) this.#drop(item);
    return ended.length;
  }

  /**
   * What is to be published again now, up to so many records. Each is given once, and again after `republishS`, unless
   * somebody puts it here before.
   */
  due(limit: number): StoredItem[] {
    const nowMs = this.#clock.wallMs();
    const due = this.#storage.due(nowMs, limit);
    for (const item of due) this.#storage.put({ ...item, dueMs: this.#dueAfter(nowMs) });
    return due.filter(({ expiresMs }) => expiresMs > nowMs);
  }

  #recountIfLost(): void {
    if (this.#losses === this.#storage.losses) return;
    this.#quotas = countAll(this.#storage, this.#limits);
    this.#losses = this.#storage.losses;
  }

  #itemOf(record: DhtRecord, options: PutOptions, nowMs: number): StoredItem {
    const { source, subnet, ttlS, own = false } = options;
    const askedMs = 1_000 * positive("ttlS", ttlS);
    const ttlMs = own ? askedMs : Math.min(askedMs, this.#maxTtlMs);
    const endMs = record.kind === "signed" ? 1_000 * record.expiresS : Infinity;
    return {
      record,
      key: toKey(record.key),
      slot: record.slot,
      source,
      subnet,
      bytes: record.value.length + ITEM_OVERHEAD,
      expiresMs: Math.floor(Math.min(nowMs + ttlMs, endMs, MAX_TIME_MS)),
      dueMs: this.#dueAfter(nowMs),
      own,
    };
  }

  #dueAfter(nowMs: number): number {
    const spread = 1 + SPREAD * (2 * this.#clock.random() - 1);
    return Math.floor(Math.min(nowMs + spread * this.#republishMs, MAX_TIME_MS));
  }

  /**
   * Keeps what is kept for as long as it is now asked for; never shorter. Who brought it first stays charged for it. What
   * is our own we put again ourselves, whoever else does: only we can renew it.
   */
  #refresh(kept: StoredItem, item: StoredItem): void {
    const expiresMs = Math.max(kept.expiresMs, item.expiresMs);
    const dueMs = kept.own && !item.own ? kept.dueMs : item.dueMs;
    if (item.own && !kept.own) this.#quotas.count(kept, { records: -1, bytes: -kept.bytes });
    this.#storage.put({ ...kept, expiresMs, dueMs, own: item.own || kept.own });
  }

  /** Whoever brings the new version is charged for it. */
  #replace(kept: StoredItem, item: StoredItem): void {
    this.#drop(kept);
    try {
      this.#admit(item);
    } catch (error) {
      this.#insert(kept);
      throw error;
    }
  }

  #admit(item: StoredItem): void {
    if (!item.own) this.#makeRoom(item);
    this.#insert(item);
  }

  // Whatever refuses it does so before anything is evicted.
  #makeRoom(item: StoredItem): void {
    if (!this.#quotas.hasRoomFor(item.bytes)) this.expire();
    this.#quotas.assertMayBring(item, item.bytes);
    const neighbor = this.#whoMakesRoomUnder(item);
    let host = this.#quotas.hasRoomFor(item.bytes) ? undefined : this.#whoMakesRoom(item);
    if (neighbor !== undefined) this.#evict(neighbor);
    while (host !== undefined && !this.#quotas.hasRoomFor(item.bytes)) {
      const oldest = this.#storage.oldestOf(host);
      if (oldest !== undefined) this.#evict(oldest);
      else this.#quotas.forget(host); // what the storage has lost
      host = this.#quotas.whoMakesRoom(item, item.bytes) ?? this.#quotas.greatest();
    }
  }

  #whoMakesRoom(item: StoredItem): Host {
    const host = this.#quotas.whoMakesRoom(item, item.bytes);
    if (host !== undefined) return host;
    const { records, bytes } = this.#quotas.usage;
    const { maxRecords, maxBytes } = this.#quotas.limits;
    throw records >= maxRecords
      ? overLimit("records of all", records + 1, "maxRecords", maxRecords)
      : overLimit("bytes of all", bytes + item.bytes, "maxBytes", maxBytes);
  }

  /** Who makes room under a key that is full: whoever has most there, by the same rule as in the whole store. */
  #whoMakesRoomUnder(item: StoredItem): ItemFacts | undefined {
    const { maxPerKey } = this.#quotas.limits;
    const others = this.#storage.under(item.key).filter(({ own }) => !own);
    if (others.length < maxPerKey) return undefined;
    const nowMs = this.#clock.wallMs();
    const ended = others.find(({ expiresMs }) => expiresMs <= nowMs);
    if (ended !== undefined) return ended;
    const crowd = new Quotas();
    for (const other of others) crowd.count(other, ONE);
    const host = crowd.whoMakesRoom(item, 0);
    const oldest = others
      .filter(({ source, subnet }) => source === host?.source && subnet === host.subnet)
      .sort((a, b) => a.dueMs - b.dueMs)[0];
    if (oldest !== undefined) return oldest;
    throw overLimit("records under its key", others.length + 1, "maxPerKey", maxPerKey);
  }

  #evict(item: ItemFacts): void {
    this.#drop(item);
    this.#evicted++;
  }

  #insert(item: StoredItem): void {
    this.#storage.put(item);
    if (!item.own) this.#quotas.count(item, { records: 1, bytes: item.bytes });
  }

  #drop(item: ItemFacts): void {
    this.#storage.delete(item.key, item.slot);
    if (!item.own) this.#quotas.count(item, { records: -1, bytes: -item.bytes });
  }
}

function countAll(storage: DhtStorage, options: QuotaOptions | undefined): Quotas {
  const quotas = new Quotas(options);
  for (const usage of storage.usage()) quotas.count(usage, usage);
  return quotas;
}

function isSameVersion(a: DhtRecord, b: DhtRecord): boolean {
  if (a.kind !== b.kind || Buffer.compare(a.value, b.value) !== 0) return false;
  if (a.kind !== "signed" || b.kind !== "signed") return true;
  return a.seq === b.seq && a.expiresS === b.expiresS;
}

/** Who wants to replace a version gets to know that it is not here. */
function assertMayAdd({ kind }: DhtRecord, cas = 0): void {
  if (kind === "signed" && cas > 0) throw conflict(`nothing is kept, not version ${cas}`, 0);
}

function assertMayReplace(kept: DhtRecord, record: DhtRecord, cas: number | undefined): void {
  if (kept.kind === "immutable") {
    throw new AuthError("not-allowed", "Cannot keep DHT record: its key is a kept value's hash", {
      details: { key: toKey(record.key) },
    });
  }
  if (kept.kind !== "signed" || record.kind !== "signed") return;
  const { seq } = kept;
  if (cas !== undefined && cas !== seq) throw conflict(`version ${seq} is kept, not ${cas}`, seq);
  if (!isNewer(record, kept)) {
    throw conflict(`version ${record.seq} is not newer than version ${seq}, which is kept`, seq);
  }
}

function conflict(why: string, seq: number): AuthError {
  return new AuthError("not-allowed", `Cannot keep DHT record: ${why}`, { details: { seq } });
}

function positive(name: string, value: number): number {
  if (value > 0) return value;
  throw new RangeError(`${name} must be above 0: current value is ${value}`);
}
