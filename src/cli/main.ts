/**
 * The command line: finds the verb, runs it, turns what went wrong into a message and an exit status.
 *
 * @module
 */

import { exitStatus, PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { adviceFor, networkNote, traceOf, waysTried } from "./advice.ts";
import { settingsOf } from "./config_settings.ts";
import { overviewOf, usageOf } from "./help.ts";
import { parseLogLevels } from "./log_levels.ts";
import { Options, UsageError } from "./options.ts";
import { Output } from "./output.ts";
import type { Paint } from "./paint.ts";
import { didYouMean } from "./suggest.ts";
import { runVerb } from "./run_verb.ts";
import { type Verb, VERBS } from "./verbs.ts";

/** Exit status after ^C. */
const INTERRUPTED = 130;

/** What ends a verb in order: ^C, being asked to, and the terminal going away. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs a command line.
 *
 * @example
 * ```ts
 * import { main } from "@kith/kith/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["version", "--json"]), 0);
 * assertEquals(await main(["versoin"]), 2); // says what verb may be meant
 * ```
 *
 * @returns the exit status: 0 fine, 1 failed, 2 bad usage, 3 timeout, 4 refused, 5 not found, 6 integrity, 130
 * interrupted.
 */
export async function main(line: readonly string[]): Promise<number> {
  const [name, ...rest] = translated(line);
  const interrupt = new AbortController();
  const onInterrupt = () => {
    if (interrupt.signal.aborted) Deno.exit(INTERRUPTED); // whoever asks twice means it
    interrupt.abort(new DOMException("Interrupted", "AbortError"));
  };
  let output = new Output({ json: line.includes("--json"), level: "error" });
  let options: Options | undefined;
  try {
    if (name === undefined || name === "help") return overview(name === undefined ? 2 : 0);
    const verb = findVerb(name);
    options = new Options(rest, verb.options);
    if (options.has("help")) return help(name, verb);
    options = configured(name, verb, rest, options);
    if (verb.usage === "" && options.args.length > 0) {
      throw new UsageError(
        `It takes options only: ${printable(options.args[0] ?? "", 60)} is none`,
      );
    }
    const level = parseLogLevels(options.texts("log"));
    output = new Output({ json: options.has("json"), level });
    for (const name of SIGNALS) Deno.addSignalListener(name, onInterrupt);
    const status = await runVerb(name, verb, { options, output, signal: interrupt.signal });
    return interrupt.signal.aborted ? INTERRUPTED : status ?? 0;
  } catch (error) {
    if (interrupt.signal.aborted) return INTERRUPTED;
    report(error, { name, output, options });
    return exitStatus(error);
  } finally {
    for (const name of SIGNALS) Deno.removeSignalListener(name, onInterrupt);
  }
}

/** What other programs understand, in our verbs: `--version`, `-h`, `help VERB`. */
function translated(line: readonly string[]): readonly string[] {
  const [first, second] = line;
  if (first === "--version") return ["version", ...line.slice(1)];
  if (first === "--help" || first === "-h") return ["help"];
  return first === "help" && second !== undefined ? [second, "--help"] : line;
}

/** @throws {UsageError} when there is no such verb. */
function findVerb(name: string): Verb {
  const verb = verbOf(name);
  if (verb !== undefined) return verb;
  const shown = printable(name, 40);
  if (name.startsWith("-")) throw new UsageError(`Options come behind a verb: kith VERB ${shown}`);
  const hint = didYouMean(name, Object.keys(VERBS), "kith ");
  throw new UsageError(`Unknown verb ${shown}${hint || '; "kith help" lists them'}`);
}

function verbOf(name: string): Verb | undefined {
  return Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
}

/** The options, with what environment and configuration say; `config` itself has to run when those are wrong. */
function configured(name: string, verb: Verb, line: readonly string[], options: Options): Options {
  if (verb.options.home === undefined || name === "config") return options;
  return new Options(line, verb.options, settingsOf(name, VERBS, options));
}

function help(name: string, verb: Verb): number {
  new Output({ json: false, level: "error" }).result({}, usageOf(name, verb));
  return 0;
}

function overview(status: number): number {
  const text = overviewOf(VERBS);
  if (status === 0) new Output({ json: false, level: "error" }).result({}, text);
  else complain(text);
  return status;
}

/** What failed. */
interface Failed {
  /** The first word of the command line. */
  readonly name: string | undefined;
  /** Where it prints. */
  readonly output: Output;
  /** Absent when it failed before they were read. */
  readonly options: Options | undefined;
}

/** Says what failed, why, and what to try; where it failed only to those who look for a fault in kith. */
function report(error: unknown, { name = "", output, options }: Failed): void {
  const verb = verbOf(name);
  const head = verb === undefined ? "" : `kith ${name}: `;
  if (error instanceof Deno.errors.BrokenPipe) {
    // Who reads no more, as `| head`, has what it wanted. Of what would run on it is told that it does not.
    const runsOn = "ready" in (verb?.prints ?? {});
    if (runsOn) complain(`${head}Nobody reads what it prints any more`, "bad");
    return;
  }
  const message = (error instanceof Error ? error.message : String(error)) +
    originOf(error, options) + (options === undefined ? "" : networkNote(error, options));
  for (const way of waysTried(error)) tell(() => output.log.info("tried", { way }));
  if (output.json) {
    const { code, details } = factsOf(error);
    const facts = { event: "error", code, message, details: plain(details) };
    tell(() => output.result(facts, ""));
  }
  complain(`${head}${message}`, "bad");
  const advice = verb === undefined ? undefined : adviceFor(error, name);
  if (advice !== undefined) complain(advice);
  if (options?.texts("log").some((text) => text.split(",").includes("debug"))) {
    complain(traceOf(error), "faint");
  }
}

function factsOf(error: unknown): Pick<PeerError, "code" | "details"> {
  if (error instanceof PeerError) return error;
  return { code: exitStatus(error) === 2 ? "usage" : "internal", details: {} };
}

/** Where an option has its value from that a mistake of usage is about, if nobody has typed it. */
function originOf(error: unknown, options: Options | undefined): string {
  if (!(error instanceof UsageError)) return "";
  const [, name = ""] = /--([a-z][a-z-]*)/.exec(error.message) ?? [];
  const from = options?.from(name);
  return from === undefined ? "" : ` (from ${from})`;
}

/** Details that JSON can carry: what it cannot is left out. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(details, (_, value) => typeof value === "bigint" ? `${value}` : value),
  );
}

function complain(text: string, paint?: Paint): void {
  tell(() => new Output({ json: false, level: "error" }).note(text, paint));
}

/** Prints about a failure. Where that fails, too, the exit status is what is left to tell of it. */
function tell(print: () => void): void {
  try {
    print();
  } catch {
    // Nobody reads it, or there is no room for it: that is told of nowhere else either.
  }
}
