/**
 * The machine's network interfaces, as discovery needs them.
 *
 * @module
 */

import { isLoopback } from "../endpoint/limits.ts";
import { UnsupportedError } from "../errors.ts";
import { isWildcard } from "../transport/transport.ts";
import { reasonOf } from "./attempts.ts";

/** One address of one interface. */
export interface LocalInterface {
  /** The interface's name, such as `eth0`. */
  readonly name: string;
  /** Which kind of address it is. */
  readonly family: "IPv4" | "IPv6";
  /** The address, without a zone. */
  readonly address: string;
  /** The directed broadcast address; IPv4 only. */
  readonly broadcast: string | undefined;
  /** How many leading bits the addresses of its network share. @default what the broadcast address says of it */
  readonly prefixBits?: number | undefined;
  /** The interface's index, where the system tells it; needed to join an IPv6 group. */
  readonly index: number | undefined;
  /** Whether it leads back to this machine only. */
  readonly loopback: boolean;
}

/**
 * Every address that peers can be found on: IPv4 ones, and the link-local IPv6 ones.
 *
 * @example
 * ```ts
 * import { localInterfaces } from "@kith/kith/discovery";
 * import { assertEquals } from "@std/assert";
 *
 * const own = localInterfaces().find(({ address }) => address === "127.0.0.1");
 * assertEquals([own?.family, own?.loopback], ["IPv4", true]);
 * ```
 *
 * @throws {UnsupportedError} when the permission `--allow-sys=networkInterfaces` is missing, or the system does not tell.
 */
export function localInterfaces(): LocalInterface[] {
  let found: Deno.NetworkInterfaceInfo[];
  try {
    found = Deno.networkInterfaces();
  } catch (cause) {
    throw cannotList(cause);
  }
  const usable: LocalInterface[] = [];
  for (const { name, family, address, cidr, scopeid } of found) {
    const common = {
      name,
      family,
      address,
      broadcast: broadcastOf(cidr),
      prefixBits: bitsOf(cidr),
    };
    if (family === "IPv4") {
      usable.push({ ...common, index: undefined, loopback: isLoopback(address) });
    } else if (scopeid) { // only link-local addresses have one
      usable.push({ ...common, index: scopeid, loopback: false });
    }
  }
  return usable;
}

/**
 * Those interfaces that an option for one address means.
 *
 * @param hostname The address, with a zone or without, or `localhost`; all are meant where it is none or a wildcard.
 */
export function interfacesAt(
  interfaces: readonly LocalInterface[],
  hostname: string | undefined,
): LocalInterface[] {
  if (hostname === undefined || isWildcard(hostname)) return [...interfaces];
  const wanted = hostname === "localhost" ? "127.0.0.1" : hostname.replace(/%.*/, "");
  return interfaces.filter(({ address }) => address === wanted);
}

/**
 * The directed broadcast address of an IPv4 network in CIDR notation.
 *
 * @example
 * ```ts
 * import { broadcastOf } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(broadcastOf("192.168.1.7/24"), "192.168.1.255");
 * assertEquals(broadcastOf("10.0.0.1/32"), undefined); // a network of one has none
 * ```
 */
export function broadcastOf(cidr: string): string | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  if (match === null) return undefined;
  const [a, b, c, d, bits] = match.slice(1).map(Number) as [number, number, number, number, number];
  if (bits > 30) return undefined;
  const host = 2 ** (32 - bits) - 1;
  const broadcast = ((a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) | host) >>> 0;
  return [24, 16, 8, 0].map((shift) => (broadcast >>> shift) & 0xff).join(".");
}

/** What makes one interface's address another than the rest. */
export function keyOf(local: LocalInterface): string {
  const { name, address, index, broadcast, prefixBits } = local;
  return `${name} ${address} ${index ?? ""} ${broadcast ?? ""} ${prefixBits ?? ""}`;
}

function bitsOf(cidr: string): number | undefined {
  const [, bits] = /\/(\d+)$/.exec(cidr) ?? [];
  return bits === undefined ? undefined : Number(bits);
}

function cannotList(cause: unknown): UnsupportedError {
  const what = "Cannot list network interfaces";
  if (!(cause instanceof Deno.errors.NotCapable)) {
    return new UnsupportedError(`${what}: ${reasonOf(cause)}`, { cause });
  }
  const permission = "--allow-sys=networkInterfaces";
  return new UnsupportedError(`${what}: run with ${permission}`, {
    cause,
    details: { permission },
  });
}
