/**
 * Completions for bash, from 3.2 on, which macOS has.
 *
 * @module
 */

import type { Completed, CompletedVerb } from "./completions_table.ts";

/** The script: one case for what stands behind an option, one for everything else. */
export function bashCompletions(verbs: readonly CompletedVerb[]): string {
  const values = verbs.flatMap(({ name, options }) =>
    options.filter(({ value, isBare }) => value !== undefined && !isBare)
      .map((option) => `    "${name} --${option.name}") ${replyOf(option.takes)} return ;;`)
  );
  const rest = verbs.map(({ name, options, first, others }) => {
    const flags = options.map((option) => `--${option.name}`).join(" ");
    return [
      `    ${name})`,
      `      if [[ $cur == -* ]]; then _kith_words "${flags}"`,
      `      elif (( COMP_CWORD == 2 )); then ${replyOf(first)}`,
      `      else ${replyOf(others)} fi ;;`,
    ].join("\n");
  });
  return `# kith completions for bash; in ~/.bashrc: eval "$(kith completions bash)"
_kith_words() { COMPREPLY=( $(compgen -W "$1" -- "$cur") ); }
_kith_paths() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=( $(compgen "$1" -- "$cur") )
}
_kith() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  # bash takes the = between an option and its value for a word of its own.
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    _kith_words "${verbs.map(({ name }) => name).join(" ")}"
    return
  fi
  case "\${COMP_WORDS[1]} $prev" in
${values.join("\n")}
  esac
  case "\${COMP_WORDS[1]}" in
${rest.join("\n")}
  esac
}
complete -F _kith kith
`;
}

function replyOf(takes: Completed): string {
  switch (takes.type) {
    case "words":
      return `_kith_words "${takes.words.join(" ")}";`;
    case "files":
      return "_kith_paths -f;";
    case "folders":
      return "_kith_paths -d;";
    case "anything":
      return ":;";
  }
}
