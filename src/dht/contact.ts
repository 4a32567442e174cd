/**
 * A node of the DHT: its id, and where it takes questions.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import { type NodeId, toKey } from "./node_id.ts";

/** A node, as far as it is known. Where it is others may have said: it counts once it has answered from there. */
export interface Contact {
  /** 20 bytes; in the native DHT the id of its key, as everywhere in kith. */
  readonly id: NodeId;
  /** The same in hexadecimal: what maps go by. */
  readonly key: string;
  /** Where it takes packets. */
  readonly address: Address;
  /** Where it accepts connections, on the same host; 0 where it does not. */
  readonly tcpPort: number;
  /** Its label, in the dialect that has any. */
  readonly name: string | null;
}

/**
 * A contact.
 *
 * @example
 * ```ts
 * import { contactOf } from "@kith/kith/dht";
 * import { assertEquals } from "@std/assert";
 *
 * const id = new Uint8Array(20).fill(0xab);
 * const contact = contactOf(id, { hostname: "192.0.2.7", port: 3486 });
 * assertEquals([contact.key, contact.tcpPort], ["ab".repeat(20), 0]);
 * ```
 *
 * @param more Defaults: no connections, no label.
 */
export function contactOf(
  id: NodeId,
  address: Address,
  { tcpPort = 0, name = null }: { readonly tcpPort?: number; readonly name?: string | null } = {},
): Contact {
  return { id, key: toKey(id), address, tcpPort, name };
}

/** Whether two addresses are the same, both as sockets write them. */
export function isSameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && a.hostname === b.hostname;
}
