/**
 * How a link between two simulated machines treats what is sent over it.
 *
 * @module
 */

/** What a link does to packets; every chance is drawn for each packet on its own. */
export interface LinkOptions {
  /**
   * Time on the way, in milliseconds: always the same, or drawn evenly between two. A wide range lets packets overtake
   * each other.
   */
  readonly delayMs: number | readonly [min: number, max: number];
  /** Share of packets that never arrive, 0..1. A stream sends again what is lost. */
  readonly loss: number;
  /** Share of packets that arrive twice, 0..1. Streams are not affected. */
  readonly duplication: number;
  /** Share of packets that are held back and so overtaken by later ones, 0..1. Streams are not affected. */
  readonly reordering: number;
  /** How long a packet is held back, in milliseconds. */
  readonly reorderMs: number;
}

/** A quiet local network: 1 ms each way, nothing is lost. */
export const DEFAULT_LINK: LinkOptions = {
  delayMs: 1,
  loss: 0,
  duplication: 0,
  reordering: 0,
  reorderMs: 5,
};

/** A link as it is used: checked, the delay as a range. */
export interface Link {
  readonly options: LinkOptions;
  readonly minDelayMs: number;
  readonly spreadMs: number;
}

/**
 * Changes some options of a link.
 *
 * @throws {RangeError} for a chance outside 0..1, or a time that is negative, endless or upside down.
 */
export function changeLink(before: LinkOptions, changes: Partial<LinkOptions>): Link {
  const options = { ...before, ...changes };
  for (const name of ["loss", "duplication", "reordering"] as const) {
    const chance = options[name];
    if (!(chance >= 0 && chance <= 1)) {
      throw new RangeError(`Link ${name} must be 0..1: current value is ${chance}`);
    }
  }
  const { delayMs, reorderMs } = options;
  const [min, max] = typeof delayMs === "number" ? [delayMs, delayMs] : delayMs;
  for (const ms of [min, max - min, max, reorderMs]) {
    if (!(ms >= 0 && ms < Infinity)) {
      throw new RangeError(
        `Link times must be 0 or more, and ranges ascending: delayMs is ${delayMs}, reorderMs ${reorderMs}`,
      );
    }
  }
  return { options, minDelayMs: min, spreadMs: max - min };
}
