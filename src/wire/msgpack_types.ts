/**
 * The values MessagePack has and JavaScript has not.
 *
 * @module
 */

/** The extension type of a timestamp. */
export const TIMESTAMP_EXTENSION: number = -1;

/**
 * A number that is written as a float64 even where it is whole: the originals' version `1.0` is one.
 *
 * @example
 * ```ts
 * import { encode, Float64 } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(encode(1).length, 1);
 * assertEquals(encode(new Float64(1)).length, 9);
 * ```
 */
export class Float64 {
  /** The number. */
  readonly value: number;

  /** Wraps a number. */
  constructor(value: number) {
    this.value = value;
  }
}

/**
 * Bytes that do not exist yet: the encoder asks for them when it comes to them, and they are put straight into the
 * message. For what is read from somewhere only to be sent.
 *
 * @example
 * ```ts
 * import { decode, encode, LateBytes } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const data = new LateBytes(3, (into) => into.fill(7));
 * assertEquals(decode(encode({ data })), { data: new Uint8Array([7, 7, 7]) });
 * ```
 */
export class LateBytes {
  /** How many. */
  readonly length: number;
  /** Puts them in place, all of them; what it throws ends the encoding. */
  readonly fill: (into: Uint8Array<ArrayBuffer>) => void;

  /** Promises `length` bytes. */
  constructor(length: number, fill: (into: Uint8Array<ArrayBuffer>) => void) {
    this.length = length;
    this.fill = fill;
  }
}

/**
 * An application's own type: a number -128..127 and its bytes. Timestamps (-1) are `Date`s instead.
 *
 * @example
 * ```ts
 * import { decode, encode, Extension } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const point = new Extension(5, new Uint8Array([3, 4]));
 * assertEquals(decode(encode({ point })), { point });
 * ```
 */
export class Extension {
  /** The type. */
  readonly type: number;
  /** The bytes. */
  readonly data: Uint8Array;

  /** Makes one. @throws {RangeError} when the type is not an integer of -128..127. */
  constructor(type: number, data: Uint8Array) {
    if (!Number.isInteger(type) || type < -128 || type > 127) {
      throw new RangeError(`Extension type must be -128..127: current value is ${type}`);
    }
    this.type = type;
    this.data = data;
  }
}
