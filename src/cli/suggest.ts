/**
 * What somebody who mistyped a word may have meant.
 *
 * @module
 */

/** Longer words are nobody's typing, and not worth comparing. */
const MAX_CHARS = 40;

/** One letter in so many may be wrong; of short words one all the same. */
const CHARS_PER_MISTAKE = 3;

/**
 * The word that comes nearest to another one: with fewest letters wrong, missing, added or swapped with their neighbour,
 * or, where none is near, the only one that begins so.
 *
 * @returns nothing when none is near enough to be worth mentioning.
 */
export function nearest(typed: string, words: readonly string[]): string | undefined {
  if (typed === "" || typed.length > MAX_CHARS) return undefined;
  const most = Math.max(1, Math.floor(typed.length / CHARS_PER_MISTAKE));
  const [best] = words
    .map((word) => ({ word, mistakes: editDistance(typed.toLowerCase(), word) }))
    // Of a word of two letters that are both wrong nothing is left.
    .filter(({ word, mistakes }) => mistakes <= most && mistakes < word.length)
    .sort((a, b) => a.mistakes - b.mistakes);
  if (best !== undefined) return best.word;
  const [begun, ...others] = words.filter((word) => word.startsWith(typed));
  return others.length === 0 ? begun : undefined;
}

/** `; did you mean WORD?`, or nothing. */
export function didYouMean(typed: string, words: readonly string[], prefix = ""): string {
  const word = nearest(typed, words);
  return word === undefined ? "" : `; did you mean ${prefix}${word}?`;
}

/**
 * How many letters have to be changed, added, taken away or swapped with their neighbour to make one word of another
 * (Damerau 1964, Levenshtein 1966; no letter is touched twice).
 */
export function editDistance(from: string, to: string): number {
  let [before, row]: [number[], number[]] = [
    [],
    Array.from({ length: to.length + 1 }, (_, at) => at),
  ];
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      next[j] = Math.min(
        cell(row, j) + 1,
        cell(next, j - 1) + 1,
        cell(row, j - 1) + (isSame ? 0 : 1),
        isSwapped ? cell(before, j - 2) + 1 : Infinity,
      );
    }
    [before, row] = [row, next];
  }
  return cell(row, to.length);
}

function cell(row: readonly number[], at: number): number {
  return row[at] ?? Infinity;
}
