/**
 * Where a connection or a packet comes from, as far as that says something about who may have sent it.
 *
 * @module
 */

import { type Address, formatAddress } from "../transport/transport.ts";

/** What an address counts as, however it is written. */
export interface Source {
  /** The address in one form; a host's name in lower case. */
  readonly address: string;
  /** Its network, as {@linkcode subnetOf} says. */
  readonly subnet: string | undefined;
  /** What one host cannot choose: an address of IPv4; of IPv6 the network, in which it may have any address. */
  readonly host: string;
  /** Whether it is this machine's own. */
  readonly own: boolean;
}

/** What an address counts as. */
export function sourceOf(hostname: string): Source {
  const groups = groupsOf(hostname);
  const own = isOwn(hostname, groups);
  const address = groups?.join(":") ?? hostname.toLowerCase();
  if (groups === undefined) return { address, subnet: undefined, host: address, own };
  const subnet = networkOf(groups);
  return { address, subnet, host: ipv4Of(groups) === undefined ? subnet : address, own };
}

/**
 * The network that an address is counted with: /24 of IPv4; /64 of IPv6, in which a host may take any address it likes
 * (RFC 4291, 2.5.1). A zone is left out, and IPv4 in IPv6's form is IPv4.
 *
 * @example
 * ```ts
 * import { subnetOf } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(subnetOf("192.0.2.7"), "192.0.2.0/24");
 * assertEquals(subnetOf("2001:db8::7"), "2001:db8:0:0::/64");
 * assertEquals(subnetOf("bob.example"), undefined);
 * ```
 *
 * @returns the network's name, the same for all its addresses however written; `undefined` for what is no address.
 */
export function subnetOf(hostname: string): string | undefined {
  const groups = groupsOf(hostname);
  return groups && networkOf(groups);
}

/**
 * Whether an address is this machine's own: 127.0.0.0/8, `::1`, or the name `localhost`.
 *
 * @example
 * ```ts
 * import { isLoopback } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const own = ["127.0.0.53", "::1", "localhost", "192.0.2.7", "bob.example"].filter(isLoopback);
 * assertEquals(own, ["127.0.0.53", "::1", "localhost"]);
 * ```
 */
export function isLoopback(hostname: string): boolean {
  if (IPV4.test(hostname)) return hostname.startsWith("127."); // as sockets write it
  return isOwn(hostname, groupsOf(hostname));
}

/** Who is counted together where packets are rationed: what comes from one address; here the ports are different programs. */
export function packetSource({ hostname, port }: Address): string {
  return isLoopback(hostname) ? formatAddress({ hostname, port }) : hostname;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const IPV4_TAIL = /(?<![\d.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
const GROUPS = 8;

// The eight 16-bit groups of an address; IPv4 as the IPv6 address that stands for it (RFC 4291, 2.5.5.2).
function groupsOf(hostname: string): number[] | undefined {
  const [address = ""] = hostname.split("%", 1);
  const dotted = IPV4_TAIL.exec(address);
  if (dotted === null) return address.includes(":") ? readGroups(address) : undefined;
  const [a = 0, b = 0, c = 0, d = 0] = dotted.slice(1).map(Number);
  if (Math.max(a, b, c, d) > 255) return undefined;
  const low = [a * 256 + b, c * 256 + d];
  if (dotted.index === 0) return [0, 0, 0, 0, 0, 0xffff, ...low];
  return readGroups(address.slice(0, dotted.index) + low.map(hex).join(":"));
}

function readGroups(text: string): number[] | undefined {
  const [left = "", right, ...more] = text.split("::");
  const head = left === "" ? [] : left.split(":");
  const tail = right === undefined || right === "" ? [] : right.split(":");
  const missing = GROUPS - head.length - tail.length;
  const complete = right === undefined ? missing === 0 : missing > 0;
  if (!complete || more.length > 0) return undefined;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...tail];
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  return groups.map((group) => parseInt(group, 16));
}

function networkOf(groups: readonly number[]): string {
  const [a, b, c] = ipv4Of(groups) ?? [];
  return a === undefined ? `${groups.slice(0, 4).map(hex).join(":")}::/64` : `${a}.${b}.${c}.0/24`;
}

function isOwn(hostname: string, groups: readonly number[] | undefined): boolean {
  if (groups === undefined) return hostname.toLowerCase() === "localhost";
  return ipv4Of(groups)?.[0] === 127 || groups.every((group, i) => group === (i === 7 ? 1 : 0));
}

// The four bytes of an IPv4 address in IPv6's form.
function ipv4Of(groups: readonly number[]): number[] | undefined {
  if (!groups.slice(0, 6).every((group, i) => group === (i === 5 ? 0xffff : 0))) return undefined;
  return groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]);
}

function hex(group: number): string {
  return group.toString(16);
}
