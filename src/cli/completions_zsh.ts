/**
 * Completions for zsh.
 *
 * @module
 */

import type { Completed, CompletedOption, CompletedVerb } from "./completions_table.ts";

/** The script: it can be sourced, and it can be the file `_kith` in a folder of `fpath`. */
export function zshCompletions(verbs: readonly CompletedVerb[]): string {
  const cases = verbs.map(({ name, options, first, others }) => {
    const specs = [
      ...options.map(optionSpec),
      `1:argument:${actionOf(first)}`,
      `*:argument:${actionOf(others)}`,
    ];
    return [
      `    ${name}) _arguments \\`,
      ...specs.map((spec) => `      ${quoted(spec)} \\`),
      "      ;;",
    ]
      .join("\n");
  });
  return `#compdef kith
# kith completions for zsh; in ~/.zshrc, behind compinit: source <(kith completions zsh)
_kith() {
  local -a verbs
  verbs=(
${verbs.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe -V verb verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _kith ]]; then _kith "$@"; else compdef _kith kith; fi
`;
}

/** One option, as \`_arguments\` takes it. */
function optionSpec({ name, help, value, takes, isBare, repeats }: CompletedOption): string {
  const [again, equals] = [repeats ? "*" : "", isBare ? "=-" : ""];
  const what = value === undefined ? "" : `${isBare ? "::" : ":"}${value.replace(/[^A-Z]/g, " ")}:`;
  return `${again}--${name}${equals}[${escaped(help)}]${what}${what && actionOf(takes)}`;
}

function escaped(help: string): string {
  return help.replace(/[\\[\]:]/g, "\\$&");
}

function actionOf(takes: Completed): string {
  switch (takes.type) {
    case "words":
      return `(${takes.words.join(" ")})`;
    case "files":
      return "_files";
    case "folders":
      return "_files -/";
    case "anything":
      return " ";
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
