/**
 * What a command line and the running peer say to each other, a line of JSON each.
 *
 * ```
 * command line                        running peer
 *   run: verb, line, ...       ->
 *                              <-     own: it is not for me          (the command line opens a peer of its own)
 *                              <-     taken                          (it runs)
 *                              <-     result, note, progress, log, table  (what the verb prints, as it prints it)
 *                              <-     read                           (what stands on stdin is wanted)
 *   input: bytes, or the end   ->
 *                              <-     pausable                       (a signal may stop it for a while)
 *   toggle, cancel             ->
 *                              <-     end: status, or error: code, message
 * ```
 *
 * A connection is for one verb. The verb itself runs in the running peer: its output is the same either way.
 *
 * @module
 */

import { InvalidPacketError, NotFoundError, PeerError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { decodeJson, encodeJson } from "../../wire/json.ts";
import { UsageError } from "../options.ts";

/** Longest line that a command line takes: the largest message that peers send, with its bytes as hexadecimal digits. */
export const MAX_ANSWER_BYTES: number = 64 * 1024 * 1024;

/** Codes of {@linkcode NotFoundError}, after which a command line says more. */
const NOT_FOUND = ["no-peer", "no-endpoint", "no-key", "no-path"] as const;

/** A message: what it is, and more. */
export interface ControlMessage {
  /** What it is. */
  readonly type: string;
  /** The rest, which has to be looked at first. */
  readonly [field: string]: unknown;
}

/** What a verb is run with. */
export interface RunMessage extends ControlMessage {
  /** It is a verb. */
  readonly type: "run";
  /** The version of kith that asks: another one's options may mean something else. */
  readonly version: string;
  /** Its name. */
  readonly verb: string;
  /** Its options and arguments. */
  readonly line: readonly string[];
  /** Whether results are wanted as JSON. */
  readonly json: boolean;
  /** Whether progress can be shown. */
  readonly interactive: boolean;
  /** Whether a table can be shown that changes in its place. */
  readonly live?: boolean;
  /** Where relative paths begin. */
  readonly cwd: string;
  /** Ids of the keys of the network that was asked for; absent where none was, which means the running peer's. */
  readonly network?: readonly string[];
}

/** Reads the first message. @throws {InvalidPacketError} `bad-message` naming the field that is wrong. */
export function readRun(message: ControlMessage): RunMessage {
  const isRight = (field: string, is: boolean) => {
    if (!is) throw badField(field);
  };
  isRight("type", message.type === "run");
  for (const field of ["version", "verb", "cwd"]) {
    isRight(field, typeof message[field] === "string");
  }
  for (const field of ["json", "interactive"]) {
    isRight(field, typeof message[field] === "boolean");
  }
  isRight("live", message.live === undefined || typeof message.live === "boolean");
  isRight("line", isTexts(message.line));
  isRight("network", message.network === undefined || isTexts(message.network));
  return message as RunMessage; // each field was looked at
}

/** A text of a message. @throws {InvalidPacketError} `bad-message` when it has none. */
export function textOf(message: ControlMessage, field: string): string {
  const value = message[field];
  if (typeof value === "string") return value;
  throw badField(field);
}

/** An error, as a message. What caused it is for the advice that a command line gives, which goes by what it says. */
export function describeError(error: unknown): ControlMessage {
  const message = textOfError(error);
  const caused = error instanceof Error && error.cause !== undefined
    ? { cause: textOfError(error.cause) }
    : {};
  if (error instanceof PeerError) {
    const { code, details } = error;
    return { type: "error", kind: "peer", code, message, details: encodeFacts(details), ...caused };
  }
  const kind = error instanceof UsageError
    ? "usage"
    : error instanceof TypeError || error instanceof RangeError
    ? "argument"
    : "fault";
  return { type: "error", kind, message, ...caused };
}

/** The error that a message is. */
export function readError(message: ControlMessage): Error {
  const { kind, code, cause } = message;
  const text = textOf(message, "message");
  const options = typeof cause === "string" ? { cause: new Error(cause) } : {};
  if (kind === "usage") return new UsageError(text);
  if (kind === "argument") return new TypeError(text, options);
  if (kind !== "peer") return new Error(text, options);
  const details = decodeFacts(message, "details");
  const missing = NOT_FOUND.find((known) => known === code);
  if (missing !== undefined) return new NotFoundError(missing, text, { ...options, details });
  return new PeerError(String(code), text, { ...options, details });
}

/** Facts as JSON, as far as that has a form for them. They may be a stranger's: what is too much is left out. */
export function encodeFacts(facts: Readonly<Record<string, unknown>>): string {
  const shown = (_: string, value: unknown) => {
    if (value instanceof Error) return value.message;
    if (typeof value === "number" && !Number.isFinite(value)) return null;
    return typeof value === "bigint" || typeof value === "symbol" || typeof value === "function"
      ? String(value)
      : value;
  };
  try {
    return encodeJson(JSON.parse(JSON.stringify(facts, shown)));
  } catch {
    return "{}"; // nested too deeply, or in a circle
  }
}

/** Facts that a message has as JSON. @throws {InvalidPacketError} when it has none. */
export function decodeFacts(message: ControlMessage, field: string): Record<string, unknown> {
  return Object(decodeJson(textOf(message, field), { maxBytes: MAX_ANSWER_BYTES }));
}

/** The error for a message with a field that is wrong. */
export function badField(field: string): InvalidPacketError {
  const shown = printable(field, 40);
  return new InvalidPacketError("bad-message", `Cannot read control message: bad ${shown}`, {
    details: { field: shown },
  });
}

function textOfError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
