/**
 * How surely and by how many rounds values are found that others have put.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import type { DhtNode } from "../dht/dht_node.ts";
import type { NodeId } from "../dht/node_id.ts";
import { DHT_DEFAULTS } from "../dht/options.ts";
import { place } from "../dht/placing.ts";
import { type Found, read } from "../dht/reading.ts";
import { type DhtRecord, immutableRecord } from "../dht/record.ts";
import { NotFoundError } from "../errors.ts";
import { encode } from "../wire/msgpack.ts";
import { type DhtHostility, HostileDhtNode } from "./dht_hostile.ts";
import { SimDhtNode } from "./dht_node.ts";
import { type DhtOptions, type DhtRun, type DhtStage, killSome, runDht } from "./dht_scenario.ts";
import type { DhtSwarm } from "./dht_swarm.ts";
import { mean, namesOf, oneOf } from "./gossip_scenario.ts";
import { seedFrom } from "./machine.ts";
import { draw, percentile } from "./membership.ts";

/** Time between two values that are put, or looked for, in milliseconds. */
const EVERY_MS = 5;

/** How long a value is kept, in seconds. */
const TTL_S = 86_400;

/** How lookups do. Where nodes are hostile, all of it is of those who are not. */
export interface LookupFigures {
  /** The part of all values that was found, each by a node that did not keep it. */
  readonly success: number;
  /** Values that were found instead of others. */
  readonly forged: number;
  /** For each that was found, by how many nodes the way to it went: rounds of questions. */
  readonly hops: readonly number[];
  /** Half of them took no more. */
  readonly medianHops: number;
  /** 99 of 100 took no more. */
  readonly p99Hops: number;
  /** Their mean. */
  readonly meanHops: number;
  /** Nodes that were asked for a value, as a mean. */
  readonly asked: number;
  /** Half of the values were found in so many milliseconds. */
  readonly medianMs: number;
  /** 99 of 100 were. */
  readonly p99Ms: number;
  /** Nodes that kept a value when it was put, as a mean. */
  readonly holders: number;
  /** By how many nodes the way to the one that is nearest to a value went when it was put, as a mean. */
  readonly meanPutHops: number;
  /** Nodes that a node knows, as a mean. */
  readonly known: number;
}

/** What is measured. */
export interface LookupOptions extends DhtOptions {
  /** How many values. @default {1000} */
  readonly values?: number;
  /** The share of the nodes that is killed between putting and looking, 0..1. @default {0} */
  readonly kill?: number;
  /** The share of the nodes that is hostile, from the start, 0..1. @default {0} */
  readonly malicious?: number;
  /** What those do. @default {"accomplices"} */
  readonly hostility?: DhtHostility;
  /** Ways of a lookup that share no node. @default {1} */
  readonly paths?: number;
}

/** Puts values, kills some nodes if that is wanted, and looks for each value once, from a node that does not keep it. */
export async function measureLookups(options: LookupOptions): Promise<DhtRun<LookupFigures>> {
  const { seed, nodes = 100, values = 1_000, kill = 0, malicious = 0, paths = 1 } = options;
  const { hostility = "accomplices" } = options;
  const random = seededRandom(seedFrom(`${seed} hostile`));
  const hostile = new Set(draw(namesOf(nodes), malicious * nodes, random));
  const accomplices: HostileDhtNode[] = [];
  return await runDht(options, {
    swarm: {
      tuning: { paths },
      make: (host, made) => {
        if (!hostile.has(host.name)) return new SimDhtNode(host, made);
        return new HostileDhtNode(host, made, { hostility, accomplices });
      },
    },
    measure: async (stage) => {
      const put = await putValues(stage, values);
      const standing = standingOf(stage, put);
      killSome(stage, kill);
      return { ...await getValues(stage, put), ...standing };
    },
  });
}

/** A value that was put. */
export interface PutValue {
  /** Its record. */
  readonly record: DhtRecord;
  /** By how many nodes the way to the nearest one went. */
  readonly hops: number;
}

/**
 * Puts values, each from some node. What nobody took is among them.
 *
 * @param by Who may put one. @default {honestOf(swarm)}
 */
export async function putValues(
  { swarm, random }: DhtStage,
  count: number,
  by: readonly SimDhtNode[] = honestOf(swarm),
): Promise<PutValue[]> {
  const work: Promise<PutValue>[] = [];
  for (let nth = 0; nth < count; nth++) {
    const { node } = oneOf(by, random);
    const record = immutableRecord(encode(`value ${nth}`));
    const placed = place(node, record, { ttlS: TTL_S });
    const done = placed.then(({ hops }) => ({ record, hops }));
    work.push(done.catch((error) => {
      if (error instanceof NotFoundError) return { record, hops: 0 };
      throw error;
    }));
    await swarm.pass(EVERY_MS);
  }
  return await swarm.until(Promise.all(work));
}

interface Search {
  readonly record: DhtRecord;
  readonly found: Found;
  readonly ms: number;
}

/** Looks for each value once, from a node that does not keep it. */
export async function getValues(
  { swarm, random }: DhtStage,
  values: readonly PutValue[],
): Promise<Omit<LookupFigures, keyof Standing>> {
  const honest = honestOf(swarm);
  if (honest.length <= DHT_DEFAULTS.replicas) throw new RangeError("All nodes may keep a value");
  const work: Promise<Search>[] = [];
  for (const { record } of values) {
    const { key } = record;
    let { node } = oneOf(honest, random);
    while (keeps(node, key)) ({ node } = oneOf(honest, random));
    const startMs = swarm.simulation.nowMs;
    const search = read(node, key);
    work.push(search.then((found) => ({ record, found, ms: swarm.simulation.nowMs - startMs })));
    await swarm.pass(EVERY_MS);
  }
  const all = await swarm.until(Promise.all(work));
  const some = all.filter(({ found }) => found.records.length > 0);
  const found = some.filter(({ record, found }) => found.records.includes(record));
  const hops = found.map(({ found }) => found.hops);
  return {
    success: found.length / all.length,
    forged: some.length - found.length,
    hops,
    medianHops: percentile(hops, 50),
    p99Hops: percentile(hops, 99),
    meanHops: mean(hops),
    asked: mean(all.map(({ found }) => found.asked)),
    medianMs: percentile(found.map(({ ms }) => ms), 50),
    p99Ms: percentile(found.map(({ ms }) => ms), 99),
  };
}

/** Nodes that run and do no harm. */
export function honestOf(swarm: DhtSwarm): SimDhtNode[] {
  return swarm.running.filter((one) => !(one instanceof HostileDhtNode));
}

/** Whether a node keeps something under a key. */
export function keeps({ keeper }: DhtNode, key: NodeId): boolean {
  return keeper.get(key).length > 0;
}

type Standing = Pick<LookupFigures, "holders" | "meanPutHops" | "known">;

function standingOf({ swarm }: DhtStage, put: readonly PutValue[]): Standing {
  const nodes = honestOf(swarm).map(({ node }) => node);
  const kept = nodes.reduce((sum, { keeper }) => sum + keeper.totals.records, 0);
  return {
    holders: kept / put.length,
    meanPutHops: mean(put.map(({ hops }) => hops)),
    known: mean(nodes.map(({ table }) => table.size)),
  };
}
