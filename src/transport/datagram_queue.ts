/**
 * What waits between a network that pushes packets and a `receive` that takes them: bounded, the oldest goes first.
 *
 * @module
 */

import type { Datagram } from "./transport.ts";

/** Limits of a {@linkcode DatagramQueue}. */
export interface DatagramQueueOptions {
  /** Packets that may wait. @default {1024} */
  maxPackets?: number;
  /** Payload bytes that may wait; one packet may always. The default is Linux's receive buffer. @default {212992} */
  maxBytes?: number;
}

/**
 * A bounded queue of packets with one taker. When it is full the oldest packet is dropped and counted: who is behind
 * would rather hear what is new.
 */
export class DatagramQueue {
  readonly #maxPackets: number;
  readonly #maxBytes: number;
  readonly #packets: Datagram[] = [];
  #bytes = 0;
  #dropped = 0;
  #closed = false;
  #taker: PromiseWithResolvers<Datagram | undefined> | undefined;

  /** Makes an empty queue. */
  constructor(options: DatagramQueueOptions = {}) {
    const { maxPackets = 1024, maxBytes = 212_992 } = options;
    this.#maxPackets = maxPackets;
    this.#maxBytes = maxBytes;
  }

  /** How many packets were dropped because the queue was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds a packet; its data now belongs to the queue. Ignored once closed. */
  push(packet: Datagram): void {
    if (this.#closed) return;
    if (this.#taker !== undefined) {
      this.#taker.resolve(packet);
      this.#taker = undefined;
      return;
    }
    this.#packets.push(packet);
    this.#bytes += packet.data.length;
    while (this.#packets.length > this.#maxPackets || this.#bytes > this.#maxBytes) {
      if (this.#packets.length === 1) return;
      this.#shift();
      this.#dropped++;
    }
  }

  /**
   * The next packet, or `undefined` once closed.
   *
   * @throws {TypeError} when another take waits.
   */
  take(): Promise<Datagram | undefined> {
    if (this.#taker !== undefined) {
      return Promise.reject(new TypeError("Cannot receive: another receive is under way"));
    }
    if (this.#closed) return Promise.resolve(undefined);
    const packet = this.#shift();
    if (packet !== undefined) return Promise.resolve(packet);
    this.#taker = Promise.withResolvers();
    return this.#taker.promise;
  }

  /** Ends the queue: what waits in it is forgotten, and who waits for it gets `undefined`. */
  close(): void {
    this.#closed = true;
    this.#packets.length = 0;
    this.#bytes = 0;
    this.#taker?.resolve(undefined);
    this.#taker = undefined;
  }

  #shift(): Datagram | undefined {
    const packet = this.#packets.shift();
    this.#bytes -= packet?.data.length ?? 0;
    return packet;
  }
}
