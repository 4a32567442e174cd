/**
 * A network of kith peers in one process, on loopback.
 *
 * ```
 * SCRIPT NODES     does what `dht_rounds.mjs` says
 * ```
 *
 * @module
 */

import { Peer } from "../../src/peer.ts";
import { answerRounds } from "./dht_rounds.mjs";

/** More than all rounds together put: the rivals have no limit. */
const QUOTAS = { maxRecordsPerSource: 65_536, maxBytesPerSource: 64 * 1024 * 1024 };

const nodes: Peer[] = [];
while (nodes.length < Number(Deno.args[0])) nodes.push(await open());
await answerRounds(nodes.map(roundsNode));

async function open(): Promise<Peer> {
  const seeds = nodes[0]?.address === undefined ? [] : [nodes[0].address];
  const dht = { tuning: { quotas: QUOTAS } };
  const peer = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false, seeds, dht });
  await peer.dht.join();
  return peer;
}

function roundsNode({ identity, dht }: Peer) {
  return {
    id: identity.id,
    put: async (value: Uint8Array) => Uint8Array.fromHex((await dht.store(value)).key),
    get: async (key: Uint8Array) => (await dht.fetch(key.toHex()))?.value as Uint8Array | undefined,
    kept: () => dht.stat().records,
    settled: () => dht.flush(),
  };
}
