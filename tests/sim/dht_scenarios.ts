/**
 * What `npm run sim` runs of the DHT, and what must hold of it.
 *
 * @module
 */

import { measureFlood } from "../../src/testing/dht_floods.ts";
import { measureGrowth } from "../../src/testing/dht_growth.ts";
import { measureHolders } from "../../src/testing/dht_holders.ts";
import type { DhtHostility } from "../../src/testing/dht_hostile.ts";
import { measureLookups } from "../../src/testing/dht_lookups.ts";
import type { Bound, SimScenario } from "./scenarios.ts";

/** How many seeds the scenarios of the DHT have. */
const DHT_SEEDS = 10;

/** A DHT of a thousand nodes, and what must be found in it. */
function lookups(
  options: { kill?: number; malicious?: number; paths?: number },
  holds: readonly Bound[],
): SimScenario {
  const run = (seed: number) => measureLookups({ seed, nodes: 1_000, ...options });
  return { run, holds, maxSeeds: DHT_SEEDS };
}

/** A DHT in which a fifth names nodes that there are not, which takes long. */
function inventions(paths: number, holds: readonly Bound[]): SimScenario {
  const hostility: DhtHostility = "inventions";
  const options = { nodes: 200, values: 500, malicious: 0.2, hostility, paths };
  return { run: (seed) => measureLookups({ seed, ...options }), holds, maxSeeds: DHT_SEEDS };
}

/** All of them. Those with one path are there to be compared with. */
export const DHT_SCENARIOS: Readonly<Record<string, SimScenario>> = {
  "DHT of 1000": lookups({}, [
    { figure: "success", of: "min", limit: 0.999 },
    { figure: "hops", of: "p50", limit: 3 },
    { figure: "hops", of: "p99", limit: 6 },
  ]),
  "DHT, 20 % killed": lookups({ kill: 0.2 }, [
    { figure: "success", of: "min", limit: 0.99 },
  ]),
  "DHT, 20 % hostile, 4 paths": lookups({ malicious: 0.2, paths: 4 }, [
    { figure: "success", of: "min", limit: 0.95 },
  ]),
  "DHT, 20 % hostile, 1 path": lookups({ malicious: 0.2, paths: 1 }, []),
  "DHT, 20 % invent, 4 paths": inventions(4, [{ figure: "success", of: "min", limit: 0.95 }]),
  "DHT, 20 % invent, 1 path": inventions(1, []),
  "DHT, growth": {
    run: (seed) => measureGrowth({ seed, values: 500 }),
    holds: [
      { figure: "success", of: "min", limit: 0.999 },
      { figure: "fit", of: "min", limit: 0.95 },
      { figure: "hopsPerDoubling", of: "max", limit: 0.5 },
    ],
    maxSeeds: 1,
  },
  "DHT, half of the holders leave": {
    run: (seed) => measureHolders({ seed, nodes: 200 }),
    holds: [
      { figure: "lost", of: "sum", limit: 0 },
      { figure: "fewest", of: "min", limit: 5 },
      { figure: "kept", of: "min", limit: 12 },
    ],
    maxSeeds: DHT_SEEDS,
  },
  "DHT, flood": {
    run: (seed) => measureFlood({ seed, nodes: 40 }),
    holds: [
      { figure: "fullest", of: "max", limit: 1 },
      { figure: "fullestBytes", of: "max", limit: 1 },
      { figure: "lost", of: "sum", limit: 0 },
      { figure: "success", of: "min", limit: 0.999 },
    ],
    maxSeeds: DHT_SEEDS,
  },
};
