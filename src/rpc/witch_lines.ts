/**
 * Lines as the witch-core server reads them: JSON, and whether a line begins as a message to a protocol does.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { LineReader } from "../wire/line.ts";

/** A line that has been read. */
export interface WitchLine {
  /** What it says. */
  readonly value: unknown;
  /** Whether its bytes begin with exactly `{"protocol_name":`, which is how the original knows such a message. */
  readonly literal: boolean;
}

const LF = 0x0a;
const PROTOCOL_PREFIX = new TextEncoder().encode('{"protocol_name":');

/** Takes lines out of a stream of bytes, however it was cut; the limit is that of {@linkcode LineReader}. */
export class WitchLineReader {
  readonly #reader: LineReader;
  // The beginning of the line that is arriving, as far as it matters.
  readonly #head = new Uint8Array(PROTOCOL_PREFIX.length);
  #headBytes = 0;

  /** Makes a reader. @throws {RangeError} when `maxLineBytes` is not a positive integer. */
  constructor(maxLineBytes: number) {
    this.#reader = new LineReader({ maxLineBytes });
  }

  /**
   * Takes bytes in and gives the lines that they complete, one at a time; an error stands for a line that is none. The
   * bytes must stay as they are until the last is given.
   *
   * @throws {InvalidPacketError} `too-large`, when a line is too long: nothing that follows can be read.
   */
  *push(bytes: Uint8Array): Generator<WitchLine | InvalidPacketError, void, void> {
    for (const piece of cutAfterLf(bytes)) {
      this.#keepHead(piece);
      this.#reader.push(piece);
      const line = this.#next();
      if (piece.at(-1) === LF) this.#headBytes = 0;
      if (line !== undefined) yield line;
    }
  }

  #next(): WitchLine | InvalidPacketError | undefined {
    try {
      const value = this.#reader.next();
      return value === undefined ? undefined : { value, literal: this.#isLiteral() };
    } catch (error) {
      if (!(error instanceof InvalidPacketError) || isTooLong(error)) throw error;
      return error;
    }
  }

  #keepHead(piece: Uint8Array): void {
    const part = piece.subarray(0, this.#head.length - this.#headBytes);
    this.#head.set(part, this.#headBytes);
    this.#headBytes += part.length;
  }

  #isLiteral(): boolean {
    return this.#headBytes === this.#head.length &&
      PROTOCOL_PREFIX.every((byte, i) => byte === this.#head[i]);
  }
}

/** Whether a line was too long, not only nested too deeply: then its end is unknown. */
function isTooLong({ details }: InvalidPacketError): boolean {
  return details.limit === "maxLineBytes";
}

function* cutAfterLf(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length;) {
    const lf = bytes.indexOf(LF, at);
    const end = lf === -1 ? bytes.length : lf + 1;
    yield bytes.subarray(at, end);
    at = end;
  }
}
