/**
 * Giving what is asked for: each message once, and no more to anybody than there is room for.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { type IdList, keyOf } from "./id_list.ts";
import { encodePush } from "./packets.ts";
import type { Passing } from "./plumtree.ts";

/** Bytes that one peer is given: what is kept of a topic at once, and some more each second. */
const BYTES: Readonly<RateOptions> = { perSecond: 4 * 1_048_576, burst: 64 * 1_048_576 };

/** Ids that one peer may ask for, whether they are here or not. */
const IDS: Readonly<RateOptions> = { perSecond: 20_000, burst: 100_000 };

/** What a {@linkcode Giver} needs. */
export interface GiverPorts {
  /** Time. */
  readonly clock: Clock;
  /** A message that is kept. */
  get(author: string, seq: number): Passing | undefined;
  /** Sends a message. */
  send(packet: Uint8Array, to: string): void;
  /** Whether there is room for a message to somebody. */
  hasRoom(peerId: string): boolean;
}

/** See the module. */
export class Giver {
  readonly #topicKey: Uint8Array;
  readonly #ports: GiverPorts;
  readonly #bytes: TokenBuckets;
  readonly #ids: TokenBuckets;

  /** Gives messages of a topic. */
  constructor(topicKey: Uint8Array, ports: GiverPorts) {
    this.#topicKey = topicKey;
    this.#ports = ports;
    this.#bytes = new TokenBuckets(ports.clock, BYTES);
    this.#ids = new TokenBuckets(ports.clock, IDS);
  }

  /** Gives somebody what it asked for, as far as that is here and there is room. It asks again for the rest, or others. */
  give(ids: IdList, to: string): void {
    if (!this.#ids.take(to, ids.length)) return;
    const given = new Set<string>();
    for (const { author, seq } of ids) {
      const key = keyOf(author, seq);
      const message = given.has(key) ? undefined : this.#ports.get(author, seq);
      if (message === undefined) continue;
      given.add(key);
      if (!this.#ports.hasRoom(to) || !this.#bytes.take(to, message.bytes.length)) return;
      this.#ports.send(encodePush(message.bytes, message.hops, this.#topicKey), to);
    }
  }
}
