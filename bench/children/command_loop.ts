/**
 * The child's side of `child.ts`: does what each line of stdin says and prints the answer as JSON.
 *
 * @module
 */

import { lines } from "../lines.ts";

/** Prints an answer. */
export function answer(value: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(value) + "\n"));
}

/** Answers every line of stdin until it ends. */
export async function answerCommands(run: (command: string) => Promise<unknown>): Promise<void> {
  for await (const command of lines(Deno.stdin.readable)) answer(await run(command));
}
