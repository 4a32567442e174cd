/**
 * A peer that takes part in a topic, and keeps it for those who come late.
 *
 * @module
 */

import { Peer } from "../../src/peer.ts";
import type { TopicOptions } from "../../src/gossip/gossip_options.ts";
import type { TopicSubscription } from "../../src/gossip/topic_subscription.ts";
import { formatAddress } from "../../src/transport/transport.ts";

/** See the module. */
export class Keeper implements AsyncDisposable {
  /** It. */
  readonly peer: Peer;
  /** What it reads. */
  readonly news: TopicSubscription;
  /** Options of a verb that find it, and nobody else. */
  readonly at: readonly string[];

  private constructor(peer: Peer, port: number, topic: string) {
    this.peer = peer;
    this.news = peer.gossip.subscribe(topic);
    const address = peer.address ?? { hostname: "127.0.0.1", port: 0 };
    const to = ["--peer", formatAddress(address), "--discovery-port", `${port}`];
    this.at = ["--host", "127.0.0.1", ...to];
  }

  /** Begins to. */
  static async open(topic: string, options: TopicOptions = {}): Promise<Keeper> {
    const discoveryPort = 20_000 + Math.floor(Math.random() * 12_000);
    const peer = await Peer.open({
      hostname: "127.0.0.1",
      port: 0,
      discoveryPort,
      announce: false,
    });
    peer.gossip.configure(topic, options);
    return new Keeper(peer, discoveryPort, topic);
  }

  /** The next thing that somebody else publishes. */
  async next(): Promise<unknown> {
    for await (const { data } of this.news) return data;
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer.close();
  }
}
