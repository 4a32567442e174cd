/**
 * Where records are kept, and the nodes of the routing table over a restart: a small interface, and the one in memory.
 *
 * A storage decides nothing: who may put what is the {@linkcode Keeper}'s business.
 *
 * @module
 */

import type { Contact } from "./contact.ts";
import type { DhtRecord } from "./record.ts";

/** Most contacts that are kept. */
export const MAX_CONTACTS = 1_024;

/** What a record takes besides its value, in bytes: key, name, signature, and what finds it. */
export const ITEM_OVERHEAD = 256;

/** What is known of a kept record without reading it. */
export interface ItemFacts {
  /** Its key, 40 lower-case hexadecimal digits. */
  readonly key: string;
  /** Its place under the key: its author's id, or empty. */
  readonly slot: string;
  /** The host that brought it, which it is counted with. */
  readonly source: string;
  /** The network of that host, the same for all that it brings; `undefined` where networks do not count. */
  readonly subnet: string | undefined;
  /** What it takes: the value and {@linkcode ITEM_OVERHEAD}. */
  readonly bytes: number;
  /** When it is to be forgotten, a whole number of milliseconds since 1970. */
  readonly expiresMs: number;
  /** When it is to be published again, likewise. */
  readonly dueMs: number;
  /** Whether it was put by this node itself. */
  readonly own: boolean;
}

/** Who brought something. */
export type Host = Pick<ItemFacts, "source" | "subnet">;

/** A kept record. */
export interface StoredItem extends ItemFacts {
  /** The record, checked before it was put. */
  readonly record: DhtRecord;
}

/** How much there is. */
export interface Usage {
  /** Records. */
  readonly records: number;
  /** What they take, in bytes. */
  readonly bytes: number;
}

/** How much of it one host brought. */
export interface SourceUsage extends Usage, Host {}

/** Keeps records by key and slot. All of it is synchronous. Errors of a disk are {@linkcode UnsupportedError}s. */
export interface DhtStorage extends Disposable {
  /** How often changes were lost because a disk failed; whoever counts what is there counts anew then. */
  readonly losses: number;
  /** All under a key, in the order of their slots. */
  get(key: string): StoredItem[];
  /** The one in a slot. */
  find(key: string, slot: string): StoredItem | undefined;
  /** What is known of all under a key, without reading them. */
  under(key: string): ItemFacts[];
  /** Puts an item, in the place of the one in its slot. */
  put(item: StoredItem): void;
  /** Forgets an item; harmless where there is none. */
  delete(key: string, slot: string): void;
  /** Items that are to be forgotten by then, first those that have been so for longest. */
  expired(nowMs: number, limit: number): ItemFacts[];
  /** Items that are to be published again by then, likewise. */
  due(nowMs: number, limit: number): StoredItem[];
  /** The item of a host, not an own one, that was put before all its others. */
  oldestOf(host: Host): ItemFacts | undefined;
  /**
   * Each key once, in their order, beginning at or behind one, and then those before it. What is put or deleted meanwhile
   * may be among them or not.
   */
  keys(from?: string): Iterable<string>;
  /** How much each host brought, own items left out. */
  usage(): Iterable<SourceUsage>;
  /** How much there is of all, own items among them. */
  totals(): Usage;
  /** Keeps contacts in the place of those before: the first {@linkcode MAX_CONTACTS}. */
  saveContacts(contacts: readonly Contact[]): void;
  /** The contacts that were kept, in their order. */
  loadContacts(): Contact[];
}

/**
 * A storage that ends with the process.
 *
 * @example
 * ```ts
 * import { immutableRecord, Keeper, MemoryStorage } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const storage = new MemoryStorage();
 * const keeper = new Keeper(storage, { wallMs: () => 0, random: Math.random });
 * const record = immutableRecord(new Uint8Array([7]));
 * keeper.put(record, { source: "192.0.2.7", subnet: undefined, ttlS: 60 });
 * assertEquals(storage.totals(), { records: 1, bytes: 257 });
 * assertEquals([...storage.keys()], [record.key.toHex()]);
 * ```
 */
export class MemoryStorage implements DhtStorage {
  /** Nothing is ever lost. */
  readonly losses: number = 0;
  // Most keys have one item.
  readonly #items = new Map<string, readonly StoredItem[]>();
  // In the order in which they were put: the oldest of each host is its first.
  readonly #byHost = new Map<string, Set<StoredItem>>();
  readonly #byEnd = new ByTime("expiresMs");
  readonly #byDue = new ByTime("dueMs");
  #contacts: readonly Contact[] = [];
  #records = 0;
  #bytes = 0;

