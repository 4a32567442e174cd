/**
 * What a command line says: the options of a verb, read and checked.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { printable } from "../log.ts";
import { didYouMean } from "./suggest.ts";

/** One option of a verb. */
export interface OptionSpec {
  /** What its value is, for the usage text; without one it is a switch. */
  readonly value?: string;
  /** One line of help. */
  readonly help: string;
  /** May be given more than once. @default {false} */
  readonly repeats?: boolean;
  /** The words that it takes. @default any, as far as the option system knows */
  readonly choices?: readonly string[];
  /** What it means without a value; one then follows a `=`, so that no argument is taken for it. @default it needs one */
  readonly bare?: string;
}

/** The options of a verb, by name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What a setting says about an option: a switch is on or off, one that repeats has a list. */
export type SettingValue = string | boolean | readonly string[];

/** What stands for an option that the command line does not have. */
export interface Setting {
  /** Its value. */
  readonly value: SettingValue;
  /** Where it comes from, for errors and lists. */
  readonly from: string;
}

/** A mistake on the command line: exit status 2, and the usage is shown. */
export class UsageError extends TypeError {
  /** Says what is wrong. */
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** Makes something of what a command line says. @throws {UsageError} when that is wrong, as what made it says. */
export function asUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    const isWrong = error instanceof TypeError || error instanceof RangeError;
    throw isWrong ? new UsageError(error.message) : error;
  }
}

/** Milliseconds of a unit of time. */
const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A command line, read by a verb's options. */
export class Options {
  /** What is not an option, in order. */
  readonly args: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #settings: ReadonlyMap<string, Setting>;

  /**
   * Reads a command line.
   *
   * @param settings What stands for options that it does not have.
   * @throws {UsageError} for an option that the verb does not have, or one without its value.
   */
  constructor(
    line: readonly string[],
    specs: OptionSpecs,
    settings: ReadonlyMap<string, Setting> = new Map(),
  ) {
    const names = Object.keys(specs);
    const given = givenNames(line);
    checkValues(line, specs);
    const parsed = parseArgs(withBare(line, specs), {
      string: [...names.filter((name) => specs[name]?.value !== undefined), "_"],
      boolean: names.filter((name) => specs[name]?.value === undefined),
      collect: names.filter((name) => specs[name]?.repeats),
      alias: { help: "h" },
      unknown: (arg, key) => {
        // What was given to it may be a secret, and is not repeated.
        const [name = ""] = arg.split("=", 1);
        if (key === undefined) return true;
        const hint = didYouMean(name.replace(/^-+/, ""), names, "--");
        throw new UsageError(`Unknown option ${printable(name, 60)}${hint}`);
      },
    });
    for (const name of names) {
      const value = parsed[name];
      const empty = Array.isArray(value) ? value.includes("") : value === "";
      if (specs[name]?.value !== undefined && empty) throw valueWanted(name, specs);
    }
    const behind = [...settings].filter(([name]) => !given.has(name) && Object.hasOwn(specs, name));
    this.#settings = new Map(behind);
    this.#values = { ...parsed, ...mapValues(behind) };
    this.args = parsed._.map(String);
  }

