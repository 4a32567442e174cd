/**
 * A running peer of a home of its own, and command lines that it runs, within the test's own process.
 *
 * @module
 */

import { type Patience, runHosted } from "../../src/cli/control/control_client.ts";
import { type ControlParts, ControlServer } from "../../src/cli/control/control_server.ts";
import type { DoorOptions } from "../../src/cli/control/door.ts";
import { Options } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";
import type { Run, Verb, Verbs } from "../../src/cli/verb.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { Peer, type PeerOptions } from "../../src/peer.ts";
import { Home } from "../../src/state/home.ts";

/** What a command line came to. */
export interface Done {
  /** Its exit status, as far as it ended by itself. */
  readonly status?: number;
  /** Why it was not done, where it was not. */
  readonly apart?: string;
  /** What it printed, in order: `{"a":1}`, `! note`, `~ progress`. */
  readonly printed: readonly string[];
}

/** Keeps what is printed. */
export class KeptOutput extends Output {
  override readonly interactive: boolean = true;
  override readonly live: boolean = false; // also where tests run on a terminal
  readonly printed: string[] = [];

  override result(facts: Record<string, unknown>, text: string): void {
    this.printed.push(this.json ? JSON.stringify(facts) : text);
  }

  override note(text: string): void {
    this.printed.push(`! ${text}`);
  }

  override progress(text: string): void {
    this.printed.push(`~ ${text}`);
  }

  override bytes(bytes: Uint8Array): void {
    this.printed.push(bytes.toHex());
  }
}

/** See the module. */
export class RunningPeer implements AsyncDisposable {
  readonly peer: Peer;
  readonly home: Home;
  readonly verbs: Verbs;
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: ControlParts, stack: AsyncDisposableStack) {
    this.peer = parts.peer;
    this.home = parts.home;
    this.verbs = parts.verbs;
    this.#stack = stack;
  }

  /** Starts one. @param line Options of `kith up` that it was started with, as command lines see it. */
  static async start(
    { verbs = VERBS, line = [], door = {}, peer: options = {} }: {
      readonly verbs?: Verbs;
      readonly line?: readonly string[];
      readonly door?: DoorOptions;
      readonly peer?: PeerOptions;
    } = {},
  ): Promise<RunningPeer> {
    await using stack = new AsyncDisposableStack();
    const dir = await Deno.makeTempDir();
    stack.defer(() => Deno.remove(dir, { recursive: true }));
    const home = Home.open(dir);
    const peer = stack.use(
      await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false, ...options }),
    );
    const own = new Options(line, VERBS.up?.options ?? {});
    const parts = { peer, home, options: own, startedMs: 1_000, verbs };
    stack.use(await ControlServer.open(parts, door));
    return new RunningPeer(parts, stack.move());
  }

  /** Has it do what a command line says. @throws what that comes to. */
  async run(line: readonly string[], signal = new AbortController().signal): Promise<Done> {
    const output = new KeptOutput({ json: line.includes("--json"), level: "error" });
    const outcome = await this.runWith(line, output, signal);
    return { ...outcome, printed: output.printed };
  }

  /** The same, with another output. */
  async runWith(
    line: readonly string[],
    output: Output,
    signal: AbortSignal,
    patience: Patience = {},
  ) {
    const [name = "", ...rest] = line;
    const verb = this.verbs[name];
    if (verb === undefined) throw new TypeError(`There is no verb ${name}`);
    const home = rest.includes("--home") ? [] : [`--home=${this.home.dir}`];
    const options = new Options([...home, ...rest], verb.options);
    return await runHosted(name, verb, { options, output, signal }, patience);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A verb that a test makes. */
export function verbOf(run: Run, hosted: readonly string[] = []): Verb {
  const { ping } = VERBS;
  if (ping === undefined) throw new TypeError("There is no verb to begin with");
  return { ...ping, hosted, load: () => Promise.resolve({ run }) };
}
