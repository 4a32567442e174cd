/**
 * JSON as text on a wire, one value per line: witch-core's requests and answers, and `--json` output.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import {
  decodeJson,
  encodeJson,
  type EncodeJsonOptions,
  MAX_JSON_BYTES,
  tooLarge,
} from "./json.ts";

/** How a {@linkcode LineReader} reads. */
export interface LineReaderOptions {
  /** Longest line in bytes, without its LF. @default {MAX_JSON_BYTES} */
  maxLineBytes?: number;
}

const LF = 0x0a;
// A drained reader gives a larger buffer back: one long line must not pin a megabyte for the life of a connection.
const KEPT_BUFFER_BYTES = 64 * 1024;

const textEncoder = new TextEncoder();

/**
 * Encodes a value as one line: JSON and an LF.
 *
 * @example
 * ```ts
 * import { encodeLine, LineReader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = new LineReader();
 * reader.push(encodeLine({ request: "ping" }));
 * assertEquals(reader.next(), { request: "ping" });
 * assertEquals(reader.next(), undefined);
 * ```
 *
 * @throws {TypeError | RangeError} as {@linkcode encodeJson}.
 */
export function encodeLine(
  value: unknown,
  options: EncodeJsonOptions = {},
): Uint8Array<ArrayBuffer> {
  return textEncoder.encode(encodeJson(value, options) + "\n");
}

/**
 * Takes lines of JSON out of a stream of bytes, however it was cut.
 *
 * Give it what was read with {@linkcode LineReader.push}, then call {@linkcode LineReader.next} until it returns
 * `undefined`. Lines end with LF or CRLF; blank ones are skipped. A line that is not JSON throws from its own `next`
 * and the one after it is read as usual; a line that is too long ends the reader, because nothing tells where a sender
 * that ignores limits would be back in step.
 *
 * @example
 * ```ts
 * import { LineReader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const reader = new LineReader({ maxLineBytes: 4096 });
 * const bytes = new TextEncoder().encode('{"a":1}\r\n\n[2]\n');
 * for (const byte of bytes) reader.push(Uint8Array.of(byte));
 * assertEquals([reader.next(), reader.next(), reader.next()], [{ a: 1 }, [2], undefined]);
 * ```
 */
export class LineReader {
  readonly #maxLineBytes: number;
  // Unread bytes are #bytes[#start..#end]: #lines complete ones, then #lineBytes of the one that is arriving.
  #bytes = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #lines = 0;
  #lineBytes = 0;
  #overlong = false;
  // Where the next unread line is in the stream, for errors.
  #number = 1;
  #offset = 0;

  /** Makes a reader. @throws {RangeError} when `maxLineBytes` is not a positive integer. */
  constructor(options: LineReaderOptions = {}) {
    const { maxLineBytes = MAX_JSON_BYTES } = options;
    if (!Number.isSafeInteger(maxLineBytes) || maxLineBytes < 1) {
      throw new RangeError(`maxLineBytes must be at least 1: current value is ${maxLineBytes}`);
    }
    this.#maxLineBytes = maxLineBytes;
  }

  /** Takes bytes in; they are copied. A line is kept only as far as it is within the limit. */
  push(chunk: Uint8Array): void {
    let kept = 0;
    while (kept < chunk.length) {
      const lf = chunk.indexOf(LF, kept);
      const lineBytes = this.#lineBytes + (lf === -1 ? chunk.length : lf) - kept;
      this.#overlong ||= lineBytes > this.#maxLineBytes;
      if (this.#overlong) break;
      this.#lineBytes = lf === -1 ? lineBytes : 0;
      this.#lines += lf === -1 ? 0 : 1;
      kept = lf === -1 ? chunk.length : lf + 1;
    }
    this.#append(chunk.subarray(0, kept));
  }

  /**
   * The next line's value, or `undefined` when no whole line is there.
   *
   * @throws {InvalidPacketError} `bad-message` or `too-large`, naming the line's number and its offset in the stream
   * (also as `details.line` and `details.offset`).
   */
  next(): unknown {
    while (this.#lines > 0) {
      const at = { line: this.#number, offset: this.#offset };
      const line = this.#takeLine();
      if (isBlank(line)) continue;
      return decodeJson(line, { maxBytes: this.#maxLineBytes, what: describe(at), details: at });
    }
    if (this.#overlong) throw this.#tooLong();
    return undefined;
  }

  /**
   * Says that the stream has ended.
   *
   * @throws {InvalidPacketError} `bad-frame` when it ended inside a line, `too-large` when a line was too long.
   */
  end(): void {
    if (this.#overlong) throw this.#tooLong();
    if (this.#lineBytes === 0) return;
    const details = this.#arriving();
    const text = `Cannot decode ${describe(details)}: the input ends before its LF`;
    throw new InvalidPacketError("bad-frame", text, { details });
  }

  #tooLong(): InvalidPacketError {
    const at = this.#arriving();
    return tooLarge(describe(at), "its size", "maxLineBytes", this.#maxLineBytes, at);
  }

  // Where the line is that has not ended yet.
  #arriving(): { line: number; offset: number } {
    const unread = this.#end - this.#start;
    return { line: this.#number + this.#lines, offset: this.#offset + unread - this.#lineBytes };
  }

  #append(bytes: Uint8Array): void {
    const unread = this.#end - this.#start;
    if (this.#end + bytes.length > this.#bytes.length) {
      const needed = unread + bytes.length;
      const grown = needed > this.#bytes.length;
      const room = grown ? new Uint8Array(Math.max(needed, 2 * unread)) : this.#bytes;
      room.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = room;
      this.#start = 0;
      this.#end = unread;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  // A view that is valid until the next push.
  #takeLine(): Uint8Array {
    const lf = this.#bytes.indexOf(LF, this.#start);
    const line = this.#bytes.subarray(this.#start, lf);
    this.#start = lf + 1;
    this.#offset += line.length + 1;
    this.#number++;
    this.#lines--;
    if (this.#start === this.#end) {
      this.#start = this.#end = 0;
      if (this.#bytes.length > KEPT_BUFFER_BYTES) this.#bytes = new Uint8Array(0);
    }
    return line;
  }
}

// What JSON itself calls blank, so a line with a CR alone is one and a line with a no-break space is not.
function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function describe(at: { line: number; offset: number }): string {
  return `line ${at.line} at offset ${at.offset}`;
}
