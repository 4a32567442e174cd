/**
 * One search for peers.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Clock, Timer } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import { isLoopback } from "../endpoint/limits.ts";
import type { Answer, DiscoveryMethod } from "./packets.ts";

/** When questions are repeated, in milliseconds after the first: packets get lost, peers start late. */
const ASK_AT_MS = [0, 100, 300, 700, 1_500];
/** And from then on, as long as somebody is looking. */
const ASK_EVERY_MS = 2_000;

/** Most peers one search collects: a bound on what strangers can make us remember. */
const MAX_FOUND = 4_096;
/** Most addresses and methods kept of one peer. */
const MAX_ADDRESSES = 16;

/** Who was found. */
export interface Announcement {
  /** 40 hexadecimal digits: whoever announces has the key. */
  readonly peerId: string;
  /** A label, empty for none. */
  readonly name: string;
  /** The port it accepts connections on. */
  readonly tcpPort: number;
}

/** A peer that answered. */
export interface FoundPeer extends Announcement {
  /** Where it can be reached, best first: this machine, then IPv4, then IPv6. */
  readonly addresses: readonly Address[];
  /** Which ways of asking reached it. */
  readonly via: readonly DiscoveryMethod[];
}

interface Entry {
  announcement: Announcement;
  addresses: Address[];
  via: DiscoveryMethod[];
  /** The highest of its present instance; -1 before the first. */
  seq: number;
  /** Until when it is believed. */
  untilMs: number;
}

/** One search: when to ask, what was found so far, and who waits for more. */
export class Search {
  /** The questions' id, hard to guess: whoever did not see a question cannot answer it. */
  readonly id: number = randomBytes(6).readUIntBE(0, 6);
  readonly #clock: Clock;
  // By peer and instance id: what somebody else signs under the same instance id is about somebody else.
  readonly #found = new Map<string, Entry>();
  readonly #changed = new Set<Entry>();
  #timer: Timer | undefined;
  #stopped = false;
  #wake: () => void = () => {};

  /** A search that has not begun. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Asks now and again, until stopped. */
  repeat(ask: () => void): void {
    const startedMs = this.#clock.now();
    let asked = 0;
    const next = () => {
      ask();
      asked++;
      const atMs = ASK_AT_MS[asked] ??
        (ASK_AT_MS.at(-1) ?? 0) + (asked - ASK_AT_MS.length + 1) * ASK_EVERY_MS;
      if (this.#stopped) return;
      this.#timer = this.#clock.after(atMs - (this.#clock.now() - startedMs), next);
    };
    if (!this.#stopped) next();
  }

  /**
   * Takes an answer in. What is not said again in its time is forgotten.
   *
   * @param hostname Where it came from.
   * @returns `false` for one that is older than what is known, or as old and out of date: late, or played again.
   */
  add(answer: Answer, hostname: string): boolean {
    const { seq, via, tcpPort } = answer;
    const address = { hostname, port: tcpPort };
    const nowMs = this.#clock.now();
    const entry = this.#entryOf(answer, address, nowMs);
    if (entry === undefined) return true;
    const isOver = entry.untilMs <= nowMs;
    if (seq < entry.seq || (seq === entry.seq && isOver)) return false;
    if (seq > entry.seq) renew(entry, answer, nowMs);
    if (isOver) [entry.addresses, entry.via] = [[], []];
    this.#addAddress(entry, address);
    if (!entry.via.includes(via)) {
      entry.via.push(via);
      entry.via.sort();
      this.#changed.add(entry);
    }
    if (this.#changed.size > 0) this.#wake();
    return true;
  }

  /** Peers as they are found, until stopped. */
  async *results(): AsyncGenerator<FoundPeer, void, void> {
    for (;;) {
      for (const entry of this.#changed) {
        this.#changed.delete(entry);
        const { announcement, addresses, via } = entry;
        yield { ...announcement, addresses: [...addresses], via: [...via] };
      }
      if (this.#stopped) return;
      if (this.#changed.size === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Ends the search; results found so far are still given. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#wake();
  }

  /** The entry that an answer belongs to; `undefined` where there is none and no room for one. */
  #entryOf(answer: Answer, address: Address, nowMs: number): Entry | undefined {
    const known = this.#found.get(keyOf(answer)) ?? this.#renamed(answer, address);
    if (known !== undefined) return known;
    if (this.#found.size >= MAX_FOUND) this.#forgetOld(nowMs);
    if (this.#found.size >= MAX_FOUND) return undefined;
    const entry = newEntry(answer);
    this.#found.set(keyOf(answer), entry);
    return entry;
  }

  /** The entry of a peer that has changed its instance id: the same key at the same address. */
  #renamed(answer: Answer, address: Address): Entry | undefined {
    for (const [key, entry] of this.#found) {
      const { announcement, addresses } = entry;
      if (announcement.peerId !== answer.peerId) continue;
      if (!addresses.some((known) => isSame(known, address))) continue;
      this.#found.delete(key);
      this.#found.set(keyOf(answer), entry);
      entry.seq = -1;
      return entry;
    }
    return undefined;
  }

  #forgetOld(nowMs: number): void {
    for (const [key, { untilMs }] of this.#found) {
      if (untilMs <= nowMs) this.#found.delete(key);
    }
  }

  #addAddress(entry: Entry, address: Address): void {
    const { addresses } = entry;
    if (addresses.length >= MAX_ADDRESSES || addresses.some((known) => isSame(known, address))) {
      return;
    }
    addresses.push(address);
    addresses.sort((a, b) => rank(a) - rank(b));
    this.#changed.add(entry);
  }
}

function keyOf({ peerId, instance }: Answer): string {
  return `${peerId} ${instance}`;
}

function newEntry({ peerId, name, tcpPort }: Answer): Entry {
  const announcement = { peerId, name, tcpPort };
  return { announcement, addresses: [], via: [], seq: -1, untilMs: -Infinity };
}

/** Takes over what a later answer says. */
function renew(entry: Entry, { peerId, name, tcpPort, seq, validMs }: Answer, nowMs: number): void {
  entry.announcement = { peerId, name, tcpPort };
  entry.seq = seq;
  entry.untilMs = nowMs + validMs;
}

function isSame(a: Address, b: Address): boolean {
  return a.port === b.port && a.hostname === b.hostname;
}

/** Nearer first: this machine, IPv4, IPv6. */
function rank({ hostname }: Address): number {
  if (isLoopback(hostname)) return 0;
  return hostname.includes(":") ? 2 : 1;
}
