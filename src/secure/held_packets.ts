/**
 * Packets that wait until it is known that they are fresh.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import type { SealedHeader } from "./datagram_seal.ts";

/** Most packets that wait: some from each of very many peers that come at once. */
const MAX_HELD = 512;

/** Most bytes of them, 1 MiB. */
const MAX_HELD_BYTES = 1024 * 1024;

/** A sealed packet whose tag is right. */
export interface Arrival<Port> {
  /** What stands in front of it. */
  readonly header: SealedHeader;
  /** Where it came from. */
  readonly from: Address;
  /** Where it goes on. */
  readonly port: Port;
  /** When it came, on the steady clock. */
  readonly atMs: number;
}

/** A packet that waits. */
export interface HeldPacket<Port> {
  /** The packet, opened. */
  readonly packet: Uint8Array;
  /** How it came. */
  readonly arrival: Arrival<Port>;
  /** How often its sender was asked about it. */
  readonly asked: number;
  /** When that was last, on the steady clock. */
  readonly askedMs: number;
}

/** Packets under the text that they are asked about by. When there are too many, the oldest are dropped. */
export class HeldPackets<Port> {
  readonly #held = new Map<string, HeldPacket<Port>>();
  #bytes = 0;

  /** Whether that one waits already. */
  has(claim: string): boolean {
    return this.#held.has(claim);
  }

  /** Adds a packet. @returns how many were dropped for it. */
  put(claim: string, held: HeldPacket<Port>): number {
    this.#held.set(claim, held);
    this.#bytes += held.packet.length;
    let dropped = 0;
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= MAX_HELD && this.#bytes <= MAX_HELD_BYTES) break;
      this.take(oldest);
      dropped++;
    }
    return dropped;
  }

  /** Takes a packet out. */
  take(claim: string): HeldPacket<Port> | undefined {
    const held = this.#held.get(claim);
    if (held === undefined) return undefined;
    this.#held.delete(claim);
    this.#bytes -= held.packet.length;
    return held;
  }
}
