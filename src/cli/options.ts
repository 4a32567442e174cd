/**
 * What a command line says: the options of a verb, read and checked.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { printable } from "../log.ts";

/** One option of a verb. */
export interface OptionSpec {
  /** What its value is, for the usage text; without one it is a switch. */
  readonly value?: string;
  /** One line of help. */
  readonly help: string;
  /** May be given more than once. @default {false} */
  readonly repeats?: boolean;
  /** What it means without a value; one then follows a `=`, so that no argument is taken for it. @default it needs one */
  readonly bare?: string;
}

/** The options of a verb, by name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

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

/** Options that every verb has. */
export const COMMON_OPTIONS: OptionSpecs = {
  help: { help: "show this help" },
  json: { help: "results as one JSON object per line on stdout" },
  log: { value: "LEVEL", help: "say more on stderr: debug, info, warn or error (default: error)" },
};

/** Options of verbs that have an identity. */
export const IDENTITY_OPTIONS: OptionSpecs = {
  home: { value: "DIR", help: "where identity and state are kept (default: $KITH_HOME)" },
  ephemeral: { help: "a new identity for this run, nothing is kept" },
};

/** Options of verbs that go on the network. */
export const NETWORK_OPTIONS: OptionSpecs = {
  ...IDENTITY_OPTIONS,
  name: { value: "NAME", help: "a label that others see (default: none)" },
  network: { value: "NAME", help: "only peers of the same network meet (default: $KITH_NETWORK)" },
  "key-file": {
    value: "F",
    help: "file with the key of the network, for you alone to read (default: $KITH_KEY_FILE)",
  },
  host: { value: "ADDR", help: "use only this address of the machine, e.g. 127.0.0.1" },
  "discovery-port": { value: "N", help: "UDP port that questions are sent to (default: 3486)" },
};

/** Options of verbs that look around for others. */
export const FIND_OPTIONS: OptionSpecs = {
  interface: { value: "LIST", help: "use only these interfaces, e.g. eth0,wl* or !docker*" },
  "peers-file": { value: "F", help: "also ask at the HOST:PORT on each line of this file" },
  "dns-name": {
    value: "NAME",
    help: "also ask at the kith=HOST:PORT in the TXT records of this name",
  },
  mdns: { help: "also by mDNS (Avahi, Bonjour), which lists us for everybody on the network" },
};

/** Where others may be, for verbs that look for anybody. */
export const SEED_OPTIONS: OptionSpecs = {
  peer: { value: "HOST:PORT", help: "also ask there", repeats: true },
};

/** Options of verbs that look for a peer. */
export const REACH_OPTIONS: OptionSpecs = {
  peer: { value: "HOST:PORT", help: "ask there instead of looking around", repeats: true },
  timeout: {
    value: "SECONDS",
    help: "how long to look and connect (default: 10), and to wait for an answer",
  },
  "invite-file": {
    value: "F",
    help: "file with invites or API keys to show, for you alone to read (default: $KITH_INVITE)",
  },
};

/** Options of verbs that listen. */
export const LISTEN_OPTIONS: OptionSpecs = {
  port: { value: "N", help: "TCP port, 0 for any (default: 3485 or the next free one)" },
  "udp-port": { value: "N", help: "UDP port that answers leave from, 0 for any" },
  access: {
    value: "LEVEL",
    help:
      "who may call, write and send: public, private (proven peers) or invited (default: public)",
  },
};

/** Options of verbs that serve. */
export const SERVE_OPTIONS: OptionSpecs = {
  "http-port": { value: "N", help: "port for HTTP and WebSocket (default: 3488 or the next free)" },
  dialect: { value: "LIST", help: "also speak peerconnect, witch, peerpy, or all (default: none)" },
};

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

  /** Reads a command line. @throws {UsageError} for an option that the verb does not have, or one without its value. */
  constructor(line: readonly string[], specs: OptionSpecs) {
    const names = Object.keys(specs);
    const parsed = parseArgs(withBare(line, specs), {
      string: [...names.filter((name) => specs[name]?.value !== undefined), "_"],
      boolean: names.filter((name) => specs[name]?.value === undefined),
      collect: names.filter((name) => specs[name]?.repeats),
      alias: { help: "h" },
      unknown: (arg, key) => {
        // What was given to it may be a secret, and is not repeated.
        const [name = ""] = arg.split("=", 1);
        if (key !== undefined) throw new UsageError(`Unknown option ${printable(name, 60)}`);
        return true;
      },
    });
    for (const name of names) {
      const given = parsed[name];
      const empty = Array.isArray(given) ? given.includes("") : given === "";
      if (specs[name]?.value !== undefined && empty) {
        throw new UsageError(`Option --${name} needs ${specs[name]?.value}`);
      }
    }
    this.#values = parsed;
    this.args = parsed._.map(String);
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
    throw new UsageError(`Option --${name} must be 0..65535: it is ${printable(text, 20)}`);
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
