/**
 * What a caller asks of a call besides its content: it travels in the body, under the reserved key `:`.
 *
 * | field     | means                                                                  | default |
 * |-----------|------------------------------------------------------------------------|---------|
 * | `timeout` | milliseconds until the caller gives up, 0 for never                    | 5000    |
 * | `credit`  | the answer may come in parts, this many before more credit is given    | none    |
 * | `trace`   | what it is a part of, a `traceparent` (see `trace.ts`)                 | none    |
 * | `token`   | over UDP: 16 bytes that prove the caller's address, zeros for none yet | none    |
 * | `pad`     | over UDP: bytes that mean nothing, which make room for a long answer   | none    |
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { formatTrace, parseTrace, type Trace } from "../trace.ts";
import type { MessageBody } from "../wire/message.ts";

/** How long a request waits for its answer unless told otherwise. */
export const REQUEST_TIMEOUT_MS = 5_000;

/** Most parts of an answer that may be on their way. */
export const MAX_CREDIT = 65_536;

const KEY = ":";

const NO_TERMS = {};

/** The terms of a call, and its body without them. */
export interface CallTerms {
  /** What the handler gets. */
  readonly body: MessageBody;
  /** When the caller gives up, in milliseconds from when it asked. */
  readonly timeoutMs: number;
  /** Parts that may be sent; `undefined` where the answer is to come whole. */
  readonly credit: number | undefined;
  /** What it is a part of, as the caller says; something malformed counts as nothing. */
  readonly trace: Trace | undefined;
}

/** Puts terms into a body; the default ones cost nothing. @throws {TypeError} when the body uses the reserved key. */
export function withTerms(
  body: MessageBody,
  timeoutMs: number,
  { credit, trace }: { readonly credit?: number; readonly trace?: Trace | undefined } = NO_TERMS,
): MessageBody {
  if (body[KEY] !== undefined) {
    throw new TypeError(`Cannot request: the body key "${KEY}" is reserved`);
  }
  const isUsual = timeoutMs === REQUEST_TIMEOUT_MS && credit === undefined;
  if (isUsual && trace === undefined) return body;
  if (!(timeoutMs >= 0)) {
    throw new RangeError(`timeoutMs must not be negative: current value is ${timeoutMs}`);
  }
  // Whole milliseconds, at least one: 0 stands for no end.
  const timeout = Number.isFinite(timeoutMs) ? Math.max(1, Math.ceil(timeoutMs)) : 0;
  const terms: MessageBody = { timeout };
  if (trace !== undefined) terms.trace = formatTrace(trace);
  if (credit !== undefined) terms.credit = credit;
  return { ...body, [KEY]: terms };
}

/** Puts one term more into a body that may have terms already. */
export function withTerm(body: MessageBody, name: "token" | "pad", bytes: Uint8Array): MessageBody {
  return { ...body, [KEY]: { ...(body[KEY] as MessageBody | undefined), [name]: bytes } };
}

/** The token in a body, of any length; `undefined` where there is none. Allocates nothing. */
export function tokenOf(body: MessageBody): Uint8Array | undefined {
  const terms = body[KEY];
  if (typeof terms !== "object" || terms === null) return undefined;
  const { token } = terms as MessageBody;
  return token instanceof Uint8Array ? token : undefined;
}

/** Takes the terms out of a body. @throws {InvalidPacketError} `bad-message` naming what is wrong. */
export function termsOf(body: MessageBody): CallTerms {
  const terms = body[KEY];
  if (terms === undefined) {
    return { body, timeoutMs: REQUEST_TIMEOUT_MS, credit: undefined, trace: undefined };
  }
  const { [KEY]: _, ...rest } = body;
  if (typeof terms !== "object" || terms === null) throw bad("it is not a map");
  const { timeout = REQUEST_TIMEOUT_MS, credit, trace } = terms as MessageBody;
  return {
    body: rest,
    timeoutMs: naturalOf("timeout", timeout, Number.MAX_SAFE_INTEGER) || Infinity,
    credit: credit === undefined ? undefined : naturalOf("credit", credit, MAX_CREDIT),
    trace: trace === undefined ? undefined : parseTrace(trace),
  };
}

function naturalOf(field: string, value: unknown, max: number): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= max) {
    return value;
  }
  throw bad(`${field} is not an integer 0..${max}`);
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read the terms of a call: ${why}`, {
    details: { field: KEY },
  });
}
