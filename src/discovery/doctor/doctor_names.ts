/**
 * Whether those who answer would be let in: a name belongs to who had it first.
 *
 * @module
 */

import { PeerError } from "../../errors.ts";
import { printable } from "../../log.ts";
import type { Trust } from "../../secure/trust.ts";
import { reasonOf } from "../attempts.ts";
import { type Check, failed } from "./doctor_check.ts";
import type { LoopResult } from "./doctor_loop.ts";

/** Most peers that are told of: whoever likes can make up keys and names. */
const MAX_TOLD = 8;

/** One line for each peer that answered and is not let in because of its name. @param showNames Whether to say which. */
export function* checkNames(
  loops: readonly Pick<LoopResult, "names">[],
  trust: Pick<Trust, "refusalOf">,
  showNames: boolean,
): Generator<Check> {
  const names = new Map(loops.flatMap(({ names }) => [...names]));
  let told = 0;
  try {
    for (const [peerId, name] of names) {
      const refused = trust.refusalOf({ peerId, name, publicKey: "" });
      if (refused === undefined) continue;
      if (++told > MAX_TOLD) return;
      const who = showNames ? `${peerId.slice(0, 8)} (${printable(name, 64)})` : `${told}`;
      const why = showNames ? refused.why : "its name belongs to another peer";
      yield failed(`peer ${who} that answers`, `it is not let in: ${why}`, {
        facts: { peerId, ...(showNames ? { name } : {}) },
      });
    }
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    yield failed("trust", reasonOf(error.cause ?? error), {
      fix: "mend trust.json in the home folder",
    });
  }
}
