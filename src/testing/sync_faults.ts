/**
 * What goes wrong with messages on their way, decided by a seed.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";

/**
 * How often what goes wrong with messages and contents that pass, each between 0 and 1. Of several faults at most one
 * happens to a message; their sum must not be above 1.
 */
export interface SyncFaults {
  /** It is lost. @default {0} */
  readonly drop?: number;
  /** It comes twice. @default {0} */
  readonly duplicate?: number;
  /** One character or bit of it is another. @default {0} */
  readonly garble?: number;
  /** It is lost, and the connection with it. @default {0} */
  readonly cut?: number;
  /** It takes so long, in milliseconds; the order stays. @default {0} */
  readonly delayMs?: number;
  /** What it happens to; a hub that is told other things than were said takes them for true. @default both */
  readonly only?: "messages" | "contents";
}

/** What became of messages. */
export type SyncFate = "passed" | "dropped" | "duplicated" | "garbled" | "cut" | "silenced";

/** How many had which fate. */
export type SyncFateCounts = Readonly<Record<SyncFate, number>>;

const KINDS = [
  ["drop", "dropped"],
  ["duplicate", "duplicated"],
  ["garble", "garbled"],
  ["cut", "cut"],
] as const;

/** Decides what becomes of messages, the same way for the same seed. */
export class SyncFortune {
  /** What became of them so far. */
  readonly counts: Record<SyncFate, number> = {
    passed: 0,
    dropped: 0,
    duplicated: 0,
    garbled: 0,
    cut: 0,
    silenced: 0,
  };
  /** Whether nothing passes any more, and nobody is told. */
  isSilent = false;
  readonly #random: () => number;
  #faults: SyncFaults = {};

  /** @throws {RangeError} for what is no probability or time. */
  constructor(faults: SyncFaults, seed: number) {
    this.#random = seededRandom(seed);
    this.faults = faults;
  }

  /** What goes wrong from now on. @throws {RangeError} as above. */
  set faults(faults: SyncFaults) {
    let sum = 0;
    for (const [name] of KINDS) {
      const value = faults[name] ?? 0;
      if (!(value >= 0 && value <= 1)) throw wrong(name, "0..1", value);
      sum += value;
    }
    const { delayMs = 0 } = faults;
    if (!(sum <= 1 + Number.EPSILON * KINDS.length)) throw wrong("Sum of faults", "0..1", sum);
    if (!(delayMs >= 0 && delayMs < Infinity)) throw wrong("delayMs", "0 or more", delayMs);
    this.#faults = faults;
  }

  /** How long the next one takes. */
  get delayMs(): number {
    return this.#faults.delayMs ?? 0;
  }

  /**
   * Decides on one thing that passes.
   *
   * @param garbled Makes another of it; what makes no sense any more is lost.
   * @returns what arrives of it; `undefined` when the connection is cut instead.
   */
  of<T>(
    kind: "messages" | "contents",
    thing: T,
    garbled: (thing: T) => T | undefined,
  ): T[] | undefined {
    const { only = kind } = this.#faults;
    const fate = this.isSilent ? "silenced" : only === kind ? this.#drawn() : "passed";
    this.counts[fate]++;
    switch (fate) {
      case "passed":
        return [thing];
      case "duplicated":
        return [thing, thing];
      case "garbled": {
        const other = garbled(thing);
        return other === undefined ? [] : [other];
      }
      case "dropped":
      case "silenced":
        return [];
      case "cut":
        return undefined;
      default:
        return fate satisfies never;
    }
  }

  /** The same text with one character that is another. */
  garbledText(text: string): string {
    const at = this.#below(text.length);
    const other = String.fromCharCode(32 + this.#below(95));
    return text.slice(0, at) + (other === text[at] ? "\x7f" : other) + text.slice(at + 1);
  }

  /** The same bytes with one bit that is another. */
  garbledBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const garbled = new Uint8Array(bytes);
    const at = this.#below(bytes.length);
    const byte = garbled[at];
    if (byte !== undefined) garbled[at] = byte ^ (1 << this.#below(8));
    return garbled;
  }

  #drawn(): SyncFate {
    let draw = this.#random();
    for (const [name, fate] of KINDS) {
      draw -= this.#faults[name] ?? 0;
      if (draw < 0) return fate;
    }
    return "passed";
  }

  #below(below: number): number {
    return Math.floor(this.#random() * below);
  }
}

function wrong(name: string, range: string, value: unknown): RangeError {
  return new RangeError(`${name} must be ${range}: current value is ${value}`);
}
