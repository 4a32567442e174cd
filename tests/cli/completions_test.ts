import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bashCompletions } from "../../src/cli/completions_bash.ts";
import { fishCompletions } from "../../src/cli/completions_fish.ts";
import { powershellCompletions } from "../../src/cli/completions_powershell.ts";
import { completedVerbs } from "../../src/cli/completions_table.ts";
import { zshCompletions } from "../../src/cli/completions_zsh.ts";
import { Options, UsageError } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";
import { run } from "../../src/cli/completions.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { Scratch } from "../e2e/scratch.ts";

const TABLE = completedVerbs(VERBS);

/** What is typed, and what a shell has to offer then: all of it, or some of more. */
const CASES: readonly (readonly [typed: readonly string[], offers: readonly string[]])[] = [
  [["kith", "bro"], ["broadcast"]],
  [["kith", "co"], ["completions", "config"]],
  [["kith", "help", "pi"], ["ping"]],
  [["kith", "up", "--acc"], ["--access"]],
  [["kith", "up", "--access", "p"], ["private", "public"]],
  [["kith", "up", "--status", "a"], ["all"]],
  [["kith", "dht", "--dialect", "k"], ["kademlia"]],
  [["kith", "up", "--name", ""], []],
  [["kith", "trust", ""], ["add", "ls", "rm"]],
  [["kith", "trust", "add", ""], []],
  [["kith", "completions", "f"], ["fish"]],
  [["kith", "send", "fi"], ["file one", "files/"]],
  [["kith", "send", "x", "fi"], ["file one", "files/"]],
  [["kith", "recv", "--dir", "fi"], ["files/"]],
  [["kith", "frob", ""], []],
];

/** Runs a program; nothing when it is not installed. */
async function output(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd })
    .output();
  const text = new TextDecoder().decode(stdout);
  assert(success, `${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

async function isInstalled(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A folder with a file and a folder to complete, and the script. */
async function prepared(script: string): Promise<Scratch> {
  const scratch = await Scratch.make();
  await scratch.write("file one");
  await scratch.write("files/in it");
  await scratch.write("kith.sh", script);
  return scratch;
}

/** Groups of lines, one for each case. */
function groups(text: string): string[][] {
  return text.split("===\n").slice(1).map((part) => part.split("\n").filter((line) => line !== ""));
}

async function shellTest(shell: string, fn: () => Promise<void>): Promise<void> {
  const ignore = !await isInstalled(shell);
  // deno-lint-ignore no-console -- who reads the results shall know
  if (ignore) console.log(`skipped, because ${shell} is not installed`);
  Deno.test({ name: `completions of ${shell} offer verbs, options, words and paths`, ignore, fn });
}

await shellTest("bash", async () => {
  await using scratch = await prepared(bashCompletions(TABLE));
  const asked = CASES.map(([words]) =>
    `echo ===; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); ` +
    `COMP_CWORD=${words.length - 1}; COMPREPLY=(); _kith; printf '%s\\n' "\${COMPREPLY[@]}"`
  );
  const script = ["source ./kith.sh", ...asked].join("\n");
  const offered = groups(await output("bash", ["--norc", "-c", script], scratch.dir));
  for (const [at, [words, offers]] of CASES.entries()) {
    // The folder's slash is put there when it is shown.
    const wanted = offers.map((offer) => offer.replace(/\/$/, ""));
    assertEquals(offered[at]?.toSorted(), wanted, words.join(" "));
  }
});

await shellTest("fish", async () => {
  await using scratch = await prepared(fishCompletions(TABLE));
  const asked = CASES.map(([words]) => `echo ===; complete -C '${words.join(" ")}'`);
  const script = ["source ./kith.sh", ...asked].join("\n");
  const offered = groups(await output("fish", ["--no-config", "-c", script], scratch.dir));
  for (const [at, [words, offers]] of CASES.entries()) {
    const found = offered[at]?.map((line) => line.split("\t", 1)[0]?.replaceAll("\\", ""));
    assertEquals(found?.toSorted(), [...offers], words.join(" "));
  }
});

await shellTest("zsh", async () => {
  await using scratch = await prepared(zshCompletions(TABLE));
  // Completing needs a terminal: zsh makes one itself, and what compadd is given is written down there.
  const inner = [
    "autoload -Uz compinit && compinit -u -D",
    "source ./kith.sh",
    "compadd() {",
    '  local -a found; builtin compadd -O found "$@"; print -rl -- $found >> offered',
    '  builtin compadd "$@"',
    "}",
    "next_case() { print -r -- '===' >> offered; BUFFER= }",
    "zle -N next_case; bindkey '^G' next_case",
    "print READY",
  ].join("\n");
  await scratch.write("inner.zsh", inner);
  const outer = [
    "zmodload zsh/zpty",
    "zpty z zsh -f -i",
    "zpty -w z 'source ./inner.zsh'",
    "zpty -r -m z line '*READY*'",
    ...CASES.map(([words]) => `zpty -w -n z $'${words.join(" ")}\\t\\x07'`),
    "zpty -w -n z $'exit\\n'",
    "while zpty -r z line; do :; done",
  ].join("\n");
  await output("zsh", ["-f", "-c", outer], scratch.dir);
  const text = await Deno.readTextFile(scratch.path("offered"));
  const offered = text.split("===\n").map((part) => part.split("\n"));
  for (const [at, [words, offers]] of CASES.entries()) {
    for (const offer of offers) {
      const wanted = offer.replace(/\/$/, "");
      assert(offered[at]?.includes(wanted), `${words.join(" ")}: ${offered[at]?.join()}`);
    }
  }
});

Deno.test("completions have every verb and every option, whatever the shell", () => {
  const scripts = [bashCompletions, zshCompletions, fishCompletions, powershellCompletions];
  for (const script of scripts.map((make) => make(TABLE))) {
    for (const [name, { options }] of Object.entries(VERBS)) {
      assertStringIncludes(script, name);
      for (const option of Object.keys(options)) assertStringIncludes(script, option);
    }
  }
});

Deno.test("completions of PowerShell are quoted, and have balanced brackets", () => {
  const script = powershellCompletions(TABLE);
  const code = script.replace(/'(?:[^']|'')*'/g, "").replace(/"[^"]*"/g, "").replace(/^#.*$/gm, "");
  for (const [open, close] of ["{}", "()", "[]"]) {
    assertEquals(code.split(open ?? "").length, code.split(close ?? "").length, `${open}${close}`);
  }
  assertStringIncludes(script, "'up --access' = @('public', 'private', 'invited')");
});

Deno.test("completions refuse a shell that they do not know, and say which one may be meant", () => {
  const output = new Output({ json: false, level: "error" });
  const { signal } = new AbortController();
  for (const [line, says] of [[[], "bash, zsh"], [["fihs"], "did you mean fish"]] as const) {
    const options = new Options([...line], VERBS.completions?.options ?? {});
    let message = "";
    try {
      run({ options, output, signal });
    } catch (error) {
      assert(error instanceof UsageError);
      message = error.message;
    }
    assertStringIncludes(message, says);
  }
});
