/**
 * A network of `bittorrent-dht` nodes in one process on Node: the Mainline DHT of BEP 5, with the values of BEP 44.
 *
 * ```
 * SCRIPT NODES     does what `../children/dht_rounds.mjs` says
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import process from "node:process";
import { answerRounds } from "../children/dht_rounds.mjs";

// Not before it runs: who only checks the types of the project has not installed it.
const { default: DHT } = await import("bittorrent-dht");

const HOST = "127.0.0.1";
/** More than all rounds store: by default it forgets all but the last 1,000. */
const MAX_VALUES = 1_000_000;

const nodes = [];
while (nodes.length < Number(process.argv[2])) nodes.push(await open(nodes[0]));
await answerRounds(nodes.map(roundsNode));

/** A node that knows those who are there, of which it was told one. */
async function open(seed) {
  const bootstrap = seed === undefined ? false : [{ host: HOST, port: seed.address().port }];
  const dht = new DHT({ bootstrap, maxValues: MAX_VALUES });
  const ready = new Promise((resolve) => dht.once("ready", resolve));
  await new Promise((resolve) => dht.listen(0, HOST, resolve));
  await ready;
  return dht;
}

function roundsNode(dht) {
  return {
    id: dht.nodeId,
    put: (value) =>
      new Promise((resolve, reject) => {
        dht.put({ v: Buffer.from(value) }, (error, key) => error ? reject(error) : resolve(key));
      }),
    get: (key) =>
      new Promise((resolve, reject) => {
        dht.get(key, { cache: false }, (error, found) => error ? reject(error) : resolve(found?.v));
      }),
    kept: () => dht._values.length,
  };
}
