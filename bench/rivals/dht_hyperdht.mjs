/**
 * A network of `hyperdht` nodes in one process on Node.
 *
 * ```
 * SCRIPT NODES     does what `../children/dht_rounds.mjs` says
 * ```
 *
 * @module
 */

import { createSocket } from "node:dgram";
import process from "node:process";
import { answerRounds } from "../children/dht_rounds.mjs";

// Not before it runs: who only checks the types of the project has not installed it.
const { default: HyperDHT } = await import("hyperdht");

const HOST = "127.0.0.1";

const port = await freePort();
const first = HyperDHT.bootstrapper(port, HOST, { host: HOST });
await first.fullyBootstrapped();
const nodes = [first];
while (nodes.length < Number(process.argv[2])) nodes.push(await open());
await answerRounds(nodes.map(roundsNode));

/** A node that serves at once, as those in the tests of its authors. */
async function open() {
  const bootstrap = [{ host: HOST, port }];
  const dht = new HyperDHT({ host: HOST, bootstrap, ephemeral: false, firewalled: false });
  await dht.fullyBootstrapped();
  return dht;
}

/** A port for the first: it wants to be told one, or nobody would keep anything there. */
async function freePort() {
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.bind(0, HOST, resolve));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

function roundsNode(dht) {
  return {
    id: dht.id,
    put: async (value) => (await dht.immutablePut(value)).hash,
    get: async (key) => (await dht.immutableGet(key))?.value,
    kept: () => dht._persistent.immutables.size,
  };
}
