/**
 * What one search for peers has found: an entry per peer, whatever it answered from and whoever named it.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import { isLoopback } from "../endpoint/limits.ts";
import type { Answer, DiscoveryMethod } from "./packets.ts";

/** Most peers one search collects: a bound on what strangers can make us remember. */
const MAX_FOUND = 4_096;
/** Most addresses kept of one peer. */
const MAX_ADDRESSES = 16;
/** Most instance ids kept of one peer: one per program that runs under its key, and the one before. */
const MAX_INSTANCES = 16;

/** Who was found. */
export interface Announcement {
  /** 40 hexadecimal digits: whoever announces has the key. */
  readonly peerId: string;
  /** A label, empty for none. */
  readonly name: string;
  /** The port it accepts connections on; that of its best address. */
  readonly tcpPort: number;
}

/** A peer that answered. */
export interface FoundPeer extends Announcement {
  /**
   * Where it can be reached, best first: on this machine, then where a connection has proven it, then by IPv4, then by
   * IPv6; of the same kind the one that answered first. At most 16.
   */
  readonly addresses: readonly Address[];
  /** Which ways it was found by. */
  readonly via: readonly DiscoveryMethod[];
  /** Whether a connection has proven that it is at one of its addresses; else it only answered, as if from there. */
  readonly isProven: boolean;
}

/** A peer that a connection has proven. */
export interface Proven {
  /** 40 hexadecimal digits. */
  readonly peerId: string;
  /** A label, empty for none. */
  readonly name: string;
  /** Where. */
  readonly address: Address;
  /** Who named the address. */
  readonly via: DiscoveryMethod;
  /** How long that is believed, in milliseconds. */
  readonly validMs: number;
}

interface Entry {
  readonly peerId: string;
  name: string;
  /** Best first. */
  places: Place[];
  readonly instances: Map<string, Heard>;
}

/** A peer's address. */
interface Place {
  readonly address: Address;
  readonly via: Set<DiscoveryMethod>;
  isProven: boolean;
  /** Until when it is believed. */
  untilMs: number;
}

/** The newest answer under an instance id. */
interface Heard {
  readonly seq: number;
  /** Until when it is believed. */
  readonly untilMs: number;
}

/** A sighting of a peer. */
type Seen = Pick<Place, "address" | "isProven" | "untilMs"> & { readonly via: DiscoveryMethod };

/** One search: what was found so far, and who waits for more. */
export class Search {
  /** The questions' id, hard to guess: whoever did not see a question cannot answer it. */
  readonly id: number = randomBytes(6).readUIntBE(0, 6);
  readonly #clock: Pick<Clock, "now">;
  readonly #end = new AbortController();
  readonly #found = new Map<string, Entry>();
  readonly #changed = new Set<Entry>();
  #wake: () => void = () => {};

  /** A search that has found nobody. */
  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** Aborts when the search is stopped. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** How many peers were found, those included that are no longer believed. */
  get size(): number {
    return this.#found.size;
  }

  /**
   * Takes an answer in. What is not said again in its time is forgotten.
   *
   * @param hostname Where it came from.
   * @returns `false` for one that is older than what is known, or as old and out of date: late, or played again.
   */
  add(answer: Answer, hostname: string): boolean {
    const { peerId, instance, name, seq, validMs, tcpPort, via } = answer;
    const nowMs = this.#clock.now();
    const entry = this.#entryOf(peerId, nowMs);
    if (entry === undefined) return true;
    const known = entry.instances.get(instance);
    const isNewer = known === undefined || seq > known.seq;
    if (!isNewer && (seq < known.seq || known.untilMs <= nowMs)) return false;
    const heard = isNewer ? { seq, untilMs: nowMs + validMs } : known;
    if (isNewer) {
      entry.name = name;
      remember(entry.instances, instance, heard);
    }
    const address = { hostname, port: tcpPort };
    this.#see(entry, { address, via, isProven: false, untilMs: heard.untilMs });
    return true;
  }

