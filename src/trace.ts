/**
 * What belongs together on several peers: one id for a request and all that it leads to.
 *
 * ```
 * 00 - trace id, 32 hexadecimal digits - span id, 16 hexadecimal digits - flags, 2 hexadecimal digits
 * ```
 *
 * The text is a `traceparent` of W3C Trace Context, so that what other programs trace can go on here and the other way
 * round. It comes from outside: one that is malformed counts as none, and all that is ever kept of it is its 55 characters.
 *
 * Source: W3C Recommendation "Trace Context", 3.2.
 *
 * @module
 */

/** What a step of something is known by. */
export interface Trace {
  /** What all steps share: 32 hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** This step: 16 hexadecimal digits, not all 0. */
  readonly spanId: string;
  /** Bit 0 says that somebody records it; 0..255. */
  readonly flags: number;
}

/** Characters of a traceparent. */
export const TRACEPARENT_CHARS = 55;

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/** Somebody records it. */
const SAMPLED = 1;

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * A new trace, with its first step.
 *
 * @example
 * ```ts
 * import { formatTrace, newTrace } from "@kith/kith";
 * import { assertMatch, assertNotEquals } from "@std/assert";
 *
 * const trace = newTrace();
 * assertMatch(formatTrace(trace), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
 * assertNotEquals(newTrace().traceId, trace.traceId);
 * ```
 */
export function newTrace(): Trace {
  return { traceId: randomHex(TRACE_ID_BYTES), spanId: randomHex(SPAN_ID_BYTES), flags: SAMPLED };
}

/** The next step of a trace. */
export function nextSpan(trace: Trace): Trace {
  return { ...trace, spanId: randomHex(SPAN_ID_BYTES) };
}

/**
 * The trace of something that names itself, the same wherever it is made of the same: nobody has to be told.
 *
 * @param digest A hash of it, 24 bytes or more.
 * @throws {RangeError} when it is shorter.
 */
export function traceOf(digest: Uint8Array): Trace {
  const bytes = TRACE_ID_BYTES + SPAN_ID_BYTES;
  if (digest.length < bytes) {
    throw new RangeError(`A digest must have ${bytes} bytes or more: it has ${digest.length}`);
  }
  const traceId = digest.subarray(0, TRACE_ID_BYTES).toHex();
  return { traceId, spanId: digest.subarray(TRACE_ID_BYTES, bytes).toHex(), flags: SAMPLED };
}

/**
 * A trace as a text.
 *
 * @example
 * ```ts
 * import { formatTrace, newTrace, parseTrace } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const trace = newTrace();
 * assertEquals(parseTrace(formatTrace(trace)), trace);
 * assertEquals(parseTrace("anything else"), undefined);
 * ```
 */
export function formatTrace({ traceId, spanId, flags }: Trace): string {
  return `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, "0")}`;
}

/**
 * The trace that a value from outside says; `undefined` for anything that is none.
 *
 * @example
 * ```ts
 * import { parseTrace } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const text = `00-${"a1".repeat(16)}-${"b2".repeat(8)}-01`;
 * assertEquals(parseTrace(text)?.spanId, "b2b2b2b2b2b2b2b2");
 * assertEquals(parseTrace(text.toUpperCase()), undefined);
 * ```
 */
export function parseTrace(value: unknown): Trace | undefined {
  if (typeof value !== "string" || value.length !== TRACEPARENT_CHARS) return undefined;
  const [, traceId, spanId, flags] = TRACEPARENT.exec(value) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) };
}

// Never all 0 in practice: the chance is one in 2^64.
function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
