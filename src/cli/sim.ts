/**
 * `kith sim membership` and, in `sim_gossip.ts` and `sim_dht.ts`, `kith sim gossip` and `kith sim dht`
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { type GroupFigures, simulateGroup } from "../testing/membership_group.ts";
import { type Options, UsageError } from "./options.ts";
import { run as runDht } from "./sim_dht.ts";
import { run as runGossip } from "./sim_gossip.ts";
import { refuse, wholeNumber } from "./sim_options.ts";
import type { Invocation } from "./verbs.ts";

/** What fits into a few gigabytes: each of so many members knows all others. */
const MAX_NODES = 2_000;

/** Longest simulated time in seconds. */
const MAX_SECONDS = 3_600;

/** What is simulated. */
interface Settings {
  readonly nodes: number;
  readonly loss: number;
  readonly seed: number;
  readonly seconds: number;
  readonly lifeguard: boolean;
}

/** Simulates a group, a topic or a DHT and shows its figures. */
export async function run(invocation: Invocation): Promise<void> {
  const { args: [what, ...more] } = invocation.options;
  if (what === "gossip" && more.length === 0) return await runGossip(invocation);
  if (what === "dht" && more.length === 0) return await runDht(invocation);
  if (what === "membership" && more.length === 0) return await runMembership(invocation);
  throw new UsageError("What to simulate is wanted: membership, gossip or dht");
}

async function runMembership({ options, output, signal }: Invocation): Promise<void> {
  refuse(options, "membership", ["senders", "kill", "malicious", "paths"]);
  const settings = settingsOf(options);
  const simulated = simulateGroup(settings);
  for (;;) {
    const { done, value } = simulated.next();
    if (done) return output.result({ ...settings, ...rounded(value) }, textOf(settings, value));
    output.progress(`${Math.floor(value / 1_000)} of ${settings.seconds} s`);
    await sleep(systemClock, 0, { signal }); // lets ^C through
  }
}

function settingsOf(options: Options): Settings {
  return {
    nodes: wholeNumber(options, "nodes", [2, MAX_NODES]) ?? 100,
    loss: options.number("loss", 0, 0.9) ?? 0.01,
    seed: wholeNumber(options, "seed", [0, 2 ** 31 - 1]) ?? 1,
    seconds: wholeNumber(options, "seconds", [1, MAX_SECONDS]) ?? 120,
    lifeguard: !options.has("no-lifeguard"),
  };
}

/** The figures without digits that say nothing; what did not happen is `null`. */
function rounded(figures: GroupFigures): Record<string, unknown> {
  const tenth = (value: number | undefined) => {
    return value === undefined ? null : Math.round(value * 10) / 10;
  };
  return {
    ...figures,
    deadAtHalfMs: tenth(figures.deadAtHalfMs),
    deadEverywhereMs: tenth(figures.deadEverywhereMs),
    bytesPerSecond: tenth(figures.bytesPerSecond),
    packetsPerSecond: tenth(figures.packetsPerSecond),
  };
}

function textOf(settings: Settings, figures: GroupFigures): string {
  const { nodes, loss, seed, seconds: length, lifeguard } = settings;
  const seconds = (ms: number | undefined) => {
    return ms === undefined ? "not before the end" : `after ${(ms / 1_000).toFixed(1)} s`;
  };
  const rows = [
    ["group", `${nodes} members, ${length} s, ${loss} lost, lifeguard ${lifeguard ? "on" : "off"}`],
    ["one killed, dead at half", seconds(figures.deadAtHalfMs)],
    ["dead everywhere", seconds(figures.deadEverywhereMs)],
    ["false suspicions", String(figures.falseSuspicions)],
    ["false deaths", String(figures.falseDeaths)],
    ["sent by a member", `${figures.bytesPerSecond.toFixed(0)} bytes/s`],
    ["in packets", `${figures.packetsPerSecond.toFixed(1)} /s`],
    ["seed, hash", `${seed}, ${figures.hash}`],
  ];
  return rows.map(([name = "", value]) => `${name.padEnd(26)}${value}`).join("\n");
}
