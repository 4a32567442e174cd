/**
 * Runs command lines one after another in one process, as `cli.ts` runs one. A line of stdin is the words of a command
 * line, as JSON; what it printed ends with a zero on stdout, its exit status and another zero, and with a zero on stderr.
 *
 * @module
 */

import { main } from "../../cli.ts";

const encoder = new TextEncoder();

let rest = "";
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const code = await main(JSON.parse(line));
    Deno.stderr.writeSync(encoder.encode("\0"));
    Deno.stdout.writeSync(encoder.encode(`\0${code}\0`));
  }
}
