/**
 * The elements of a signed message, read strictly: what its author signs has one form, so that a message has one spelling
 * and is known by it.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { HASH_BYTES, MAX_PATH } from "./merkle.ts";

/** Where in a tree the leaf is. */
export interface Place {
  /** Which one it is, from 0. */
  readonly index: number;
  /** The hashes beside the way to the root, as hexadecimal digits. */
  readonly path: readonly string[];
}

// The first type bytes of MessagePack's arrays, longer integers and `bin`, and how wide those from there on are.
const [ARRAY, UINT_8, BIN_8] = [0x90, 0xcc, 0xc4];
const INTEGER_WIDTHS = [1, 2, 4, 8];
const LENGTH_WIDTHS = [1, 2, 4];

/** Reads one element after another, refusing what is not as {@linkcode signEnvelopes} writes it. */
export class Elements {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** Stands at the beginning. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** How many there are. */
  count(): number {
    const count = this.#byte("array") - ARRAY;
    if (count === 5 || count === 7) return count;
    throw this.#refused("array", "is none of 5 or 7 elements");
  }

  /** An integer of 0..2^53 - 1. */
  uint(element: string): number {
    const type = this.#byte(element);
    if (type < 0x80) return type;
    const width = INTEGER_WIDTHS[type - UINT_8];
    if (width === undefined) throw this.#refused(element, "is not an integer of at least 0");
    const value = this.#shortest(width, element, 0x80);
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    throw this.#refused(element, `exceeds ${Number.MAX_SAFE_INTEGER}`);
  }

  /** Bytes of one length. */
  exactly(count: number, element: string): Uint8Array {
    const length = this.#length(element);
    if (length === count) return this.#take(count, element);
    throw this.#refused(element, `has ${length} bytes instead of ${count}`);
  }

  /** Bytes of any length up to `maxBytes`. */
  atMost(maxBytes: number, element: string): Uint8Array {
    const length = this.#length(element);
    if (length <= maxBytes) return this.#take(length, element);
    throw new InvalidPacketError(
      "too-large",
      `Cannot read gossip message: ${element} of ${length} bytes exceeds maxBytes ${maxBytes}`,
      { details: { limit: "maxBytes", max: maxBytes, got: length, offset: this.#at } },
    );
  }

  /** Where in a batch the message is: its index, and a path of 1..6 hashes that has such a place. */
  place(): Place {
    const index = this.uint("index");
    const length = this.#byte("path") - ARRAY;
    if (length < 1 || length > MAX_PATH) {
      throw this.#refused("path", `is no array of 1..${MAX_PATH} hashes`);
    }
    if (index >= 2 ** length) throw this.#refused("index", `exceeds ${2 ** length - 1}`);
    const path: string[] = [];
    while (path.length < length) path.push(this.exactly(HASH_BYTES, "path").toHex());
    return { index, path };
  }

  /** Refuses what follows. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw this.#refused("array", `has ${left} bytes behind it`);
  }

  #length(element: string): number {
    const width = LENGTH_WIDTHS[this.#byte(element) - BIN_8];
    if (width === undefined) throw this.#refused(element, "is not bin");
    return this.#shortest(width, element, 0);
  }

  /** A big-endian integer of `width` bytes that neither fewer bytes nor, below `least`, none at all could hold. */
  #shortest(width: number, element: string, least: number): number {
    const bytes = this.#bytes;
    const end = this.#at + width;
    if (end > bytes.length) throw this.#truncated(element);
    let value = 0;
    while (this.#at < end) value = value * 256 + (bytes[this.#at++] as number);
    if (value >= (width === 1 ? least : 2 ** (4 * width))) return value;
    throw this.#refused(element, "is not written in its shortest form");
  }

  #take(count: number, element: string): Uint8Array {
    const start = this.#at;
    if (count > this.#bytes.length - start) throw this.#truncated(element);
    this.#at += count;
    return this.#bytes.subarray(start, this.#at);
  }

  #byte(element: string): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw this.#truncated(element);
    this.#at++;
    return byte;
  }

  #truncated(element: string): InvalidPacketError {
    return this.#refused(element, "is cut off");
  }

  #refused(element: string, what: string): InvalidPacketError {
    return new InvalidPacketError(
      "bad-message",
      `Cannot read gossip message: ${element} ${what}, at byte ${this.#at}`,
      { details: { element, offset: this.#at } },
    );
  }
}
