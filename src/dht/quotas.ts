/**
 * How much others may have this node keep, and who makes room when there is none.
 *
 * What is counted is who brought a record: the host, and its network where networks count. When the store is full,
 * whoever has most of it loses first: of the network with the largest share the host with the largest share. So
 *
 * - there are never more records or bytes than the store may have, and no host and no network has more than it may;
 * - nobody makes room for a newcomer unless somebody has more than it would have;
 * - a network that has less than the mean of the networks loses nothing to others, nor does, within one, a host that has
 *   less than the mean of its hosts: a flood evicts itself.
 *
 * A host whose network does not count (those of private ranges) stands for itself. A share is measured in records and in
 * bytes at once: a record counts as one, and as one more for every so many bytes as there are for each record of the
 * store.
 *
 * @module
 */

import { LimitError } from "../errors.ts";
import type { Host, Usage } from "./storage.ts";

/** How much is kept for others. */
export interface QuotaOptions {
  /** Most records of all. @default {65536} */
  readonly maxRecords?: number;
  /** Most bytes of all, each record with 256 besides its value. @default {67108864} */
  readonly maxBytes?: number;
  /** Most records under one key: as many authors. @default {64} */
  readonly maxPerKey?: number;
  /** Most records that one host brought. @default {16384} */
  readonly maxRecordsPerSource?: number;
  /** Most bytes of them. @default {16777216} */
  readonly maxBytesPerSource?: number;
  /** Most records that the hosts of one network brought. @default {32768} */
  readonly maxRecordsPerSubnet?: number;
  /** Most bytes of them. @default {33554432} */
  readonly maxBytesPerSubnet?: number;
}

/** The quotas of a node that is asked to keep nothing special. */
export const DEFAULT_QUOTAS: Readonly<Required<QuotaOptions>> = {
  maxRecords: 65_536,
  maxBytes: 64 * 1024 * 1024,
  maxPerKey: 64,
  maxRecordsPerSource: 16_384,
  maxBytesPerSource: 16 * 1024 * 1024,
  maxRecordsPerSubnet: 32_768,
  maxBytesPerSubnet: 32 * 1024 * 1024,
};

const NOTHING: Usage = { records: 0, bytes: 0 };

/**
 * Counts what others brought; see the module. It is told of every record that comes and goes, and decides who may.
 *
 * @example
 * ```ts
 * import { Quotas } from "@kith/kith/dht";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const quotas = new Quotas({ maxRecordsPerSource: 2 });
 * const host = { source: "192.0.2.7", subnet: "192.0.2.0/24" };
 * quotas.count(host, { records: 2, bytes: 600 });
 * assertEquals(quotas.usageOf(host), { records: 2, bytes: 600 });
 * assertThrows(() => quotas.assertMayBring(host, 300), Error, "more than maxRecordsPerSource 2");
 * ```
 */
export class Quotas {
  /** The limits that hold. */
  readonly limits: Readonly<Required<QuotaOptions>>;
  readonly #bytesOfEach: number;
  readonly #networks = new Shares<Network>();
  #records = 0;
  #bytes = 0;

  /** Nothing is kept. @throws {RangeError} when a limit is no whole number above 0. */
  constructor(options: QuotaOptions = {}) {
    this.limits = { ...DEFAULT_QUOTAS, ...options };
    for (const [name, value] of Object.entries(this.limits)) {
      if (Number.isSafeInteger(value) && value > 0) continue;
      throw new RangeError(`${name} must be an integer above 0: current value is ${value}`);
    }
    this.#bytesOfEach = Math.ceil(this.limits.maxBytes / this.limits.maxRecords);
  }

