/**
 * Several messages in one WebSocket message, and compressed ones, where both sides have said that they can:
 *
 * ```
 * text     {message}                          what everybody reads
 * text     [{message},{message},...]          with the capability "batch"
 * binary   01 | deflated text of either       with the capability "deflate" (RFC 1951)
 * ```
 *
 * However small it comes, nothing inflates to more than the limit: the inflater stops there.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { InvalidPacketError } from "../errors.ts";
import { decodeJson, MAX_JSON_BYTES } from "../wire/json.ts";
import type { Capability } from "./protocol.ts";

/** First byte of a binary message that holds deflated text; the others are for contents of files. */
export const DEFLATED = 1;

/** Most messages of a batch. */
export const MAX_BATCH_MESSAGES = 1_000;

/** Shorter texts are sent as they are: what deflating saves is less than what it costs. */
const MIN_DEFLATED_BYTES = 1_024;

const WHAT = "sync frame";

/** What was agreed on, and how large a frame may be. */
export interface FrameOptions {
  /** What both sides can do. @default {[]} */
  readonly capabilities?: readonly Capability[];
  /** Largest text of a frame in bytes of UTF-8, inflated. @default {MAX_JSON_BYTES} */
  readonly maxBytes?: number;
}

/**
 * Puts encoded messages into as few frames as was agreed on, in their order.
 *
 * A message that is larger than `maxBytes` gets a frame of its own: the other side will say that it is too large.
 *
 * @example
 * ```ts
 * import { packMessages } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const texts = ['{"n":1}', '{"n":2}'];
 * assertEquals(packMessages(texts), texts);
 * assertEquals(packMessages(texts, { capabilities: ["batch"] }), ['[{"n":1},{"n":2}]']);
 * ```
 */
export function packMessages(
  texts: readonly string[],
  options: FrameOptions = {},
): (string | Uint8Array<ArrayBuffer>)[] {
  const { capabilities = [], maxBytes = MAX_JSON_BYTES } = options;
  const frames = capabilities.includes("batch") ? batchesOf(texts, maxBytes) : texts;
  return capabilities.includes("deflate") ? frames.map(deflated) : [...frames];
}

/**
 * The messages of a frame, decoded but not looked at: see `readMessage`.
 *
 * @example
 * ```ts
 * import { packMessages, unpackMessages } from "@kith/kith/sync";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const agreed = { capabilities: ["batch", "deflate"] } as const;
 * const text = JSON.stringify({ text: "so ".repeat(1_000) });
 * const [frame = ""] = packMessages([text, text], agreed); // less than 100 bytes
 * assertEquals(unpackMessages(frame, agreed).map((value) => JSON.stringify(value)), [text, text]);
 * assertThrows(() => unpackMessages(frame), Error, "binary messages were not agreed on");
 * ```
 *
 * @throws {InvalidPacketError} `too-large` naming the limit, `bad-message` for what was not agreed on or is no JSON.
 */
export function unpackMessages(frame: string | Uint8Array, options: FrameOptions = {}): unknown[] {
  const { capabilities = [], maxBytes = MAX_JSON_BYTES } = options;
  const text = typeof frame === "string" ? frame : inflated(frame, capabilities, maxBytes);
  const details = { errorCode: "INVALID_JSON" };
  const value = decodeJson(text, { maxBytes, what: WHAT, details });
  if (!Array.isArray(value)) return [value];
  if (!capabilities.includes("batch")) throw invalid("batches were not agreed on");
  if (value.length <= MAX_BATCH_MESSAGES) return value;
  throw tooLarge("maxBatchMessages", MAX_BATCH_MESSAGES);
}

function batchesOf(texts: readonly string[], maxBytes: number): string[] {
  const frames: string[] = [];
  let batch: string[] = [];
  let bytes = 0;
  const end = () => {
    if (batch.length > 0) frames.push(batch.length === 1 ? batch.join() : `[${batch.join()}]`);
    batch = [];
    bytes = 0;
  };
  for (const text of texts) {
    const more = Buffer.byteLength(text) + 1; // with the comma or a bracket
    if (bytes + more >= maxBytes || batch.length === MAX_BATCH_MESSAGES) end();
    batch.push(text);
    bytes += more;
  }
  end();
  return frames;
}

function deflated(text: string): string | Uint8Array<ArrayBuffer> {
  if (text.length < MIN_DEFLATED_BYTES) return text;
  const bytes = deflateRawSync(text);
  if (bytes.length >= text.length) return text;
  const frame = new Uint8Array(1 + bytes.length);
  frame[0] = DEFLATED;
  frame.set(bytes, 1);
  return frame;
}

function inflated(
  frame: Uint8Array,
  capabilities: readonly Capability[],
  maxBytes: number,
): Uint8Array {
  if (!capabilities.includes("deflate")) throw invalid("binary messages were not agreed on");
  if (frame[0] !== DEFLATED) throw invalid("it begins with no code that is known");
  if (frame.length > maxBytes) throw tooLarge("maxBytes", maxBytes);
  try {
    return inflateRawSync(frame.subarray(1), { maxOutputLength: maxBytes });
  } catch (cause) {
    const isTooLarge = cause instanceof Error && "code" in cause &&
      cause.code === "ERR_BUFFER_TOO_LARGE";
    throw isTooLarge ? tooLarge("maxBytes", maxBytes) : invalid("it is not deflated data", cause);
  }
}

function invalid(why: string, cause?: unknown): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode ${WHAT}: ${why}`, { cause });
}

function tooLarge(limit: string, max: number): InvalidPacketError {
  return new InvalidPacketError("too-large", `Cannot decode ${WHAT}: it exceeds ${limit} ${max}`, {
    details: { limit, max },
  });
}
