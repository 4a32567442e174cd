/**
 * Who has many addresses in one network has them cheaply: of a network only a few nodes may be in a routing table, so
 * that it takes many networks to capture one.
 *
 * @module
 */

import { subnetOf } from "../endpoint/source.ts";

/** How many nodes of one public network may be in a routing table. */
export interface DiversityOptions {
  /** In one bucket; 1 or more. @default {2} */
  readonly perBucket?: number;
  /** In the table; 1 or more. @default {10} */
  readonly perTable?: number;
}

/** A node that counts for its network. */
export interface Settled {
  /** Its public network; `undefined` for one that is not counted. */
  readonly network: string | undefined;
}

/** Which limit a newcomer would break. */
export type Crowded = "network-in-bucket" | "network-in-table";

/** Counts the nodes of each network; see the module. Remembers no more networks than there are nodes in the table. */
export class Diversity {
  /** How many nodes of a network may be in one bucket. */
  readonly perBucket: number;
  readonly #perTable: number;
  readonly #counts = new Map<string, number>();

  /** Counts nobody yet. @throws {RangeError} when an option is out of range. */
  constructor(options: DiversityOptions = {}) {
    const { perBucket = 2, perTable = 10 } = options;
    this.perBucket = atLeastOne("perBucket", perBucket);
    this.#perTable = atLeastOne("perTable", perTable);
  }

  /** Whether anybody is counted. */
  get hasAny(): boolean {
    return this.#counts.size > 0;
  }

  /**
   * Why there is no room for one more of a network in a bucket; `undefined` when there is.
   *
   * @param inBucket Who is in the bucket.
   * @param leaving Who of them goes for it.
   */
  refusal(
    network: string | undefined,
    inBucket: Iterable<Settled>,
    leaving?: Settled,
  ): Crowded | undefined {
    if (network === undefined) return undefined;
    const freed = leaving?.network === network ? 1 : 0;
    if ((this.#counts.get(network) ?? 0) - freed >= this.#perTable) return "network-in-table";
    let count = -freed;
    for (const other of inBucket) if (other.network === network) count++;
    return count >= this.perBucket ? "network-in-bucket" : undefined;
  }

  /** One more of a network is in the table. */
  joined(network: string | undefined): void {
    if (network !== undefined) this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
  }

  /** One less is. */
  left(network: string | undefined): void {
    if (network === undefined) return;
    const count = this.#counts.get(network) ?? 0;
    if (count > 1) this.#counts.set(network, count - 1);
    else this.#counts.delete(network);
  }
}

/**
 * The public network that an address is counted with: /24 of IPv4; /48 of IPv6, which is what one customer gets
 * (RFC 6177).
 *
 * @example
 * ```ts
 * import { publicNetworkOf } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(publicNetworkOf("192.0.2.7"), "192.0.2.0/24");
 * assertEquals(publicNetworkOf("2001:db8:0:1::7"), publicNetworkOf("2001:db8:0:2::8"));
 * assertEquals(publicNetworkOf("192.168.1.7"), undefined); // a neighbour
 * ```
 *
 * @returns its name; `undefined` for what is no address, as in networks in memory, and for private networks, where all are
 * neighbours: loopback, link-local, RFC 1918, RFC 4193, and what providers and overlays share (RFC 6598).
 */
export function publicNetworkOf(hostname: string): string | undefined {
  const plain = IPV4.exec(hostname)?.[1];
  const subnet = plain === undefined ? subnetOf(hostname) : `${plain}.0/24`;
  if (subnet === undefined) return undefined;
  if (subnet.includes(":")) {
    return PRIVATE_IPV6.test(subnet) ? undefined : `${subnet.split(":", 3).join(":")}::/48`;
  }
  return PRIVATE_IPV4.test(subnet) ? undefined : subnet;
}

// As sockets write it: of a lookup's time most would go into taking addresses apart.
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^(${OCTET}\\.${OCTET}\\.${OCTET})\\.${OCTET}$`);

const PRIVATE_IPV4 =
  /^(10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./;
// The first has the loopback address, and else only what no packet comes from (RFC 4291, 2.5.2 to 2.5.5).
const PRIVATE_IPV6 = /^(0:0:0:0:|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)/;

function atLeastOne(name: string, value: number): number {
  if (value >= 1) return value;
  throw new RangeError(`${name} must be 1 or more: current value is ${value}`);
}
