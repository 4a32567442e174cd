/**
 * What stands behind the command line: the environment, and behind that the configuration file.
 *
 * @module
 */

import { AuthError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { type ReadEnv, readEnv } from "../secure/secret_file.ts";
import { resolveHome } from "../state/home.ts";
import {
  checkedValue,
  CONFIG_FILE,
  type ConfigEntry,
  isShared,
  MAX_CONFIG_BYTES,
  parseConfig,
  settable,
} from "./config_file.ts";
import { type Options, type OptionSpec, type Setting, UsageError } from "./options.ts";
import type { Verbs } from "./verb.ts";

/**
 * Variables that are read where they are needed: what they say, secrets among it, wins over the file. The option itself,
 * on the command line, wins over them.
 */
const READ_ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  network: ["KITH_NETWORK"],
  "key-file": ["KITH_KEY_FILE", "KITH_NETWORK_KEY"],
  "invite-file": ["KITH_INVITE"],
};

/** Words for a switch in the environment. */
const SWITCHES: Readonly<Record<string, boolean>> = {
  "1": true,
  true: true,
  yes: true,
  "0": false,
  false: false,
  no: false,
};

/** Where settings come from, in place of this process's environment. */
export interface SettingsOptions {
  /** Reads an environment variable. @default the process's, as far as it may be read */
  env?: ReadEnv;
}

/**
 * What environment and configuration file say about a verb's options, the environment before the file, and what is said
 * about the verb before what is said about all.
 *
 * @throws {UsageError} for a setting that cannot be, which names where it is.
 * @throws {AuthError} `not-allowed` when others may change the file.
 */
export function settingsOf(
  verb: string,
  verbs: Verbs,
  options: Options,
  { env = readEnv }: SettingsOptions = {},
): Map<string, Setting> {
  const specs = Object.entries(settable(verbs[verb]?.options ?? {}));
  const path = knownPath(options);
  const entries = path === undefined ? [] : readConfig(path, verbs);
  const settings = new Map<string, Setting>();
  for (const [name, spec] of specs) {
    const setting = fromVariables(verb, name, spec, env) ??
      fromFile(verb, name, spec, entries, env);
    if (setting !== undefined) settings.set(name, setting);
  }
  return settings;
}

/** Where the configuration file is, or would be. */
export function configPath(options: Options): string {
  return `${options.text("home") ?? resolveHome()}/${CONFIG_FILE}`;
}

/** The variable that stands for an option, of a verb or of all. */
export function variableOf(name: string, verb?: string): string {
  const words = verb === undefined ? name : `${verb}-${name}`;
  return `KITH_${words.toUpperCase().replaceAll("-", "_")}`;
}

/** What the file holds: nothing when there is none. @throws as {@linkcode settingsOf} */
export function readConfig(path: string, verbs: Verbs): ConfigEntry[] {
  const text = readText(path);
  return text === undefined ? [] : parseConfig(text, path, verbs);
}

/** The path, where there is one and it may be read. Verbs that need the home say themselves what is in the way. */
function knownPath(options: Options): string | undefined {
  try {
    const path = configPath(options);
    const { state } = Deno.permissions.querySync({ name: "read", path });
    return state === "granted" ? path : undefined;
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

/** The text of the file; nothing when there is none. */
export function readText(path: string): string | undefined {
  const shown = printable(path, 400);
  try {
    const { size, mode } = Deno.statSync(path);
    if (size > MAX_CONFIG_BYTES) {
      throw new UsageError(`Cannot use ${shown}: ${size} bytes exceed ${MAX_CONFIG_BYTES}`);
    }
    if (Deno.build.os !== "windows" && ((mode ?? 0) & 0o022) !== 0) {
      throw new AuthError(
        "not-allowed",
        `Cannot use ${shown}: others may change it; run: chmod go-w ${shown}`,
      );
    }
    return Deno.readTextFileSync(path);
  } catch (error) {
    // NotCapable: where even a granted permission to read is not enough, as below /dev.
    const isAbsent = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.NotCapable;
    if (isAbsent) return undefined;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    const why = "permission denied; make it readable or name another folder with --home";
    throw new UnsupportedError(`Cannot read ${shown}: ${why}`, { cause: error });
  }
}

function fromFile(
  verb: string,
  name: string,
  spec: OptionSpec,
  entries: readonly ConfigEntry[],
  env: ReadEnv,
): Setting | undefined {
  if (READ_ELSEWHERE[name]?.some((variable) => env(variable) !== undefined)) return undefined;
  const settings = entries.filter((entry) => entry.name === name);
  const entry = settings.find((entry) => entry.verb === verb) ??
    (isShared(spec) ? settings.find((entry) => entry.verb === undefined) : undefined);
  return entry && { value: entry.value, from: `line ${entry.line} of ${CONFIG_FILE}` };
}

function fromVariables(
  verb: string,
  name: string,
  spec: OptionSpec,
  env: ReadEnv,
): Setting | undefined {
  return fromEnv(name, spec, env, verb) ?? (isShared(spec) ? fromEnv(name, spec, env) : undefined);
}

/** What the environment says about an option, of a verb or of all; nothing where that is read elsewhere. */
export function fromEnv(
  name: string,
  spec: OptionSpec,
  env: ReadEnv,
  verb?: string,
): Setting | undefined {
  const variable = variableOf(name, verb);
  const text = READ_ELSEWHERE[name]?.includes(variable) ? undefined : env(variable);
  return text === undefined ? undefined : { value: fromText(variable, spec, text), from: variable };
}

/** What a variable says; of an option that repeats it is a list with commas. */
function fromText(variable: string, spec: OptionSpec, text: string): Setting["value"] {
  if (spec.value !== undefined) {
    return checkedValue(variable, spec, spec.repeats ? text.split(",") : text);
  }
  const value = Object.hasOwn(SWITCHES, text) ? SWITCHES[text] : undefined;
  if (value !== undefined) return value;
  throw new UsageError(`Variable ${variable} must be 1 or 0: it is ${printable(text, 20)}`);
}
