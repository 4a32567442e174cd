/**
 * What all simulations read of their options.
 *
 * @module
 */

import { type Options, UsageError } from "./options.ts";

/** An option that is a whole number. @throws {UsageError} when it is none, or out of range. */
export function wholeNumber(
  options: Options,
  name: string,
  [min, max]: readonly [min: number, max: number],
): number | undefined {
  const value = options.number(name, min, max);
  if (value === undefined || Number.isInteger(value)) return value;
  throw new UsageError(`Option --${name} must be a whole number: it is ${value}`);
}

/** Refuses options that say nothing of what is simulated. @throws {UsageError} naming the first of them. */
export function refuse(options: Options, what: string, names: readonly string[]): void {
  const found = names.find((name) => options.has(name) || options.text(name) !== undefined);
  if (found !== undefined) throw new UsageError(`Option --${found} is not for sim ${what}`);
}
