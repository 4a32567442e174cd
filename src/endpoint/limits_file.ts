/**
 * Limits as people write them: checked against the table, by name and range, from a program's options or the home folder.
 *
 * ```json
 * { "maxLinks": 64, "maxStoredBytes": 10000000000, "requestsPerSecond": { "default": 100, "echo": 10 } }
 * ```
 *
 * What is not named keeps its default; `null` stands for none where there may be none.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Home } from "../state/home.ts";
import { decodeJson } from "../wire/json.ts";
import {
  type EndpointLimits,
  type Limit,
  LIMIT_NAMES,
  type LimitName,
  LIMITS,
} from "./limits_table.ts";

/** The file of the home folder. */
export const LIMITS_FILE = "limits.json";

/** Endpoints whose rates may be set one by one. */
export const MAX_NAMED_RATES = 256;

/** Longest name of an endpoint, as a server has it. */
const MAX_ENDPOINT_CHARS = 128;

/** Characters of what was found that an error shows. */
const SHOWN_CHARS = 64;

/** As many letters may be wrong for a name to be taken for a limit's. */
const MOST_TYPOS = 3;

/** What is wrong with limits. */
interface Fault {
  /** Which: a limit, a rate as `requestsPerSecond.echo`, or nothing where it is all of them. */
  readonly field: string;
  readonly text: string;
  /** Whether a number is out of range, and not something else in its place. */
  readonly range: boolean;
}

/**
 * Checks limits, those of a program's options or of a file.
 *
 * @example
 * ```ts
 * import { parseLimits } from "@kith/kith/endpoint";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const limits = { maxLinks: 64, heartbeatMs: null };
 * assertEquals(parseLimits(limits), { maxLinks: 64, heartbeatMs: Infinity });
 * assertThrows(() => parseLimits({ maxLink: 64 }), TypeError, "did you mean maxLinks?");
 * ```
 *
 * @returns the same, with `null` made `Infinity`.
 * @throws {TypeError} for what is no object, an unknown name, which is told what it may have been meant to be, or a
 * value of the wrong type. @throws {RangeError} for a number that is out of range or not whole. Both name the limit.
 */
export function parseLimits(value: unknown): EndpointLimits {
  const fault = firstFault(value);
  if (fault === undefined) return accepted(value as Readonly<Record<string, unknown>>);
  throw fault.range ? new RangeError(fault.text) : new TypeError(fault.text);
}

/**
 * The limits of a home folder, from its `limits.json` where there is one.
 *
 * @example
 * ```ts
 * import { Home } from "@kith/kith";
 * import { LIMITS_FILE, loadLimits } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const home = Home.open(await Deno.makeTempDir());
 * assertEquals(loadLimits(home), {});
 * await Deno.writeTextFile(home.path(LIMITS_FILE), '{ "maxLinks": 64 }');
 * assertEquals(loadLimits(home), { maxLinks: 64 });
 * await Deno.remove(home.dir, { recursive: true });
 * ```
 *
 * @returns nothing where there is no such file: the defaults hold.
 * @throws {InvalidPacketError} `bad-message` when it is no JSON, or a limit in it is wrong: the text names file and limit.
 * @throws {UnsupportedError} when it is there and cannot be read.
 */
export function loadLimits(home: Home): EndpointLimits {
  const bytes = home.read(LIMITS_FILE);
  if (bytes === undefined) return {};
  const path = home.path(LIMITS_FILE);
  const what = `limits file ${printable(path, 400)}`;
  const value = decodeJson(bytes, { what, details: { path } });
  const fault = firstFault(value);
  if (fault === undefined) return accepted(value as Readonly<Record<string, unknown>>);
  const { field, text } = fault;
  throw new InvalidPacketError("bad-message", `Cannot use ${what}: ${text}`, {
    details: { path, field },
  });
}