  /** Takes in who was there when somebody connected. */
  addProven({ peerId, name, address, via, validMs }: Proven): void {
    const nowMs = this.#clock.now();
    const entry = this.#entryOf(peerId, nowMs);
    if (entry === undefined) return;
    entry.name = name;
    this.#see(entry, { address, via, isProven: true, untilMs: nowMs + validMs });
  }

  /** Peers as they are found, until stopped. */
  async *results(): AsyncGenerator<FoundPeer, void, void> {
    for (;;) {
      for (const entry of this.#changed) {
        this.#changed.delete(entry);
        yield toFound(entry);
      }
      if (this.#end.signal.aborted) return;
      if (this.#changed.size === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Ends the search; results found so far are still given. */
  stop(): void {
    this.#end.abort();
    this.#wake();
  }

  /** The entry of a peer; `undefined` where there is none and no room for one. */
  #entryOf(peerId: string, nowMs: number): Entry | undefined {
    const known = this.#found.get(peerId);
    if (known !== undefined) return known;
    if (this.#found.size >= MAX_FOUND) this.#forgetOld(nowMs);
    if (this.#found.size >= MAX_FOUND) return undefined;
    const entry: Entry = { peerId, name: "", places: [], instances: new Map() };
    this.#found.set(peerId, entry);
    return entry;
  }

  #forgetOld(nowMs: number): void {
    for (const [peerId, { places }] of this.#found) {
      if (places.every(({ untilMs }) => untilMs <= nowMs)) this.#found.delete(peerId);
    }
  }

  /** Adds what is new of a sighting, and drops the places that are no longer believed. */
  #see(entry: Entry, { address, via, isProven, untilMs }: Seen): void {
    const nowMs = this.#clock.now();
    entry.places = entry.places.filter((place) => place.untilMs > nowMs);
    const before = viaOf(entry.places);
    const place = entry.places.find((known) => isSame(known.address, address)) ??
      this.#newPlace(entry, { address, via: new Set(), isProven, untilMs });
    if (place === undefined) return;
    place.via.add(via);
    place.untilMs = Math.max(place.untilMs, untilMs);
    if (isProven && !place.isProven) {
      place.isProven = true;
      sort(entry.places);
      this.#changed.add(entry);
    }
    if (!before.includes(via)) this.#changed.add(entry);
    if (this.#changed.size > 0) this.#wake();
  }

  /** Adds a place; where there are too many, the worst goes. @returns it, unless it is the worst. */
  #newPlace(entry: Entry, place: Place): Place | undefined {
    entry.places.push(place);
    sort(entry.places);
    if (entry.places.length > MAX_ADDRESSES && entry.places.pop() === place) return undefined;
    this.#changed.add(entry);
    return place;
  }
}

/** Notes what was heard under an instance id; the one that was heard longest ago makes room. */
function remember(instances: Map<string, Heard>, instance: string, heard: Heard): void {
  instances.delete(instance);
  instances.set(instance, heard);
  const [oldest] = instances.keys();
  if (instances.size > MAX_INSTANCES && oldest !== undefined) instances.delete(oldest);
}

function toFound({ peerId, name, places }: Entry): FoundPeer {
  const addresses = places.map(({ address }) => address);
  const tcpPort = addresses[0]?.port ?? 0;
  const isProven = places.some((place) => place.isProven);
  return { peerId, name, tcpPort, addresses, via: viaOf(places), isProven };
}

function viaOf(places: readonly Place[]): DiscoveryMethod[] {
  return [...new Set(places.flatMap(({ via }) => [...via]))].sort();
}

function isSame(a: Address, b: Address): boolean {
  return a.port === b.port && a.hostname === b.hostname;
}

/** Best first; of the same rank in the order they came. */
function sort(places: Place[]): void {
  places.sort((a, b) => rank(a) - rank(b));
}

function rank({ address: { hostname }, isProven }: Place): number {
  if (isLoopback(hostname)) return 0;
  if (isProven) return 1;
  return hostname.includes(":") ? 3 : 2;
}
