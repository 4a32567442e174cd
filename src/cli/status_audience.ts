/**
 * Who sees the status page, and where it is.
 *
 * @module
 */

import { isLoopback } from "../endpoint/limits.ts";
import type { Peer } from "../peer.ts";
import { HOME_PATH } from "../status/status_page.ts";
import { type Address, formatAddress, isWildcard } from "../transport/transport.ts";
import { AUDIENCES } from "./option_groups.ts";
import type { Options } from "./options.ts";

/** Who may see the status page: one of the words for it. */
export type StatusAudience = typeof AUDIENCES[number];

/** Who may see the status page, as the options say. @throws {UsageError} for anybody else. */
export function parseStatus(options: Options): StatusAudience {
  return options.choice("status", AUDIENCES) ?? "local";
}

/** Where a browser on this machine gets the status page; `undefined` where it would be turned away. */
export function statusUrl(
  peer: Peer,
  shownTo: StatusAudience,
  isSecure = false,
): string | undefined {
  const address = webAddress(peer);
  const isServed = shownTo === "all" || (shownTo === "local" && isLoopback(address.hostname));
  return isServed
    ? `${isSecure ? "https" : "http"}://${formatAddress(address)}${HOME_PATH}`
    : undefined;
}

/** The web port, as it is reached from this machine. */
export function webAddress({ httpAddress }: Peer): Address {
  const { hostname, port } = httpAddress ?? { hostname: "127.0.0.1", port: 0 };
  return { hostname: isWildcard(hostname) ? "127.0.0.1" : hostname, port };
}
