/**
 * One search for peers.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Clock, Timer } from "../clock.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { isLoopback } from "../endpoint/limits.ts";
import type { DiscoveryMethod } from "./packets.ts";

/** When questions are repeated, in milliseconds after the first: packets get lost, peers start late. */
const ASK_AT_MS = [0, 100, 300, 700, 1_500];
/** And from then on, as long as somebody is looking. */
const ASK_EVERY_MS = 2_000;

/** Most peers one search collects: a bound on what strangers can make us remember. */
const MAX_FOUND = 4_096;
/** Most addresses and methods kept of one peer. */
const MAX_ADDRESSES = 16;

/** Who can be found. */
export interface Announcement {
  /** 40 hexadecimal digits. */
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
  readonly announcement: Announcement;
  readonly addresses: Address[];
  readonly via: DiscoveryMethod[];
}

/** One search: when to ask, what was found so far, and who waits for more. */
export class Search {
  /** The questions' id, hard to guess: whoever did not see a question cannot answer it. */
  readonly id: number = randomBytes(6).readUIntBE(0, 6);
  readonly #clock: Clock;
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

  /** Takes an answer in. */
  add(instance: string, announcement: Announcement, address: Address, via: DiscoveryMethod): void {
    let entry = this.#found.get(instance);
    if (entry === undefined) {
      if (this.#found.size >= MAX_FOUND) return;
      this.#found.set(instance, entry = { announcement, addresses: [], via: [] });
      this.#changed.add(entry);
    }
    const known = formatAddress(address);
    if (
      entry.addresses.length < MAX_ADDRESSES &&
      !entry.addresses.some((a) => formatAddress(a) === known)
    ) {
      entry.addresses.push(address);
      entry.addresses.sort((a, b) => rank(a) - rank(b));
      this.#changed.add(entry);
    }
    if (!entry.via.includes(via)) {
      entry.via.push(via);
      entry.via.sort();
      this.#changed.add(entry);
    }
    if (this.#changed.size > 0) this.#wake();
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
}

/** Nearer first: this machine, IPv4, IPv6. */
function rank({ hostname }: Address): number {
  if (isLoopback(hostname)) return 0;
  return hostname.includes(":") ? 2 : 1;
}
