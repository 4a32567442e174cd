/**
 * Who is on the network that an interface leads to.
 *
 * @module
 */

import { isIPv4 } from "node:net";
import type { LocalInterface } from "./interfaces.ts";

const IPV4_BITS = 32;

/** Of 127.0.0.0/8, all of which is this machine, whatever part of it an address was given with. */
const LOOPBACK_BITS = 8;

/**
 * Whether an address is of the network of a local one. Of IPv6 these are the link-local ones, because interfaces are
 * listed with no others.
 */
export function isInNetwork(hostname: string, local: LocalInterface): boolean {
  if (local.family === "IPv6") return /^fe[89ab][0-9a-f]:/i.test(hostname);
  return sharedBits(hostname, local.address) >= networkBits(local);
}

/**
 * How many leading bits all addresses of a local IPv4 network share.
 *
 * Where nobody says, it is the part of the broadcast address before the ones at its end, and where there is none either,
 * the whole address. The true network may then be smaller, if the last bits of its own number are ones.
 */
export function networkBits({ prefixBits, broadcast, loopback }: LocalInterface): number {
  if (loopback) return LOOPBACK_BITS;
  if (prefixBits !== undefined) return prefixBits;
  const last = broadcast === undefined ? undefined : ipv4Number(broadcast);
  if (last === undefined) return IPV4_BITS;
  return last.toString(2).padStart(IPV4_BITS, "0").replace(/1+$/, "").length;
}

/** How many bits two IPv4 addresses begin with alike; -1 where one of them is none. */
export function sharedBits(a: string, b: string): number {
  const [first, second] = [ipv4Number(a), ipv4Number(b)];
  return first === undefined || second === undefined ? -1 : Math.clz32(first ^ second);
}

function ipv4Number(address: string): number | undefined {
  if (!isIPv4(address)) return undefined;
  return address.split(".").reduce((number, byte) => number * 256 + Number(byte), 0);
}
