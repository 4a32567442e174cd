/**
 * Addresses between the runtime and us: ports that are checked, zones that are kept, text that is safe to print.
 *
 * @module
 */

import { printable } from "../log.ts";
import { type Address, formatAddress } from "./transport.ts";

/**
 * Refuses what is no port.
 *
 * @param least 0 where any port will do, 1 where it must be a real one.
 * @throws {RangeError} when `port` is none.
 */
export function assertPort(port: number, least: 0 | 1): void {
  if (Number.isInteger(port) && port >= least && port <= 65535) return;
  throw new RangeError(`Port must be ${least}..65535: current value is ${port}`);
}

/** The address as it may stand in an error or a log: it can come from another peer. */
export function printableAddress(address: Address): string {
  const { hostname } = address;
  if (hostname.startsWith("unix:")) return printable(hostname); // it has no port
  return printable(formatAddress(address), 100);
}

/** The zone of a link-local address with its `%`, as in `%eth0`; `""` without one. */
export function zoneOf(hostname: string): string {
  const at = hostname.indexOf("%");
  return at === -1 ? "" : hostname.slice(at);
}

/**
 * The runtime's address as ours. The runtime leaves out the zone, without which a link-local address cannot be
 * answered; a socket that is bound or connected in one zone knows it. What came over IPv4 to a socket that serves both
 * is an IPv4 address, not its IPv6 disguise (RFC 4291, 2.5.5.2).
 */
export function fromRuntimeAddress(address: Address, zone: string): Address {
  const { hostname, port } = address;
  const linkLocal = zone !== "" && /^fe[89ab]/i.test(hostname);
  if (linkLocal) return { hostname: hostname + zone, port };
  return { hostname: hostname.replace(/^::ffff:(?=\d+\.)/i, ""), port };
}
