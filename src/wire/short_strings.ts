/**
 * Short strings out of bytes: headers, names and words that come again and again are handed out without being built
 * anew.
 *
 * @module
 */

/** Longest string handled here, in bytes; from here on a call into the runtime is faster (measured). */
export const SHORT_STRING_BYTES = 16;

/** Strings remembered; a power of two. A newer one with the same hash takes the place of the older. */
const SLOTS = 256;

/** A direct-mapped cache from short ASCII byte strings to their strings. */
export class ShortStrings {
  readonly #texts: string[] = new Array(SLOTS).fill("");
  readonly #counts: Uint8Array = new Uint8Array(SLOTS);
  readonly #bytes: Uint8Array = new Uint8Array(SLOTS * SHORT_STRING_BYTES);

  /** The string of `bytes[at..at+count]`, or `undefined` when a byte is not ASCII. */
  read(bytes: Uint8Array, at: number, count: number): string | undefined {
    if (count === 0) return "";
    const first = bytes[at] as number;
    const middle = bytes[at + (count >> 1)] as number;
    const last = bytes[at + count - 1] as number;
    const slot = (first + middle * 31 + last * 7 + count * 17) & (SLOTS - 1);
    const known = this.#bytes;
    const knownAt = slot * SHORT_STRING_BYTES;
    if (this.#counts[slot] === count) {
      let i = 0;
      while (i < count && known[knownAt + i] === bytes[at + i]) i++;
      if (i === count) return this.#texts[slot] as string;
    }
    const text = asciiText(bytes, at, count);
    if (text === undefined) return undefined;
    for (let i = 0; i < count; i++) known[knownAt + i] = bytes[at + i] as number;
    this.#counts[slot] = count;
    this.#texts[slot] = text;
    return text;
  }
}

function asciiText(bytes: Uint8Array, at: number, count: number): string | undefined {
  let text = "";
  let i = at;
  const end = at + count;
  for (const end4 = end - 3; i < end4; i += 4) {
    const a = bytes[i] as number;
    const b = bytes[i + 1] as number;
    const c = bytes[i + 2] as number;
    const d = bytes[i + 3] as number;
    if ((a | b | c | d) > 0x7f) return undefined;
    text += String.fromCharCode(a, b, c, d);
  }
  for (; i < end; i++) {
    const a = bytes[i] as number;
    if (a > 0x7f) return undefined;
    text += String.fromCharCode(a);
  }
  return text;
}
