/**
 * What becomes of values while the nodes that keep them leave and others come.
 *
 * @module
 */

import { compareDistance, type NodeId } from "../dht/node_id.ts";
import { DHT_DEFAULTS } from "../dht/options.ts";
import { read } from "../dht/reading.ts";
import { keeps, putValues } from "./dht_lookups.ts";
import type { SimDhtNode } from "./dht_node.ts";
import { type DhtOptions, type DhtRun, type DhtStage, runDht } from "./dht_scenario.ts";
import { mean, oneOf } from "./gossip_scenario.ts";
import { draw } from "./membership.ts";

/** Hours have many milliseconds: promises are looked after every so many of them. */
const EVERY_MS = 50;

/** What becomes of values; for each period one of the lists' elements. */
export interface HolderFigures {
  /** Values that were not found at the end of a period, all periods together. */
  readonly lost: number;
  /** The fewest nodes that kept a value when a half of those that did had left. */
  readonly fewest: readonly number[];
  /** How many of the nodes nearest to a value kept it at the end, of as many as should, as a mean. */
  readonly kept: readonly number[];
  /** Nodes that left. */
  readonly left: number;
}

/**
 * Lets half of the nodes that keep each value leave without a word within each period in which values are put again, at
 * times drawn by chance, and as many others join.
 */
export async function measureHolders(
  options: DhtOptions & {
    /** How many values. @default {3} */
    readonly values?: number;
    /** How many periods. @default {3} */
    readonly periods?: number;
  },
): Promise<DhtRun<HolderFigures>> {
  const { values = 3, periods = 3 } = options;
  return await runDht(options, {
    measure: async (stage) => {
      const keys = (await putValues(stage, values)).map(({ record }) => record.key);
      const all: Period[] = [];
      for (let nth = 0; nth < periods; nth++) all.push(await halve(stage, keys));
      return {
        lost: all.reduce((sum, { lost }) => sum + lost, 0),
        fewest: all.map(({ fewest }) => fewest),
        kept: all.map(({ kept }) => kept),
        left: all.reduce((sum, { left }) => sum + left, 0),
      };
    },
  });
}

interface Period {
  readonly lost: number;
  readonly fewest: number;
  readonly kept: number;
  readonly left: number;
}

async function halve(stage: DhtStage, keys: readonly NodeId[]): Promise<Period> {
  const { swarm, random } = stage;
  const leaving = new Set(keys.flatMap((key) => {
    const holders = holdersOf(swarm.running, key).map(({ name }) => name);
    return draw(holders, Math.ceil(holders.length / 2), random);
  }));
  const left = leaving.size;
  const { republishMs } = DHT_DEFAULTS;
  const times = [...leaving].map((name) => ({ name, atMs: random() * republishMs }));
  const startMs = swarm.simulation.nowMs;
  const passUntil = (ms: number) => swarm.pass(startMs + ms - swarm.simulation.nowMs, EVERY_MS);
  let fewest = Infinity;
  for (const { name, atMs } of times.sort((a, b) => a.atMs - b.atMs)) {
    await passUntil(atMs);
    swarm.kill(name);
    fewest = Math.min(fewest, ...keys.map((key) => holdersOf(swarm.running, key).length));
    swarm.spawn(`instead of ${name}`, [oneOf(swarm.running, random)]);
  }
  await passUntil(republishMs);
  const found = keys.map((key) => {
    const { node } = oneOf(swarm.running.filter(({ node }) => !keeps(node, key)), random);
    return read(node, key);
  });
  const results = await swarm.until(Promise.all(found));
  return {
    lost: results.filter(({ records }) => records.length === 0).length,
    fewest,
    kept: mean(keys.map((key) => holdersOf(nearestTo(key, swarm.running), key).length)),
    left,
  };
}

function holdersOf(nodes: readonly SimDhtNode[], key: NodeId): SimDhtNode[] {
  return nodes.filter(({ node }) => keeps(node, key));
}

function nearestTo(key: NodeId, nodes: readonly SimDhtNode[]): SimDhtNode[] {
  return nodes.toSorted((a, b) => compareDistance(key, a.contact.id, b.contact.id))
    .slice(0, DHT_DEFAULTS.replicas);
}