  /** What was given, on the command line or by a setting: a text, several, or `true` for a switch. */
  given(): Record<string, string | string[] | true> {
    const given: Record<string, string | string[] | true> = {};
    for (const [name, value] of Object.entries(this.#values)) {
      if (name === "_" || name === "h") continue; // arguments, and another name of --help
      if (typeof value === "string" || value === true) given[name] = value;
      else if (Array.isArray(value) && value.length > 0) given[name] = value.map(String);
    }
    return given;
  }

  /** Where an option's value comes from, if that is not the command line. */
  from(name: string): string | undefined {
    return this.#settings.get(name)?.from;
  }

  /** Whether a switch is set. */
  has(name: string): boolean {
    return this.#values[name] === true;
  }

  /** The value of an option. */
  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  /** The values of an option that repeats. */
  texts(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** The values of an option that takes a list with commas. */
  list(name: string): string[] {
    return this.text(name)?.split(",") ?? [];
  }

  /** A number of at least 0, in milliseconds, of an option in seconds. @throws {UsageError} */
  milliseconds(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
    // Timers hold 31 bits of milliseconds.
    if (seconds <= 2_000_000) return seconds * 1000;
    throw new UsageError(
      `Option --${name} must be seconds, 0..2000000: it is ${printable(text, 20)}`,
    );
  }

  /** A number of bytes, in steps of 1000: `500k`, `20M`, `1.5G`. @throws {UsageError} */
  bytes(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)([kMGT]?)$/.exec(text) ?? [];
    const bytes = Math.round(Number(digits) * 1000 ** " kMGT".indexOf(unit || " "));
    if (Number.isSafeInteger(bytes)) return bytes;
    throw new UsageError(
      `Option --${name} must be bytes such as 500k, 20M or 1.5G: it is ${printable(text, 20)}`,
    );
  }

  /** A length of time with its unit, in milliseconds: `30s`, `10m`, `1h`, `7d`. @throws {UsageError} */
  duration(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const ms = durationMs(text);
    if (ms !== undefined) return ms;
    throw new UsageError(
      `Option --${name} must be a time such as 30s, 10m, 1h or 7d: it is ${printable(text, 20)}`,
    );
  }

  /** A port. @throws {UsageError} when it is not one. */
  port(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
    throw new UsageError(
      `Option --${name} must be a whole number, 0..65535: it is ${printable(text, 20)}`,
    );
  }

  /** A whole number from 1. @throws {UsageError} when it is not one. */
  integer(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
    throw new UsageError(
      `Option --${name} must be a whole number from 1: it is ${printable(text, 20)}`,
    );
  }

  /** A number in a range, with or without a fraction. @throws {UsageError} when it is not one. */
  number(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new UsageError(
      `Option --${name} must be a number, ${min}..${max}: it is ${printable(text, 20)}`,
    );
  }

  /** One of some words. @throws {UsageError} when it is none of them. */
  choice<T extends string>(name: string, words: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new UsageError(
      `Option --${name} must be one of ${words.join(", ")}: it is ${printable(text, 20)}`,
    );
  }
}

/** A length of time such as `30s`, `10m`, `1h` or `7d` in milliseconds; `undefined` for anything else. */
export function durationMs(text: string): number | undefined {
  const [, count, unit = ""] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? NaN);
  return ms > 0 ? ms : undefined;
}

/** The same command line, with a value for each option that may do without. */
function withBare(line: readonly string[], specs: OptionSpecs): string[] {
  const end = line.includes("--") ? line.indexOf("--") : line.length;
  return line.map((arg, at) => {
    const bare = arg.startsWith("--") && at < end ? specs[arg.slice(2)]?.bare : undefined;
    return bare === undefined ? arg : `${arg}=${bare}`;
  });
}

/** The options that a command line has. */
function givenNames(line: readonly string[]): Set<string> {
  return new Set(optionsOf(line).map((arg) => arg.slice(2).split("=", 1)[0] ?? ""));
}

/** @throws {UsageError} for a `=` with nothing behind it, and for a switch with neither `true` nor `false` there. */
function checkValues(line: readonly string[], specs: OptionSpecs): void {
  for (const arg of optionsOf(line)) {
    const [, name = "", value = ""] = /^--([^=]+)=(.*)$/s.exec(arg) ?? [];
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) continue;
    if (spec.value !== undefined && value === "") throw valueWanted(name, specs);
    if (spec.value !== undefined || /^(true|false)$/.test(value)) continue;
    throw new UsageError(`Option --${name} is a switch: with a value it is --${name}=false`);
  }
}

function valueWanted(name: string, specs: OptionSpecs): UsageError {
  return new UsageError(`Option --${name} needs ${specs[name]?.value}`);
}

/** The arguments that begin with `--`, up to the one that is nothing else. */
function optionsOf(line: readonly string[]): string[] {
  const end = line.includes("--") ? line.indexOf("--") : line.length;
  return line.slice(0, end).filter((arg) => arg.startsWith("--"));
}

function mapValues(
  settings: readonly (readonly [name: string, setting: Setting])[],
): Record<string, SettingValue> {
  return Object.fromEntries(settings.map(([name, { value }]) => [name, value]));
}
