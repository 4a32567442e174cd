/**
 * From the runtime's socket errors to kith's, in one place.
 *
 * @module
 */

import {
  ClosedError,
  InvalidPacketError,
  type PeerError,
  TransportError,
  UnsupportedError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { MAX_DATAGRAM_IN_BYTES } from "../wire/datagram.ts";
import { printableAddress } from "./socket_address.ts";
import type { Address, MulticastGroup } from "./transport.ts";

/** The error for `Cannot {doing} {address}`, by what the runtime threw. */
export function socketError(doing: string, address: Address, cause: unknown): PeerError {
  const where = printableAddress(address);
  const inUse = cause instanceof Deno.errors.AddrInUse;
  const options = { cause, details: { address: where, ...(inUse ? { inUse } : {}) } };
  if (cause instanceof Deno.errors.NotCapable) return permissionError(doing, address, cause);
  if (isClosedResource(cause)) return new ClosedError(`Cannot ${doing} ${where}: closed`, options);
  return new TransportError(`Cannot ${doing} ${where}: ${reasonOf(cause)}`, options);
}

/** The error for a network permission that the program lacks. */
export function permissionError(doing: string, address: Address, cause?: unknown): PeerError {
  const where = printableAddress(address);
  return new UnsupportedError(
    `Cannot ${doing} ${where}: not permitted, run again with --allow-net=${where}`,
    { cause, details: { address: where, permission: "--allow-net" } },
  );
}

/** The error for a group that could not be joined on its interface. */
export function joinError(membership: MulticastGroup, cause: unknown): PeerError {
  const on = "interfaceIndex" in membership
    ? `interface ${membership.interfaceIndex}`
    : printable(membership.interfaceAddress);
  const group = printable(membership.group);
  return new TransportError(
    `Cannot join multicast group ${group} on ${on}: ${reasonOf(cause)}`,
    { cause, details: { ...membership } },
  );
}

/** Whether the runtime says so of a socket that we closed ourselves, before the call or during it. */
export function isClosedResource(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}

/** What went wrong, in the runtime's words. */
export function reasonOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}

/**
 * Refuses more than one UDP packet can carry.
 *
 * @throws {InvalidPacketError} `too-large`, which names the limit.
 */
export function assertDatagramSize(data: Uint8Array): void {
  if (data.length <= MAX_DATAGRAM_IN_BYTES) return;
  throw new InvalidPacketError(
    "too-large",
    `Cannot send datagram: length ${data.length} exceeds ${MAX_DATAGRAM_IN_BYTES}`,
    { details: { limit: "datagramBytes", max: MAX_DATAGRAM_IN_BYTES } },
  );
}
