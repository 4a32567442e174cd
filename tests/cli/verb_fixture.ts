/**
 * Runs a verb within the test's own process, and keeps what it prints.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Options } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";
import { runLoaded } from "../../src/cli/refusals.ts";
import { problemsOf } from "../../src/cli/results.ts";
import { type Verb, VERBS } from "../../src/cli/verbs.ts";
import { exitStatus } from "../../src/errors.ts";
import { encodeJson } from "../../src/wire/json.ts";

/** What a verb did. */
export interface Ran {
  /** Exit status. */
  readonly code: number;
  /** The results, as `--json` prints them. */
  readonly facts: readonly Record<string, unknown>[];
  /** The results, as people see them. */
  readonly lines: readonly string[];
  /** What it told people besides, and its error. */
  readonly notes: readonly string[];
}

class KeptOutput extends Output {
  override readonly live: boolean = false; // also where tests run on a terminal
  readonly facts: Record<string, unknown>[] = [];
  readonly lines: string[] = [];
  readonly notes: string[] = [];

  override result(facts: Record<string, unknown>, text: string): void {
    this.facts.push(facts);
    this.lines.push(text);
  }

  override note(text: string): void {
    this.notes.push(text);
  }
}

/** Holds a result against the table of results. */
function checkResult({ prints }: Verb, facts: Record<string, unknown>): void {
  assertEquals(problemsOf(prints, JSON.parse(encodeJson(facts))), [], encodeJson(facts));
}

/** Runs a verb with a home folder, to its end. */
export async function runVerb(name: string, home: string, ...line: string[]): Promise<Ran> {
  const output = new KeptOutput({ json: line.includes("--json"), level: "error" });
  const { facts, lines, notes } = output;
  const verb = VERBS[name];
  if (verb === undefined) throw new TypeError(`There is no verb ${name}`);
  try {
    const options = new Options([...line, "--home", home], verb.options);
    await runLoaded(verb, { options, output, signal: new AbortController().signal });
    // What is for people alone has no facts.
    const printed = facts.filter((one) => output.json || Object.keys(one).length > 0);
    for (const one of printed) checkResult(verb, one);
    return { code: 0, facts, lines, notes };
  } catch (error) {
    notes.push(error instanceof Error ? error.message : String(error));
    return { code: exitStatus(error), facts, lines, notes };
  }
}
