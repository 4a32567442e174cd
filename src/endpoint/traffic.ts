/**
 * How much goes in and out, for whoever shows it.
 *
 * @module
 */

/**
 * Messages and their bytes, both ways, since the beginning. Not in the registry: they are counted for every message.
 *
 * @example
 * ```ts
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using bob = await Endpoint.open({ transport: network.host("bob"), self, port: 1 });
 * await using alice = await Endpoint.open({ transport: network.host("a"), self, clientOnly: true });
 * const link = await alice.connect({ hostname: "bob", port: 1 });
 * await link.ping();
 * const { messagesOut, messagesIn } = alice.traffic;
 * assertEquals([messagesOut, messagesIn], [1, 1]);
 * ```
 */
export class Traffic {
  /** Messages that came. */
  messagesIn = 0;
  /** Bytes of these. */
  bytesIn = 0;
  /** Messages that were sent. */
  messagesOut = 0;
  /** Bytes of these. */
  bytesOut = 0;

  /** A message came. */
  came(bytes: number): void {
    this.messagesIn++;
    this.bytesIn += bytes;
  }

  /** A message was sent. */
  went(bytes: number): void {
    this.messagesOut++;
    this.bytesOut += bytes;
  }
}
