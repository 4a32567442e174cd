/**
 * Which of many is first, where what each is worth changes all the time.
 *
 * @module
 */

/** Something that can be in a {@linkcode Heap}, one at a time. */
export interface Placed {
  /** Where it stands; the heap's own. -1 where it is in none. */
  place: number;
}

/**
 * A binary heap whose items know their place, so that one can be moved or taken out without a search: each costs as many
 * steps as the number of items has bits. Source: the heap of heapsort (Williams 1964).
 */
export class Heap<T extends Placed> {
  readonly #items: T[] = [];
  readonly #isBefore: (a: T, b: T) => boolean;

  /** Makes an empty heap, by a strict order. */
  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore;
  }

  /** The item before which there is none. */
  get first(): T | undefined {
    return this.#items[0];
  }

  /** Puts an item where it belongs: a new one, or one whose worth has changed. */
  put(item: T): void {
    if (item.place < 0) item.place = this.#items.push(item) - 1;
    const place = this.#raise(item, item.place);
    this.#lower(item, place);
  }

  /** Takes an item out. */
  remove(item: T): void {
    const { place } = item;
    const last = this.#items.pop();
    item.place = -1;
    if (last === undefined || last === item) return;
    this.#set(last, place);
    this.put(last);
  }

  #raise(item: T, from: number): number {
    let place = from;
    while (place > 0) {
      const above = this.#items[(place - 1) >> 1];
      if (above === undefined || !this.#isBefore(item, above)) break;
      const next = above.place;
      this.#set(above, place);
      place = next;
    }
    this.#set(item, place);
    return place;
  }

  #lower(item: T, from: number): void {
    let place = from;
    for (;;) {
      const [left, right] = [this.#items[2 * place + 1], this.#items[2 * place + 2]];
      if (left === undefined) break;
      const below = right !== undefined && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(below, item)) break;
      const next = below.place;
      this.#set(below, place);
      place = next;
    }
    this.#set(item, place);
  }

  #set(item: T, place: number): void {
    this.#items[place] = item;
    item.place = place;
  }
}
