/**
 * `kith sim dht`
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { type LookupFigures, type LookupOptions, measureLookups } from "../testing/dht_lookups.ts";
import type { DhtRun } from "../testing/dht_scenario.ts";
import { type Options, UsageError } from "./options.ts";
import { refuse, wholeNumber } from "./sim_options.ts";
import type { Invocation } from "./verbs.ts";

/** What takes a few minutes. */
const MAX_NODES = 10_000;

/** Of fewer all that are left may keep every value, where half of them are hostile or dead. */
const MIN_NODES = 50;

/** Most that may be killed and hostile: somebody has to be left. */
const MAX_SHARE = 0.5;

/** Ways of a lookup: more than are asked at the same time make no sense. */
const MAX_PATHS = 10;

/** Simulates a DHT and shows its figures. */
export async function run({ options, output, signal }: Invocation): Promise<void> {
  refuse(options, "dht", ["seconds", "no-lifeguard", "senders"]);
  const settings = settingsOf(options);
  const simulated = await measureLookups({
    ...settings,
    signal,
    onProgress: async (ms) => {
      output.progress(`${Math.floor(ms / 1_000)} s`);
      await sleep(systemClock, 0, { signal }); // lets ^C through
    },
  });
  output.result({ ...settings, ...rounded(simulated) }, textOf(settings, simulated));
}

type Settings =
  & Required<Pick<LookupOptions, "nodes" | "seed" | "loss" | "kill" | "malicious" | "paths">>
  & { readonly values: number };

function settingsOf(options: Options): Settings {
  const nodes = wholeNumber(options, "nodes", [MIN_NODES, MAX_NODES]) ?? 1_000;
  const malicious = options.number("malicious", 0, MAX_SHARE) ?? 0;
  const kill = options.number("kill", 0, MAX_SHARE) ?? 0;
  if (kill + malicious > MAX_SHARE) {
    throw new UsageError(`Options --kill and --malicious may be ${MAX_SHARE} together`);
  }
  return {
    nodes,
    loss: options.number("loss", 0, 0.9) ?? 0,
    kill,
    malicious,
    paths: wholeNumber(options, "paths", [1, MAX_PATHS]) ?? (malicious > 0 ? 4 : 1),
    values: nodes,
    seed: wholeNumber(options, "seed", [0, 2 ** 31 - 1]) ?? 1,
  };
}

/** The figures without digits that say nothing. */
function rounded({ figures, hash, events }: DhtRun<LookupFigures>): Record<string, unknown> {
  const { hops: _, ...rest } = figures;
  const few = (value: number) => Number.isFinite(value) ? Math.round(value * 1_000) / 1_000 : null;
  const values = Object.entries(rest).map(([name, value]) => [name, few(value)]);
  return { ...Object.fromEntries(values), hash, events };
}

function textOf(settings: Settings, { figures, hash }: DhtRun<LookupFigures>): string {
  const { nodes, loss, kill, malicious, paths, values, seed } = settings;
  const seconds = (ms: number) => Number.isFinite(ms) ? `${(ms / 1_000).toFixed(2)} s` : "-";
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const count = (value: number) => Number.isFinite(value) ? value.toFixed(2) : "-";
  const { medianHops, p99Hops, medianMs, p99Ms } = figures;
  const rows = [
    ["network", `${nodes} nodes, 40 ms apart, ${loss} of all packets lost`],
    ["killed, hostile", `${kill}, ${malicious}`],
    ["disjoint paths", String(paths)],
    ["values found", `${figures.hops.length} of ${values}, ${percent(figures.success)}`],
    ["rounds to a value", `${count(medianHops)} for half, ${count(p99Hops)} for 99 of 100`],
    ["mean rounds", count(figures.meanHops)],
    ["time to a value", `${seconds(medianMs)} for half, ${seconds(p99Ms)} for 99 of 100`],
    ["nodes asked for a value", count(figures.asked)],
    ["nodes that keep a value", count(figures.holders)],
    ["nodes that a node knows", count(figures.known)],
    ["seed, hash", `${seed}, ${hash}`],
  ];
  return rows.map(([name = "", value]) => `${name.padEnd(26)}${value}`).join("\n");
}
