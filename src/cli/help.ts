/**
 * What the verb table says to people: the usage of a verb, the list of all, and the tables of the README.
 *
 * @module
 */

import { COMMON_OPTIONS } from "./option_groups.ts";
import type { OptionSpecs } from "./options.ts";
import { describeResults } from "./results.ts";
import type { Verb, Verbs } from "./verb.ts";

/** Where what an option means begins. */
const OPTION_COLUMN = 27;

/** What help is no wider than: it is read in columns of a hundred or more, and in logs. */
const COLUMNS = 100;

/** Where what a verb does begins, in the list of all. */
const SUMMARY_COLUMN = 36;

/** The usage text of a verb. */
export function usageOf(name: string, verb: Verb): string {
  const rows = (specs: OptionSpecs) =>
    Object.entries(specs).map(([option, { value, help }]) => {
      const head = `  --${option}${value === undefined ? "" : " " + value}`;
      return hanging(head.padEnd(OPTION_COLUMN - 1) + " ", help);
    });
  const own = Object.entries(verb.options).filter(([option]) => !(option in COMMON_OPTIONS));
  const [first = "", ...others] = describeResults(verb.prints);
  return [
    titleOf(`kith ${name} ${verb.usage}`.trimEnd(), verb.summary),
    "",
    ...rows(Object.fromEntries(own)),
    ...rows(COMMON_OPTIONS),
    "",
    hanging("--json prints   ", first),
    ...others.map((line) => hanging(" ".repeat(16), line)),
    `needs           ${verb.permissions}`,
    `example         ${verb.example}`,
  ].join("\n");
}

/** What it does behind how it is called, or below where that is long. */
function titleOf(command: string, summary: string): string {
  const isLong = command.length + summary.length > COLUMNS;
  return isLong ? `${command}\n  ${summary}` : `${command}   ${summary}`;
}

/** A text behind a head, with what does not fit into a line below itself. */
function hanging(head: string, text: string): string {
  const lines: string[] = [];
  let line = head;
  for (const word of text.split(" ")) {
    if (line.length + word.length > COLUMNS && line.trim() !== "" && line !== head) {
      lines.push(line.trimEnd());
      line = " ".repeat(head.length);
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()].join("\n");
}

/** The list of all verbs. */
export function overviewOf(verbs: Verbs): string {
  const rows = Object.entries(verbs).map(([name, { usage, summary }]) => {
    const command = `  ${`kith ${name} ${usage}`.trimEnd()}`;
    // A long usage has its summary on the next line, so that the column stands.
    const between = command.length < SUMMARY_COLUMN ? "" : "\n";
    return command.padEnd(between === "" ? SUMMARY_COLUMN : 0) + between +
      (between === "" ? "" : " ".repeat(SUMMARY_COLUMN)) + summary;
  });
  return [
    "kith: find peers on the network and send them files, without a server in the middle",
    "",
    ...rows,
    "",
    '"kith VERB --help" shows the options of a verb and an example.',
  ].join("\n");
}

/** The README's table of commands. */
export function commandsTable(verbs: Verbs): string {
  const rows = Object.entries(verbs).map(([name, { usage, summary }]) => {
    return [quoted(`kith ${name} ${usage}`.trimEnd()), cellOf(summary)];
  });
  return markdownTable([["command", "does"], ...rows]);
}

/** The README's table of permissions: a row for all verbs that need the same. */
export function permissionsTable(verbs: Verbs): string {
  const byNeed = new Map<string, string[]>();
  for (const [name, { permissions }] of Object.entries(verbs)) {
    byNeed.set(permissions, [...byNeed.get(permissions) ?? [], quoted(name)]);
  }
  const rows = [...byNeed].map(([needs, names]) => {
    return [names.join(", "), needs === "none" ? needs : quoted(needs)];
  });
  return markdownTable([["verb", "needs"], ...rows]);
}

/** A table as `deno fmt` leaves it: columns as wide as their widest cell. */
function markdownTable(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows;
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const lineOf = (row: readonly string[], fill = " ") => {
    return `| ${widths.map((width, at) => (row[at] ?? "").padEnd(width, fill)).join(" | ")} |`;
  };
  return [lineOf(head), lineOf([], "-"), ...rows.slice(1).map((row) => lineOf(row))].join("\n");
}

function quoted(text: string): string {
  return `\`${cellOf(text)}\``;
}

/** A bar would end the cell. */
function cellOf(text: string): string {
  return text.replaceAll("|", "\\|");
}
