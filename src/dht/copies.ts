/**
 * Copies of records on their way to nodes that need not say that they keep them: those for one node wait a moment for each
 * other, and travel together.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { type Copied, MAX_COPIES, PACKET_RECORD_BYTES } from "./node_packets.ts";

/** How long a copy waits for others, in milliseconds. */
const WAIT_MS = 100;

/** What {@linkcode Copies} need. */
export interface CopiesParts {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Sends some in one packet. It never rejects. */
  readonly send: (to: Address, copies: readonly Copied[]) => Promise<void>;
}

/** What is on its way to one node. */
interface Parcel {
  readonly to: Address;
  copies: Copied[];
  bytes: number;
}

/** See the module. */
export class Copies {
  readonly #parts: CopiesParts;
  readonly #parcels = new Map<string, Parcel>();
  readonly #sending = new Set<Promise<void>>();
  #timer: Timer | undefined;

  /** Nothing is on its way. */
  constructor(parts: CopiesParts) {
    this.#parts = parts;
  }

  /** Adds a copy to what goes to a node. */
  add(to: Address, copy: Copied): void {
    const place = formatAddress(to);
    let parcel = this.#parcels.get(place);
    if (parcel !== undefined && isFull(parcel, copy)) {
      this.#send(parcel);
      parcel = undefined;
    }
    if (parcel === undefined) {
      parcel = { to, copies: [], bytes: 0 };
      this.#parcels.set(place, parcel);
    }
    parcel.copies.push(copy);
    parcel.bytes += copy.record.length;
    this.#timer ??= this.#parts.clock.after(WAIT_MS, () => this.#sendAll());
  }

  /** Sends what waits. @returns when it and all before it has left. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#sendAll();
    await Promise.all(this.#sending);
  }

  #sendAll(): void {
    this.#timer = undefined;
    for (const parcel of this.#parcels.values()) this.#send(parcel);
    this.#parcels.clear();
  }

  #send({ to, copies }: Parcel): void {
    const sending = this.#parts.send(to, copies).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }
}

function isFull({ copies, bytes }: Parcel, { record }: Copied): boolean {
  return copies.length >= MAX_COPIES || bytes + record.length > PACKET_RECORD_BYTES;
}
