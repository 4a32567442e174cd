/**
 * `kith dht put|get|trace|providers|stat`
 *
 * @module
 */

import { runGet } from "./dht_get.ts";
import {
  runKademliaGet,
  runKademliaPut,
  runKademliaStat,
  runKademliaTrace,
} from "./dht_kademlia.ts";
import { runProviders } from "./dht_providers.ts";
import { runPut } from "./dht_put.ts";
import { runStat } from "./dht_stat.ts";
import { runTrace } from "./dht_trace.ts";
import { type Options, UsageError } from "./options.ts";
import type { Invocation, Run } from "./verbs.ts";

/** Something to do in a DHT. */
interface Deed {
  readonly run: Run;
  /** Options that are for it and not for all. */
  readonly options: readonly string[];
}

/** In that of peers. */
const NATIVE: Readonly<Record<string, Deed>> = {
  put: { run: runPut, options: ["as", "own", "plain", "immutable", "ttl", "cas"] },
  get: { run: runGet, options: ["author", "own", "plain", "all"] },
  trace: { run: runTrace, options: ["author", "own", "plain"] },
  providers: { run: runProviders, options: [] },
  stat: { run: runStat, options: [] },
};

/** In a network of plain Kademlia nodes. */
const KADEMLIA: Readonly<Record<string, Deed>> = {
  put: { run: runKademliaPut, options: ["as"] },
  get: { run: runKademliaGet, options: [] },
  trace: { run: runKademliaTrace, options: [] },
  stat: { run: runKademliaStat, options: [] },
};

const ALL_OPTIONS = new Set(Object.values(NATIVE).flatMap(({ options }) => options));

/** Puts something into a DHT, gets it, or shows what goes on there. */
export async function run(invocation: Invocation): Promise<void> {
  const { options } = invocation;
  const [what = ""] = options.args;
  const isNative = options.choice("dialect", ["native", "kademlia"]) !== "kademlia";
  const [deeds, how] = isNative ? [NATIVE, ""] : [KADEMLIA, " --dialect kademlia"];
  const deed = Object.hasOwn(deeds, what) ? deeds[what] : undefined;
  if (deed === undefined) {
    throw new UsageError(`What to do is wanted: one of ${Object.keys(deeds).join(", ")}`);
  }
  refuseOthers(options, deed.options, `dht ${what}${how}`);
  await deed.run(invocation);
}

/** Refuses options that say nothing of what is done. @throws {UsageError} naming the first of them. */
function refuseOthers(options: Options, known: readonly string[], what: string): void {
  const found = [...ALL_OPTIONS].find((name) => {
    return !known.includes(name) && (options.has(name) || options.text(name) !== undefined);
  });
  if (found !== undefined) throw new UsageError(`Option --${found} is not for ${what}`);
}
