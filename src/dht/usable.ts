/**
 * Which addresses others may send us to.
 *
 * @module
 */

import { isLoopback } from "../endpoint/source.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import type { Address } from "../transport/transport.ts";
import { publicNetworkOf } from "./diversity.ts";

/**
 * Whether a node that somebody names may be asked: at the address of one host, with a port. Only who is on this machine
 * may name what else is there, and nobody from the internet what is in our private networks. In networks of one process
 * hosts have names instead of addresses.
 *
 * @param by Where that one answers from.
 */
export function isUsable({ hostname, port }: Address, by: Address): boolean {
  if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) return false;
  if (!isNumeric(by.hostname)) return hostname !== "";
  if (!isHostAddress(hostname) || (isLoopback(hostname) && !isLoopback(by.hostname))) return false;
  return publicNetworkOf(hostname) !== undefined || publicNetworkOf(by.hostname) === undefined;
}

function isNumeric(hostname: string): boolean {
  return hostname.includes(":") || /^[\d.]+$/.test(hostname);
}
