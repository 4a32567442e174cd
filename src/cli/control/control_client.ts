/**
 * The command line's end: has the running peer of the same home run a verb, and prints what it prints.
 *
 * It loads little, so that an answer takes hardly longer than it takes to start.
 *
 * @module
 */

import { systemClock } from "../../clock.ts";
import { ClosedError, PeerError, TimeoutError } from "../../errors.ts";
import { layerLog, LOG_LAYERS, LOG_LEVELS } from "../../log.ts";
import { readEnv } from "../../secure/secret_file.ts";
import { resolveHome } from "../../state/home.ts";
import { VERSION } from "../../version.ts";
import type { Options } from "../options.ts";
import { readPaint, readTable } from "../live_table.ts";
import type { Output } from "../output.ts";
import { onToggle } from "../pause_signal.ts";
import type { Invocation, Verb } from "../verb.ts";
import type { ControlLine } from "./control_line.ts";
import { knock } from "./knock.ts";
import { lineOf } from "./line_of.ts";
import { badField, type ControlMessage, decodeFacts, readError, textOf } from "./messages.ts";
import { StdinPump } from "./stdin_pump.ts";

/** How it ended, or why it did not begin, empty where no peer is up: the verb then runs in this process. */
export type Outcome = { readonly status: number } | { readonly apart: string };

const TAKEN_MS = 5_000;
const CANCEL_MS = 2_000;

/** How long the running peer is waited for, in milliseconds. */
export interface Patience {
  /** Until it says what becomes of a command line, which it does at once. @default {5000} */
  readonly takenMs?: number;
  /** Until it ends what is interrupted. @default {2000} */
  readonly cancelMs?: number;
}

/**
 * Runs a verb in the running peer.
 *
 * @throws {TimeoutError} when that does not even take it. @throws what the verb throws there.
 */
export async function runHosted(
  name: string,
  verb: Verb,
  invocation: Invocation,
  { takenMs = TAKEN_MS, cancelMs = CANCEL_MS }: Patience = {},
): Promise<Outcome> {
  const { options, output, signal } = invocation;
  if (options.has("ephemeral")) return { apart: "--ephemeral is another peer" };
  if (options.has("no-daemon")) return { apart: "--no-daemon asks for another peer" };
  if ("invite-file" in verb.options && readEnv("KITH_INVITE")) {
    return { apart: "KITH_INVITE is shown by peers of their own" };
  }
  const cwd = workingFolder();
  if (cwd === undefined) return { apart: "the working directory is gone" };
  const home = options.text("home") ?? resolveHome();
  let line: ControlLine | undefined;
  try {
    line = await knock(home);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    output.log.warn("the running peer is not spoken to", { why: error.message });
    return { apart: error.message };
  }
  if (line === undefined) return { apart: "" };
  using closing = new DisposableStack();
  closing.use(line);
  line.send({
    type: "run",
    version: VERSION,
    verb: name,
    line: lineOf(options.given(), options.args),
    json: output.json,
    interactive: output.interactive,
    live: output.live,
    cwd,
    ...await networkOf(options),
  });
  const cancel = () => {
    line.send({ type: "cancel" });
    // Who does not even end what it does is not waited for.
    closing.use(after(cancelMs, line));
  };
  signal.addEventListener("abort", cancel, { once: true });
  closing.defer(() => signal.removeEventListener("abort", cancel));
  if (signal.aborted) cancel();
  return await relay(line, output, takenMs);
}

/** Closes the line so many milliseconds later, until disposed of. */
function after(ms: number, line: ControlLine): Disposable {
  const timer = systemClock.after(ms, () => line[Symbol.dispose]());
  return { [Symbol.dispose]: () => timer.cancel() };
}

function workingFolder(): string | undefined {
  try {
    return Deno.cwd();
  } catch {
    return undefined; // removed, or out of reach
  }
}

/** Prints what comes, until it ends. @throws what the verb throws. */
async function relay(line: ControlLine, output: Output, takenMs: number): Promise<Outcome> {
  using stack = new DisposableStack();
  const stdin = stack.use(new StdinPump(line));
  for (
    let message = await first(line, takenMs);
    message !== undefined;
    message = await line.receive()
  ) {
    switch (message.type) {
      case "taken":
        break;
      case "own":
        return { apart: textOf(message, "why") };
      case "end":
        return { status: Number(message.status) };
      case "error":
        throw readError(message);
      case "read":
        stdin.send();
        break;
      case "pausable":
        stack.use(onToggle(() => line.send({ type: "toggle" })));
        break;
      default:
        show(message, output);
    }
  }
  throw new ClosedError("The running peer is gone, which was to do it");
}

/** The first message, which says at once what becomes of it. @throws {TimeoutError} when none comes. */
async function first(line: ControlLine, takenMs: number): Promise<ControlMessage | undefined> {
  let isLate = false;
  const timer = systemClock.after(takenMs, () => {
    isLate = true;
    line[Symbol.dispose]();
  });
  try {
    const message = await line.receive();
    if (message !== undefined || !isLate) return message;
  } catch (error) {
    if (!isLate) throw error;
  } finally {
    timer.cancel();
  }
  throw new TimeoutError(
    `The running peer has said nothing for ${takenMs / 1_000} s: it is stopped, or busy; ` +
      "--no-daemon does without it",
  );
}

/** Prints a message. @throws {InvalidPacketError} `bad-message` when it is none that is printed. */
function show(message: ControlMessage, output: Output): void {
  switch (message.type) {
    case "result": {
      const facts = message.facts === undefined ? {} : decodeFacts(message, "facts");
      const text = message.text === undefined ? "" : textOf(message, "text");
      return output.result(facts, text, readPaint(message.paint));
    }
    case "note":
      return output.note(textOf(message, "text"), readPaint(message.paint));
    case "progress":
      return output.progress(textOf(message, "text"));
    case "table":
      return output.table(readTable(decodeFacts(message, "table")));
    case "bytes":
      return output.bytes(Uint8Array.fromBase64(textOf(message, "bytes")));
    case "log": {
      const level = LOG_LEVELS.find((known) => known === message.level) ?? "debug";
      const layer = LOG_LAYERS.find((known) => known === message.layer);
      const log = layer === undefined ? output.log : layerLog(output.log, layer);
      return log[level](textOf(message, "message"), decodeFacts(message, "fields"));
    }
  }
  throw badField("type");
}

/** The network that is asked for, if one is: whose keys are only looked at then. */
async function networkOf(options: Options): Promise<{ network?: readonly string[] }> {
  const isNamed = ["network", "key-file"].some((name) => options.text(name) !== undefined) ||
    ["KITH_NETWORK", "KITH_KEY_FILE", "KITH_NETWORK_KEY"].some((name) => readEnv(name));
  if (!isNamed) return {};
  const { networkIds } = await import("./own_or_hosted.ts");
  return { network: networkIds(options) };
}
