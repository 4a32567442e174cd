/**
 * What the two sides of a session agree on, and what follows from it for each piece of data.
 *
 * @module
 */

import { HandshakeError, InvalidPacketError } from "../errors.ts";
import { DATA_TYPES, type DataType } from "./data_type.ts";

/** What is agreed on when a session is opened. */
export interface SessionTerms {
  /** The type of what is sent. */
  readonly dataType: DataType;
  /** Data of another type ends the session; otherwise it is decoded as what its own header says. */
  readonly strict: boolean;
  /** All data has the same size in bytes, once encoded: {@linkcode SessionTerms.size}, or that of the first. */
  readonly stream: boolean;
  /** The size of a stream's data in bytes, where it is known beforehand. */
  readonly size?: number;
}

/** Terms to propose; every field has a default. */
export interface TermsOptions {
  /** The type of what is sent. @default {"json"} */
  dataType?: DataType;
  /** Whether data of another type ends the session. @default {false} */
  strict?: boolean;
  /** Whether all data has the same size. @default {false} */
  stream?: boolean;
  /** The size of a stream's data in bytes, 1 or more. @default that of the first data */
  size?: number;
}

/** Fills in what is not said. @throws {TypeError} for an unknown type. @throws {RangeError} for a size that is none. */
export function sessionTerms(options: TermsOptions): SessionTerms {
  const { dataType = "json", strict = false, stream = false, size } = options;
  if (!DATA_TYPES.includes(dataType)) throw unknownType(dataType);
  if (size === undefined) return { dataType, strict, stream };
  if (!stream) throw new TypeError("Cannot open a session: only a stream has a size");
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new RangeError(`Size of a stream's data must be 1 or more: current value is ${size}`);
  }
  return { dataType, strict, stream, size };
}

/**
 * The type to send data as: the agreed one unless another is asked for.
 *
 * @throws {TypeError} for another one where the session is strict, or a stream, which says its type but once.
 */
export function typeToSend(terms: SessionTerms, type: DataType = terms.dataType): DataType {
  if (!DATA_TYPES.includes(type)) throw unknownType(type);
  if (type === terms.dataType || !(terms.strict || terms.stream)) return type;
  const kind = terms.strict ? "strict" : "a stream";
  throw new TypeError(`Cannot send ${type}: the session is ${kind}, for ${terms.dataType} only`);
}

/** Checks the type of data that came. @throws {HandshakeError} `strict-violation`. */
export function checkType(terms: SessionTerms, type: DataType): void {
  if (!terms.strict || type === terms.dataType) return;
  throw new HandshakeError(
    "strict-violation",
    `Data of type ${type} came on a strict session for ${terms.dataType}`,
    { details: { agreed: terms.dataType, got: type } },
  );
}

/** The one size that the data of a stream has; without a stream any size is right. */
export class StreamSize {
  readonly #stream: boolean;
  #bytes: number | undefined;

  /** Fixed where the terms say it, else by the first data. */
  constructor({ stream, size }: SessionTerms) {
    this.#stream = stream;
    this.#bytes = size;
  }

  /** The size, once it is fixed; `undefined` where there is no stream. */
  get bytes(): number | undefined {
    return this.#bytes;
  }

  /** Data is about to be sent. @throws {RangeError} when its size is another, or 0. */
  sending(got: number): void {
    if (this.#fits(got)) return;
    throw new RangeError(
      `Size of a stream's data must be ${this.#expected}: current value is ${got} bytes`,
    );
  }

  /** Data has come. @throws {InvalidPacketError} `bad-message` when its size is another, or 0. */
  received(got: number): void {
    if (this.#fits(got)) return;
    throw new InvalidPacketError(
      "bad-message",
      `Cannot take data: ${got} bytes in a stream of ${this.#expected}`,
      { details: { field: "size", got } },
    );
  }

  get #expected(): string {
    return this.#bytes === undefined ? "1 byte or more" : `${this.#bytes} bytes each`;
  }

  #fits(got: number): boolean {
    if (!this.#stream) return true;
    return got > 0 && got === (this.#bytes ??= got);
  }
}

function unknownType(type: unknown): TypeError {
  return new TypeError(
    `Data type must be one of ${DATA_TYPES.join(", ")}: current value is ${type}`,
  );
}
