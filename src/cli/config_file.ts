/**
 * The configuration file of a home, `config.json`: settings that stand for options, for every verb or for one.
 *
 * ```json
 * {
 *   "network": "home",
 *   "key-file": "/home/ann/home.key",
 *   "up": { "name": "ann", "dir": "/home/ann/inbox", "topic": ["news"] }
 * }
 * ```
 *
 * A setting has the name of its option: on its own it is for every verb that has the option, below a verb's name for that
 * verb only. Secrets have no option, and so no setting.
 *
 * @module
 */

import { printable } from "../log.ts";
import { parseLogLevels } from "./log_levels.ts";
import {
  COMMON_OPTIONS,
  FIND_OPTIONS,
  IDENTITY_OPTIONS,
  LISTEN_OPTIONS,
  LOG_VALUE,
  NETWORK_OPTIONS,
  REACH_OPTIONS,
  SEED_OPTIONS,
} from "./option_groups.ts";
import {
  Options,
  type OptionSpec,
  type OptionSpecs,
  type SettingValue,
  UsageError,
} from "./options.ts";
import { didYouMean } from "./suggest.ts";
import type { Verbs } from "./verb.ts";

/** Name of the file in the home folder. */
export const CONFIG_FILE = "config.json";

/** Largest file that is read, in bytes. */
export const MAX_CONFIG_BYTES: number = 64 * 1024;

/** What is about one run, or says where the file is. */
const NO_SETTINGS: readonly string[] = ["help", "home"];

/** What a value that is a path is called. */
const PATHS: readonly string[] = ["DIR", "F"];

/** What those look for who want to keep a secret here. */
const SECRETS = /^(network-)?key$|secret|token|password|^invite$/;

const SHARED = [
  COMMON_OPTIONS,
  NETWORK_OPTIONS,
  IDENTITY_OPTIONS,
  FIND_OPTIONS,
  SEED_OPTIONS,
  REACH_OPTIONS,
  LISTEN_OPTIONS,
];

const SHARED_SPECS: ReadonlySet<OptionSpec> = new Set(SHARED.flatMap(Object.values));

/** Settings for every verb that has the option. */
export const SHARED_SETTINGS: OptionSpecs = settable(Object.assign({}, ...SHARED));

/** One setting of the file. */
export interface ConfigEntry {
  /** The verb that it is for; absent when it is for all. */
  readonly verb?: string;
  /** The option that it stands for. */
  readonly name: string;
  /** Its value. */
  readonly value: SettingValue;
  /** Where it stands, from 1. */
  readonly line: number;
}

/** Whether an option means the same with every verb that has it, so that one setting is for all of them. */
export function isShared(spec: OptionSpec): boolean {
  return SHARED_SPECS.has(spec);
}

/** The options that settings may stand for. */
export function settable(specs: OptionSpecs): OptionSpecs {
  return Object.fromEntries(Object.entries(specs).filter(([name]) => !NO_SETTINGS.includes(name)));
}

/**
 * The settings of a file.
 *
 * @param where What the file is called in errors.
 * @throws {UsageError} for text that is no JSON, an unknown setting and a value that its option does not take: it names
 * the line.
 */
export function parseConfig(text: string, where: string, verbs: Verbs): ConfigEntry[] {
  const lines = linesOfKeys(text);
  const fail = (why: string, line: number | undefined) => {
    return new UsageError(
      `Cannot use ${printable(where, 400)}: ${line === undefined ? "" : `line ${line}: `}${why}`,
    );
  };
  const read = (specs: OptionSpecs, name: string, value: unknown, verb?: string): ConfigEntry => {
    const line = lines.get(verb === undefined ? name : `${verb} ${name}`) ?? 1;
    try {
      const spec = specOf(specs, name, verbs, verb);
      const entry = { name, value: checkedSetting(name, spec, value), line };
      return verb === undefined ? entry : { verb, ...entry };
    } catch (error) {
      throw error instanceof UsageError ? fail(error.message, line) : error;
    }
  };
  const data = parseObject(text, (why, line) => fail(why, line));
  return Object.entries(data).flatMap(([name, value]) => {
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
    if (verb === undefined) return [read(SHARED_SETTINGS, name, value)];
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw fail(`"${name}" is a verb: its settings are an object`, lines.get(name));
    }
    const specs = settable(verb.options);
    return Object.entries(value).map(([option, item]) => read(specs, option, item, name));
  });
}

/** What a setting is named by on the command line: `port`, `up.port`. */
export function settingName({ verb, name }: Pick<ConfigEntry, "verb" | "name">): string {
  return verb === undefined ? name : `${verb}.${name}`;
}

/** The option that a setting stands for. @throws {UsageError} when there is none. */
export function findSetting(
  text: string,
  verbs: Verbs,
): { verb?: string; name: string; spec: OptionSpec } {
  const [first = "", ...rest] = text.split(".");
  if (rest.length === 0) return { name: text, spec: specOf(SHARED_SETTINGS, text, verbs) };
  const verb = Object.hasOwn(verbs, first) ? verbs[first] : undefined;
  if (verb === undefined) {
    const hint = didYouMean(first, Object.keys(verbs));
    throw new UsageError(`There is no verb "${printable(first, 40)}"${hint}`);
  }
  const name = rest.join(".");
  return { verb: first, name, spec: specOf(settable(verb.options), name, verbs, first) };
}