  /** All under a key. */
  get(key: string): StoredItem[] {
    return this.#items.get(key)?.toSorted((a, b) => a.slot < b.slot ? -1 : 1) ?? [];
  }

  /** The one in a slot. */
  find(key: string, slot: string): StoredItem | undefined {
    return this.#items.get(key)?.find((item) => item.slot === slot);
  }

  /** What is known of all under a key. */
  under(key: string): ItemFacts[] {
    return this.get(key);
  }

  /** Puts an item. */
  put(item: StoredItem): void {
    this.delete(item.key, item.slot);
    const others = this.#items.get(item.key);
    this.#items.set(item.key, others === undefined ? [item] : [...others, item]);
    if (!item.own) entryOf(this.#byHost, hostOf(item), () => new Set<StoredItem>()).add(item);
    this.#byEnd.add(item);
    this.#byDue.add(item);
    this.#records++;
    this.#bytes += item.bytes;
  }

  /** Forgets an item. */
  delete(key: string, slot: string): void {
    const item = this.find(key, slot);
    if (item === undefined) return;
    const others = this.#items.get(key)?.filter((other) => other !== item) ?? [];
    if (others.length === 0) this.#items.delete(key);
    else this.#items.set(key, others);
    this.#byEnd.delete(item);
    this.#byDue.delete(item);
    const host = this.#byHost.get(hostOf(item));
    if (host?.delete(item) && host.size === 0) this.#byHost.delete(hostOf(item));
    this.#records--;
    this.#bytes -= item.bytes;
  }

  /** Items that are to be forgotten. */
  expired(nowMs: number, limit: number): ItemFacts[] {
    return this.#byEnd.until(nowMs, limit);
  }

  /** Items that are to be published again. */
  due(nowMs: number, limit: number): StoredItem[] {
    return this.#byDue.until(nowMs, limit);
  }

  /** The item of a host that was put before all its others. */
  oldestOf(host: Host): ItemFacts | undefined {
    return this.#byHost.get(hostOf(host))?.values().next().value;
  }

  /** Each key once. */
  *keys(from: string = ""): Iterable<string> {
    const keys = [...this.#items.keys()].sort();
    yield* keys.filter((key) => key >= from);
    yield* keys.filter((key) => key < from);
  }

  /** How much each host brought. */
  *usage(): Iterable<SourceUsage> {
    for (const items of this.#byHost.values()) {
      const [{ source, subnet } = { source: "", subnet: undefined }] = items;
      const bytes = items.values().reduce((sum, item) => sum + item.bytes, 0);
      yield { source, subnet, records: items.size, bytes };
    }
  }

  /** How much there is of all. */
  totals(): Usage {
    return { records: this.#records, bytes: this.#bytes };
  }

  /** Keeps contacts. */
  saveContacts(contacts: readonly Contact[]): void {
    this.#contacts = contacts.slice(0, MAX_CONTACTS);
  }

  /** The contacts that were kept. */
  loadContacts(): Contact[] {
    return [...this.#contacts];
  }

  /** There is nothing to close. */
  [Symbol.dispose](): void {}
}

/** Items by a time, minute by minute, so that what is due is found without a look at the rest. */
class ByTime {
  readonly #time: "expiresMs" | "dueMs";
  readonly #minutes = new Map<number, Set<StoredItem>>();

  constructor(time: "expiresMs" | "dueMs") {
    this.#time = time;
  }

  add(item: StoredItem): void {
    entryOf(this.#minutes, minuteOf(item[this.#time]), () => new Set<StoredItem>()).add(item);
  }

  delete(item: StoredItem): void {
    const minute = minuteOf(item[this.#time]);
    const items = this.#minutes.get(minute);
    if (items?.delete(item) && items.size === 0) this.#minutes.delete(minute);
  }

  until(nowMs: number, limit: number): StoredItem[] {
    const last = minuteOf(nowMs);
    const time = this.#time;
    const found: StoredItem[] = [];
    for (const minute of [...this.#minutes.keys()].filter((one) => one <= last).sort(ascending)) {
      if (found.length >= limit) break;
      for (const item of this.#minutes.get(minute) ?? []) if (item[time] <= nowMs) found.push(item);
    }
    return found.sort((a, b) => a[time] - b[time]).slice(0, limit);
  }
}

function minuteOf(timeMs: number): number {
  return Math.floor(timeMs / 60_000);
}

function ascending(a: number, b: number): number {
  return a - b;
}

function hostOf({ source, subnet = "" }: Host): string {
  return `${subnet} ${source}`;
}

function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = make();
  map.set(key, value);
  return value;
}
