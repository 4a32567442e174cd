/**
 * `kith version`
 *
 * @module
 */

import { VERSION } from "../version.ts";
import { WIRE_VERSION } from "../wire/message.ts";
import type { Invocation } from "./verbs.ts";

/** Shows the version. */
export function run({ output }: Invocation): Promise<void> {
  const deno = Deno.version.deno;
  output.result(
    { version: VERSION, wire: WIRE_VERSION, deno },
    `kith ${VERSION} (wire ${WIRE_VERSION}, deno ${deno})`,
  );
  return Promise.resolve();
}
