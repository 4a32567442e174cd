/**
 * Whether an address is on the network that an interface leads to.
 *
 * @module
 */

import { ipv4Bytes } from "./dns_address.ts";
import type { LocalInterface } from "../interfaces.ts";

const IPV4_BITS = 32;

/** Of 127.0.0.0/8, whose broadcast address says less. */
const LOOPBACK_BITS = 8;

/**
 * Whether an address is of the network of a local one. Of IPv6 these are the link-local ones, because interfaces are
 * listed with no others.
 */
export function isInNetwork(hostname: string, local: LocalInterface): boolean {
  if (local.family === "IPv6") return /^fe[89ab][0-9a-f]:/i.test(hostname);
  const [address, own] = [ipv4Number(hostname), ipv4Number(local.address)];
  if (address === undefined || own === undefined) return false;
  const size = 2 ** (IPV4_BITS - networkBits(local));
  return Math.floor(address / size) === Math.floor(own / size);
}

/**
 * How many leading bits the addresses of a local IPv4 network share at least: the part of its broadcast address before
 * the ones at its end. The true network may be smaller, where the last bits of its own number are ones.
 */
export function networkBits({ broadcast, loopback }: LocalInterface): number {
  if (loopback) return LOOPBACK_BITS;
  const last = broadcast === undefined ? undefined : ipv4Number(broadcast);
  if (last === undefined) return IPV4_BITS;
  return last.toString(2).padStart(IPV4_BITS, "0").replace(/1+$/, "").length;
}

function ipv4Number(address: string): number | undefined {
  if (!/^[\d.]+$/.test(address)) return undefined;
  return ipv4Bytes(address).reduce((number, byte) => number * 256 + byte, 0);
}
