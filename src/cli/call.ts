/**
 * `kith call`
 *
 * @module
 */

import { InvalidPacketError, PeerError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import { newTrace, type Trace } from "../trace.ts";
import { MAX_FRAME_BYTES } from "../wire/frame.ts";
import { decodeJson } from "../wire/json.ts";
import { openCallee } from "./caller.ts";
import { levelOf, parseLogLevels } from "./log_levels.ts";
import { fromNotation, toNotation } from "./notation.ts";
import { requestOptions } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { readStdin } from "./stdin.ts";
import type { Invocation } from "./verbs.ts";

/** Longest JSON that is read: bytes are twice as long in it as in a message. */
const MAX_INPUT_BYTES = 2 * MAX_FRAME_BYTES;

/** Calls one endpoint and prints the answer. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const [target, name, text, ...more] = options.args;
  if (!target || !name || more.length > 0) {
    throw new UsageError("PEER and ENDPOINT are wanted, and perhaps JSON");
  }
  if (name.startsWith(":")) throw new UsageError('No endpoint begins with ":"');
  const data = text === undefined
    ? undefined
    : parseData(text === "-" ? await readStdin(invocation, MAX_INPUT_BYTES) : text);
  await using callee = await openCallee(invocation, target);
  const asking = { ...requestOptions(options, signal), ...tracing(invocation, name) };
  if (!options.has("stream")) return print({}, await callee.call(name, data, asking), output);
  for await (const part of callee.stream(name, data, asking)) {
    print({ event: "item" }, part, output);
  }
}

/** The running peer logs elsewhere, and not for us: where we look, the trace begins here and is told of here. */
function tracing({ options, output, host }: Invocation, header: string): { trace?: Trace } {
  if (host === undefined) return {};
  if (levelOf(parseLogLevels(options.texts("log")), "endpoint") !== "debug") return {};
  const trace = newTrace();
  layerLog(output.log, "endpoint").debug("asked", { header, trace: trace.traceId });
  return { trace };
}

/** What an endpoint is given. @throws {UsageError} when it is not JSON. */
export function parseData(json: string | Uint8Array): unknown {
  try {
    const data = decodeJson(json, { maxBytes: MAX_INPUT_BYTES, what: "data as JSON" });
    return fromNotation(mayLoseDigits(json) ? exactly(json) : data);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    throw new UsageError(error.message);
  }
}

function mayLoseDigits(json: string | Uint8Array): boolean {
  return /\d{16}|\d[eE]\+?\d{3}/.test(textOf(json));
}

/** The same JSON, with the integers that JavaScript's numbers cannot hold. @throws {UsageError} when they are too large. */
function exactly(json: string | Uint8Array): unknown {
  const revive = (_: string, value: unknown, { source = "" }: { source?: string } = {}) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    if (!Number.isFinite(value)) {
      throw new UsageError(`The number ${printable(source, 40)} is too large`);
    }
    if (!/^-?\d+$/.test(source)) return value;
    const exact = BigInt(source);
    if (exact >= -(2n ** 63n) && exact < 2n ** 64n) return exact;
    throw new UsageError(`The integer ${printable(source, 40)} needs more than 64 bits`);
  };
  return JSON.parse(textOf(json), revive);
}

function textOf(json: string | Uint8Array): string {
  return typeof json === "string" ? json : new TextDecoder().decode(json);
}

/** Text for people: a string as it is, anything else as JSON, and nothing that a terminal obeys but lines and tabs. */
export function readable(shown: unknown): string {
  const text = typeof shown === "string" ? shown : JSON.stringify(shown, null, 2);
  return text.replace(/[^\n\t]+/g, (part) => printable(part, Infinity));
}

function print(event: Record<string, unknown>, value: unknown, output: Output): void {
  const result = toNotation(value === undefined ? null : value);
  try {
    output.result({ ...event, result }, readable(result));
  } catch (cause) {
    // Nested too deeply for JSON: that is the other side's doing, and no mistake on the command line.
    if (!(cause instanceof RangeError)) throw cause;
    throw new InvalidPacketError("too-large", `Cannot print the answer: ${cause.message}`, {
      cause,
    });
  }
}
