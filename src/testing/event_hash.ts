/**
 * A running fingerprint of everything that happened: two 32-bit lanes, each mixed as MurmurHash3 mixes its one, because
 * 64-bit integers are slow here. It tells two runs apart; it protects against nobody.
 *
 * @module
 */

import { TICKS_PER_MS } from "./ticks.ts";

/** A 64-bit fingerprint that grows with every event; see the module. */
export class EventHash {
  #low = 0x9747b28c;
  #high = 0x3c6ef372;

  /** Adds what happened, when, between which two machines, and how many bytes it took. */
  event(kind: number, atMs: number, from: number, to: number, bytes: number): void {
    const ticks = atMs * TICKS_PER_MS;
    this.#mix(ticks | 0);
    this.#mix((ticks / 2 ** 32 | 0) ^ from << 8);
    this.#mix(to);
    this.#mix(kind ^ bytes << 4);
  }

  /** Adds the bytes of a message, boiled down to 32 bits first: packets are most of what there is to hash. */
  bytes(bytes: Uint8Array): void {
    const whole = bytes.length & ~3;
    let word = 0x811c9dc5;
    for (let at = 0; at < whole; at += 4) {
      const four = byte(bytes, at) | byte(bytes, at + 1) << 8 | byte(bytes, at + 2) << 16 |
        byte(bytes, at + 3) << 24;
      word = Math.imul(word ^ four, 0x85ebca6b);
      word ^= word >>> 15;
    }
    for (let at = whole; at < bytes.length; at++) {
      word = Math.imul(word ^ byte(bytes, at), 0x85ebca6b);
      word ^= word >>> 15;
    }
    this.#mix(word);
  }

  /** Adds a text. */
  text(text: string): void {
    for (let at = 0; at < text.length; at++) this.#mix(text.charCodeAt(at));
    this.#mix(text.length);
  }

  /** The lower 32 bits: a good seed. */
  get low(): number {
    return avalanche(this.#low ^ avalanche(this.#high));
  }

  /** The fingerprint so far: 16 hexadecimal digits. */
  get hex(): string {
    return hexOf(avalanche(this.#high ^ this.#low)) + hexOf(this.low);
  }

  #mix(word: number): void {
    const low = Math.imul(this.#low ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
    this.#low = (low << 13 | low >>> 19) + 0xe6546b64 | 0;
    const high = Math.imul(this.#high ^ Math.imul(word, 0x9e3779b1), 0x85ebca77);
    this.#high = (high << 15 | high >>> 17) + 0x38495ab5 | 0;
  }
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

function avalanche(word: number): number {
  let mixed = Math.imul(word ^ word >>> 16, 0x85ebca6b);
  mixed = Math.imul(mixed ^ mixed >>> 13, 0xc2b2ae35);
  return (mixed ^ mixed >>> 16) >>> 0;
}

function hexOf(word: number): string {
  return word.toString(16).padStart(8, "0");
}
