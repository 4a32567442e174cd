/**
 * Claims that others should hear, each passed on a bounded number of times.
 *
 * What was passed on least often goes first, so that everything new leaves with the next packet; the number grows with
 * the logarithm of the group. Source: SWIM, section 4.1, infection-style dissemination.
 *
 * @module
 */

import { CLAIM_OVERHEAD } from "./packets.ts";

/** Most claims that wait; beyond, what was passed on most often is forgotten. */
const MAX_WAITING = 8_192;

/** No claim is smaller: an id, an incarnation and a signature. */
const LEAST_CLAIM_BYTES = 97;

interface Item {
  readonly topic: string;
  readonly claim: Uint8Array;
  sent: number;
}

/** Claims on their way; see the module. */
export class News {
  readonly #items = new Map<string, Item>();
  // Items by how often they were passed on.
  readonly #levels: Set<Item>[] = [];

  /** How many claims wait. */
  get size(): number {
    return this.#items.size;
  }

  /** Adds a claim. One on the same topic is replaced: it is out of date. */
  add(topic: string, claim: Uint8Array): void {
    this.remove(topic);
    const item: Item = { topic, claim, sent: 0 };
    this.#items.set(topic, item);
    this.#level(0).add(item);
    if (this.#items.size > MAX_WAITING) this.#forgetOne();
  }

  /** Removes a claim; harmless when there is none. */
  remove(topic: string): void {
    const item = this.#items.get(topic);
    if (item === undefined) return;
    this.#items.delete(topic);
    this.#levels[item.sent]?.delete(item);
  }

  /**
   * Takes as many claims as fit, which counts as passing them on.
   *
   * @param limit How often a claim is passed on.
   */
  take(bytes: number, limit: number): Uint8Array[] {
    const taken: Item[] = [];
    let left = bytes;
    for (const level of this.#levels) {
      for (const item of level) {
        const cost = item.claim.length + CLAIM_OVERHEAD;
        if (cost > left) continue;
        left -= cost;
        taken.push(item);
      }
      if (left < LEAST_CLAIM_BYTES) break;
    }
    for (const item of taken) this.#passedOn(item, limit);
    return taken.map(({ claim }) => claim);
  }

  #passedOn(item: Item, limit: number): void {
    this.#levels[item.sent]?.delete(item);
    item.sent++;
    if (item.sent >= limit) this.#items.delete(item.topic);
    else this.#level(item.sent).add(item);
  }

  #level(sent: number): Set<Item> {
    return (this.#levels[sent] ??= new Set());
  }

  #forgetOne(): void {
    const [item] = this.#levels.findLast((level) => level.size > 0) ?? [];
    if (item !== undefined) this.remove(item.topic);
  }
}
