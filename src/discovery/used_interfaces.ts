/**
 * The interfaces that are used, of all there are, and who is on a network that is not.
 *
 * A socket for IPv4 that takes broadcasts in hears all interfaces, those too that the user left out, and does not tell on
 * which one a packet came. The sender's address does: it is of the network of one that is used, or of one that is not.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { isLoopback } from "../endpoint/limits.ts";
import { type Address, isWildcard } from "../transport/transport.ts";
import { interfaceFilter } from "./interface_filter.ts";
import { isInNetwork, networkBits } from "./interface_network.ts";
import { interfacesAt, type LocalInterface, localInterfaces } from "./interfaces.ts";
import { LIST_EVERY_MS } from "./watched_interfaces.ts";

/** Which interfaces to use. */
export interface UsedInterfacesOptions {
  /** Lists all there are. @default {localInterfaces} */
  readonly interfaces?: (() => readonly LocalInterface[]) | undefined;
  /** Use only the one with this address. @default every interface */
  readonly hostname?: string | undefined;
  /** Use only those of these names, `!` before those not to use; see `interfaceFilter`. @default {[]} */
  readonly only?: readonly string[] | undefined;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock | undefined;
}

/** Which interfaces are used; see the module. */
export class UsedInterfaces {
  readonly #interfaces: () => readonly LocalInterface[];
  readonly #hostname: string | undefined;
  readonly #isWanted: (name: string) => boolean;
  readonly #usesAll: boolean;
  readonly #clock: Clock;
  #used: readonly LocalInterface[] = [];
  #leftOut: readonly LocalInterface[] = [];
  #listedMs = -Infinity;

  /** Lists nothing yet. @throws {TypeError} for a pattern that is none. */
  constructor(options: UsedInterfacesOptions) {
    const { interfaces = localInterfaces, hostname, only = [], clock = systemClock } = options;
    this.#interfaces = interfaces;
    this.#hostname = hostname;
    this.#isWanted = interfaceFilter(only);
    this.#usesAll = only.length === 0 && (hostname === undefined || isWildcard(hostname));
    this.#clock = clock;
  }

  /** Those that are used now. @throws {UnsupportedError} when interfaces may not be listed. */
  list(): readonly LocalInterface[] {
    const all = this.#interfaces();
    this.#used = interfacesAt(all, this.#hostname).filter(({ name }) => this.#isWanted(name));
    this.#leftOut = all.filter((local) => !this.#used.includes(local));
    this.#listedMs = this.#clock.now();
    return this.#used;
  }

  /**
   * Whether somebody is not to be heard: from elsewhere where only this machine is served, or on a network that is left
   * out. It is told by interfaces that were listed less than two seconds ago.
   *
   * @throws {UnsupportedError} when interfaces may not be listed.
   */
  isLeftOut({ hostname }: Address): boolean {
    if (this.#usesAll || isLoopback(hostname)) return false;
    if (this.#hostname !== undefined && isLoopback(this.#hostname)) return true;
    if (hostname.includes(":")) return false; // IPv6 sockets hear one interface each
    if (this.#clock.now() - this.#listedMs >= LIST_EVERY_MS) this.list();
    const nearest = (locals: readonly LocalInterface[]) => {
      const near = locals.filter((local) =>
        local.family === "IPv4" && isInNetwork(hostname, local)
      );
      return Math.max(-1, ...near.map(networkBits));
    };
    return nearest(this.#leftOut) > nearest(this.#used);
  }
}
