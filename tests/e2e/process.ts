/**
 * The command line as real processes: started, listened to, interrupted, and never left behind.
 *
 * What goes on the network is held to the loopback address or to a network namespace of the test's own.
 *
 * @module
 */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { problemsOf } from "../../src/cli/results.ts";
import { VERBS } from "../../src/cli/verbs.ts";

/** The project's folder. */
export const PROJECT = fileURLToPath(new URL("../../", import.meta.url));

/** How long anything may take before the test fails: far more than it does, on a machine that is busy. */
const PATIENCE_MS = 20_000;

/** A home that cannot be: no test may touch the one of whoever runs it. */
export const HOME_OF_NOBODY = "/dev/null/no-home";

/** Verbs that send packets. */
const NETWORK_VERBS: readonly string[] = [
  "broadcast",
  "call",
  "dht",
  "discover",
  "doctor",
  "msg",
  "peers",
  "ping",
  "pub",
  "recv",
  "send",
  "sub",
  "up",
];

/** One line of `--json`. */
export type Event = Readonly<Record<string, unknown>>;

/** How a process ended, and all that it said. */
export interface Outcome {
  /** Exit status. */
  readonly code: number;
  /** Its results. */
  readonly stdout: string;
  /** What it told people. */
  readonly stderr: string;
  /** The lines of `stdout`, where they are JSON. */
  readonly events: readonly Event[];
}

/** How to start a process. */
export interface StartOptions {
  /** Its whole standard input. @default nothing */
  input?: string | Uint8Array<ArrayBuffer>;
  /** Permissions. @default ["-A"] */
  permissions?: readonly string[];
  /** What comes before `deno`, such as `ip netns exec NAME`. @default [] */
  within?: readonly string[];
  /** Working directory. @default the project */
  cwd?: string;
  /** Variables added to the environment. */
  env?: Readonly<Record<string, string>>;
}

/** Options of a verb that keep it on 127.0.0.1 and, by a random port, apart from every other test. */
export function loopback(): string[] {
  const port = 20_000 + Math.floor(Math.random() * 12_000); // below the ports that systems hand out
  return ["--host", "127.0.0.1", "--discovery-port", `${port}`];
}

/** Runs a command line to its end. */
export async function run(args: readonly string[], options: StartOptions = {}): Promise<Outcome> {
  await using kith = Kith.start(args, options);
  return await kith.ended();
}

/** A running command line; disposing kills it. */
export class Kith implements AsyncDisposable {
  readonly #args: readonly string[];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  #stdout = "";
  #stderr = "";
  #over = false;
  #wake: () => void = () => {};

  private constructor(args: readonly string[], child: Deno.ChildProcess, input: Uint8Array) {
    this.#args = args;
    this.#child = child;
    this.#reading = Promise.all([
      this.#read(child.stdout, (text) => this.#stdout += text),
      this.#read(child.stderr, (text) => this.#stderr += text),
      feed(child.stdin, input),
    ]).finally(() => {
      this.#over = true;
      this.#wake();
    });
  }

  /** Starts one. @throws {Error} when it could send a packet to a real network. */
  static start(args: readonly string[], options: StartOptions = {}): Kith {
    const { input = "", permissions = ["-A"], within = [], cwd = PROJECT, env = {} } = options;
    assertLocal(args, within);
    const line = [...within, Deno.execPath(), "run", "--no-prompt", ...permissions];
    const [program = "", ...rest] = [...line, ...importMap(), resolve(PROJECT, "cli.ts"), ...args];
    const child = new Deno.Command(program, {
      args: rest,
      cwd,
      env: { NO_COLOR: "1", KITH_HOME: HOME_OF_NOBODY, ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    return new Kith(args, child, bytes);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has printed so far, where that is JSON. */
  get events(): Event[] {
    return parseLines(this.#stdout.slice(0, this.#stdout.lastIndexOf("\n") + 1));
  }

  /** The first line of that event that fits. @throws {Error} when the process ends without it, or takes too long. */
  async event(name: string, fits: (event: Event) => boolean = () => true): Promise<Event> {
    return await this.#until(`event ${name}`, () => {
      return this.events.find((event) => event.event === name && fits(event));
    });
  }

  /** Waits for text on stdout or stderr. */
  async says(pattern: RegExp): Promise<string> {
    return await this.#until(String(pattern), () => {
      return pattern.exec(this.#stdout)?.[0] ?? pattern.exec(this.#stderr)?.[0];
    });
  }

  /** Sends a signal. */
  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  /** Waits for its end. */
  async ended(): Promise<Outcome> {
    await this.#until("end", () => this.#over || undefined);
    const { code } = await this.#child.status;
    const [stdout, stderr] = [this.#stdout, this.#stderr];
    return outcomeOf(this.#args, { code, stdout, stderr });
  }

  /** ^C, then waits for its end. */
  async interrupt(): Promise<Outcome> {
    this.signal("SIGINT");
    return await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await Promise.allSettled([this.#reading, this.#child.status]);
  }

  async #until<T>(what: string, look: () => T | undefined): Promise<T> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, PATIENCE_MS);
    try {
      for (;;) {
        const last = this.#over || late;
        const found = look();
        if (found !== undefined) return found;
        if (last) throw new Error(`No ${what} of kith ${this.#args.join(" ")}\n${this.#said()}`);
        await new Promise<void>((wake) => this.#wake = wake);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #said(): string {
    return `stdout: ${this.#stdout}\nstderr: ${this.#stderr}`;
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      take(text);
      this.#wake();
    }
  }
}

/** Waits for what no event tells of, such as a file that appears. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** @throws {Error} when a command line could send a packet to a real network. */
export function assertLocal(args: readonly string[], within: readonly string[] = []): void {
  const isLocal = args.includes("127.0.0.1") || within.includes("netns");
  if (NETWORK_VERBS.includes(args[0] ?? "") && !isLocal && !args.includes("--help")) {
    throw new Error(`Test would leave the machine: kith ${args.join(" ")}`);
  }
}

/** The option of `deno` that passes on the map of this test run, if it has one. */
export function importMap(): string[] {
  const path = Deno.env.get("KITH_IMPORT_MAP");
  return path === undefined ? [] : [`--import-map=${resolve(PROJECT, path)}`];
}

/** What came of a command line. @throws {Error} when a result of it is not as the table of results has it. */
export function outcomeOf(args: readonly string[], ended: Omit<Outcome, "events">): Outcome {
  const events = args.includes("--json") ? parseLines(ended.stdout) : [];
  for (const event of events) checkResult(args[0] ?? "", event);
  return { ...ended, events };
}

function parseLines(text: string): Event[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** Every result of every test is held against the table of results. */
function checkResult(verb: string, event: Event): void {
  const [problem] = problemsOf(VERBS[verb]?.prints ?? {}, event);
  if (problem !== undefined) {
    throw new Error(`Not as the table has it: kith ${verb}, ${problem}: ${JSON.stringify(event)}`);
  }
}

async function feed(stdin: WritableStream<Uint8Array>, input: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(input);
    await writer.close();
  } catch {
    // It ended without reading everything, which is its right.
  }
}
