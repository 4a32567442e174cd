/**
 * What somebody says who has something: where it is reached, and whatever else it wants to say.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import { decode, encode } from "../wire/msgpack.ts";
import type { DhtProvider } from "./dht_options.ts";
import type { DhtRecord } from "./record.ts";

/** Longest thing that may be said besides, in MessagePack. */
const MAX_DATA_BYTES = 512;

/** Addresses of one peer. */
const MAX_HOSTS = 4;

/** The value of a record that says who has something. @throws {InvalidPacketError} `too-large` for too much data. */
export function providerValue(
  { hosts, tcpPort }: { readonly hosts: readonly string[]; readonly tcpPort: number },
  data: unknown,
): Uint8Array {
  const said = data === undefined ? new Uint8Array(0) : encode(data);
  if (said.length > MAX_DATA_BYTES) {
    throw new InvalidPacketError(
      "too-large",
      `Cannot provide: the data has ${said.length} bytes, more than ${MAX_DATA_BYTES}`,
      { details: { limit: "MAX_DATA_BYTES", max: MAX_DATA_BYTES, got: said.length } },
    );
  }
  return encode([hosts.slice(0, MAX_HOSTS), tcpPort, said]);
}

/** Who has something, as its record says; `undefined` where that says nothing of the kind. */
export function providerOf(record: DhtRecord): DhtProvider | undefined {
  if (record.kind !== "signed" || record.scope !== "provider") return undefined;
  try {
    const value = decode(record.value);
    if (!Array.isArray(value) || value.length !== 3) return undefined;
    const [hosts, port, said]: unknown[] = value;
    if (!Array.isArray(hosts) || !(said instanceof Uint8Array)) return undefined;
    if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) {
      return undefined;
    }
    const usable = hosts.slice(0, MAX_HOSTS).filter((host): host is string => {
      return typeof host === "string" && isHostAddress(host);
    });
    return {
      peerId: record.slot,
      addresses: usable.map((hostname) => ({ hostname, port })),
      data: said.length === 0 || said.length > MAX_DATA_BYTES ? undefined : decode(said),
    };
  } catch (error) {
    if (error instanceof InvalidPacketError) return undefined; // its author can sign nonsense
    throw error;
  }
}
