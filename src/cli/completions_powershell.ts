/**
 * Completions for PowerShell, from 5.0 on.
 *
 * @module
 */

import type { Completed, CompletedVerb } from "./completions_table.ts";

/** The script: tables of words, and a completer that looks into them; paths are completed as they always are. */
export function powershellCompletions(verbs: readonly CompletedVerb[]): string {
  const names = verbs.map(({ name, summary }) => `  ${quoted(name)} = ${quoted(summary)}`);
  const options = verbs.flatMap(({ name, options }) =>
    options.map((option) => `  ${quoted(`${name} --${option.name}`)} = ${quoted(option.help)}`)
  );
  const values = verbs.flatMap(({ name, first, options }) => [
    ...wordsOf(name, first),
    ...options.filter(({ value }) => value !== undefined)
      .flatMap((option) => wordsOf(`${name} --${option.name}`, option.takes)),
  ]);
  return `# kith completions for PowerShell; in $PROFILE: kith completions powershell | Out-String | Invoke-Expression
$KithVerbs = [ordered]@{
${names.join("\n")}
}
$KithOptions = [ordered]@{
${options.join("\n")}
}
$KithWords = @{
${values.join("\n")}
}
Register-ArgumentCompleter -Native -CommandName kith -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
    ForEach-Object { $_.ToString() })
  $found = [ordered]@{}
  if ($words.Count -le 1) { $found = $KithVerbs }
  else {
    $verb = $words[1]
    $before = if ($words.Count -eq 2) { $verb } else { "$verb $($words[-1])" }
    if ($KithWords.Contains($before) -and $wordToComplete -notlike '-*') {
      $KithWords[$before] | ForEach-Object { $found[$_] = $_ }
    } elseif ($wordToComplete -like '-*') {
      $KithOptions.Keys | Where-Object { $_ -like "$verb --*" } |
        ForEach-Object { $found[$_.Substring($verb.Length + 1)] = $KithOptions[$_] }
    }
  }
  $found.Keys | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $found[$_])
  }
}
`;
}

function wordsOf(before: string, takes: Completed): string[] {
  if (takes.type !== "words") return [];
  return [`  ${quoted(before)} = @(${takes.words.map(quoted).join(", ")})`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
