/**
 * A NATS server on loopback, where one is installed.
 *
 * @module
 */

import { projectHas } from "./child.ts";
import { lines } from "./lines.ts";
import { Unavailable } from "./question.ts";

const CLIENT = "bench/rivals/node_modules/nats/package.json";
/** Where it is: not every user's path has the folder that Debian puts it in. */
const PROGRAMS = ["nats-server", "/usr/sbin/nats-server"];
/** Time to say where it listens. */
const START_MS = 10_000;

/** A server on a port of its own, without anything on disk. */
export class NatsServer implements AsyncDisposable {
  /** Where it listens on 127.0.0.1. */
  readonly port: number;
  readonly #process: Deno.ChildProcess;
  readonly #logged: Promise<void>;

  private constructor(process: Deno.ChildProcess, port: number, logged: Promise<void>) {
    this.#process = process;
    this.port = port;
    this.#logged = logged;
    globalThis.addEventListener("unload", this.#kill);
  }

  /** Starts one. @throws {Unavailable} where the server or its client is not installed. */
  static async start(): Promise<NatsServer> {
    if (!await projectHas(CLIENT)) {
      throw new Unavailable("the NATS client is not installed (npm run bench:rivals)");
    }
    const process = spawn();
    const kill = setTimeout(() => process.kill("SIGKILL"), START_MS);
    const log = lines(process.stderr);
    try {
      return new NatsServer(process, await portIn(log), drain(log));
    } finally {
      clearTimeout(kill);
    }
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    globalThis.removeEventListener("unload", this.#kill);
    this.#kill();
    await this.#logged;
    await this.#process.status;
  }

  readonly #kill = (): void => {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a TypeError says that it has ended
    }
  };
}

function spawn(): Deno.ChildProcess {
  for (const program of PROGRAMS) {
    try {
      return new Deno.Command(program, {
        args: ["--addr", "127.0.0.1", "--port", "-1"],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Unavailable("nats-server is not installed (Debian's package has that name)");
}

async function portIn(log: AsyncGenerator<string, void, void>): Promise<number> {
  for (let line = await log.next(); !line.done; line = await log.next()) {
    const port = /client connections on 127\.0\.0\.1:(\d+)/.exec(line.value)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error("Cannot measure: nats-server did not start");
}

/** Reads on, for a server that cannot write its log ends. */
async function drain(log: AsyncGenerator<string, void, void>): Promise<void> {
  for await (const _ of log);
}
