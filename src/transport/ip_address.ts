/**
 * IP addresses as text from outside.
 *
 * @module
 */

import { isIPv4, isIPv6 } from "node:net";

/**
 * Whether a text is the address of one host, in its usual form: IPv4 or IPv6, no name, no zone, no group, no broadcast,
 * no wildcard, and no IPv4 address in the clothes of IPv6.
 *
 * @example
 * ```ts
 * import { isHostAddress } from "@kith/kith/transport";
 * import { assert } from "@std/assert";
 *
 * assert(isHostAddress("192.168.1.20") && isHostAddress("fd00::20"));
 * assert(!isHostAddress("bob.example") && !isHostAddress("239.1.11.11") && !isHostAddress("::"));
 * ```
 */
export function isHostAddress(text: string): boolean {
  if (isIPv4(text)) {
    const first = Number(text.slice(0, text.indexOf(".")));
    return first > 0 && first < 224;
  }
  if (!isIPv6(text) || text.includes("%") || text.includes(".")) return false;
  const usual = new URL(`http://[${text}]`).hostname.slice(1, -1);
  return usual === text.toLowerCase() && usual !== "::" && !/^(ff..:|::ffff:)/.test(usual);
}
