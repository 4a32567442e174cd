/**
 * Completions for fish.
 *
 * @module
 */

import type { Completed, CompletedVerb } from "./completions_table.ts";

/** The script: a line per verb, and one per option of it. */
export function fishCompletions(verbs: readonly CompletedVerb[]): string {
  const lines = verbs.flatMap(({ name, summary, first, others, options }) => [
    `complete -c kith -n __kith_at_verb -a ${name} -d ${quoted(summary)}`,
    ...argument(`__kith_first ${name}`, first),
    ...argument(`__kith_others ${name}`, others),
    ...options.map(({ name: option, help, value, takes }) => {
      const behind = value === undefined ? "" : ` ${valueOf(takes)}`;
      return `complete -c kith -n '__kith_of ${name}' -l ${option}${behind} -d ${quoted(help)}`;
    }),
  ]);
  return `# kith completions for fish: kith completions fish > ~/.config/fish/completions/kith.fish
function __kith_at_verb
    test (count (commandline -opc)) -eq 1
end
function __kith_of
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test "$words[2]" = $argv[1]
end
function __kith_first
    __kith_of $argv[1]; and test (count (commandline -opc)) -eq 2
end
function __kith_others
    __kith_of $argv[1]; and test (count (commandline -opc)) -gt 2
end
complete -c kith -f
${lines.join("\n")}
`;
}

function argument(condition: string, takes: Completed): string[] {
  if (takes.type === "anything") return [];
  const what = takes.type === "words" ? `-a ${quoted(takes.words.join(" "))}` : "-F";
  return [`complete -c kith -n '${condition}' ${what}`];
}

function valueOf(takes: Completed): string {
  switch (takes.type) {
    case "words":
      return `-x -a ${quoted(takes.words.join(" "))}`;
    case "files":
      return "-r -F";
    case "folders":
      return "-x -a '(__fish_complete_directories)'";
    case "anything":
      return "-x";
  }
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}
