/**
 * Child processes that are told what to do line by line and answer in JSON.
 *
 * The parent writes a line to the child's stdin and reads a line from its stdout. No child outlives the run.
 *
 * @module
 */

import { lines } from "./lines.ts";

/** Time for one answer: several times what the slowest takes on a busy machine. */
const ANSWER_MS = 120_000;
/** Time to end by itself before it is killed. */
const EXIT_MS = 5_000;

/** How to start a {@linkcode Child}. */
export interface ChildOptions {
  /** More flags for `deno run`. */
  flags?: readonly string[];
}

/** A running script. */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #answers: AsyncGenerator<string, void, void>;
  readonly #errors: Promise<string>;
  readonly #script: string;

  /** Runs a script of this project, given from its root folder, as this process was run. */
  constructor(script: string, args: readonly string[] = [], options: ChildOptions = {}) {
    const { flags = [] } = options;
    this.#script = script;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...dependencyFlags(), ...flags, fileOf(script), ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.#answers = lines(this.#process.stdout);
    this.#errors = new Response(this.#process.stderr).text();
    globalThis.addEventListener("unload", this.#kill);
  }

  /** Resolves when the child has ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#process.status;
  }

  /** Tells the child to do something and waits for the answer. */
  async ask(command: string): Promise<unknown> {
    await this.#stdin.write(new TextEncoder().encode(command + "\n"));
    return await this.answer();
  }

  /**
   * The next line the child prints, as the JSON it is.
   *
   * @throws {Error} with what the child wrote to stderr, when it ends or says nothing for {@linkcode ANSWER_MS}.
   */
  async answer(): Promise<unknown> {
    const kill = setTimeout(this.#kill, ANSWER_MS);
    try {
      const next = await this.#answers.next();
      if (!next.done) return JSON.parse(next.value);
      throw new Error(`Cannot measure: ${this.#script} gave no answer\n${await this.#errors}`);
    } finally {
      clearTimeout(kill);
    }
  }

  /** Ends the child. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close().catch(() => {}); // it may have ended already
    const kill = setTimeout(this.#kill, EXIT_MS);
    await this.#answers.return();
    await this.#errors;
    await this.#process.status;
    clearTimeout(kill);
    globalThis.removeEventListener("unload", this.#kill);
  }

  readonly #kill = (): void => {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a TypeError says that it has ended
    }
  };
}

/** Whether a file of this project is there. */
export async function projectHas(file: string): Promise<boolean> {
  return await Deno.stat(fileOf(file)).then((stat) => stat.isFile, () => false);
}

function fileOf(path: string): string {
  const { pathname } = new URL(`../${path}`, import.meta.url);
  return decodeURIComponent(pathname);
}

/**
 * Where children get their dependencies from: the import map that this run was started with, given as `--import-map` or
 * told from a package that only the map resolves to a file; otherwise wherever `deno.json` says.
 */
function dependencyFlags(): string[] {
  const given = Deno.args.find((arg) => arg.startsWith("--import-map="));
  if (given !== undefined) return [given];
  const isMapped = import.meta.resolve("@std/msgpack").startsWith("file:");
  return [isMapped ? `--import-map=${fileOf("npm/import_map.json")}` : "--node-modules-dir=none"];
}
