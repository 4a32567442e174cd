/**
 * Peers whose addresses somebody knows and says.
 *
 * @module
 */

import { type Address, formatAddress } from "../../transport/transport.ts";
import { printable } from "../../log.ts";
import {
  type Candidate,
  type CandidateSource,
  MAX_CANDIDATES,
  parseCandidateAddress,
} from "../candidates.ts";

/**
 * A list of addresses; names are resolved when somebody connects to them.
 *
 * @example
 * ```ts
 * import { StaticAddresses } from "@kith/kith/discovery";
 * import { assertEquals } from "@std/assert";
 *
 * const source = new StaticAddresses(["192.0.2.7:3485", { hostname: "bob.example", port: 80 }]);
 * const { signal } = new AbortController();
 * const found = await Array.fromAsync(source.find({ signal }));
 * assertEquals(found.map(({ address }) => address.hostname), ["192.0.2.7", "bob.example"]);
 * ```
 */
export class StaticAddresses implements CandidateSource {
  /** `static`. */
  readonly method = "static";
  readonly #addresses: readonly Address[];

  /**
   * Takes addresses, as `HOST:PORT` where they are text.
   *
   * @throws {TypeError} for one that cannot be connected to. @throws {RangeError} for more than 1024.
   */
  constructor(addresses: readonly (string | Address)[]) {
    if (addresses.length > MAX_CANDIDATES) {
      throw new RangeError(
        `There may be at most ${MAX_CANDIDATES} static addresses: there are ${addresses.length}`,
      );
    }
    this.#addresses = addresses.map(toAddress);
  }

  /** All of them, once. */
  async *find(_options: { signal: AbortSignal }): AsyncGenerator<Candidate, void, void> {
    for (const address of this.#addresses) yield await Promise.resolve({ address });
  }
}

function toAddress(given: string | Address): Address {
  const text = typeof given === "string" ? given : formatAddress(given);
  const address = parseCandidateAddress(text);
  if (address !== undefined) return address;
  throw new TypeError(`Static address must be HOST:PORT: current value is "${printable(text)}"`);
}
