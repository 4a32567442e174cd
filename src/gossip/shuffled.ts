/**
 * Choosing by chance.
 *
 * @module
 */

/**
 * The items in an order that chance decides, as far as they are asked for: the Fisher-Yates shuffle, one step at a time.
 *
 * @param random Gives a number in [0, 1).
 */
export function* shuffled<Item>(
  items: Iterable<Item>,
  random: () => number,
): Generator<Item, void, void> {
  const pool = [...items];
  for (let left = pool.length; left > 0; left--) {
    const at = Math.floor(random() * left);
    const item = pool[at] as Item;
    pool[at] = pool[left - 1] as Item;
    yield item;
  }
}

/** At most so many of a list, each once, in an order that chance decides. @param count Rounded up; none for 0 and less. */
export function draw<Item>(
  list: readonly Item[],
  count: number,
  random: () => number,
): Item[] {
  return [...shuffled(list, random).take(Math.max(0, Math.ceil(count)))];
}
