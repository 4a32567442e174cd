/**
 * `kith config`: what stands for options when the command line does not have them.
 *
 * A flag wins over the environment, and that over the file. Whoever reads a setting here is told where it comes from;
 * what is set goes into the file.
 *
 * @module
 */

import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { readEnv } from "../secure/secret_file.ts";
import { Home } from "../state/home.ts";
import {
  checkedSetting,
  CONFIG_FILE,
  findSetting,
  settable,
  settingName,
  SHARED_SETTINGS,
} from "./config_file.ts";
import { configPath, fromEnv, readConfig, readText } from "./config_settings.ts";
import { type OptionSpec, type Setting, type SettingValue, UsageError } from "./options.ts";
import { type Invocation, VERBS } from "./verbs.ts";

/** Shows settings, or changes one. */
export function run(invocation: Invocation): Promise<void> {
  const { options: { args: [action, name, ...values] } } = invocation;
  if (action === "path" && name === undefined) showPath(invocation);
  else if (action === "list" && name === undefined) list(invocation);
  else if (action === "get" && name !== undefined && values.length === 0) get(name, invocation);
  else if (action === "set" && name !== undefined && values.length > 0) {
    set(name, values, invocation);
  } else if (action === "unset" && name !== undefined && values.length === 0) {
    unset(name, invocation);
  } else {throw new UsageError(
      "One of list, path, get NAME, set NAME VALUE and unset NAME is wanted",
    );}
  return Promise.resolve();
}

function showPath({ options, output }: Invocation): void {
  const path = configPath(options);
  output.result({ path }, printable(path, Infinity));
}

function list(invocation: Invocation): void {
  const settings = allSettings(invocation);
  const width = Math.max(0, ...settings.map(([name]) => name.length));
  for (const [name, setting] of settings) show(name, setting, invocation, width);
  const path = printable(configPath(invocation.options), 400);
  if (settings.length === 0) {
    invocation.output.note(`Nothing is set, neither in ${path} nor by a variable`);
  }
}

function get(name: string, invocation: Invocation): void {
  findSetting(name, VERBS);
  const [, setting] = allSettings(invocation).find(([key]) => key === name) ?? [];
  if (setting !== undefined) return show(name, setting, invocation, name.length);
  throw new NotFoundError("no-key", `Setting "${name}" is not set: kith config set ${name} VALUE`);
}

/** What is in effect, in the order of the table: each setting, and what it is where it wins. */
function allSettings({ options }: Invocation): (readonly [name: string, setting: Setting])[] {
  const entries = readConfig(configPath(options), VERBS);
  const known = [
    ...Object.entries(SHARED_SETTINGS).map(([name, spec]) => ({ name, spec, verb: undefined })),
    ...Object.entries(VERBS).flatMap(([verb, { options }]) =>
      Object.entries(settable(options)).map(([name, spec]) => ({ name, spec, verb }))
    ),
  ];
  return known.flatMap(({ name, spec, verb }) => {
    const entry = entries.find((entry) => entry.verb === verb && entry.name === name);
    const setting = fromEnv(name, spec, readEnv, verb) ??
      (entry && { value: entry.value, from: `line ${entry.line} of ${CONFIG_FILE}` });
    const full = settingName(verb === undefined ? { name } : { verb, name });
    return setting === undefined ? [] : [[full, setting] as const];
  });
}

function show(name: string, { value, from }: Setting, { output }: Invocation, width: number): void {
  const text = printable(Array.isArray(value) ? value.join(" ") : String(value), 400);
  output.result({ name, value, from }, `${name.padEnd(width)}  ${text}  (${from})`);
}

function set(name: string, texts: readonly string[], invocation: Invocation): void {
  const { spec, ...place } = findSetting(name, VERBS);
  const value = checkedSetting(name, spec, valueOf(name, spec, texts));
  change(invocation, (settings) => {
    if (place.verb === undefined) return { ...settings, [place.name]: value };
    return { ...settings, [place.verb]: { ...innerOf(settings, place.verb), [place.name]: value } };
  }, { name, value });
}

function unset(name: string, invocation: Invocation): void {
  const { verb, name: option } = findSetting(name, VERBS);
  change(invocation, (settings) => {
    const from = verb === undefined ? settings : innerOf(settings, verb);
    if (!Object.hasOwn(from, option)) {
      throw new NotFoundError("no-key", `Setting "${name}" is not in the file`);
    }
    const { [option]: _gone, ...rest } = from;
    return verb === undefined ? rest : { ...settings, [verb]: rest };
  }, { name, value: null });
}

type Settings = Readonly<Record<string, unknown>>;

/** Writes the file anew; what is in it has to be right, so that nothing of it is lost. */
function change(
  { options, output }: Invocation,
  make: (settings: Settings) => Settings,
  facts: { name: string; value: SettingValue | null },
): void {
  const path = configPath(options);
  readConfig(path, VERBS);
  const settings = make(JSON.parse(readText(path) ?? "{}"));
  const home = Home.open(path.slice(0, -CONFIG_FILE.length - 1), { log: output.log });
  home.writeAtomic(CONFIG_FILE, new TextEncoder().encode(JSON.stringify(settings, null, 2) + "\n"));
  const done = facts.value === null ? "is no longer set" : "is set";
  output.result({ ...facts, path }, `${facts.name} ${done} in ${printable(path, 400)}`);
}

function innerOf(settings: Settings, verb: string): Settings {
  const inner = settings[verb];
  return typeof inner === "object" && inner !== null ? { ...inner } : {};
}

function valueOf(name: string, spec: OptionSpec, texts: readonly string[]): unknown {
  if (spec.repeats) return texts;
  const [text, ...more] = texts;
  if (more.length > 0) throw new UsageError(`"${name}" has one value`);
  return spec.value === undefined && /^(true|false)$/.test(text ?? "") ? text === "true" : text;
}
