/**
 * One search for PeerConnect's nodes: when to ask, what was found, and when it is over.
 *
 * @module
 */

import { Channel } from "../../channel.ts";
import { type Clock, sleep } from "../../clock.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import type { ForeignPeer } from "../foreign.ts";

/** When the original asks, in milliseconds after it woke and after the find before. */
const FIND_AFTER_MS = [100, 200];

/** How long it rests before it wakes again. */
const REST_MS = 3_000;

/** Most nodes that one search gives: a bound on what strangers can make us remember. */
const MAX_FOUND = 1_024;

/** What a {@linkcode PeerConnectSearch} needs. */
export interface PeerConnectSearchOptions {
  /** Asks once, everywhere. Must not reject. */
  ask: () => Promise<void>;
  /** Ends it. */
  signal: AbortSignal;
  /** Where time comes from. */
  clock: Clock;
}

/** One search; see the module. It begins at once. */
export class PeerConnectSearch {
  /** What was found; ends when the search does. At most 1,024 wait, for there are no more. */
  readonly results: Channel<ForeignPeer> = new Channel(MAX_FOUND);
  /** Resolves when it asks no more. */
  readonly over: Promise<void>;
  readonly #found = new Set<string>();

  /** Begins. */
  constructor({ ask, signal, clock }: PeerConnectSearchOptions) {
    this.over = this.#run(ask, signal, clock);
  }

  /** Adds a node, unless it is known there. */
  add(id: string, address: Address): void {
    const key = `${id} ${formatAddress(address)}`;
    if (this.#found.has(key) || this.#found.size >= MAX_FOUND) return;
    this.#found.add(key);
    void this.results.push({ dialect: "peerconnect", id, name: "", address, protocols: [] });
  }

  /** Asks at the times of the original, until aborted. */
  async #run(ask: () => Promise<void>, signal: AbortSignal, clock: Clock): Promise<void> {
    signal.addEventListener("abort", () => this.results.close(), { once: true });
    try {
      for (;;) {
        for (const afterMs of FIND_AFTER_MS) {
          await sleep(clock, afterMs, { signal });
          await ask();
        }
        await sleep(clock, REST_MS, { signal });
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      this.results.close(); // also where it was over before it began
    }
  }
}
