/**
 * What is to be said to one peer: over a connection, as soon as there is one and it has room.
 *
 * @module
 */

import type { Link } from "../endpoint/link.ts";
import { PeerError } from "../errors.ts";
import type { Counter } from "../metrics.ts";

/** Bytes of messages that may wait for one peer; it is told ids where there is no room for more. */
const MAX_WAITING_BYTES = 16 * 1_024 * 1_024;

/** Control packets that may wait. */
const MAX_WAITING_CONTROL = 1_024;

/** What a {@linkcode PeerQueue} tells. */
export interface PeerQueueParts {
  /** Counts what there was no room for, and what a connection that has just ended did not take. */
  readonly unsent: Counter;
  /** Something that waited has left. */
  readonly drained: () => void;
}

/** See the module. Packets that find no room get lost. */
export class PeerQueue {
  readonly #parts: PeerQueueParts;
  readonly #control: Uint8Array[] = [];
  readonly #bodies: Uint8Array[] = [];
  #link: Link | undefined;
  #bodyBytes = 0;
  // Connections that have no room for the moment: the peer does not read as fast as we write.
  readonly #full = new WeakSet<Link>();
  #isFull = false;

  /** Waits for a connection. */
  constructor(parts: PeerQueueParts) {
    this.#parts = parts;
  }

  /** The connection that is used, if it is open. */
  get link(): Link | undefined {
    return this.#link?.open ? this.#link : undefined;
  }

  /** Bytes of messages that wait. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** Whether there is room for one more message. */
  get hasRoom(): boolean {
    return this.#bodyBytes < MAX_WAITING_BYTES;
  }

  /** Whether a connection is the one that is used, open or not. */
  uses(link: Link): boolean {
    return this.#link === link;
  }

  /** What is said goes over this connection from now on; without one it waits. */
  use(link: Link | undefined): void {
    this.#link = link;
    this.#isFull = link !== undefined && this.#full.has(link);
    this.#drain();
  }

  /** Sends a packet of the overlay or the trees. @returns whether it has left; else it waits, or got lost. */
  sendControl(packet: Uint8Array): boolean {
    if (this.#isFree) {
      this.#write(packet);
      return true;
    }
    if (this.#control.length < MAX_WAITING_CONTROL) this.#control.push(packet);
    else this.#parts.unsent.add();
    return false;
  }

  /** Sends a message. @returns the same. */
  sendBody(packet: Uint8Array): boolean {
    if (this.#isFree) {
      this.#write(packet);
      return true;
    }
    // Who asks before it sends is refused at half of that.
    if (this.#bodyBytes < 2 * MAX_WAITING_BYTES) {
      this.#bodies.push(packet);
      this.#bodyBytes += packet.length;
    } else this.#parts.unsent.add();
    return false;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#control.length = this.#bodies.length = this.#bodyBytes = 0;
  }

  /** Whether what comes now can leave at once: nothing waits then. */
  get #isFree(): boolean {
    return !this.#isFull && this.#link?.open === true;
  }

  /** Writes what waits for as long as there is room. */
  #drain(): void {
    this.#writeSome(this.#control, () => {});
    this.#writeSome(this.#bodies, ({ length }) => this.#bodyBytes -= length);
    this.#parts.drained();
  }

  #writeSome(packets: Uint8Array[], written: (packet: Uint8Array) => void): void {
    let count = 0;
    for (const packet of packets) {
      if (!this.#isFree) break;
      count++;
      written(packet);
      this.#write(packet);
    }
    packets.splice(0, count);
  }

  #write(packet: Uint8Array): void {
    const link = this.#link;
    try {
      const room = link?.forward(packet);
      if (link === undefined || room === undefined) return;
      this.#full.add(link);
      this.#isFull = true;
      void room.then(() => {
        this.#full.delete(link);
        if (this.#link !== link) return;
        this.#isFull = false;
        this.#drain();
      }, () => {}); // whoever breaks the connection is told
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#parts.unsent.add();
    }
  }
}
