/**
 * `kith sim gossip`
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { simulateTopic, type TopicFigures, type TopicOptions } from "../testing/gossip_group.ts";
import type { Options } from "./options.ts";
import { refuse, wholeNumber } from "./sim_options.ts";
import type { Invocation } from "./verbs.ts";

/** What takes a few minutes. */
const MAX_NODES = 5_000;

/** Fewer would have nobody to choose from. */
const MIN_NODES = 10;

/** Most that may be killed or hostile: somebody has to be left. */
const MAX_SHARE = 0.5;

/** Simulates a topic and shows its figures. */
export async function run({ options, output, signal }: Invocation): Promise<void> {
  refuse(options, "gossip", ["seconds", "no-lifeguard", "paths"]);
  const settings = settingsOf(options);
  const simulated = simulateTopic(settings);
  for (;;) {
    const { done, value } = simulated.next();
    if (done) return output.result({ ...settings, ...rounded(value) }, textOf(settings, value));
    output.progress(`${Math.floor(value / 1_000)} s`);
    await sleep(systemClock, 0, { signal }); // lets ^C through
  }
}

function settingsOf(options: Options): Required<TopicOptions> {
  return {
    nodes: wholeNumber(options, "nodes", [MIN_NODES, MAX_NODES]) ?? 1_000,
    senders: options.choice("senders", ["one", "many"]) ?? "one",
    kill: options.number("kill", 0, MAX_SHARE) ?? 0,
    loss: options.number("loss", 0, 0.9) ?? 0,
    malicious: options.number("malicious", 0, MAX_SHARE) ?? 0,
    seed: wholeNumber(options, "seed", [0, 2 ** 31 - 1]) ?? 1,
  };
}

/** The figures without digits that say nothing. */
function rounded(figures: TopicFigures): Record<string, unknown> {
  return {
    ...figures,
    redundancy: Math.round(figures.redundancy * 1_000) / 1_000,
    lastMs: Math.round(figures.lastMs),
    lastMsAtHalf: Math.round(figures.lastMsAtHalf),
    controlBytesPerSecond: Math.round(figures.controlBytesPerSecond),
  };
}

function textOf(settings: Required<TopicOptions>, figures: TopicFigures): string {
  const { nodes, senders, kill, loss, malicious, seed } = settings;
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(2)} s`;
  const rows = [
    ["topic", `${nodes} peers, 40 ms apart, senders: ${senders}, ${loss} of all packets lost`],
    ["killed, hostile", `${kill}, ${malicious}`],
    ["deliveries", `${figures.expected - figures.missed} of ${figures.expected}`],
    ["missed", `${figures.missed}, ${figures.missedSoon} after 3 s`],
    ["delivered twice", String(figures.repeated)],
    ["redundancy", figures.redundancy.toFixed(3)],
    ["hops to the last", `${figures.lastHop}, half of the messages ${figures.lastHopAtHalf}`],
    [
      "time to the last",
      `${seconds(figures.lastMs)}, half of the messages ${seconds(figures.lastMsAtHalf)}`,
    ],
    ["control packets", `${figures.controlBytesPerSecond.toFixed(0)} bytes/s of a peer`],
    ["seed, hash", `${seed}, ${figures.hash}`],
  ];
  return rows.map(([name = "", value]) => `${name.padEnd(26)}${value}`).join("\n");
}
