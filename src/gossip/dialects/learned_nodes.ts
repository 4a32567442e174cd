/**
 * Nodes that are known because they spoke to us, and what they may be sent for that.
 *
 * Nobody proves where a packet came from. So who is only known by its packets gets no more bytes than came from there:
 * whoever writes somebody else's address on its packets makes us send that one less than it spent itself.
 *
 * @module
 */

import { type Address, formatAddress } from "../../transport/transport.ts";

/** Most nodes that are learned; the one that was heard from longest ago makes room. */
export const MAX_LEARNED = 256;

/** Most bytes that a node can have saved up: a few packets. */
const MAX_CREDIT_BYTES = 9_600;

interface Learned {
  readonly address: Address;
  creditBytes: number;
}

/** Nodes that spoke to us; see the module. */
export class LearnedNodes {
  // In the order in which they were last heard from.
  readonly #nodes = new Map<string, Learned>();

  /** How many there are. */
  get size(): number {
    return this.#nodes.size;
  }

  /** A sound packet came from there. */
  heard(address: Address, packetBytes: number): void {
    const key = formatAddress(address);
    const savedBytes = this.#nodes.get(key)?.creditBytes ?? 0;
    this.#nodes.delete(key);
    if (this.#nodes.size >= MAX_LEARNED) this.#forgetOldest();
    const creditBytes = Math.min(savedBytes + packetBytes, MAX_CREDIT_BYTES);
    this.#nodes.set(key, { address, creditBytes });
  }

  /** Who may be sent a packet of that size. */
  affording(packetBytes: number): Address[] {
    const able = [...this.#nodes.values()].filter(({ creditBytes }) => creditBytes >= packetBytes);
    return able.map(({ address }) => address);
  }

  /** A packet went there. Those who are known otherwise, too, owe nothing. */
  sent(address: Address, packetBytes: number): void {
    const node = this.#nodes.get(formatAddress(address));
    if (node !== undefined) node.creditBytes = Math.max(0, node.creditBytes - packetBytes);
  }

  #forgetOldest(): void {
    for (const key of this.#nodes.keys()) {
      this.#nodes.delete(key);
      return;
    }
  }
}
