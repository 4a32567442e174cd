/**
 * Where a verb runs: in the peer that runs with the same home, where there is one, or in this process.
 *
 * @module
 */

import { runLoaded } from "./refusals.ts";
import type { Invocation, Verb } from "./verb.ts";

/** Runs a verb. @returns its exit status, or nothing for 0. */
export async function runVerb(
  name: string,
  verb: Verb,
  invocation: Invocation,
): Promise<number | void> {
  let apart: string | undefined;
  if (verb.hosted !== undefined) {
    const { runHosted } = await import("./control/control_client.ts");
    const outcome = await runHosted(name, verb, invocation);
    if ("status" in outcome) return outcome.status;
    apart = outcome.apart;
    if (apart !== "") invocation.output.log.debug("not in the running peer", { why: apart });
  }
  return await runLoaded(verb, apart === undefined ? invocation : { ...invocation, apart });
}