function firstFault(value: unknown): Fault | undefined {
  if (!isMap(value)) return wrongType("", "Limits must be an object", value);
  for (const [name, found] of Object.entries(value)) {
    const fault = isLimit(name) ? faultOf(name, found) : unknownLimit(name);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOf(name: LimitName, value: unknown): Fault | undefined {
  const limit: Limit = LIMITS[name];
  if (typeof limit.default === "number") return faultOfNumber(name, limit, value);
  if (!isMap(value)) return wrongType(name, `${name} must be an object of rates`, value);
  const rates = Object.entries(value);
  if (rates.length > MAX_NAMED_RATES) {
    const text = `${name} must have at most ${MAX_NAMED_RATES} names: it has ${rates.length}`;
    return { field: name, text, range: true };
  }
  for (const [endpoint, rate] of rates) {
    const field = `${name}.${printable(endpoint, SHOWN_CHARS)}`;
    const fault = faultOfName(field, endpoint) ?? faultOfNumber(field, limit, rate);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOfName(field: string, { length }: string): Fault | undefined {
  if (length >= 1 && length <= MAX_ENDPOINT_CHARS) return undefined;
  const text = `${field} must be a name of 1 to ${MAX_ENDPOINT_CHARS} characters: it has ${length}`;
  return { field, text, range: true };
}

function faultOfNumber(field: string, limit: Limit, value: unknown): Fault | undefined {
  if (value === null && limit.most === Infinity) return undefined;
  if (typeof value !== "number") return wrongType(field, `${field} must be a number`, value);
  const wanted = rangeBroken(limit, value);
  if (wanted === undefined) return undefined;
  return { field, text: `${field} must be ${wanted}: current value is ${value}`, range: true };
}

/** What a number would have to be, where it is not. */
function rangeBroken({ least, most, unit }: Limit, value: number): string | undefined {
  if (!(value >= least)) return `at least ${least}`;
  if (value > most) return `at most ${most}`;
  if (unit === "ms" || unit === "calls/s" || value === Infinity) return undefined;
  return Number.isSafeInteger(value) ? undefined : "a whole number";
}

function unknownLimit(name: string): Fault {
  const shown = printable(name, SHOWN_CHARS);
  const meant = nearestLimit(name);
  const hint = meant === undefined
    ? `there are ${LIMIT_NAMES.join(", ")}`
    : `did you mean ${meant}?`;
  return { field: shown, text: `Unknown limit "${shown}": ${hint}`, range: false };
}

function wrongType(field: string, text: string, value: unknown): Fault {
  return { field, text: `${text}: current value is ${shown(value)}`, range: false };
}

function shown(value: unknown): string {
  if (typeof value === "string") return `"${printable(value, SHOWN_CHARS)}"`;
  if (Array.isArray(value)) return "a list";
  return isMap(value) ? "an object" : String(value);
}

function accepted(value: Readonly<Record<string, unknown>>): EndpointLimits {
  const limits = Object.entries(value).map(([name, found]) => [name, found ?? Infinity]);
  return Object.fromEntries(limits);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isLimit(name: string): name is LimitName {
  return Object.hasOwn(LIMITS, name);
}

/** The limit whose name takes the fewest changes to get to, where that is few enough. */
function nearestLimit(name: string): LimitName | undefined {
  if (name.length > SHOWN_CHARS) return undefined;
  const wanted = name.toLowerCase();
  const distances = LIMIT_NAMES.map((limit) => distance(wanted, limit.toLowerCase()));
  const least = Math.min(...distances);
  return least <= MOST_TYPOS ? LIMIT_NAMES[distances.indexOf(least)] : undefined;
}

/**
 * How many letters must be put in, taken out or changed to make one word another: Levenshtein's distance, by the table of
 * R. A. Wagner and M. J. Fischer, "The String-to-String Correction Problem", J. ACM 21(1), 1974, a row at a time.
 */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= to.length; j++) {
      const changed = (row[j - 1] ?? 0) + (letter === to[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
