/**
 * Five peers of a topic in one process, on encrypted connections over loopback: each publishes, all others read.
 *
 * ```
 * SCRIPT     publishes as many messages with each peer as each line of stdin says, prints { seconds } until all read all
 * ```
 *
 * @module
 */

import { Peer } from "../../src/peer.ts";
import { answer, answerCommands } from "./command_loop.ts";
import { type Member, publishToAll } from "./gossip_members.ts";
import { hostname } from "./served_pair.ts";

const TOPIC = "bench";
const PEERS = 5;

const peers: Peer[] = [];
for (let at = 0; at < PEERS; at++) {
  const seeds = peers.flatMap(({ address }) => address === undefined ? [] : [address]);
  peers.push(await Peer.open({ hostname, port: 0, announce: false, seeds }));
}
const members = peers.map(({ gossip }): Member => {
  const subscription = gossip.subscribe(TOPIC, { maxWaiting: 1_000_000 });
  return {
    publish: async (payload) => void await gossip.publish(TOPIC, payload),
    read: async (count) => {
      const messages = subscription[Symbol.asyncIterator]();
      for (let left = count; left > 0; left--) await messages.next();
    },
  };
});
while (peers.some(({ gossip }) => gossip.topics()[0]?.neighbors.length !== PEERS - 1)) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
answer({ ready: true });
await answerCommands((count) => publishToAll(members, Number(count)));
Deno.exit();
