/**
 * Seeded values, bytes and mutations for property and hostile-input tests.
 *
 * @module
 */

import { seededRandom } from "../../src/clock.ts";
import { Extension } from "../../src/wire/msgpack_types.ts";

/** A source of random test material; the same seed gives the same material. */
export class Generator {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** An integer of [0, below). */
  below(below: number): number {
    return Math.floor(this.#random() * below);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.below(256);
    return bytes;
  }

  text(): string {
    const alphabet = this.pick(["abcdefgh", "héö ", "☃日本語", "😀a", "\u0000\u007f"]);
    const chars = [...alphabet];
    const count = this.pick([0, 1, 5, 15, 16, 17, 31, 32, 33, 48, 49, 255, 256, 300]);
    let text = "";
    for (let i = 0; i < count; i++) text += this.pick(chars);
    return text;
  }

  integer(): number {
    const edge = this.pick([0, 0x20, 0x7f, 0x80, 0xff, 0x100, 0x8000, 0xffff, 0x10000, 0x7fffffff]);
    return this.pick([1, -1]) * (edge + this.below(3) - 1);
  }

  /**
   * Any value of the subset that MessagePack libraries agree on: no integers beyond 32 bits, no -0, no extensions.
   */
  sharedValue(depth = 3): unknown {
    switch (this.below(depth > 0 ? 9 : 7)) {
      case 0:
        return null;
      case 1:
        return this.below(2) === 0;
      case 2:
        return this.integer() || 0;
      case 3:
        return this.#random() * 1e9 - 5e8 + 0.5;
      case 4:
      case 5:
        return this.text();
      case 6:
        return this.bytes(this.pick([0, 1, 255, 256, 300]));
      case 7:
        return Array.from(
          { length: this.pick([0, 1, 3, 15, 16, 20]) },
          () => this.sharedValue(depth - 1),
        );
      default:
        return this.#object(() => this.sharedValue(depth - 1));
    }
  }

  /** Any value that kith's codec carries. */
  value(depth = 3): unknown {
    switch (this.below(depth > 0 ? 8 : 5)) {
      case 0:
        return this.pick([1n, -1n]) *
          (BigInt(Number.MAX_SAFE_INTEGER) + 1n + BigInt(this.below(1e9)));
      case 1:
        return new Date(this.below(2) * 1e15 - this.below(1e12));
      case 2:
        return new Extension(this.below(127), this.bytes(this.pick([0, 1, 2, 4, 8, 16, 17])));
      case 3:
        return this.pick([
          Infinity,
          -Infinity,
          Number.MAX_SAFE_INTEGER,
          Number.MIN_SAFE_INTEGER,
          1e300,
        ]);
      case 4:
        return this.sharedValue(0);
      case 5:
        return new Map<unknown, unknown>([[this.below(100), this.value(depth - 1)], [
          this.text(),
          this.value(depth - 1),
        ]]);
      default:
        return this.#object(() => this.value(depth - 1));
    }
  }

  /** The same bytes with one to four changes: flipped, cut, doubled, inserted, or a length made huge. */
  mutate(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    let mutated = bytes.slice();
    for (let i = 1 + this.below(4); i > 0 && mutated.length > 0; i--) {
      const at = this.below(mutated.length);
      switch (this.below(5)) {
        case 0:
          mutated[at] = (mutated[at] ?? 0) ^ (1 << this.below(8));
          break;
        case 1:
          mutated = mutated.slice(0, at);
          break;
        case 2:
          mutated = concat(mutated, mutated.slice(at));
          break;
        case 3:
          mutated = concat(mutated.slice(0, at), this.bytes(1 + this.below(5)), mutated.slice(at));
          break;
        default:
          mutated[at] = this.pick([0xdd, 0xdf, 0xdb, 0xc6, 0xc9, 0xff, 0xc1, 0x9f, 0x8f]);
      }
      if (mutated.length > 4096) mutated = mutated.slice(0, 4096);
    }
    return mutated;
  }

  #object(value: () => unknown): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    for (let i = this.pick([0, 1, 3, 15, 16, 17]); i > 0; i--) {
      object[this.pick(["id", "name", "constructor", "toString", ""]) + this.below(40)] = value();
    }
    return object;
  }
}

/** One array of all the bytes. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
