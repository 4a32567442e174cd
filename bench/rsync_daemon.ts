/**
 * The `rsync` daemon on loopback, where rsync is installed.
 *
 * @module
 */

import { Unavailable } from "./question.ts";

const PROGRAM = "rsync";
const hostname = "127.0.0.1";
/** Time to listen. */
const START_MS = 10_000;
/** Between two looks whether it does. */
const LOOK_MS = 20;

/** A daemon that takes files into one folder, and gives them away, without encryption or passwords. */
export class RsyncDaemon implements AsyncDisposable {
  /** What it says about itself. */
  readonly version: string;
  readonly #process: Deno.ChildProcess;
  readonly #port: number;

  private constructor(process: Deno.ChildProcess, port: number, version: string) {
    this.#process = process;
    this.#port = port;
    this.version = version;
    globalThis.addEventListener("unload", this.#kill);
  }

  /**
   * Starts one for `folder`; its configuration and its log go next to that.
   *
   * @throws {Unavailable} where rsync is not installed.
   */
  static async start(folder: string): Promise<RsyncDaemon> {
    const version = await versionOf(PROGRAM);
    const port = freePort();
    const config = `${folder}.conf`;
    await Deno.writeTextFile(config, configOf(folder, port));
    const process = new Deno.Command(PROGRAM, {
      args: ["--daemon", "--no-detach", `--config=${config}`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const daemon = new RsyncDaemon(process, port, version);
    await listening(port);
    return daemon;
  }

  /** Copies a file or folder into its folder. @returns the seconds from the client's start to its end. */
  push(source: string): Promise<number> {
    return this.#copy(source, this.#url);
  }

  /**
   * Copies what is in its folder into another one.
   *
   * @param without A name that is left out.
   * @returns the seconds from the client's start to its end.
   */
  pull(target: string, without: string): Promise<number> {
    return this.#copy(`--exclude=${without}`, this.#url, target);
  }

  get #url(): string {
    return `rsync://${hostname}:${this.#port}/bench/`;
  }

  async #copy(...args: readonly string[]): Promise<number> {
    const startedAt = performance.now();
    const { success, stderr } = await new Deno.Command(PROGRAM, {
      args: ["--recursive", "--perms", "--times", "--whole-file", ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`Cannot measure: ${new TextDecoder().decode(stderr)}`);
    return (performance.now() - startedAt) / 1000;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    globalThis.removeEventListener("unload", this.#kill);
    this.#kill();
    await this.#process.status;
  }

  readonly #kill = (): void => {
    try {
      this.#process.kill("SIGTERM");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a TypeError says that it has ended
    }
  };
}

async function versionOf(program: string): Promise<string> {
  try {
    const { stdout } = await new Deno.Command(program, { args: ["--version"] }).output();
    const [, version] = /version\s+(\S+)/.exec(new TextDecoder().decode(stdout)) ?? [];
    return `${program} ${version}`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Unavailable(`${program} is not installed (Debian's package has that name)`);
  }
}

/** Who runs the benchmark owns the copies; only root may say so, and only root needs to. */
function configOf(folder: string, port: number): string {
  return [
    `address = ${hostname}`,
    `port = ${port}`,
    `log file = ${folder}.log`,
    "use chroot = no",
    `uid = ${Deno.uid()}`,
    `gid = ${Deno.gid()}`,
    "[bench]",
    `path = ${folder}`,
    "read only = no",
    "",
  ].join("\n");
}

/** A port that nobody has at the moment: the daemon takes any number but 0. */
function freePort(): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}

async function listening(port: number): Promise<void> {
  for (let left = START_MS; left > 0; left -= LOOK_MS) {
    try {
      using _conn = await Deno.connect({ hostname, port });
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
  throw new Error("Cannot measure: the rsync daemon did not start");
}
