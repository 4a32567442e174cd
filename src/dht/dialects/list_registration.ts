/**
 * Keeping a node in the list of PeerConnect's network that it belongs to, and giving newcomers what they should have of
 * the lists: every few seconds, because the lists of others may not be kept for long.
 *
 * Source: the PeerConnect Kademlia module, "adding peers".
 *
 * @module
 */

import type { Timer } from "../../clock.ts";
import { PeerError } from "../../errors.ts";
import { type Logger, printable } from "../../log.ts";
import type { DhtNode } from "../dht_node.ts";
import { listKeyFor } from "./list_keys.ts";
import type { PeerConnectKademlia } from "./peerconnect_kademlia.ts";

/** When a node first puts itself into its list, in milliseconds; while that fails each time twice as long passes. */
export const FIRST_REGISTRATION_MS = 3_000;

/** Longest time between two attempts, in milliseconds. */
export const MAX_REGISTRATION_MS = 60_000;

/** How often it does so afterwards, in milliseconds. */
export const REGISTRATION_MS = 7_000;

/** What a {@linkcode ListRegistration} needs. */
export interface ListRegistrationParts {
  /** Whose node it is. */
  readonly node: DhtNode;
  /** How it asks others. */
  readonly wire: PeerConnectKademlia;
  /** Hears what goes wrong. */
  readonly log: Logger;
}

/** Keeps a node in its list; see the module. */
export class ListRegistration {
  readonly #parts: ListRegistrationParts;
  // Those of the table who had their share of the lists.
  #welcomed = new Set<string>();
  #timer: Timer | undefined;
  #isClosed = false;

  /** Does nothing yet. */
  constructor(parts: ListRegistrationParts) {
    this.#parts = parts;
  }

  /** Registers the node from now on. Harmless when it does. */
  start(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#parts.wire.listSelf();
    this.#later(FIRST_REGISTRATION_MS);
  }

  /** Registers it no more; what is under way ends with the node. Harmless when closed. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #later(delayMs: number): void {
    const { node } = this.#parts;
    this.#timer = node.clock.after(delayMs, () => node.begin(this.#attempt(delayMs)));
  }

  async #attempt(delayMs: number): Promise<void> {
    const isDone = await this.#tolerate(this.#register()) ?? false;
    if (this.#isClosed || this.#parts.node.signal.aborted) return;
    this.#later(isDone ? REGISTRATION_MS : Math.min(2 * delayMs, MAX_REGISTRATION_MS));
  }

  /** Puts the node into its list at those who should have that. @returns whether anybody took it. */
  async #register(): Promise<boolean> {
    const { node, wire } = this.#parts;
    const { signal, tuning: { settle, replicas } } = node;
    const key = listKeyFor(node.self);
    const nearest = await node.closest(key, { settle });
    const registrations = nearest.slice(0, replicas).map(({ address }) => {
      return this.#tolerate(wire.register(address, key, { signal }));
    });
    const taken = await Promise.all(registrations);
    this.#welcomeNew();
    return taken.includes(true);
  }

  #welcomeNew(): void {
    const { node, wire } = this.#parts;
    const contacts = node.table.contacts();
    const { k } = node.table;
    for (const newcomer of contacts.filter(({ key }) => !this.#welcomed.has(key))) {
      const nearestTo = (key: Uint8Array) => {
        return node.table.closest(key, k, (other) => other.key !== newcomer.key)
          .map(({ id }) => id);
      };
      node.begin(wire.welcome(newcomer, nearestTo, { signal: node.signal }));
    }
    this.#welcomed = new Set(contacts.map(({ key }) => key));
  }

  /** What came of it; `undefined` where it failed, which the next attempt may not. */
  async #tolerate<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (this.#parts.node.signal.aborted) return undefined;
      const level = error instanceof PeerError ? "debug" : "error"; // else it is our own fault
      this.#parts.log[level]("could not register in a list", { why: printable(String(error)) });
      return undefined;
    }
  }
}
