/**
 * Options as a command line again.
 *
 * @module
 */

import type { Options } from "../options.ts";

/** A command line that reads as the options that were given, and these arguments. */
export function lineOf(given: ReturnType<Options["given"]>, args: readonly string[]): string[] {
  const options = Object.entries(given).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    return [value].flat().map((text) => `--${name}=${text}`);
  });
  return [...options, "--", ...args];
}