/**
 * A value as its option takes it, and as it can be kept: a path that begins somewhere else with each run is none.
 *
 * @throws {UsageError} for any other.
 */
export function checkedSetting(name: string, spec: OptionSpec, value: unknown): SettingValue {
  const checked = checkedValue(name, spec, value);
  const isRelative = typeof checked === "string" && !/^([/\\]|[A-Za-z]:[/\\])/.test(checked);
  if (!isRelative || !PATHS.includes(spec.value ?? "")) return checked;
  throw new UsageError(`"${name}" must be a whole path: it is ${printable(checked, 60)}`);
}

/**
 * A value as its option takes it.
 *
 * @throws {UsageError} for what it does not take.
 */
export function checkedValue(name: string, spec: OptionSpec, value: unknown): SettingValue {
  if (spec.value === undefined) {
    if (typeof value === "boolean") return value;
    throw new UsageError(`"${name}" must be true or false`);
  }
  const isList = Array.isArray(value);
  if (isList && !spec.repeats) throw new UsageError(`"${name}" has one value, not a list`);
  const texts = (isList ? value : [value]).map((item: unknown) => {
    const isPlain = typeof item === "string" ? item !== "" : typeof item === "number";
    if (!isPlain) throw new UsageError(`"${name}" must be ${spec.value}, as text or a number`);
    return String(item);
  });
  for (const text of texts) checkText(name, spec, text);
  return spec.repeats ? texts : texts[0] ?? "";
}

function specOf(specs: OptionSpecs, name: string, verbs: Verbs, verb?: string): OptionSpec {
  const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
  if (spec !== undefined) return spec;
  const shown = `"${printable(name, 40)}"`;
  if (NO_SETTINGS.includes(name)) throw new UsageError(`${shown} is no setting: it is for one run`);
  if (SECRETS.test(name)) {
    throw new UsageError(
      `No secret is kept here: ${shown} is in a file that "key-file" or "invite-file" names`,
    );
  }
  const owner = Object.keys(verbs).find((key) => Object.hasOwn(verbs[key]?.options ?? {}, name));
  const hint = verb === undefined && owner !== undefined
    ? `; it is of single verbs: ${owner}.${name}`
    : didYouMean(name, Object.keys(specs));
  throw new UsageError(`Unknown setting ${shown}${verb === undefined ? "" : ` of ${verb}`}${hint}`);
}

/** Reads a value as its verb will, so that what is wrong shows before a verb needs it. */
function checkText(name: string, spec: OptionSpec, text: string): void {
  // Under a name of its own: in that of a setting, as up.port, a dot would mean something.
  const own = "value";
  const read = (text: string) => {
    return new Options([`--${own}=${text}`], { [own]: { ...spec, repeats: false } });
  };
  try {
    const options = read(text);
    if (spec.choices !== undefined) {
      const words = spec.value === "LIST" ? text.split(",") : [text];
      for (const word of words) read(word).choice(own, spec.choices);
    } else if (spec.value === LOG_VALUE) parseLogLevels([text]);
    else if (spec.value === "PORT") options.port(own);
    else if (spec.value === "N") options.number(own, 0, 999_999_999);
    else if (spec.value === "SECONDS") options.milliseconds(own);
    else if (spec.value === "RATE" || spec.value === "SIZE") options.bytes(own);
    else if (spec.value === "TIME") options.duration(own);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(error.message.replace(/^Option --\S+/, `"${name}"`));
  }
}

function parseObject(
  text: string,
  fail: (why: string, line?: number) => UsageError,
): Record<string, unknown> {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    // The engine's text repeats what is in the file; where it is is enough.
    const [, line] = /\(line (\d+)/.exec(String(error)) ?? [];
    throw fail("it is no JSON", line === undefined ? text.split("\n").length : Number(line));
  }
  if (typeof data === "object" && data !== null && !Array.isArray(data)) return { ...data };
  throw fail("it is no JSON object");
}

/** The line of each key of JSON text: of an inner one by the names of both. */
function linesOfKeys(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const path: string[] = [];
  let [line, depth] = [1, 0];
  for (const [token, , colon] of text.matchAll(/("(?:[^"\\\n]|\\.)*")(?=(\s*:)?)|[{}\n]/g)) {
    if (token === "\n") line++;
    else if (token === "{") depth++;
    else if (token === "}") depth--;
    else if (colon !== undefined) {
      path.length = Math.max(0, depth - 1);
      path.push(keyOf(token));
      lines.set(path.join(" "), line);
    }
  }
  return lines;
}

function keyOf(token: string): string {
  try {
    return JSON.parse(token);
  } catch {
    return token; // an escape that is none: the whole is no JSON either, and is refused as that
  }
}
