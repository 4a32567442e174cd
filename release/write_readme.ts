/**
 * Writes the tables of README.md that the verb table knows better, each between its markers; `--check` only looks.
 *
 * @module
 */

import { commandsTable, permissionsTable } from "../src/cli/help.ts";
import { VERBS } from "../src/cli/verbs.ts";

const README = new URL("../README.md", import.meta.url);

/** What stands between which markers. */
const TABLES: Readonly<Record<string, string>> = {
  commands: commandsTable(VERBS),
  permissions: permissionsTable(VERBS),
};

/** README.md as it should be. @throws {Error} when a marker is missing. */
export function withTables(readme: string): string {
  let text = readme;
  for (const [name, table] of Object.entries(TABLES)) {
    const [begin, end] = [`<!-- ${name}: npm run readme -->\n`, `\n<!-- /${name} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`README.md has no markers for ${name}`);
    text = `${text.slice(0, from)}${begin}\n${table}\n${text.slice(to)}`;
  }
  return text;
}

if (import.meta.main) {
  const readme = await Deno.readTextFile(README);
  const wanted = withTables(readme);
  if (!Deno.args.includes("--check")) await Deno.writeTextFile(README, wanted);
  else if (wanted !== readme) Deno.exit(1);
}
