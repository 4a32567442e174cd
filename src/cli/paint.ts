/**
 * Colours: on a terminal, unless the environment says otherwise.
 *
 * @module
 */

import { type ReadEnv, readEnv } from "../secure/secret_file.ts";

/** What a line means to whoever reads it. */
export type Paint = "heading" | "good" | "bad" | "faint";

/** Select graphic rendition codes (ECMA-48, 8.3.117): bold, green, red, faint. */
const CODES: Readonly<Record<Paint, number>> = { heading: 1, good: 32, bad: 31, faint: 2 };

/** Where a text goes. */
export interface Screen {
  /** Whether somebody looks at it. */
  isTerminal(): boolean;
}

/**
 * Whether to use colours: with `FORCE_COLOR` (other than `0`) always, else with `NO_COLOR` never, else on a terminal that
 * knows them. See no-color.org and force-color.org; of the two the more explicit wish wins.
 */
export function wantsColour(screen: Screen, env: ReadEnv = readEnv): boolean {
  const forced = env("FORCE_COLOR");
  if (forced !== undefined) return forced !== "0";
  // The runtime has looked at NO_COLOR itself, and asks for no permission.
  const isOff = env === readEnv ? Deno.noColor : env("NO_COLOR") !== undefined;
  return !isOff && env("TERM") !== "dumb" && screen.isTerminal();
}

/** A text in its colour, line by line, where there are colours. */
export function painted(text: string, paint: Paint | undefined, screen: Screen): string {
  if (paint === undefined || !wantsColour(screen)) return text;
  return text.split("\n").map((line) => `\u001b[${CODES[paint]}m${line}\u001b[0m`).join("\n");
}
