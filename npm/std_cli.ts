// The part of @std/cli that kith uses, for machines that reach npm but not JSR.
// @ts-types="./std_cli.d.ts"
export { parseArgs } from "npm:deno-std@1.3.4/cli/parse_args.js";
