/**
 * The two processes of one child script: one receives, the other sends and does what it is told.
 *
 * @module
 */

import { Child } from "./child.ts";

/** What the two are told besides their roles, behind them and the port. */
export interface PairArgs {
  /** The receiver. @default {[]} */
  receive?: readonly string[];
  /** The sender. @default {[]} */
  send?: readonly string[];
  /** More flags for `deno run`, of both. @default {[]} */
  flags?: readonly string[];
}

/** A running pair. */
export class Pair implements AsyncDisposable {
  readonly #receiver: Child;
  readonly #sender: Child;

  private constructor(receiver: Child, sender: Child) {
    this.#receiver = receiver;
    this.#sender = sender;
  }

  /** Starts the receiver, which says on which port, then the sender, which is told that port. */
  static async start(script: string, args: PairArgs = {}): Promise<Pair> {
    const { receive = [], send = [], flags = [] } = args;
    const receiver = new Child(script, ["receive", ...receive], { flags });
    const { port } = await receiver.answer() as { port: number };
    return new Pair(receiver, new Child(script, ["send", String(port), ...send], { flags }));
  }

  /** Tells the sender to do something and waits for the outcome. */
  ask(command: string): Promise<unknown> {
    return this.#sender.ask(command);
  }

  /** Ends the sender, then the receiver. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender[Symbol.asyncDispose]();
    await this.#receiver[Symbol.asyncDispose]();
  }
}
