/**
 * `kith completions SHELL`: what makes a shell complete kith's command lines, made from the verb table.
 *
 * @module
 */

import { bashCompletions } from "./completions_bash.ts";
import { fishCompletions } from "./completions_fish.ts";
import { powershellCompletions } from "./completions_powershell.ts";
import { type CompletedVerb, completedVerbs } from "./completions_table.ts";
import { zshCompletions } from "./completions_zsh.ts";
import { UsageError } from "./options.ts";
import { didYouMean } from "./suggest.ts";
import { type Invocation, VERBS } from "./verbs.ts";

/** How each shell is told. */
const SHELLS: Readonly<Record<string, (verbs: readonly CompletedVerb[]) => string>> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
  powershell: powershellCompletions,
};

/** Prints the script for a shell. */
export function run({ options, output }: Invocation): Promise<void> {
  const [shell = "", ...more] = options.args;
  const names = Object.keys(SHELLS);
  const make = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (make === undefined || more.length > 0) {
    throw new UsageError(`One of ${names.join(", ")} is wanted${didYouMean(shell, names)}`);
  }
  const script = make(completedVerbs(VERBS));
  output.result({ shell, script }, script.trimEnd());
  return Promise.resolve();
}
