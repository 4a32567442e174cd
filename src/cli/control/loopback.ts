/**
 * The door of a home where there are no unix sockets: a port on the loopback address, and a file for the user alone that
 * says which, and holds what opens it.
 *
 * @module
 */

import { systemClock } from "../../clock.ts";
import type { Logger } from "../../log.ts";
import { readSecretFile } from "../../secure/secret_file.ts";
import { type Home, removeIfThere } from "../../state/home.ts";
import { connectTcp, listenTcp } from "../../transport/tcp.ts";
import type { Listener } from "../../transport/transport.ts";
import { decodeJson } from "../../wire/json.ts";
import { ControlLine } from "./control_line.ts";
import { MAX_ANSWER_BYTES } from "./messages.ts";
import { demandProof, newSecret, proveToPeer } from "./proof.ts";

/** How long the running peer may take to prove that it is the one, in milliseconds: it does so at once. */
const PROOF_MS = 2_000;

/** The file of the home: its port and its token. */
const LOOPBACK_FILE = "control.json";

/** Listens, until the stack is disposed of. @returns also what has a command line prove itself. */
export async function listenOnLoopback(
  home: Home,
  logger: Logger,
  stack: DisposableStack,
): Promise<[Listener, (line: ControlLine) => Promise<void>]> {
  const listener = await listenTcp({ hostname: "127.0.0.1", logger });
  stack.defer(() => listener.close());
  const token = newSecret();
  const text = JSON.stringify({ port: listener.address.port, token });
  stack.defer(() => removeIfThere(home.path(LOOPBACK_FILE)));
  home.writeAtomic(LOOPBACK_FILE, new TextEncoder().encode(text));
  return [listener, (line) => demandProof(line, token)];
}

/**
 * Connects, and makes sure that it is the running peer: after that is gone anybody may listen there.
 *
 * @throws {AuthError} when it is not, or others can read the file. @throws {Deno.errors.NotFound} when there is no file.
 */
export async function knockOnLoopback(
  home: string,
  proofMs = PROOF_MS,
): Promise<ControlLine | undefined> {
  const path = `${home}/${LOOPBACK_FILE}`;
  Deno.lstatSync(path);
  const { port, token } = Object(decodeJson(readSecretFile(path, "control file")));
  if (!Number.isInteger(port) || typeof token !== "string") return undefined;
  const connection = await connectTcp({ hostname: "127.0.0.1", port });
  const line = new ControlLine(connection, MAX_ANSWER_BYTES);
  let isSilent = false;
  const timer = systemClock.after(proofMs, () => {
    isSilent = true;
    line[Symbol.dispose]();
  });
  try {
    await proveToPeer(line, token);
    return line;
  } catch (error) {
    line[Symbol.dispose]();
    if (isSilent) return undefined; // another program that has the port by now
    throw error;
  } finally {
    timer.cancel();
  }
}
