/**
 * What nodes keep while somebody has them keep as much as possible.
 *
 * @module
 */

import { toKey } from "../dht/node_id.ts";
import { immutableRecord } from "../dht/record.ts";
import { ITEM_OVERHEAD } from "../dht/storage.ts";
import { RemoteError } from "../errors.ts";
import { getValues, keeps, type PutValue, putValues } from "./dht_lookups.ts";
import type { SimDhtNode } from "./dht_node.ts";
import { type DhtOptions, type DhtRun, type DhtStage, runDht } from "./dht_scenario.ts";
import { draw } from "./membership.ts";

/** What a node keeps of all and of one host, in records: so little that few floods fill it. */
const MAX_RECORDS = 400;
const MAX_RECORDS_PER_SOURCE = 150;

/** Bytes of a value of the flood; and what a node keeps of all. */
const VALUE_BYTES = 100;
const MAX_BYTES = 300 * (VALUE_BYTES + ITEM_OVERHEAD);

/** Values that a flooder sends to a node at the same time. */
const AT_ONCE = 10;

/** How long values of the flood are to be kept, in seconds. */
const TTL_S = 86_400;

/** What nodes keep in a flood. */
export interface FloodFigures {
  /** Values of the flood that were put, each to one node. */
  readonly put: number;
  /** Those that were refused. */
  readonly refused: number;
  /** Records that made room for others, of all nodes. */
  readonly evicted: number;
  /** The most records that a node kept for others at any time, as a part of what it may. */
  readonly fullest: number;
  /** The most bytes, likewise. */
  readonly fullestBytes: number;
  /** Honest values that some node which had it does not keep any more, counted at each. */
  readonly lost: number;
  /** The part of the honest values that was found afterwards. */
  readonly success: number;
}

/** Lets some nodes flood all others with values. */
export async function measureFlood(
  options: DhtOptions & {
    /** Honest values. @default {100} */
    readonly values?: number;
    /** The share of the nodes that flood, 0..1. @default {0.2} */
    readonly malicious?: number;
    /** Values with which each of them floods each node. @default {200} */
    readonly each?: number;
  },
): Promise<DhtRun<FloodFigures>> {
  const { values = 100, malicious = 0.2, each = 200 } = options;
  const quotas = {
    maxRecords: MAX_RECORDS,
    maxBytes: MAX_BYTES,
    maxRecordsPerSource: MAX_RECORDS_PER_SOURCE,
  };
  return await runDht(options, {
    swarm: { tuning: { quotas } },
    measure: async (stage) => {
      const { swarm, random } = stage;
      const names = swarm.running.map(({ name }) => name);
      const hostile = new Set(draw(names, malicious * names.length, random));
      const flooders = swarm.running.filter(({ name }) => hostile.has(name));
      const victims = swarm.running.filter(({ name }) => !hostile.has(name));
      const put = await putValues(stage, values, victims);
      const before = keptBy(stage, put);
      const flood = await floodAll(stage, { flooders, victims, each });
      const after = keptBy(stage, put);
      return {
        ...flood,
        evicted: swarm.running.reduce((sum, { node }) => sum + node.keeper.evicted, 0),
        lost: [...before].filter((one) => !after.has(one)).length,
        success: (await getValues(stage, put)).success,
      };
    },
  });
}

/** Lets some nodes put values to all others, and looks at how full these are. */
async function floodAll(
  { swarm, random }: DhtStage,
  { flooders, victims, each }: {
    readonly flooders: readonly SimDhtNode[];
    readonly victims: readonly SimDhtNode[];
    readonly each: number;
  },
): Promise<Pick<FloodFigures, "put" | "refused" | "fullest" | "fullestBytes">> {
  let [put, refused, fullest, fullestBytes] = [0, 0, 0, 0];
  const bring = async (by: SimDhtNode, to: SimDhtNode) => {
    const record = immutableRecord(bytesOf(VALUE_BYTES, random));
    put++;
    try {
      await by.wire.ask(to.contact, { type: "store", record, ttlS: TTL_S });
    } catch (error) {
      if (!(error instanceof RemoteError) || error.code !== "limit") throw error;
      refused++;
    }
  };
  // One flooder after the other, so that those before have most.
  for (const by of flooders) {
    for (let nth = 0; nth < each; nth += AT_ONCE) {
      const some = Math.min(AT_ONCE, each - nth);
      const work = victims.flatMap((to) => Array.from({ length: some }, () => bring(by, to)));
      await swarm.until(Promise.all(work));
      for (const { node: { keeper: { forOthers } } } of victims) {
        fullest = Math.max(fullest, forOthers.records / MAX_RECORDS);
        fullestBytes = Math.max(fullestBytes, forOthers.bytes / MAX_BYTES);
      }
    }
  }
  return { put, refused, fullest, fullestBytes };
}

/** Which nodes keep which values, as pairs. */
function keptBy({ swarm }: DhtStage, put: readonly PutValue[]): Set<string> {
  return new Set(swarm.running.flatMap(({ name, node }) => {
    return put.filter(({ record: { key } }) => keeps(node, key))
      .map(({ record: { key } }) => `${name} ${toKey(key)}`);
  }));
}

function bytesOf(length: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}
