/**
 * The command line of kith: `deno run -A cli.ts VERB ...`.
 *
 * @module
 */

import { main } from "./src/cli/main.ts";

export { main };

if (import.meta.main) Deno.exit(await main(Deno.args));
