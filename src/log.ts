/**
 * What the library says while it runs: a `Logger` that callers pass in, silent unless they do.
 *
 * Messages are a short fact plus fields; text that came from another peer goes through {@linkcode printable} first, so
 * that it can neither forge a log line nor reach a terminal as an escape sequence.
 *
 * @module
 */

/** Facts that go with a log message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Levels of what is said, the least important first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** How important it is what is said. */
export type LogLevel = typeof LOG_LEVELS[number];

/** The parts of the library that say something, from the sockets up. */
export const LOG_LAYERS = [
  "transport",
  "state",
  "secure",
  "endpoint",
  "session",
  "rpc",
  "discovery",
  "membership",
  "gossip",
  "dht",
  "page",
  "transfer",
  "palmtree",
  "sync",
  "status",
  "peer",
  "cli",
] as const;

/** A part of the library. */
export type LogLayer = typeof LOG_LAYERS[number];

/** Where the library logs to. `console` has this shape, and so has every logger worth its name. */
export interface Logger {
  /** Detail for whoever looks for a fault: a dropped datagram, a state change. */
  debug(message: string, fields?: LogFields): void;
  /** Something a user may want to know. */
  info(message: string, fields?: LogFields): void;
  /** Something went wrong and was dealt with. */
  warn(message: string, fields?: LogFields): void;
  /** Something went wrong and stays wrong. */
  error(message: string, fields?: LogFields): void;
  /**
   * Whether anybody reads what is said at a level. What would be said of every single message is said only to a logger
   * that has this and says so.
   */
  enabled?(level: LogLevel): boolean;
  /** The logger of one layer, in place of any other layer's. @default the same for all */
  layer?(layer: LogLayer): Logger;
}

function ignore(): void {}

/** The default logger: says nothing. */
export const silentLogger: Logger = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  enabled: () => false,
};

/**
 * The logger of a layer, where the logger tells layers apart.
 *
 * @example
 * ```ts
 * import { layerLog, type Logger, silentLogger } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const said: string[] = [];
 * const log: Logger = {
 *   ...silentLogger,
 *   layer: (layer) => ({ ...silentLogger, info: (message) => said.push(`${layer}: ${message}`) }),
 * };
 * layerLog(log, "gossip").info("a neighbour came");
 * assertEquals(said, ["gossip: a neighbour came"]);
 * ```
 */
export function layerLog(log: Logger, layer: LogLayer): Logger {
  return log.layer?.(layer) ?? log;
}

/** Whether to say something of every single message: only to a logger that asks for it. */
export function isChatty(log: Logger): boolean {
  return log.enabled?.("debug") ?? false;
}

/**
 * A character that nobody sees, or that turns the writing round, as a regular expression (flag `u`): what makes one text
 * look like another. Variation selectors are not among it: they choose the form of a character that is seen.
 */
export const INVISIBLE: string =
  "[\\p{Default_Ignorable_Code_Point}\\p{Bidi_Control}\\ufff9-\\ufffb]" +
  "(?<![\\ufe00-\\ufe0f\\u180b-\\u180d\\u180f\\u{e0100}-\\u{e01ef}])";

// And C0 and C1 controls, line and paragraph separators: what moves the cursor or fakes a line.
const UNSAFE = new RegExp(`[\\p{Cc}\\p{Zl}\\p{Zp}]|${INVISIBLE}`, "gu");

/** What most texts are, told without the properties of characters. */
const ASCII = /^[ -~]*$/;

/**
 * Makes text from outside safe to print: control, direction and invisible characters become `\u{..}`, and the length is
 * bounded.
 *
 * @example
 * ```ts
 * import { printable } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(printable("bob\u001b[2J"), "bob\\u{1b}[2J");
 * assertEquals(printable("aaaaaaaa", 4), "aaaa…");
 * ```
 *
 * @param text What another peer, a file name or an environment gave us.
 * @param maxChars Longest result in UTF-16 units before it is cut.
 */
export function printable(text: string, maxChars = 200): string {
  const cut = text.length > maxChars ? text.slice(0, maxChars) + "…" : text;
  if (ASCII.test(cut)) return cut;
  return cut.toWellFormed().replace(UNSAFE, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}
