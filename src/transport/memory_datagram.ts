/**
 * Datagram sockets in memory: what {@linkcode MemoryNetwork} is made of on the packet side.
 *
 * @module
 */

import { ClosedError, type PeerError } from "../errors.ts";
import { DatagramQueue } from "./datagram_queue.ts";
import { printableAddress } from "./socket_address.ts";
import { assertDatagramSize } from "./socket_error.ts";
import type { Address, Datagram, DatagramOptions, DatagramSocket } from "./transport.ts";

/** Takes a packet on its way; throws when there is none. */
export type Carry = (data: Uint8Array, from: Address, to: Address) => void;

const BROADCAST = "255.255.255.255";

/** A socket on a host of the memory network. */
export class MemoryDatagramSocket implements DatagramSocket {
  readonly address: Address;
  readonly joinErrors: readonly PeerError[] = [];
  /** Whether others on the host may have the same port. */
  readonly shared: boolean;
  /** Called once, when the socket is closed. */
  onClose: () => void = () => {};
  readonly #carry: Carry;
  readonly #groups: ReadonlySet<string>;
  readonly #queue = new DatagramQueue();
  #closed = false;

  constructor(address: Address, options: DatagramOptions, carry: Carry) {
    const { shared = false, groups = [] } = options;
    this.address = address;
    this.shared = shared;
    this.#carry = carry;
    this.#groups = new Set(groups.map(({ group }) => group.toLowerCase()));
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Whether it takes packets to this group; every socket takes broadcasts. */
  isMember(group: string): boolean {
    return group === BROADCAST || this.#groups.has(group);
  }

  send(data: Uint8Array, to: Address): Promise<void> {
    return Promise.try(() => {
      assertDatagramSize(data);
      if (this.#closed) throw this.#closedError();
      this.#carry(data, this.address, to);
    });
  }

  receive(): Promise<Datagram | undefined> {
    return this.#queue.take();
  }

  /** Takes a packet that arrived; its data belongs to the socket. */
  deliver(data: Uint8Array, from: Address): void {
    this.#queue.push({ data, from });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.close();
    this.onClose();
  }

  #closedError(): ClosedError {
    const address = printableAddress(this.address);
    return new ClosedError(`Datagram socket on ${address} was closed`, { details: { address } });
  }
}

/**
 * The group that an address names, in the form that members are known by: a multicast address without its zone, or the
 * broadcast address. `undefined` for the address of one host.
 */
export function groupOf(hostname: string): string | undefined {
  if (hostname === BROADCAST) return BROADCAST;
  if (/^ff[0-9a-f]{2}:/i.test(hostname)) return hostname.replace(/%.*/, "").toLowerCase();
  return /^(22[4-9]|23\d)(\.\d{1,3}){3}$/.test(hostname) ? hostname : undefined;
}
