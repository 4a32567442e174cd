/**
 * Which addresses are ours: those that the machine has, and those that enough others see us at, as behind a router that
 * translates addresses.
 *
 * @module
 */

import { subnetOf } from "../endpoint/source.ts";
import { publicNetworkOf } from "./diversity.ts";
import { isLoopback } from "../endpoint/limits.ts";
import { type Address, formatAddress, parseAddress } from "../transport/transport.ts";

/** From how many networks we must have been seen at an address for it to be ours. */
const WITNESSES = 3;

/** Networks whose word is remembered. */
const MAX_SEEN = 64;

/** See the module. */
export class OwnAddresses {
  readonly #hosts: () => readonly string[];
  readonly #port: () => number;
  // Where each network has seen us last: one word each, so that a few cannot outvote the many who tell the truth.
  readonly #seen = new Map<string, string>();

  /** @param hosts Addresses of the machine; none where that may not be asked, and then every address could be ours. */
  constructor(hosts: () => readonly string[], port: () => number) {
    this.#hosts = hosts;
    this.#port = port;
  }

  /** Whether an address, as `HOST:PORT`, is ours. */
  has(text: string): boolean {
    const address = parseAddress(text);
    if (address === undefined) return false;
    const hosts = this.#hosts();
    // Who has an address of its own in the internet need not be told what it is.
    const isToBeTold = hosts.every((host) => publicNetworkOf(host) === undefined);
    if (isToBeTold && this.#isSeenAt(formatAddress(address))) return true;
    if (address.port !== this.#port()) return false;
    return hosts.length === 0 || isLoopback(address.hostname) || hosts.includes(address.hostname);
  }

  /** Somebody says where it has seen us. */
  seen(text: string, by: Address): void {
    const address = parseAddress(text);
    if (address === undefined) return;
    const network = publicNetworkOf(by.hostname) ?? subnetOf(by.hostname) ?? by.hostname;
    this.#seen.delete(network);
    this.#seen.set(network, formatAddress(address));
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > MAX_SEEN && oldest !== undefined) this.#seen.delete(oldest);
  }

  #isSeenAt(place: string): boolean {
    const count = this.#seen.values().reduce((sum, one) => one === place ? sum + 1 : sum, 0);
    return count >= WITNESSES && 2 * count > this.#seen.size;
  }
}
