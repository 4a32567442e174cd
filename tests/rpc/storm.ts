/**
 * How evenly a crowd comes back.
 *
 * @module
 */

/**
 * The busiest second of a crowd that comes back.
 *
 * @param times When each came, in milliseconds after the server was back.
 * @returns how many came in it, and how many times the mean that is: all, by the time until the last came.
 */
export function worstSecond(times: readonly number[]): { count: number; ratio: number } {
  const sorted = times.toSorted((a, b) => a - b);
  let [count, first] = [0, 0];
  for (const [last, time] of sorted.entries()) {
    while (time - (sorted[first] ?? 0) >= 1_000) first++;
    count = Math.max(count, last - first + 1);
  }
  const seconds = (sorted.at(-1) ?? 0) / 1_000;
  return { count, ratio: count / (sorted.length / seconds) };
}
