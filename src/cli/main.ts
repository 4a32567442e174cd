/**
 * The command line: finds the verb, runs it, turns what went wrong into a message and an exit status.
 *
 * @module
 */

import { exitStatus, PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { COMMON_OPTIONS, Options, type OptionSpecs, UsageError } from "./options.ts";
import { LOG_LEVELS, Output } from "./output.ts";
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
 * @returns the exit status: 0 fine, 1 failed, 2 bad usage, 3 timeout, 4 refused, 5 not found, 6 integrity, 130
 * interrupted.
 */
export async function main(line: readonly string[]): Promise<number> {
  const [name, ...rest] = translated(line);
  if (name === undefined || name === "help") return overview(name === undefined ? 2 : 0);
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) {
    complain(`Unknown verb ${printable(name, 40)}; "kith help" lists them`);
    return 2;
  }
  const interrupt = new AbortController();
  const onInterrupt = () => {
    if (interrupt.signal.aborted) Deno.exit(INTERRUPTED); // whoever asks twice means it
    interrupt.abort(new DOMException("Interrupted", "AbortError"));
  };
  let output = new Output({ json: line.includes("--json"), level: "error" });
  try {
    const options = new Options(rest, verb.options);
    if (options.has("help")) return help(name, verb);
    if (verb.usage === "" && options.args.length > 0) {
      throw new UsageError(
        `It takes options only: ${printable(options.args[0] ?? "", 60)} is none`,
      );
    }
    const level = options.choice("log", LOG_LEVELS) ?? "error";
    output = new Output({ json: options.has("json"), level });
    for (const name of SIGNALS) Deno.addSignalListener(name, onInterrupt);
    const { run } = await verb.load();
    const status = await run({ options, output, signal: interrupt.signal });
    return interrupt.signal.aborted ? INTERRUPTED : status ?? 0;
  } catch (error) {
    if (interrupt.signal.aborted) return INTERRUPTED;
    report(error, name, output);
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

/** The usage text of a verb. */
export function usageOf(name: string, verb: Verb): string {
  const rows = (specs: OptionSpecs) =>
    Object.entries(specs).map(([option, { value, help }]) => {
      return `  ${`--${option}${value === undefined ? "" : " " + value}`.padEnd(24)} ${help}`;
    });
  const own = Object.entries(verb.options).filter(([option]) => !(option in COMMON_OPTIONS));
  return [
    `kith ${name} ${verb.usage}`.trimEnd() + "   " + verb.summary,
    "",
    ...rows(Object.fromEntries(own)),
    ...rows(COMMON_OPTIONS),
    "",
    `--json prints   ${verb.prints}`,
    `needs           ${verb.permissions}`,
    `example         ${verb.example}`,
  ].join("\n");
}

function help(name: string, verb: Verb): number {
  new Output({ json: false, level: "error" }).result({}, usageOf(name, verb));
  return 0;
}

function overview(status: number): number {
  const verbs = Object.entries(VERBS).map(([name, { usage, summary }]) => {
    return `  ${`kith ${name} ${usage}`.padEnd(34)} ${summary}`;
  });
  const text = [
    "kith: find peers on the network and send them files, without a server in the middle",
    "",
    ...verbs,
    "",
    '"kith VERB --help" shows the options of a verb and an example.',
  ].join("\n");
  if (status === 0) new Output({ json: false, level: "error" }).result({}, text);
  else complain(text);
  return status;
}

function report(error: unknown, verb: string, output: Output): void {
  const message = error instanceof Error ? error.message : String(error);
  if (output.json && (error instanceof PeerError || error instanceof UsageError)) {
    const { code, details } = error instanceof PeerError ? error : { code: "usage", details: {} };
    output.result({ event: "error", code, message, details: plain(details) }, "");
  }
  complain(`kith ${verb}: ${message}`);
  if (error instanceof UsageError) complain(`"kith ${verb} --help" shows the options`);
  output.log.debug("where", { stack: error instanceof Error ? error.stack : undefined });
}

/** Details that JSON can carry: what it cannot is left out. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(details, (_, value) => typeof value === "bigint" ? `${value}` : value),
  );
}

function complain(text: string): void {
  new Output({ json: false, level: "error" }).note(text);
}
