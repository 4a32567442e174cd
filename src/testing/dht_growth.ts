/**
 * How the way to a value, and to the node that is nearest to it, grows with the network.
 *
 * @module
 */

import { type LookupOptions, measureLookups } from "./dht_lookups.ts";
import type { DhtRun } from "./dht_scenario.ts";
import { mean } from "./gossip_scenario.ts";

/** What is measured. */
export interface GrowthOptions extends Omit<LookupOptions, "nodes"> {
  /** The numbers of nodes. @default {[100, 1000, 10000]} */
  readonly sizes?: readonly number[];
}

/** How ways grow; for each number of nodes one of the lists' elements. */
export interface GrowthFigures {
  /** The mean number of hops to a value. */
  readonly hops: readonly number[];
  /** The same of those to the node that is nearest to it. */
  readonly nearestHops: readonly number[];
  /** What each doubling of the network adds to the latter. */
  readonly hopsPerDoubling: number;
  /** How many of them there are for one node, as it were. */
  readonly hopsAtOne: number;
  /** How much of their differences the logarithm explains, 0..1 (R squared). */
  readonly fit: number;
  /** The part of all values that was found, the worst of all sizes. */
  readonly success: number;
}

/** Measures networks of several sizes. */
export async function measureGrowth(options: GrowthOptions): Promise<DhtRun<GrowthFigures>> {
  const { sizes = [100, 1_000, 10_000], ...rest } = options;
  const runs: DhtRun<{ meanHops: number; meanPutHops: number; success: number }>[] = [];
  for (const nodes of sizes) runs.push(await measureLookups({ ...rest, nodes }));
  const figures = runs.map(({ figures }) => figures);
  const nearestHops = figures.map(({ meanPutHops }) => meanPutHops);
  const line = lineThrough(sizes.map((nodes, nth) => [Math.log2(nodes), nearestHops[nth] ?? NaN]));
  return {
    seed: options.seed,
    hash: runs.map(({ hash }) => hash).join(" "),
    events: runs.reduce((sum, { events }) => sum + events, 0),
    figures: {
      hops: figures.map(({ meanHops }) => meanHops),
      nearestHops,
      hopsPerDoubling: line.slope,
      hopsAtOne: line.start,
      fit: line.fit,
      success: Math.min(...figures.map(({ success }) => success)),
    },
  };
}

/** A line, and how much of the differences between points it explains. */
export interface Line {
  /** Its value at 0. */
  readonly start: number;
  /** How much it rises with every 1. */
  readonly slope: number;
  /** R squared, 0..1. */
  readonly fit: number;
}

/** The line that is nearest to some points (least squares). Two of them at least must be at different places. */
export function lineThrough(points: readonly (readonly [x: number, y: number])[]): Line {
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const [xx, xy, yy] = [
    mean(points.map(([x]) => (x - meanX) ** 2)),
    mean(points.map(([x, y]) => (x - meanX) * (y - meanY))),
    mean(points.map(([, y]) => (y - meanY) ** 2)),
  ];
  const slope = xy / xx;
  return { start: meanY - slope * meanX, slope, fit: yy === 0 ? 1 : xy ** 2 / (xx * yy) };
}
