/**
 * How much `--log` asks for: of everything, or of one layer.
 *
 * @module
 */

import { LOG_LAYERS, LOG_LEVELS, type LogLayer, type LogLevel, printable } from "../log.ts";
import { UsageError } from "./options.ts";
import { didYouMean } from "./suggest.ts";

/** What is said where `--log` does not ask for more. */
export const DEFAULT_LEVEL: LogLevel = "error";

/** The least important level that is said. */
export interface LogLevels {
  /** Of every layer that is not named. */
  readonly all: LogLevel;
  /** Of those that are. */
  readonly layers: ReadonlyMap<LogLayer, LogLevel>;
}

/**
 * The levels that some values of `--log` ask for: each `LEVEL` or `LAYER=LEVEL`, or several with commas; the last wins.
 *
 * @throws {UsageError} for a layer or a level that there is not, naming those that there are.
 */
export function parseLogLevels(values: readonly string[]): LogLevels {
  let all = DEFAULT_LEVEL;
  const layers = new Map<LogLayer, LogLevel>();
  for (const text of values.flatMap((value) => value.split(","))) {
    const [, layer, level = ""] = /^(?:([^=]*)=)?(.*)$/s.exec(text.trim()) ?? [];
    const known = oneOf("level", LOG_LEVELS, level);
    if (layer === undefined) all = known;
    else layers.set(oneOf("layer", LOG_LAYERS, layer), known);
  }
  return { all, layers };
}

/** The level of a layer. */
export function levelOf(levels: LogLevels | LogLevel, layer: LogLayer): LogLevel {
  return typeof levels === "string" ? levels : levels.layers.get(layer) ?? levels.all;
}

function oneOf<Word extends string>(what: string, words: readonly Word[], text: string): Word {
  const word = words.find((known) => known === text);
  if (word !== undefined) return word;
  const hint = didYouMean(text, [...words], "");
  throw new UsageError(
    `Option --log has no ${what} "${printable(text, 20)}", only ${words.join(", ")}${hint}`,
  );
}
