/**
 * Makes the single binary, for one target or all, and a file of checksums beside them:
 *
 * ```console
 * $ deno task compile                                   # for this machine
 * $ deno task compile all                               # for all five
 * $ deno task compile aarch64-apple-darwin
 * ```
 *
 * The program is bundled first, a small file for each part that verbs load when they need it: one that is read whole, or
 * that is looked up module by module, starts three times as slowly. Deno downloads a base binary per target; `DENORT_BIN`
 * names one for this machine that is there already. `--import-map` is for machines that reach npm alone.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { HOME_ENV } from "../src/cli/permissions.ts";

/** Where binaries are made for. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
] as const;

/** What the binary may do: what its verbs need together, and no more. It starts no programs and loads no code. */
export const PERMISSIONS: readonly string[] = [
  "--allow-net",
  "--allow-read",
  "--allow-write",
  `--allow-env=${HOME_ENV}`,
  "--allow-sys=networkInterfaces,statfs",
  "--no-prompt",
];

async function main(args: readonly string[]): Promise<number> {
  const map = args.find((arg) => arg.startsWith("--import-map="));
  const out = args.find((arg) => arg.startsWith("--out="))?.slice("--out=".length) ?? "dist";
  const [name = Deno.build.target, ...more] = args.filter((arg) => !arg.startsWith("--"));
  const targets = name === "all" ? TARGETS : TARGETS.filter((target) => target === name);
  if (targets.length === 0 || more.length > 0) {
    say(`Give one target, or all: ${TARGETS.join(", ")}`);
    return 2;
  }
  const refusal = Deno.env.has("DENORT_BIN") ? refusalOf(targets) : undefined;
  if (refusal !== undefined) {
    say(refusal);
    return 2;
  }
  Deno.mkdirSync(out, { recursive: true });
  const bundled = Deno.makeTempDirSync();
  try {
    const program = await bundle(bundled, map);
    for (const target of targets) await compile(target, `${out}/${fileOf(target)}`, program);
    const sums = checksums(out);
    Deno.writeTextFileSync(`${out}/SHA256SUMS`, sums);
    say(sums.trimEnd());
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    say(error.message);
    return 1;
  } finally {
    removeIfEmpty(out);
    Deno.removeSync(bundled, { recursive: true });
  }
  return 0;
}

/** Why the base in `DENORT_BIN` does not do: it would become the binary of any target, whatever it was made for. */
export function refusalOf(targets: readonly string[]): string | undefined {
  const foreign = targets.filter((target) => target !== Deno.build.target);
  if (foreign.length === 0) return undefined;
  return `Cannot compile for ${foreign.join(", ")}: DENORT_BIN names a base for this machine, ` +
    `${Deno.build.target}. Without it the right one is downloaded`;
}

function removeIfEmpty(dir: string): void {
  if (Deno.readDirSync(dir)[Symbol.iterator]().next().done) Deno.removeSync(dir);
}

/** Puts the program into a few files. @returns the one that is run. */
async function bundle(dir: string, map: string | undefined): Promise<string> {
  const given = map === undefined ? [] : [map];
  const small = ["--minify", "--code-splitting", "--outdir", dir];
  await deno(["bundle", "--quiet", "--platform", "deno", ...small, ...given, "cli.ts"]);
  return `${dir}/cli.js`;
}

async function compile(target: string, file: string, program: string): Promise<void> {
  say(`${file} ...`);
  const embedded = ["--no-config", "--no-check", "--unstable-net", ...PERMISSIONS];
  await deno(["compile", "--quiet", "--target", target, "-o", file, ...embedded, program]);
  if (target === Deno.build.target) await startOnce(file);
}

/** A base binary of another version of Deno makes a program that does not find itself. */
async function startOnce(file: string): Promise<void> {
  const command = new Deno.Command(Deno.realPathSync(file), {
    args: ["version"],
    env: { NO_COLOR: "1" },
  });
  const { success, stderr } = await command.output();
  if (success) return;
  const said = new TextDecoder().decode(stderr).split("\n", 1)[0] ?? "";
  Deno.removeSync(file);
  throw new Failed(
    `The binary does not start: ${said}` +
      (Deno.env.has("DENORT_BIN")
        ? `\nThe base in DENORT_BIN has to be of Deno ${Deno.version.deno}, which compiles`
        : ""),
  );
}

/** What the binary for a target is called. */
export function fileOf(target: string): string {
  return `kith-${target}${target.includes("windows") ? ".exe" : ""}`;
}

/** Of every binary in a folder, also of those that were made before, as `sha256sum` prints and checks them. */
export function checksums(dir: string): string {
  const files = [...Deno.readDirSync(dir)].filter(({ isFile, name }) => {
    return isFile && name.startsWith("kith-");
  });
  return files.map(({ name }) => name).sort().map((name) => {
    const hash = createHash("sha256").update(Deno.readFileSync(`${dir}/${name}`)).digest("hex");
    return `${hash}  ${name}\n`;
  }).join("");
}

/** A step that has failed, and has said why. */
class Failed extends Error {}

async function deno(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args] }).output();
  const said = new TextDecoder().decode(stderr).trim();
  if (success) return void (said === "" || say(said));
  const host = /error sending request for url \(https:\/\/([^/]+)\//.exec(said)?.[1];
  if (host === undefined) throw new Failed(`${said}\ndeno ${args[0]} has failed`);
  if (args[0] === "bundle") {
    throw new Failed(`Cannot bundle: what it takes comes from ${host}, which cannot be reached`);
  }
  throw new Failed(
    `Cannot compile: the base binary comes from ${host}, which cannot be reached. ` +
      "DENORT_BIN=FILE names one that is here, of the same version of Deno",
  );
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
