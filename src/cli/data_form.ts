/**
 * Data that a command line gives: text, JSON or bytes, in the line itself or on stdin.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { parseData } from "./call.ts";
import { readStdin } from "./stdin.ts";
import type { Invocation } from "./verbs.ts";

/** What data may be, by the word for it. */
const FORMS = ["text", "json", "bytes"] as const;

/** How much longer than a message JSON may be: a byte takes up to six characters, as `\u0000`, and there may be spaces. */
const JSON_FACTOR = 8;

/**
 * The data that words of the command line are, or stdin where they are `-`, in the form that `--as` says.
 *
 * @param maxBytes Most bytes that are read of stdin, of JSON eight times as many.
 * @throws {UsageError} for another form, and for what is no JSON.
 * @throws {InvalidPacketError} for more on stdin, and for what is no text there.
 */
export async function readData(
  words: readonly string[],
  invocation: Invocation,
  maxBytes: number,
): Promise<unknown> {
  const form = invocation.options.choice("as", FORMS) ?? "text";
  const text = words.join(" ");
  if (text !== "-") {
    if (form === "json") return parseData(text);
    return form === "bytes" ? new TextEncoder().encode(text) : text;
  }
  const bytes = await readStdin(invocation, form === "json" ? JSON_FACTOR * maxBytes : maxBytes);
  if (form === "json") return parseData(bytes);
  return form === "bytes" ? bytes : lineOf(bytes);
}

/** A text without the line break that ends every file of it. @throws {InvalidPacketError} when it is none. */
function lineOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch (cause) {
    const why = "it is not UTF-8; --as bytes takes it as it is";
    throw new InvalidPacketError("bad-message", `Cannot read stdin: ${why}`, { cause });
  }
}