  /** How much there is of all. */
  get usage(): Usage {
    return { records: this.#records, bytes: this.#bytes };
  }

  /** How much a host brought. */
  usageOf(host: Host): Usage {
    return this.#networks.get(networkOf(host))?.hosts.get(host.source) ?? NOTHING;
  }

  /** How much a network's hosts brought. */
  usageOfNetwork(host: Host): Usage {
    const { records, bytes } = this.#networks.get(networkOf(host)) ?? NOTHING;
    return { records, bytes };
  }

  /** Counts what has come, or what has gone where the numbers are below 0. */
  count(host: Host, { records, bytes }: Usage): void {
    const name = networkOf(host);
    const hosts = this.#networks.get(name)?.hosts ?? new Shares<Usage>();
    const ofHost = sum(this.usageOf(host), records, bytes);
    const ofNetwork = sum(this.usageOfNetwork(host), records, bytes);
    hosts.set(host.source, ofHost, this.#shareOf(ofHost));
    const network = { ...ofNetwork, hosts, subnet: host.subnet };
    this.#networks.set(name, network, this.#shareOf(ofNetwork));
    this.#records += records;
    this.#bytes += bytes;
  }

  /** Counts nothing of a host any more. */
  forget(host: Host): void {
    const { records, bytes } = this.usageOf(host);
    this.count(host, { records: -records, bytes: -bytes });
  }

  /**
   * Checks that a host and its network may bring one more record.
   *
   * @throws {LimitError} `limit`, naming the quota.
   */
  assertMayBring(host: Host, bytes: number): void {
    const { limits } = this;
    assertAtMost("bytes of all", bytes, "maxBytes", limits.maxBytes);
    const of = sum(this.usageOf(host), 1, bytes);
    assertAtMost(
      "records of its host",
      of.records,
      "maxRecordsPerSource",
      limits.maxRecordsPerSource,
    );
    assertAtMost("bytes of its host", of.bytes, "maxBytesPerSource", limits.maxBytesPerSource);
    if (host.subnet === undefined) return;
    const all = sum(this.usageOfNetwork(host), 1, bytes);
    assertAtMost(
      "records of its network",
      all.records,
      "maxRecordsPerSubnet",
      limits.maxRecordsPerSubnet,
    );
    assertAtMost("bytes of its network", all.bytes, "maxBytesPerSubnet", limits.maxBytesPerSubnet);
  }

  /** Whether there is room in the store for one more record. */
  hasRoomFor(bytes: number): boolean {
    const { maxRecords, maxBytes } = this.limits;
    return this.#records < maxRecords && this.#bytes + bytes <= maxBytes;
  }

  /**
   * Who is to make room for a record of a newcomer in a full store: who has most, if that is more than the newcomer's
   * network would have, else who has most in that network, if that is more than the newcomer would have; else nobody.
   */
  whoMakesRoom(newcomer: Host, bytes: number): Host | undefined {
    const ofNetwork = sum(this.usageOfNetwork(newcomer), 1, bytes);
    if (this.#networks.greatest > this.#shareOf(ofNetwork)) return this.greatest();
    const hosts = this.#networks.get(networkOf(newcomer))?.hosts;
    const ofHost = sum(this.usageOf(newcomer), 1, bytes);
    if (hosts?.top === undefined || hosts.greatest <= this.#shareOf(ofHost)) return undefined;
    return { source: hosts.top, subnet: newcomer.subnet };
  }

  /** Who has most: in the network with the largest share the host with the largest; `undefined` when nobody has any. */
  greatest(): Host | undefined {
    const network = this.#networks.get(this.#networks.top ?? "");
    const source = network?.hosts.top;
    return source === undefined ? undefined : { source, subnet: network?.subnet };
  }

  #shareOf({ records, bytes }: Usage): number {
    return records + Math.floor(bytes / this.#bytesOfEach);
  }
}

interface Network extends Usage {
  readonly subnet: string | undefined;
  readonly hosts: Shares<Usage>;
}

/**
 * Who has how large a share, and who has the largest. Names stand at the level of their share; a change moves one by a
 * few levels, and the highest is looked for no further than that.
 */
class Shares<Value extends Usage> {
  readonly #entries = new Map<string, { readonly value: Value; readonly share: number }>();
  readonly #levels = new Map<number, Set<string>>();
  #greatest = 0;

  /** The largest share, 0 when nobody has any. */
  get greatest(): number {
    return this.#greatest;
  }

  /** Who has it; of several who has had it for longest. */
  get top(): string | undefined {
    return this.#levels.get(this.#greatest)?.values().next().value;
  }

  get(name: string): Value | undefined {
    return this.#entries.get(name)?.value;
  }

  /** Sets what a name has; one without records is forgotten. */
  set(name: string, value: Value, share: number): void {
    const before = this.#entries.get(name)?.share;
    if (value.records > 0) {
      this.#entries.set(name, { value, share });
      if (before !== share) this.#move(name, before, share);
    } else {
      this.#entries.delete(name);
      this.#leave(name, before);
    }
    while (this.#greatest > 0 && !this.#levels.has(this.#greatest)) this.#greatest--;
  }

  #move(name: string, before: number | undefined, share: number): void {
    const [level, next] = [this.#levels.get(before ?? -1), this.#levels.get(share)];
    this.#greatest = Math.max(this.#greatest, share);
    if (before !== undefined && level?.size === 1 && next === undefined) {
      // Nobody else is at either level: this is what most changes are.
      this.#levels.delete(before);
      this.#levels.set(share, level);
      return;
    }
    this.#leave(name, before);
    this.#levels.set(share, (next ?? new Set<string>()).add(name));
  }

  #leave(name: string, share: number | undefined): void {
    if (share === undefined) return;
    const level = this.#levels.get(share);
    if (level?.delete(name) && level.size === 0) this.#levels.delete(share);
  }
}

function sum(usage: Usage, records: number, bytes: number): Usage {
  return { records: usage.records + records, bytes: usage.bytes + bytes };
}

/** What a host's network is counted as; a host without one is its own. */
function networkOf({ source, subnet }: Host): string {
  return subnet ?? source;
}

function assertAtMost(what: string, count: number, limit: string, max: number): void {
  if (count > max) throw overLimit(what, count, limit, max);
}

/** The error for a record that there is no room for. */
export function overLimit(what: string, count: number, limit: string, max: number): LimitError {
  return new LimitError(
    "limit",
    `Cannot keep DHT record: ${what} would be ${count}, more than ${limit} ${max}`,
    { details: { limit, max } },
  );
}
