/**
 * What a shell has to know of the verb table to complete a command line.
 *
 * @module
 */

import type { OptionSpec } from "./options.ts";
import type { Verbs } from "./verb.ts";

/** What can stand behind an option, or as an argument. */
export type Completed =
  | { readonly type: "words"; readonly words: readonly string[] }
  | { readonly type: "files" | "folders" | "anything" };

/** An option of a verb. */
export interface CompletedOption {
  /** Its name, without dashes. */
  readonly name: string;
  /** One line of help. */
  readonly help: string;
  /** What its value is called; absent for a switch. */
  readonly value?: string;
  /** What its value can be. */
  readonly takes: Completed;
  /** Whether a value has to follow a `=`. */
  readonly isBare: boolean;
  /** Whether it may be given again. */
  readonly repeats: boolean;
}

/** A verb. */
export interface CompletedVerb {
  /** Its name. */
  readonly name: string;
  /** One line of help. */
  readonly summary: string;
  /** What its first argument can be. */
  readonly first: Completed;
  /** What its other arguments can be. */
  readonly others: Completed;
  /** Its options. */
  readonly options: readonly CompletedOption[];
}

const FOLDERS: ReadonlySet<string> = new Set(["DIR"]);
const FILES: ReadonlySet<string> = new Set(["F", "FILE", "PATH"]);

/** The verbs, with `help`, which is none of the table. */
export function completedVerbs(verbs: Verbs): CompletedVerb[] {
  const names = Object.keys(verbs);
  const help: CompletedVerb = {
    name: "help",
    summary: "show the verbs, or the options of one",
    first: { type: "words", words: names },
    others: { type: "anything" },
    options: [],
  };
  const listed = names.map((name): CompletedVerb => {
    const { summary = "", usage = "", options = {} } = verbs[name] ?? {};
    return {
      name,
      summary,
      first: firstOf(usage),
      others: /PATH/.test(usage) ? { type: "files" } : { type: "anything" },
      options: Object.entries(options).map(([option, spec]) => optionOf(option, spec)),
    };
  });
  return [...listed, help];
}

/** The first argument of a usage: `add PEER|rm PEER|ls` has three words for it, `PATH...` none. */
function firstOf(usage: string): Completed {
  const words = usage.replace(/[[\]]/g, "").split("|").map((part) => part.split(" ", 1)[0] ?? "")
    .filter((word) => /^[a-z]+$/.test(word));
  if (words.length > 0) return { type: "words", words };
  return { type: /^PATH/.test(usage) ? "files" : "anything" };
}

function optionOf(name: string, spec: OptionSpec): CompletedOption {
  const { value, help, choices, bare, repeats = false } = spec;
  const takes: Completed = choices !== undefined ? { type: "words", words: choices } : {
    type: FOLDERS.has(value ?? "") ? "folders" : FILES.has(value ?? "") ? "files" : "anything",
  };
  const named = value === undefined ? {} : { value };
  return { name, help, ...named, takes, isBare: bare !== undefined, repeats };
}
