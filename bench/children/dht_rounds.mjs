/**
 * What the nodes of a DHT do in a round, one question at a time: the same for kith on Deno and for its rivals on Node,
 * which is why it is plain JavaScript.
 *
 * ```
 * put N     stores N new values, from one node after another, prints { seconds, holders }
 * get N     the same unmeasured; then each value is asked for once, prints { seconds, holders }
 * ```
 *
 * `holders` is how many nodes keep a value. Who asks for one neither put it nor is among the {@linkcode K} nodes nearest to
 * its key: it always has to ask others, and as no value is asked for twice, none was left on the way to it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import process from "node:process";
import { createInterface } from "node:readline";

const VALUE_BYTES = 100;

/** How many nodes are to keep a value: the same in all three. */
const K = 20;

/**
 * A node in the network, which knows the others.
 *
 * @typedef {object} DhtNode
 * @property {Uint8Array} id where it is among the keys
 * @property {(value: Uint8Array) => Promise<Uint8Array>} put stores a value under its hash, which comes back
 * @property {(key: Uint8Array) => Promise<Uint8Array | undefined>} get asks others for a value
 * @property {() => number} kept how many values it keeps
 * @property {() => Promise<void>} [settled] sends what it has put and has not sent yet
 */

/**
 * Does what each line of stdin says, until it ends; then the process ends.
 *
 * @param {readonly DhtNode[]} nodes
 * @returns {Promise<never>}
 */
export async function answerRounds(nodes) {
  print({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, count] = line.split(" ");
    const round = command === "put" ? putAll : getAll;
    const keptBefore = keptIn(nodes);
    const { seconds } = await round(nodes, Number(count));
    print({ seconds, holders: (keptIn(nodes) - keptBefore) / Number(count) });
  }
  process.exit();
}

/**
 * @param {readonly DhtNode[]} nodes
 * @param {number} count
 */
async function putAll(nodes, count) {
  const values = Array.from({ length: count }, () => randomBytes(VALUE_BYTES));
  const keys = [];
  const startedAt = performance.now();
  for (const [at, value] of values.entries()) keys.push(await nodes[at % nodes.length].put(value));
  await Promise.all(nodes.map((node) => node.settled?.()));
  return { values, keys, seconds: secondsSince(startedAt) };
}

/**
 * @param {readonly DhtNode[]} nodes
 * @param {number} count
 */
async function getAll(nodes, count) {
  const { values, keys } = await putAll(nodes, count);
  const askers = keys.map((key, at) => strangerTo(key, nodes, at));
  const got = [];
  const startedAt = performance.now();
  for (const [at, key] of keys.entries()) got.push(await askers[at].get(key));
  const seconds = secondsSince(startedAt);
  const missing = values.filter((value, at) => !value.equals(got[at] ?? Buffer.alloc(0))).length;
  if (missing > 0) throw new Error(`Cannot measure: ${missing} of ${count} values were not found`);
  return { seconds };
}

/**
 * One of those who are neither near a key nor put what is there: another for each value.
 *
 * @param {Uint8Array} key
 * @param {readonly DhtNode[]} nodes
 * @param {number} at which value it is
 */
function strangerTo(key, nodes, at) {
  const strangers = nodes
    .map((node) => ({ node, distance: node.id.map((byte, index) => byte ^ key[index]) }))
    .sort((a, b) => Buffer.compare(a.distance, b.distance))
    .slice(K)
    .map(({ node }) => node)
    .filter((node) => node !== nodes[at % nodes.length]);
  if (strangers.length === 0) throw new Error(`Cannot measure: all ${nodes.length} nodes are near`);
  return strangers[at % strangers.length];
}

/** @param {readonly DhtNode[]} nodes */
function keptIn(nodes) {
  return nodes.reduce((sum, node) => sum + node.kept(), 0);
}

/** @param {number} startedAt */
function secondsSince(startedAt) {
  return (performance.now() - startedAt) / 1000;
}

/** @param {unknown} value */
function print(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
