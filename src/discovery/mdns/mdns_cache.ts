/**
 * What others have said by multicast DNS, for as long as they meant it, and no more of it than there is room for.
 *
 * Source: RFC 6762 section 10 (lifetime, taking back, replacing).
 *
 * @module
 */

import { type DnsData, type DnsName, type DnsRecord, nameKey, recordKey } from "./dns_record.ts";

/** Most records kept: those of two hundred peers, in less than a megabyte. */
export const MAX_CACHED = 1_024;

/** Most records kept from one source, so that one cannot fill the cache. */
export const MAX_CACHED_PER_SOURCE = 512;

/** Longest life of a record in milliseconds, whatever it claims (RFC 6762, 10). */
export const MAX_TTL_MS = 75 * 60_000;

/** How long a record that was taken back or replaced is still kept, in milliseconds (RFC 6762, 10.1 and 10.2). */
const GRACE_MS = 1_000;

/** A record and until when it is believed. */
export interface Cached<T extends DnsRecord = DnsRecord> {
  /** What was said. */
  readonly record: T;
  /** On which interface. */
  readonly on: string;
  /** Who said it first. */
  readonly source: string;
  /** How long it was to be believed. */
  ttlMs: number;
  /** When it was said last. */
  saidMs: number;
  /** When it is forgotten. */
  untilMs: number;
}

/** Where and when something was said. */
export interface Said {
  /** The interface. */
  readonly on: string;
  /** The sender's host. */
  readonly source: string;
  /** Now. */
  readonly nowMs: number;
}

/** A record of that type. */
export type RecordOf<T extends DnsData["type"]> = DnsRecord & { readonly type: T };

/** The records; see the module. */
export class MdnsCache {
  // By interface, type and name; then by what they say.
  readonly #sets = new Map<string, Map<string, Cached>>();
  readonly #perSource = new Tally();
  readonly #targets = new Tally();
  #size = 0;
  #nextEndMs = Infinity;

  /** Records kept now. */
  get size(): number {
    return this.#size;
  }

  /**
   * Takes a record in, or back where its lifetime is 0.
   *
   * @returns `"new"`, `"known"`, or `"full"` where there was no room for it.
   */
  put(record: DnsRecord, { on, source, nowMs }: Said): "new" | "known" | "full" {
    const setKey = keyOf(on, record.type, record.name);
    const set = this.#sets.get(setKey);
    if (record.flush) this.#replace(set, nowMs);
    const key = recordKey(record);
    const known = set?.get(key);
    const ttlMs = Math.min(record.ttlS * 1_000, MAX_TTL_MS);
    if (known !== undefined) {
      known.saidMs = nowMs;
      if (ttlMs > 0) known.ttlMs = ttlMs;
      this.#believe(known, ttlMs > 0 ? nowMs + ttlMs : Math.min(known.untilMs, nowMs + GRACE_MS));
      return "known";
    }
    if (ttlMs === 0) return "known";
    const isFull = this.#perSource.count(source) >= MAX_CACHED_PER_SOURCE;
    if (isFull || this.#size >= MAX_CACHED) return "full";
    const cached = { record, on, source, ttlMs, saidMs: nowMs, untilMs: 0 };
    if (set === undefined) this.#sets.set(setKey, new Map([[key, cached]]));
    else set.set(key, cached);
    this.#count(cached, 1);
    this.#believe(cached, nowMs + ttlMs);
    return "new";
  }

  /** Forgets what is out of date. */
  purge(nowMs: number): void {
    if (nowMs < this.#nextEndMs) return;
    this.#nextEndMs = Infinity;
    for (const [setKey, set] of this.#sets) {
      for (const [key, cached] of set) {
        if (cached.untilMs <= nowMs) this.#forget(set, key, cached);
        else this.#nextEndMs = Math.min(this.#nextEndMs, cached.untilMs);
      }
      if (set.size === 0) this.#sets.delete(setKey);
    }
  }

  /** What is known on an interface under a name; of the past too, unless it was purged. */
  get<T extends DnsData["type"]>(on: string, type: T, name: DnsName): Cached<RecordOf<T>>[] {
    const set = this.#sets.get(keyOf(on, type, name));
    // All in the set are of its type.
    return set === undefined ? [] : [...set.values()] as Cached<RecordOf<T>>[];
  }

  /** Whether any record with that name and type is known on an interface. */
  has(on: string, type: DnsData["type"], name: DnsName): boolean {
    return this.#sets.has(keyOf(on, type, name));
  }

  /** Whether a service on an interface is known to be at the host of that name. */
  isTarget(on: string, host: DnsName): boolean {
    return this.#targets.count(targetKey(on, host)) > 0;
  }

  /** What was said more than a second ago makes way for what is said now. */
  #replace(set: Map<string, Cached> | undefined, nowMs: number): void {
    for (const cached of set?.values() ?? []) {
      if (cached.saidMs >= nowMs - GRACE_MS) continue;
      this.#believe(cached, Math.min(cached.untilMs, nowMs + GRACE_MS));
    }
  }

  #believe(cached: Cached, untilMs: number): void {
    cached.untilMs = untilMs;
    this.#nextEndMs = Math.min(this.#nextEndMs, untilMs);
  }

  #forget(set: Map<string, Cached>, key: string, cached: Cached): void {
    set.delete(key);
    this.#count(cached, -1);
  }

  #count({ record, on, source }: Cached, change: 1 | -1): void {
    this.#size += change;
    this.#perSource.add(source, change);
    if (record.type === "SRV") this.#targets.add(targetKey(on, record.target), change);
  }
}

/** How many there are of each. */
class Tally {
  readonly #counts = new Map<string, number>();

  count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, change: number): void {
    const count = this.count(key) + change;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

function keyOf(on: string, type: string, name: DnsName): string {
  return `${on} ${type} ${nameKey(name)}`;
}

function targetKey(on: string, host: DnsName): string {
  return `${on} ${nameKey(host)}`;
}
