/**
 * How well we keep up ourselves: who answers late, or hears nothing, may be the slow one.
 *
 * Source: Lifeguard (Dadgar, Phillips, Currey 2018), section IV-A, the local health multiplier.
 *
 * @module
 */

/** The worst score: everything takes nine times as long. */
const WORST = 8;

/** The local health multiplier; see the module. */
export class Awareness {
  readonly #enabled: boolean;
  #score = 0;

  /** A healthy one. @param enabled Whether it changes at all. */
  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  /** 0 for one that keeps up, 8 for the worst. */
  get score(): number {
    return this.#score;
  }

  /** Something went well (below 0) or not. */
  add(change: number): void {
    if (!this.#enabled) return;
    this.#score = Math.min(WORST, Math.max(0, this.#score + change));
  }

  /** A time that is meant for a healthy node, as this one needs it. */
  scaled(ms: number): number {
    return ms * (1 + this.#score);
  }
}
