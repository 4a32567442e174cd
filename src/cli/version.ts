/**
 * `kith version`
 *
 * @module
 */

import { WIRE_VERSION } from "../wire/message.ts";
import type { Invocation } from "./verbs.ts";

/** The version of this software. */
export const VERSION = "0.1.0";

/** Shows the version. */
export function run({ output }: Invocation): Promise<void> {
  const deno = Deno.version.deno;
  output.result(
    { version: VERSION, wire: WIRE_VERSION, deno },
    `kith ${VERSION} (wire ${WIRE_VERSION}, deno ${deno})`,
  );
  return Promise.resolve();
}
