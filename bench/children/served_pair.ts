/**
 * Two processes on loopback: one serves, the other is its client and does what it is told.
 *
 * ```
 * SCRIPT receive [PORT]   prints {"port"}, serves until stdin ends
 * SCRIPT send PORT        does what each line of stdin says, prints the outcome
 * ```
 *
 * What the two have opened ends with them.
 *
 * @module
 */

import { answer, answerCommands } from "./command_loop.ts";

/** Where everything listens. */
export const hostname = "127.0.0.1";

/** The two ends of one way to talk. */
export interface Ends<Client> {
  /**
   * Starts to serve. @returns the port for clients.
   *
   * @param port Of the server in between, where there is one.
   */
  serve(port: number): Promise<number> | number;
  /** Makes a client of that port. */
  connect(port: number): Promise<Client> | Client;
}

/** Is one of the two processes, as the arguments say. */
export async function runServedPair<Client>(
  ends: Ends<Client>,
  run: (client: Client, command: string) => Promise<unknown>,
): Promise<void> {
  const [role, port] = Deno.args;
  if (role === "receive") {
    answer({ port: await ends.serve(Number(port)) });
    await answerCommands(() => Promise.reject(new TypeError("A server takes no commands")));
  } else {
    const client = await ends.connect(Number(port));
    await answerCommands((command) => run(client, command));
  }
  Deno.exit();
}
