/**
 * `kith ping`
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { openCallee } from "./caller.ts";
import { requestOptions } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import { roundMs } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Between two pings. */
const PAUSE_MS = 1_000;

/** Measures how long answers take. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const [target, ...more] = options.args;
  if (!target || more.length > 0) throw new UsageError("One PEER is wanted");
  const count = options.integer("count") ?? 1;
  await using callee = await openCallee(invocation, target);
  for (let sent = 0; sent < count; sent++) {
    if (sent > 0) await sleep(systemClock, PAUSE_MS, { signal });
    const rttMs = roundMs(await callee.ping(requestOptions(options, signal)));
    output.result({ rttMs }, `${callee.label} answered in ${rttMs.toFixed(2)} ms`);
  }
}
