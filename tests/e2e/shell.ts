/**
 * Command lines that share few processes, where it does not matter that each has its own: to start one takes more time
 * than most command lines do.
 *
 * @module
 */

import { resolve } from "node:path";
import {
  assertLocal,
  HOME_OF_NOBODY,
  importMap,
  type Outcome,
  outcomeOf,
  PROJECT,
} from "./process.ts";

/** How many command lines run side by side. */
const WIDTH = 2;

/** How long one may take before the test fails: far more than it does, on a machine that is busy. */
const PATIENCE_MS = 20_000;

/** Runs command lines that read nothing from stdin; disposing ends its processes. */
export class Shell implements AsyncDisposable {
  readonly #processes: ShellProcess[] = [];
  readonly #idle: ShellProcess[] = [];
  readonly #waiting: ((process: ShellProcess) => void)[] = [];

  /**
   * Runs a command line to its end.
   *
   * @throws {Error} when it could send a packet to a real network, takes too long, or ends its process.
   */
  async run(args: readonly string[]): Promise<Outcome> {
    assertLocal(args);
    const process = await this.#take();
    const outcome = await process.run(args);
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(process);
    else next(process);
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()));
  }

  #take(): ShellProcess | Promise<ShellProcess> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#processes.length === WIDTH) return new Promise((take) => this.#waiting.push(take));
    const process = new ShellProcess();
    this.#processes.push(process);
    return process;
  }
}

class ShellProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: AsyncGenerator<string, void>;
  readonly #stderr: AsyncGenerator<string, void>;

  constructor() {
    const script = resolve(PROJECT, "tests/e2e/shell_child.ts");
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "-A", ...importMap(), script],
      cwd: PROJECT,
      env: { NO_COLOR: "1", KITH_HOME: HOME_OF_NOBODY },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = piecesOf(this.#child.stdout);
    this.#stderr = piecesOf(this.#child.stderr);
  }

  async run(args: readonly string[]): Promise<Outcome> {
    const timer = setTimeout(() => this.#kill(), PATIENCE_MS);
    try {
      await this.#stdin.write(new TextEncoder().encode(`${JSON.stringify(args)}\n`));
      const pieces = [this.#stdout.next(), this.#stdout.next(), this.#stderr.next()];
      const [stdout, code, stderr] = await Promise.all(pieces);
      if (!stdout || stdout.done || !code || code.done || !stderr || stderr.done) {
        throw new Error(`No end of kith ${args.join(" ")}`);
      }
      const ended = { code: Number(code.value), stdout: stdout.value, stderr: stderr.value };
      return outcomeOf(args, ended);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.#stdin.abort().catch(() => {}); // it is closed already
    await Promise.all([this.#stdout.return(), this.#stderr.return(), this.#child.status]);
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** What stands before each zero. */
async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const pieces = (rest + text).split("\0");
    rest = pieces.pop() ?? "";
    yield* pieces;
  }
}
