/**
 * The last messages of the peer that is up with a home, for who looks for a fault from another process.
 *
 * @module
 */

import { PeerError } from "../errors.ts";
import { runHosted } from "./control/control_client.ts";
import { Options } from "./options.ts";
import { Output } from "./output.ts";
import { VERBS } from "./verbs.ts";

/** Frames as `kith status --frames` shows them, the oldest first; `undefined` where no peer tells. */
export async function runningFrames(
  home: string,
  signal: AbortSignal,
): Promise<Record<string, unknown>[] | undefined> {
  const { status } = VERBS;
  if (status === undefined) return undefined;
  const options = new Options(["--frames", "--home", home], status.options);
  const output = new Kept();
  try {
    const outcome = await runHosted("status", status, { options, output, signal });
    return "status" in outcome ? output.results : undefined;
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    return undefined; // there is none, or it is of another kind
  }
}

/** Keeps results instead of printing them. */
class Kept extends Output {
  readonly results: Record<string, unknown>[] = [];

  constructor() {
    super({ json: true, level: "error" });
  }

  override result({ event: _, ...facts }: Record<string, unknown>): void {
    this.results.push(facts);
  }
}
