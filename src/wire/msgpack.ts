/**
 * MessagePack in one call each way, for when there is no connection whose encoder and decoder would do it cheaper.
 *
 * @module
 */

import { Decoder, type DecoderOptions } from "./decoder.ts";
import { Encoder } from "./encoder.ts";

/** How {@linkcode encode} writes. */
export interface EncodeOptions {
  /** Sort map keys by code point, so that equal values give equal bytes; for what is signed. @default {false} */
  canonical?: boolean;
}

/** How {@linkcode decode} reads. */
export interface DecodeOptions extends DecoderOptions {
  /** Ignore bytes after the value, as the originals do, instead of refusing them. @default {false} */
  allowTrailing?: boolean;
}

/** An encoder that has grown beyond this is not kept for the next call. */
const KEPT_BYTES = 64 * 1024;

const DEFAULTS: DecodeOptions = {};

// Decoding calls nobody back, so one is enough.
const shared = new Decoder();

// At most one of each kind waits for the next call. A call inside a call (a getter that encodes) makes its own.
const idle: { plain?: Encoder | undefined; canonical?: Encoder | undefined } = {};

/**
 * Encodes a value as MessagePack. See {@linkcode Encoder.value} for what is accepted.
 *
 * @example
 * ```ts
 * import { decode, encode } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(decode(encode({ b: [1, "x"], a: null })), { b: [1, "x"], a: null });
 * assertEquals(encode({ b: 1, a: 2 }, { canonical: true }), encode({ a: 2, b: 1 }));
 * ```
 *
 * @throws {TypeError} for what MessagePack has no form for.
 * @throws {RangeError} for integers beyond 64 bits and for nesting deeper than 64.
 */
export function encode(value: unknown, options: EncodeOptions = {}): Uint8Array<ArrayBuffer> {
  const kind = options.canonical ? "canonical" : "plain";
  const encoder = idle[kind] ?? new Encoder({ canonical: kind === "canonical" });
  idle[kind] = undefined;
  encoder.truncate(0);
  encoder.value(value);
  const bytes = encoder.take();
  if (encoder.bytes.length <= KEPT_BYTES) idle[kind] = encoder;
  return bytes;
}

/**
 * Decodes one MessagePack value; `bin` values are copies unless `borrow` is set.
 *
 * @example
 * ```ts
 * import { decode } from "@kith/kith/wire";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const bytes = new Uint8Array([0x81, 0xa1, 0x61, 0x01, 0xc0]); // {"a": 1}, and a nil behind it
 * assertEquals(decode(bytes, { allowTrailing: true }), { a: 1 });
 * assertThrows(() => decode(bytes), Error, "1 bytes after the value");
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` or `too-large`, with `details.offset`.
 */
export function decode(bytes: Uint8Array, options: DecodeOptions = DEFAULTS): unknown {
  const decoder = options === DEFAULTS ? shared : new Decoder(options);
  decoder.reset(bytes);
  const value = decoder.value();
  if (!options.allowTrailing) decoder.end();
  decoder.release();
  return value;
}
