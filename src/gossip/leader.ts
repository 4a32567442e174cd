/**
 * Which author the trees are made for, where several write at the same time: each would cut the ways of the others, and
 * mend what is not broken.
 *
 * @module
 */

/** How long an author's messages count as just arriving, in milliseconds. */
const ARRIVING_MS = 2_000;

/** Of the authors whose messages are just arriving the one with the smallest id leads: everybody sees the same. */
export class Leader {
  #author = "";
  #atMs = -Infinity;

  /** A message of an author has come. */
  heard(author: string, nowMs: number): void {
    if (!this.leads(author, nowMs)) return;
    this.#author = author;
    this.#atMs = nowMs;
  }

  /** Whether ways may be given up, or mended, because of an author. */
  leads(author: string, nowMs: number): boolean {
    return author <= this.#author || nowMs - this.#atMs > ARRIVING_MS;
  }
}
