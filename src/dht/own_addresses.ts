/**
 * Which addresses are ours: those that the machine has, and those that enough others see us at, as behind a router that
 * translates addresses.
 *
 * @module
 */

import { subnetOf } from "../endpoint/source.ts";
import { isLoopback } from "../endpoint/limits.ts";
import { type Address, formatAddress, parseAddress } from "../transport/transport.ts";

/** From how many networks we must have been seen at an address for it to be ours. */
const WITNESSES = 3;

/** Addresses that others say we have and that are remembered. */
const MAX_SEEN = 64;

/** See the module. */
export class OwnAddresses {
  readonly #hosts: () => readonly string[];
  readonly #port: () => number;
  // Who has seen us where: by address the networks of those who say so.
  readonly #seen = new Map<string, Set<string>>();

  /** @param hosts Addresses of the machine; none where that may not be asked, and then every address could be ours. */
  constructor(hosts: () => readonly string[], port: () => number) {
    this.#hosts = hosts;
    this.#port = port;
  }

  /** Whether an address, as `HOST:PORT`, is ours. */
  has(text: string): boolean {
    const address = parseAddress(text);
    if (address === undefined) return false;
    if ((this.#seen.get(formatAddress(address))?.size ?? 0) >= WITNESSES) return true;
    if (address.port !== this.#port()) return false;
    const hosts = this.#hosts();
    return hosts.length === 0 || isLoopback(address.hostname) || hosts.includes(address.hostname);
  }

  /** Somebody says where it has seen us. */
  seen(text: string, by: Address): void {
    const address = parseAddress(text);
    if (address === undefined) return;
    const key = formatAddress(address);
    const witnesses = this.#seen.get(key) ?? new Set();
    witnesses.add(subnetOf(by.hostname) ?? by.hostname);
    if (witnesses.size > WITNESSES) return;
    this.#seen.delete(key);
    this.#seen.set(key, witnesses);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > MAX_SEEN && oldest !== undefined) this.#seen.delete(oldest);
  }
}
